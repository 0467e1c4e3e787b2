//! The laws of the table of connections, and the rig that watches them at every step.
//!
//! Nothing here looks inside the machine: what it may do is written down as data
//! ([`product`], [`transitions`]) or follows from what it was told and has answered.

mod accept;
mod inbound;
mod product;
mod regressions;
mod rig;
mod sequences;
mod transitions;

use alloc::{format, string::String, vec::Vec};
use core::net::SocketAddr;

use rig::Rig;

use super::{Action, Event, NotAcquired, Request, State, Via};
use crate::{
    base::{ListenerId, ProtocolId, Role, Serial},
    conn::{Cause, Fault},
    proto::handshake::{Agreed, Failure, Mode, V15, VersionData},
};

/// The listening socket of most tests.
const DOOR: ListenerId = ListenerId(1);
/// A reset that we can recognise.
const LOST: Fault = Fault::Lost(Cause::Reset);
const WARM: ProtocolId = ProtocolId::KEEP_ALIVE;
const WARM2: ProtocolId = ProtocolId::PEER_SHARING;
const HOT: ProtocolId = ProtocolId::CHAIN_SYNC;
const HOT2: ProtocolId = ProtocolId::BLOCK_FETCH;

/// Where we listen.
fn home() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 3001))
}

/// Where peer `n` listens; each in a prefix of its own.
fn peer(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([100 + a, b, c, 7], 3001))
}

/// What a handshake agreed.
fn agreed(mode: Mode) -> Agreed {
    Agreed {
        version: V15,
        data: VersionData {
            magic: 42,
            mode,
            peer_sharing: true,
            query: false,
            peras: false,
        },
    }
}

const DUPLEX: Mode = Mode::InitiatorAndResponder;
const ONE_WAY: Mode = Mode::InitiatorOnly;

/// Actions in a few words, without traces, counters and leave to accept.
fn words(actions: &[Action]) -> String {
    let words: Vec<String> = actions.iter().filter_map(word).collect();
    words.join(", ")
}

fn word(action: &Action) -> Option<String> {
    Some(match action {
        Action::AcceptOne(_) | Action::Counters(_) | Action::Trace(_) => return None,
        Action::Adopt { .. } => "adopt".into(),
        Action::Reset { .. } => "reset".into(),
        Action::Dial { .. } => "dial".into(),
        Action::Greet {
            role: Role::Initiator,
            ..
        } => "greet".into(),
        Action::Greet {
            role: Role::Responder,
            ..
        } => "answer".into(),
        Action::Close { fault, .. } => format!("close {}", reason(*fault)),
        Action::Acquired {
            outcome: Ok(acquired),
            ..
        } => (if acquired.reused { "reuse" } else { "got" }).into(),
        Action::Acquired {
            outcome: Err(error),
            ..
        } => match error {
            NotAcquired::Connect(_) => "no connect".into(),
            NotAcquired::Ended(fault) => format!("no {}", reason(*fault)),
            other => format!("no {other:?}").to_lowercase(),
        },
        Action::Demoted { .. } => "demoted".into(),
        Action::Mature => "mature".into(),
        Action::ListenerLost(_) => "listener lost".into(),
        Action::Stopped => "stopped".into(),
    })
}

fn reason(fault: Fault) -> &'static str {
    match fault {
        Fault::Closed => "closed",
        Fault::Ended(_) => "ended",
        Fault::Lost(_) => "lost",
        Fault::Handshake(Failure::Query) => "query",
        Fault::Handshake(_) => "handshake",
        Fault::Mux(_) => "mux",
        Fault::Protocol { .. } => "protocol",
        Fault::Chain(_) => "chain",
        Fault::Idle => "idle",
        Fault::Released => "released",
        Fault::Limit => "limit",
        Fault::Cancelled => "cancelled",
        Fault::Replaced => "replaced",
        Fault::Taken => "taken",
        Fault::Unfinished => "unfinished",
        Fault::Gossip => "gossip",
    }
}

/// The outcomes of requests among actions.
fn outcomes(actions: &[Action]) -> Vec<(Request, Result<Serial, NotAcquired>)> {
    let outcome = |action: &Action| match action {
        Action::Acquired { request, outcome } => {
            Some((*request, outcome.map(|acquired| acquired.conn)))
        }
        _ => None,
    };
    actions.iter().filter_map(outcome).collect()
}

/// Those that were closed among actions, and why.
fn closed(actions: &[Action]) -> Vec<(Serial, Fault)> {
    let close = |action: &Action| match action {
        Action::Close { conn, fault } => Some((*conn, *fault)),
        _ => None,
    };
    actions.iter().filter_map(close).collect()
}

/// Those whose demotion was told among actions.
fn demoted(actions: &[Action]) -> Vec<Serial> {
    let demoted = |action: &Action| match action {
        Action::Demoted { conn, .. } => Some(*conn),
        _ => None,
    };
    actions.iter().filter_map(demoted).collect()
}
