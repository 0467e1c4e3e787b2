//! Sessions of every table, legal and hostile; every half against its peer.

use std::collections::VecDeque;

use core::time::Duration;

use bytes::Bytes;
use samanea_core::{
    base::{Edge, Instant, Kind, Role},
    proto::{
        block_fetch,
        block_fetch::BlockFetch,
        chain_sync,
        chain_sync::ChainSync,
        handshake,
        handshake::Handshake,
        keep_alive,
        keep_alive::KeepAlive,
        peer_sharing,
        peer_sharing::PeerSharing,
        rain_link,
        rain_link::{RainBulk, RainLink},
        session::Session,
        tip_sample,
        tip_sample::TipSample,
        tx_submission,
        tx_submission::TxSubmission,
    },
};

use super::{facing::facing, holds};
use crate::{
    frames,
    speak::{self, Speak, below, some},
    tape::ByteTape,
};

/// Transitions of one run at most.
pub(super) const TURNS_MAX: usize = 256;

/// Pipelined replies that a session awaits at most here.
pub(super) const OUTSTANDING_MAX: usize = 4;

/// The first byte names what runs: two joined sessions of a table, or a half against its peer.
///
/// # Panics
/// When a law is broken.
pub fn session(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let tape = &mut ByteTape::new(rest);
    let of = 1;
    match first % 24 {
        0 => joined::<Handshake>(tape),
        1 => joined::<ChainSync>(tape),
        2 => joined::<BlockFetch>(tape),
        3 => joined::<TxSubmission>(tape),
        4 => joined::<KeepAlive>(tape),
        5 => joined::<PeerSharing>(tape),
        6 => joined::<TipSample>(tape),
        7 => facing::<Handshake, _>(
            handshake::Client::new(of, &speak::config(tape)),
            Role::Initiator,
            tape,
            |_| None,
        ),
        8 => facing::<Handshake, _>(
            handshake::Server::new(of, &speak::config(tape)),
            Role::Responder,
            tape,
            |_| None,
        ),
        9 => facing::<ChainSync, _>(chain_sync::Client::new(of), Role::Initiator, tape, |tape| {
            Some(follow(tape))
        }),
        10 => facing::<ChainSync, _>(chain_sync::Server::new(of), Role::Responder, tape, |tape| {
            Some(lead(tape))
        }),
        11 => facing::<BlockFetch, _>(
            block_fetch::Client::with_in_flight_max(of, 4),
            Role::Initiator,
            tape,
            |tape| Some(want(tape)),
        ),
        12 => facing::<BlockFetch, _>(
            block_fetch::Server::new(of),
            Role::Responder,
            tape,
            |tape| Some(give(tape)),
        ),
        13 => facing::<TxSubmission, _>(
            tx_submission::client::Client::new(of),
            Role::Initiator,
            tape,
            |tape| Some(supply(tape)),
        ),
        14 => {
            let server = tx_submission::server::Server::new(of, Duration::from_secs(1));
            facing::<TxSubmission, _>(server, Role::Responder, tape, |tape| Some(pull(tape)));
        }
        15 => facing::<KeepAlive, _>(keep_alive::Client::new(of), Role::Initiator, tape, |_| None),
        16 => facing::<KeepAlive, _>(keep_alive::Server::new(of), Role::Responder, tape, |_| None),
        17 => facing::<PeerSharing, _>(
            peer_sharing::client::Client::new(of),
            Role::Initiator,
            tape,
            |tape| {
                let amount = u8::try_from(below(tape, 256)).ok()?;
                Some(peer_sharing::client::Order::Ask(amount))
            },
        ),
        20 => joined::<RainLink>(tape),
        21 => joined::<RainBulk>(tape),
        22 => lane::<RainLink>(tape, false),
        23 => lane::<RainBulk>(tape, true),
        18 => facing::<TipSample, _>(
            tip_sample::client::Client::new(of),
            Role::Initiator,
            tape,
            |tape| {
                Some(tip_sample::client::Order::Follow {
                    count: u16::try_from(below(tape, 5)).ok()?,
                    slot: u64::from(below(tape, 8)),
                })
            },
        ),
        _ if below(tape, 2) == 0 => {
            facing::<TipSample, _>(
                tip_sample::server::Server::new(of),
                Role::Responder,
                tape,
                |tape| Some(tip_sample::server::Order::Tip(speak::tip(tape))),
            );
        }
        _ => facing::<PeerSharing, _>(
            peer_sharing::server::Server::new(of),
            Role::Responder,
            tape,
            |tape| {
                let peers = (0..some(tape, 12)).map(|_| speak::address(tape)).collect();
                Some(peer_sharing::server::Order::Share(peers))
            },
        ),
    }
}

/// The speaking or the listening half of a lane.
fn lane<L: rain_link::Lane + Speak>(tape: &mut ByteTape, bulk: bool) {
    if below(tape, 4) == 0 {
        let server = rain_link::Server::<L>::new(1);
        return facing::<L, _>(server, Role::Responder, tape, |_| None);
    }
    let client = rain_link::Client::<L>::new(1);
    facing::<L, _>(client, Role::Initiator, tape, |tape| {
        // Now and then a frame of the other lane, which is not sent.
        let kind = Kind(u8::try_from(below(tape, 19)).ok()?);
        let own = below(tape, 8) > 0;
        let frame = frames::frame(kind, tape, bulk == own);
        Some(rain_link::client::Order::Say(frame))
    });
}

fn follow(tape: &mut ByteTape) -> chain_sync::client::Order {
    use chain_sync::client::Order;
    match below(tape, 8) {
        0 => Order::Pause,
        1 => Order::Resume,
        2 => Order::Head {
            point: speak::point(tape),
            number: u64::from(below(tape, 8)),
        },
        _ => Order::Follow {
            points: (0..some(tape, 5)).map(|_| speak::point(tape)).collect(),
        },
    }
}

fn lead(tape: &mut ByteTape) -> chain_sync::server::Order {
    use chain_sync::server::Order;
    let (point, tip) = (speak::point(tape), speak::tip(tape));
    match below(tape, 5) {
        0 => Order::Await,
        1 => Order::NotFound { tip },
        2 => Order::Found { point, tip },
        3 => Order::Backward { point, tip },
        _ => Order::Forward {
            header: speak::header(tape),
            tip,
        },
    }
}

fn want(tape: &mut ByteTape) -> block_fetch::client::Order {
    block_fetch::client::Order::Request {
        from: speak::point(tape),
        to: speak::point(tape),
    }
}

fn give(tape: &mut ByteTape) -> block_fetch::server::Order {
    use block_fetch::server::Order;
    match below(tape, 4) {
        0 => Order::NoBlocks,
        1 => Order::Start,
        2 => Order::Block(speak::transaction(tape).1),
        _ => Order::Done,
    }
}

fn supply(tape: &mut ByteTape) -> tx_submission::client::Order {
    use tx_submission::client::Order;
    let txs: Vec<_> = (0..some(tape, 5))
        .map(|_| speak::transaction(tape))
        .collect();
    if below(tape, 2) == 0 {
        let sized = |(id, tx): (_, Bytes)| (id, u32::try_from(tx.len()).unwrap_or(0));
        Order::Ids(txs.into_iter().map(sized).collect())
    } else {
        Order::Txs(txs.into_iter().map(|(_, tx)| tx).collect())
    }
}

fn pull(tape: &mut ByteTape) -> tx_submission::server::Order {
    let ids = (0..some(tape, 5)).map(|_| speak::transaction(tape).0);
    tx_submission::server::Order::Wanted(ids.collect())
}

/// Both ends of one table. What one may send, the other reads without a fault; what none may
/// send, it refuses.
fn joined<P: Speak>(tape: &mut ByteTape) {
    let roles = [Role::Initiator, Role::Responder];
    let mut ends = roles.map(|role| Session::<P>::new(role, 1, OUTSTANDING_MAX));
    let mut ways = [VecDeque::<Bytes>::new(), VecDeque::new()];
    let mut now = Instant::ZERO;
    for end in &mut ends {
        end.start(now, tape);
    }
    for _ in 0..TURNS_MAX {
        if tape.is_spent() {
            break;
        }
        let at = some(tape, 2);
        match below(tape, 8) {
            0..=2 => {
                if let Some(bytes) = say(&mut ends[at], now, tape) {
                    ways[1 - at].push_back(bytes);
                }
            }
            3..=5 => {
                if ends[at].awaited().is_some()
                    && let Some(bytes) = ways[at].pop_front()
                {
                    let read = ends[at].receive(now, tape, &bytes);
                    assert!(read.is_ok(), "a legal message is refused: {read:?}");
                }
            }
            6 => refuse(&ends[at], now, tape),
            _ => {
                let deadline = ends[at].next_deadline();
                now = now.after(Duration::from_secs(u64::from(below(tape, 16))));
                let early = deadline.is_none_or(|deadline| deadline > now);
                let mut late = ends[at].clone();
                let fault = late.expired(now);
                assert_eq!(fault.is_none(), early, "{deadline:?} at {now:?}");
                assert!(early || late.is_over());
                assert!(!early || late == ends[at]);
            }
        }
        for end in &ends {
            holds(end.check_invariants());
        }
    }
}

/// Sends any message that the table and the session allow.
pub(super) fn say<P: Speak>(
    end: &mut Session<P>,
    now: Instant,
    tape: &mut ByteTape,
) -> Option<Bytes> {
    let edge = open_edge(end, tape)?;
    let message = P::speak(edge.from, edge.kind, tape);
    let state = end.state();
    let sent = end.turn()?.send(now, tape, &message);
    let sent = sent.unwrap_or_else(|e| panic!("allowed, then not: {e}"));
    let bytes: Bytes = [sent.head, sent.body].concat().into();
    assert_eq!(bytes, P::bytes(&message));
    assert!(P::SPEC.edge(state, edge.kind).is_some());
    Some(bytes)
}

/// An edge that may be taken now.
fn open_edge<P: Speak>(end: &mut Session<P>, tape: &mut ByteTape) -> Option<&'static Edge> {
    let state = end.state();
    let turn = end.turn()?;
    let edges: Vec<_> = P::SPEC
        .edges_from(state)
        .filter(|edge| turn.allows(edge.kind).is_ok())
        .collect();
    let n = u32::try_from(edges.len()).unwrap_or(0);
    edges.get(some(tape, n)).copied()
}

/// Gives a copy something that may not come now.
fn refuse<P: Speak>(end: &Session<P>, now: Instant, tape: &mut ByteTape) {
    let mut copy = end.clone();
    let kind = Kind(u8::try_from(below(tape, u32::from(P::kinds()))).unwrap_or(0));
    let message = P::speak(end.state(), kind, tape);
    let mut bytes = P::bytes(&message).to_vec();
    let spoilt = below(tape, 4);
    match spoilt {
        0 => bytes.push(0),
        1 => drop(bytes.pop()),
        2 => {
            let at = some(tape, u32::try_from(bytes.len()).unwrap_or(1));
            bytes[at] ^= 1 << below(tape, 8);
        }
        _ => {}
    }
    let legal = end.awaited().is_some_and(|state| {
        P::decode(state, &bytes.clone().into())
            .is_ok_and(|read| P::SPEC.edge(state, P::kind(&read)).is_some())
    });
    let read = copy.receive(now, tape, &bytes.into());
    assert_eq!(
        read.is_ok(),
        legal,
        "{message:?} spoilt {spoilt} in {:?}",
        end.awaited()
    );
    assert!(legal || copy.is_over() && copy.turn().is_none() && copy.awaited().is_none());
    assert!(
        legal || copy.next_deadline().is_none(),
        "a timer after the end"
    );
    assert!(spoilt > 1 || read.is_err(), "a byte too many or too few");
    holds(copy.check_invariants());
}
