//! What a bad peer can do to one connection, and what it costs us: that connection, in time.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{
    Cause, Event, Fact, Fault, Order, Temperature,
    links::linkable,
    tests::{Pair, faults},
};
use crate::{
    base::{Instant, Machine, Point, ProtocolId, Role},
    mux,
    proto::{self, TABLES, block_fetch, chain_sync},
};

/// One segment of the peer's initiator (or responder) half.
pub(super) fn segment(protocol: ProtocolId, sender: Role, payload: &[u8]) -> Bytes {
    let [hi, lo] = protocol.0.to_be_bytes();
    let mode = if sender == Role::Responder { 0x80 } else { 0 };
    let [l0, l1] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0, 0, 0, 0, hi | mode, lo, l0, l1];
    bytes.extend_from_slice(payload);
    bytes.into()
}

/// A pair in which end 0 is ours and end 1 is played by the test.
fn alone() -> Pair {
    let mut pair = Pair::started();
    pair.take(0);
    pair.wires[1].clear();
    pair
}

fn hear(pair: &mut Pair, bytes: Bytes) -> Vec<Fault> {
    pair.feed(0, Event::Received(bytes));
    faults(&pair.take(0))
}

/// Moves time to each deadline of end 0 in turn until it is over; how long that took.
fn wait_for_the_end(pair: &mut Pair) -> Duration {
    let began = pair.now;
    while let Some(next) = pair.ends[0].next_deadline() {
        assert!(next > pair.now, "a deadline in the past");
        pair.now = next;
        pair.feed(0, Event::Tick);
        let written: u64 = pair.wires[1]
            .drain(..)
            .map(|bytes| bytes.len() as u64)
            .sum();
        if written > 0 {
            pair.feed(0, Event::Flushed(written));
        }
        assert!(
            pair.now.since(began) < Duration::from_hours(2),
            "the end does not come"
        );
    }
    pair.now.since(began)
}

#[test]
fn a_peer_that_stalls_is_left_within_the_limits_of_the_tables() {
    let mut pair = alone();
    let follow = chain_sync::client::Order::Follow {
        points: vec![Point::Origin],
    };
    pair.feed(0, Event::Order(Order::ChainSync(follow)));
    pair.wires[1].clear();
    let took = wait_for_the_end(&mut pair);
    assert_eq!(took, Duration::from_secs(10), "StIntersect");
    let ended = faults(&pair.take(0));
    assert!(
        matches!(
            ended[..],
            [Fault::Protocol {
                protocol: ProtocolId::CHAIN_SYNC,
                role: Role::Initiator,
                fault: proto::Fault::TimedOut { .. }
            }]
        ),
        "{ended:?}"
    );
}

#[test]
fn a_peer_that_never_sends_the_promised_blocks_is_left_after_a_minute() {
    let mut pair = alone();
    let point = Point::Block {
        slot: 1,
        hash: crate::base::Hash32([1; 32]),
    };
    let request = block_fetch::client::Order::Request {
        from: point,
        to: point,
    };
    pair.feed(0, Event::Order(Order::BlockFetch(request)));
    pair.feed(
        0,
        Event::Received(segment(
            ProtocolId::BLOCK_FETCH,
            Role::Responder,
            &[0x81, 2],
        )),
    );
    assert!(wait_for_the_end(&mut pair) <= Duration::from_secs(60));
}

#[test]
fn a_segment_that_trickles_in_is_given_thirty_seconds() {
    let mut pair = alone();
    let bytes = segment(
        ProtocolId::KEEP_ALIVE,
        Role::Initiator,
        &[0x82, 0, 0x19, 1, 2].repeat(20),
    );
    let began = pair.now;
    for at in 0..bytes.len() {
        pair.feed(0, Event::Received(bytes.slice(at..=at)));
        pair.now = pair.now.after(Duration::from_secs(1));
        pair.feed(0, Event::Tick);
        let written: u64 = pair.wires[1]
            .drain(..)
            .map(|bytes| bytes.len() as u64)
            .sum();
        pair.feed(0, Event::Flushed(written));
        if pair.ends[0].is_over() {
            break;
        }
    }
    assert_eq!(
        faults(&pair.take(0)),
        [Fault::Mux(mux::Error::SduReadTimeout)]
    );
    assert_eq!(pair.now.since(began), Duration::from_secs(30));
}

#[test]
fn a_flood_of_one_protocol_ends_at_its_limit_and_not_before() {
    let mut pair = alone();
    // The first request is read and waits for its answer; all others wait in the queue.
    let request = segment(ProtocolId::CHAIN_SYNC, Role::Initiator, &[0x81, 0]);
    let fact = Fact::ChainServe(chain_sync::server::Fact::RequestNext);
    pair.feed(0, Event::Received(request));
    assert!(pair.take(0).contains(&fact));
    let max = mux::ingress_bytes_max(ProtocolId::CHAIN_SYNC).unwrap();
    let flood = segment(
        ProtocolId::CHAIN_SYNC,
        Role::Initiator,
        &[0x81, 0].repeat(5_000),
    );
    let mut sent = 0;
    let overrun = loop {
        let ended = hear(&mut pair, flood.clone());
        sent += 10_000;
        if !ended.is_empty() {
            break ended;
        }
        assert!(sent <= max, "the limit does not hold");
    };
    let (protocol, role) = (ProtocolId::CHAIN_SYNC, Role::Initiator);
    assert_eq!(
        overrun,
        [Fault::Mux(mux::Error::IngressQueueOverRun {
            protocol,
            role,
            max
        })]
    );
    assert!(sent > max && sent <= max + 10_000, "{sent}");
}

#[test]
fn a_message_out_of_turn_or_out_of_its_table_ends_the_connection() {
    let mut seen = 0;
    for spec in TABLES
        .iter()
        .filter(|spec| spec.protocol != ProtocolId::HANDSHAKE)
    {
        for label in 0..=23_u8 {
            let mut pair = linkable(true).start();
            pair.take(0);
            pair.wires[1].clear();
            let legal = spec
                .edges_from(crate::base::State(0))
                .any(|edge| edge.label == label);
            let ended = hear(
                &mut pair,
                segment(spec.protocol, Role::Initiator, &[0x81, label]),
            );
            let one_item = |edge: &crate::base::Edge| edge.label == label && edge.items == 1;
            let fine = legal && spec.edges_from(crate::base::State(0)).any(one_item);
            if spec.may_send(crate::base::State(0), Role::Initiator) {
                assert_eq!(ended.is_empty(), fine, "{} {label}: {ended:?}", spec.name);
                seen += usize::from(!fine);
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_length_that_lies_costs_no_memory() {
    let mut pair = alone();
    let point = Point::Block {
        slot: 1,
        hash: crate::base::Hash32([1; 32]),
    };
    let request = block_fetch::client::Order::Request {
        from: point,
        to: point,
    };
    pair.feed(0, Event::Order(Order::BlockFetch(request)));
    let start = segment(ProtocolId::BLOCK_FETCH, Role::Responder, &[0x81, 2]);
    assert!(hear(&mut pair, start).is_empty());
    let huge = [0x82, 4, 0xd8, 0x18, 0x5b, 0, 0, 0, 1, 0, 0, 0, 0];
    let ended = hear(
        &mut pair,
        segment(ProtocolId::BLOCK_FETCH, Role::Responder, &huge),
    );
    assert!(
        matches!(
            ended[..],
            [Fault::Protocol {
                fault: proto::Fault::TooLarge { max: 2_500_000 },
                ..
            }]
        ),
        "{ended:?}"
    );
}

#[test]
fn an_empty_segment_and_one_for_a_half_that_is_not_run_are_refused() {
    let mut pair = alone();
    let ended = hear(
        &mut pair,
        segment(ProtocolId::KEEP_ALIVE, Role::Initiator, &[]),
    );
    assert_eq!(ended, [Fault::Mux(mux::Error::SduDecodeError)]);
    let mut pair = alone();
    let ended = hear(
        &mut pair,
        segment(ProtocolId::HANDSHAKE, Role::Initiator, &[0x80]),
    );
    let unknown = mux::Error::UnknownMiniProtocol(ProtocolId::HANDSHAKE);
    assert_eq!(
        ended,
        [Fault::Mux(unknown)],
        "no handshake after the handshake"
    );
}

#[test]
fn an_answer_that_nobody_asked_for_waits_unread_and_bounded() {
    let mut pair = alone();
    let mut ended = Vec::new();
    for _ in 0..2_000 {
        let answer = segment(ProtocolId::PEER_SHARING, Role::Responder, &[0x82, 1, 0x80]);
        ended = hear(&mut pair, answer);
        if !ended.is_empty() {
            break;
        }
    }
    assert!(
        matches!(
            ended[..],
            [Fault::Mux(mux::Error::IngressQueueOverRun { .. })]
        ),
        "{ended:?}"
    );
}

#[test]
fn a_peer_may_close_anywhere() {
    let whole = {
        let mut pair = Pair::started();
        pair.order(1, Order::Start(Temperature::Established));
        let share = proto::peer_sharing::client::Order::Ask(3);
        pair.order(1, Order::PeerAsk(share));
        pair.heard[0].clone()
    };
    assert!(whole.len() > 40, "{}", whole.len());
    for at in 0..whole.len() {
        for cause in [Cause::Eof, Cause::Reset, Cause::TimedOut] {
            let mut pair = Pair::fresh();
            pair.feed(0, Event::Received(whole.slice(..at)));
            pair.feed(0, Event::Closed(cause));
            let ended = faults(&pair.take(0)).len();
            assert_eq!(ended, 1, "closed after {at} bytes");
            assert!(pair.ends[0].is_over());
            assert_eq!(pair.ends[0].next_deadline(), None::<Instant>);
        }
    }
}
