//! What is done to one peer after another: establish, activate, deactivate, close.
//!
//! Stands between whoever selects peers and the table of connections with its connections: one
//! entry for each peer that is neither unknown nor cold, moved by orders from above and by what
//! its initiator halves do by themselves.
//!
//! ```text
//!              Establish             Activate
//!  cold ──▶ Acquiring ─Acquired─▶ Warm ──▶ Activating ─a hot half runs─▶ Hot
//!   ▲           │Close             ▲ │                                    │ Deactivate, or a hot
//!   │           ▼                  │ │                     ≤ 300 s        ▼ half ends by itself
//!   │       Withdrawing            │ └─Close─┐       all hot ended ── Deactivating
//!   │           │                  └─────────┼──────────────┘             │
//!   │◀──────────┘                            ▼                            │
//!   └──Demoted── Cooling ◀─Release/Reset─ Closing ≤ 120 s ◀──Close────────┘
//! ```
//!
//! * *Establish* acquires a connection and starts its established and warm bundles; *activate*
//!   starts the hot one.
//! * *Deactivate* stops the hot bundle and waits; what has not ended in time costs the
//!   connection. A hot half that ends cleanly by itself does the same, so an order to deactivate
//!   that comes while that goes on finds it done.
//! * *Close* says first that the peer is cooling, stops everything and waits; when all has ended
//!   the connection is released, else it is reset without being released. An established or warm
//!   half that ends cleanly by itself does the same.
//! * A connection that ends makes the peer cooling from any of these.
//! * A cooling peer is cold only when the table says that the connection is ours no longer. That
//!   may be while the peer goes on using it; until then it is not established again.
//!
//! A half counts from the order to start it on, so that an order to stop that is given before the
//! connection has carried that out waits for it as well. Bundles may be empty: the warm one is on
//! standard versions.
//!
//! Limits: [`Config::peers_max`]; a peer that finds no room is told so. What comes for a
//! connection or a request that is no more, or does not fit, is [counted](PeerActions::stale) and
//! changes nothing.
//!
//! Invariants: 1. a request names the peer that waits for it, and only those wait; 2. a connection
//! names the peer that holds it, and only those hold one; 3. exactly `Deactivating` and `Closing`
//! have a deadline, their own; 4. halves run only from `Warm` to `Closing`, hot ones only from
//! `Activating` to `Closing`, and each state that waits for some has some; 5. never more peers than
//! the limit.
//!
//! src: Ouroboros network specification, "Peer state actions"; ouroboros-network, peer state
//! actions

mod event;
mod machine;
mod peer;

pub use event::{Action, Config, Event, Fact};
pub use machine::PeerActions;
pub use peer::{Peer, Stage, Way};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
