//! The table of connections: who may connect, who uses what, and what ends when nobody does.
//!
//! One duplex connection serves both directions. After the handshake it is described by three
//! things: its [`Flow`], what *we* do with it (local use) and what *the peer* does with it (remote
//! use); each half moves on its own, so that the fourteen states of the reference are a
//! [projection](State) for traces, metrics and tests and nothing that is stored.
//!
//! ```text
//!              Acquire ─▶ Dialling ─Connected─▶ Greeting(client) ─┐
//!                                                                 ├─Agreed─▶ Open(flow, local, remote)
//!  Accepted ─────────────────────────────────▶ Greeting(server) ──┘             │
//!                     refused or queried: Lingering ≤ 20 s ◀─┘                  │ nobody uses it
//!                                    gone ◀── Quarantined 60 s ◀────────────────┘
//! ```
//!
//! | local use | meaning | remote use | meaning |
//! |---|---|---|---|
//! | `None` | we do not use it | `Idle(t)` | the peer runs nothing; given up at `t` |
//! | `InUse` | acquired | `Cold` | idle, and that time is over |
//! | `Linger(t)` | released; reset at `t` | `Warm`, `Hot` | responders run for it |
//! | `Never` | the peer only dials | `Never` | we may run nothing for it |
//!
//! Three rules keep (`None`, `Cold`), (`Linger`, `Idle`) and (`Linger`, `Warm`/`Hot`) from coming
//! about: releasing gives `None` while the peer is idle, warm or hot, else `Linger`; when `Idle`
//! runs out, a connection that we use becomes `Cold` and any other ends; a peer that wakes while
//! we linger makes it `None`.
//!
//! ```
//! use samanea_core::{
//!     base::{Cx, First, Instant, Machine as _, NoRules, ProtocolId, Request},
//!     manager::{Action, Config, Event, Manager, State, Via},
//!     proto::handshake::{Agreed, Mode, V15, VersionData},
//! };
//!
//! let mut manager = Manager::new(Config::default());
//! let mut step = |manager: &mut Manager, at: u64, event| {
//!     let (mut choice, mut actions) = (First, Vec::new());
//!     let now = Instant::from_secs(at);
//!     manager.step(&mut Cx::new(now, &mut choice, &NoRules, &mut actions), event);
//!     actions
//! };
//! let (local, remote) = ("10.0.0.1:3001".parse()?, "10.0.0.2:3001".parse()?);
//! let (request, mode, via) = (Request(1), Mode::InitiatorAndResponder, Via::Dial);
//! let dials = step(&mut manager, 0, Event::Acquire { request, remote, mode, via });
//! let Action::Dial { conn, .. } = dials[0] else { panic!("{dials:?}") };
//! step(&mut manager, 0, Event::Connected { conn, local });
//! let data = VersionData { magic: 42, mode, peer_sharing: true, query: false, peras: false };
//! step(&mut manager, 0, Event::Agreed { conn, agreed: Agreed { version: V15, data } });
//! assert_eq!(manager.state(conn), State::OutboundDupTicking);
//!
//! // The peer uses the other direction of the same connection; we have done with ours.
//! let protocol = ProtocolId::CHAIN_SYNC;
//! step(&mut manager, 1, Event::ResponderStarted { conn, protocol });
//! assert_eq!(manager.state(conn), State::Duplex);
//! step(&mut manager, 2, Event::Release(conn));
//! assert_eq!(manager.state(conn), State::InboundDup);
//!
//! // Nobody uses it any more: it ends five seconds later.
//! step(&mut manager, 3, Event::ResponderEnded { conn, protocol });
//! assert_eq!(manager.next_deadline(), Some(Instant::from_secs(8)));
//! let ends = step(&mut manager, 8, Event::Tick);
//! assert!(matches!(ends[0], Action::Close { .. }));
//! assert_eq!(manager.state(conn), State::Terminating);
//! # Ok::<(), core::net::AddrParseError>(())
//! ```
//!
//! Where this differs from the reference, and why: `docs/connections.md`.
//!
//! src: Ouroboros network specification, "Connection Manager" and "Server and Inbound Governor"

mod accept;
mod check;
mod config;
mod ends;
mod entry;
mod event;
mod explain;
mod machine;
mod requests;
mod state;
mod table;
mod uses;

pub use check::Canonical;
pub use config::{Config, Limits, Prefixes, Victims};
pub use entry::{LocalUse, RemoteUse, Responders};
pub use event::{
    Acquired, Action, Counters, Event, NotAcquired, Refusal, Request, Trace, Via, Wait,
};
pub use explain::{Explanation, Timer, Way};
pub use machine::Manager;
pub use state::{
    Flow, Heat, Provenance, REMOTE_TRANSITIONS, State, TRANSITIONS, is_legal, is_legal_remote,
};

#[cfg(test)]
mod tests;
