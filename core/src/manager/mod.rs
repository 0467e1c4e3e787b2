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
//! src: Ouroboros network specification, "Connection Manager" and "Server and Inbound Governor"

mod config;
mod event;
mod state;

pub use config::{Config, Limits, Prefixes, Victims};
pub use event::{
    Acquired, Action, Counters, Event, NotAcquired, Refusal, Request, Trace, Via, Wait,
};
pub use state::{
    Flow, Heat, Provenance, REMOTE_TRANSITIONS, State, TRANSITIONS, is_legal, is_legal_remote,
};
