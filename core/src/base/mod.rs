//! What every machine stands on: the step contract, time, chance, ids, bounded containers,
//! protocol tables and the few chain words that all layers share.
//!
//! Nothing here knows a protocol. The direction of imports is
//! `base ← wire ← mux ← proto ← conn ← manager ← peer_actions ← node`.

mod bounded;
mod chain;
mod choice;
mod deadlines;
mod fault;
mod id;
mod machine;
mod member;
mod rules;
mod scratch;
mod slots;
mod table;
mod time;

pub use bounded::{Full, Queue};
pub use chain::{BlockNo, Hash32, Point, Slot, Tip, TxId};
pub use choice::{Choice, First, Seeded, Site};
pub use deadlines::Deadlines;
pub use fault::Class;
pub use id::{ListenerId, ProtocolId, Request, Serial, Supply, Ticket};
pub use machine::{Cx, Machine, Violated, violated};
pub use member::{Actor, GroupId, MemberKey, MessageId, Signature};
pub use rules::{HeaderFault, HeaderView, NoRules, Rules};
pub use scratch::Scratch;
pub use slots::{Slot as SlotIndex, Slots};
pub use table::{Agency, Edge, Kind, Role, Spec, SpecFault, State, StateRow, TimeLimit};
pub use time::Instant;
pub(crate) use time::soonest;
