//! What once went wrong elsewhere between the handshake and the responders, each as a scene.
//! src: ouroboros-network and network-mux, issues and changelogs

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{
    Cause, Event, Fact, Fault, Order, Temperature,
    hostile::segment,
    tests::{Pair, faults, offer},
};
use crate::{
    base::{Hash32, Machine, Point, ProtocolId, Role, Tip},
    mux::{self, HalfId},
    proto::{
        block_fetch, chain_sync,
        handshake::{self, Failure},
        peer_sharing,
    },
};

const BUNDLES: [Temperature; 3] = [
    Temperature::Established,
    Temperature::Warm,
    Temperature::Hot,
];

/// Which responders started (`true`) and stopped, in order.
fn responders(facts: &[Fact]) -> Vec<(ProtocolId, bool)> {
    let responder = |fact: &Fact| match fact {
        Fact::Started {
            protocol,
            role: Role::Responder,
        } => Some((*protocol, true)),
        Fact::Stopped {
            protocol,
            role: Role::Responder,
        } => Some((*protocol, false)),
        _ => None,
    };
    facts.iter().filter_map(responder).collect()
}

/// Everything on its way to an end, as one read.
fn one_read(pair: &mut Pair, end: usize) -> Bytes {
    let bytes: Vec<u8> = pair.wires[end].drain(..).flatten().collect();
    assert!(!bytes.is_empty(), "nothing was written");
    bytes.into()
}

fn ask_for_a_block() -> Order {
    let hash = Hash32([1; 32]);
    let point = Point::Block { slot: 1, hash };
    Order::BlockFetch(block_fetch::client::Order::Request {
        from: point,
        to: point,
    })
}

#[test]
fn first_bytes_right_behind_the_handshake_start_their_responder_after_the_agreement() {
    let donor = Pair::started();
    for end in 0..2 {
        // What the donor's end was given, all in one read. An end that dialled hears the answer
        // and then the peer's own first words.
        let mut heard = donor.heard[end].clone();
        if end == 0 {
            let mut donor = Pair::fresh();
            donor.run();
            donor.order(1, Order::Start(Temperature::Established));
            heard = donor.heard[0].clone();
        }
        let mut pair = Pair::fresh();
        pair.wires[end].clear();
        pair.feed(end, Event::Received(heard));
        let facts = pair.take(end);
        assert!(matches!(facts.first(), Some(Fact::Agreed(_))), "{facts:?}");
        let started = responders(&facts);
        assert!(
            started.contains(&(ProtocolId::KEEP_ALIVE, true)),
            "{facts:?}"
        );
        assert!(pair.ends[end].runs(HalfId {
            protocol: ProtocolId::KEEP_ALIVE,
            role: Role::Responder,
        }));
        assert_eq!(faults(&facts), []);
    }
}

#[test]
fn a_peer_that_only_submits_transactions_and_falls_silent_is_ended_by_keep_alive() {
    let mut pair = Pair::fresh();
    pair.run();
    pair.take(1);
    pair.order(0, Order::Start(Temperature::Hot));
    let started = responders(&pair.take(1));
    assert!(
        started.contains(&(ProtocolId::TX_SUBMISSION, true)),
        "{started:?}"
    );
    assert!(
        started.contains(&(ProtocolId::KEEP_ALIVE, true)),
        "started with it"
    );
    pair.tick(Duration::from_secs(96));
    assert_eq!(faults(&pair.take(1)), []);
    pair.now = pair.now.after(Duration::from_secs(2));
    pair.feed(1, Event::Tick);
    let ends = faults(&pair.take(1));
    assert!(
        matches!(
            ends[..],
            [Fault::Protocol {
                protocol: ProtocolId::KEEP_ALIVE,
                role: Role::Responder,
                ..
            }]
        ),
        "{ends:?}"
    );
}

#[test]
fn a_query_is_answered_read_and_over_on_both_ends() {
    let query = handshake::Config {
        query: true,
        ..offer()
    };
    let over = Fault::Handshake(Failure::Query);
    let mut pair = Pair::new([query, offer()]);
    // The question arrives; its answer is on the wire while the server lingers.
    let question = one_read(&mut pair, 1);
    pair.feed(1, Event::Received(question));
    assert_eq!(pair.take(1), [Fact::Lingering]);
    assert!(!pair.ends[1].is_over());
    let answer = one_read(&mut pair, 0);
    pair.feed(0, Event::Received(answer));
    let facts = pair.take(0);
    assert!(
        matches!(&facts[..], [Fact::Queried(table), Fact::Ended(end)]
            if table.0.len() > 1 && *end == over),
        "{facts:?}"
    );
    pair.feed(1, Event::Closed(Cause::Eof));
    assert_eq!(pair.take(1), [Fact::Ended(over)]);
}

#[test]
fn who_does_not_hang_up_after_a_query_or_a_refusal_is_hung_up_on() {
    let strangers = handshake::Config {
        magic: 43,
        ..offer()
    };
    let query = handshake::Config {
        query: true,
        ..offer()
    };
    for asked in [strangers, query] {
        let mut pair = Pair::new([asked, offer()]);
        let words = one_read(&mut pair, 1);
        pair.feed(1, Event::Received(words));
        assert_eq!(pair.take(1), [Fact::Lingering]);
        pair.now = pair.now.after(Duration::from_secs(19));
        pair.feed(1, Event::Tick);
        assert_eq!(pair.take(1), []);
        pair.now = pair.now.after(Duration::from_secs(1));
        pair.feed(1, Event::Tick);
        assert_eq!(faults(&pair.take(1)).len(), 1);
        assert!(pair.ends[1].is_over());
        assert_eq!(pair.ends[1].next_deadline(), None);
    }
}

#[test]
fn peers_are_shared_only_when_both_ends_want_that() {
    for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        let sharing = |peer_sharing| handshake::Config {
            peer_sharing,
            ..offer()
        };
        let mut pair = Pair::new([sharing(ours), sharing(theirs)]);
        pair.run();
        for end in 0..2 {
            let facts = pair.take(end);
            let Some(Fact::Agreed(agreed)) = facts.first() else {
                panic!("{facts:?}")
            };
            assert_eq!(agreed.data.peer_sharing, ours && theirs, "end {end}");
        }
        pair.order(0, Order::Start(Temperature::Established));
        pair.order(0, Order::PeerAsk(peer_sharing::client::Order::Ask(3)));
        let asked = Fact::PeerShare(peer_sharing::server::Fact::Asked(3));
        assert_eq!(pair.take(1).contains(&asked), ours && theirs);
    }
}

#[test]
fn chain_sync_that_ended_begins_anew_on_the_same_connection() {
    let mut pair = Pair::started();
    pair.take(1);
    for turn in 0..3 {
        pair.order(0, Order::Stop(Temperature::Hot));
        let ends = responders(&pair.take(1));
        assert!(
            ends.contains(&(ProtocolId::CHAIN_SYNC, false)),
            "turn {turn}: {ends:?}"
        );
        pair.take(0);
        pair.order(0, Order::Start(Temperature::Hot));
        let points = vec![Point::Origin];
        pair.order(
            0,
            Order::ChainSync(chain_sync::client::Order::Follow { points }),
        );
        let asked = pair.take(1);
        assert!(
            responders(&asked).contains(&(ProtocolId::CHAIN_SYNC, true)),
            "{asked:?}"
        );
        assert!(
            asked.iter().any(|fact| matches!(fact, Fact::ChainServe(_))),
            "{asked:?}"
        );
        let none = chain_sync::server::Order::NotFound { tip: Tip::ORIGIN };
        pair.order(1, Order::ChainServe(none));
        let facts = pair.take(0);
        assert!(
            facts.iter().any(|fact| matches!(fact, Fact::ChainSync(_))),
            "the fresh responder answers: {facts:?}"
        );
    }
}

#[test]
fn a_responder_that_ends_with_bytes_left_begins_again_in_their_order() {
    let mut pair = Pair::fresh();
    pair.run();
    pair.take(1);
    // A session that ends and the next one, in one read.
    for order in [
        Order::Start(Temperature::Hot),
        Order::Stop(Temperature::Hot),
        Order::Start(Temperature::Hot),
        ask_for_a_block(),
    ] {
        pair.feed(0, Event::Order(order));
    }
    let all = one_read(&mut pair, 1);
    let cuts = [all.len(), 1, 3];
    for cut in cuts {
        let mut pair = Pair::fresh();
        let mut heard = one_read(&mut pair, 1).to_vec();
        heard.extend_from_slice(&all);
        for piece in heard.chunks(cut) {
            pair.feed(1, Event::Received(Bytes::copy_from_slice(piece)));
        }
        let facts = pair.take(1);
        let of_fetch: Vec<bool> = responders(&facts)
            .into_iter()
            .filter(|(protocol, _)| *protocol == ProtocolId::BLOCK_FETCH)
            .map(|(_, started)| started)
            .collect();
        assert_eq!(
            of_fetch,
            [true, false, true],
            "in pieces of {cut}: {facts:?}"
        );
        let asked = facts
            .iter()
            .filter(|f| matches!(f, Fact::BlockServe(_)))
            .count();
        assert!(asked >= 1, "{facts:?}");
        assert_eq!(faults(&facts), []);
    }
}

#[test]
fn sessions_that_end_as_soon_as_they_begin_tell_a_legal_story() {
    let mut pair = Pair::fresh();
    pair.run();
    pair.take(1);
    for _ in 0..5 {
        for bundle in BUNDLES {
            pair.feed(0, Event::Order(Order::Start(bundle)));
            pair.feed(0, Event::Order(Order::Stop(bundle)));
        }
        pair.run();
    }
    let facts = pair.take(1);
    let mut running: Vec<ProtocolId> = Vec::new();
    let mut told = 0;
    for (protocol, started) in responders(&facts) {
        told += 1;
        assert_eq!(
            running.contains(&protocol),
            !started,
            "{protocol} in {facts:?}"
        );
        if started {
            running.push(protocol);
        } else {
            running.retain(|other| *other != protocol);
        }
    }
    assert!(told > 20, "{told}");
    assert_eq!(faults(&facts), []);
    assert!(!pair.ends[1].is_over());
}

#[test]
fn a_dialler_whose_socket_fails_after_any_write_ends_both_ends_once() {
    let mut most = 0;
    let mut lost = 0;
    for writes in 0..6 {
        let mut pair = Pair::fresh();
        let mut given = 0;
        let mut bundles = BUNDLES.into_iter();
        while given < writes {
            if let Some(bytes) = pair.wires[1].pop_front() {
                pair.feed(1, Event::Received(bytes));
                given += 1;
            } else if let Some(bytes) = pair.wires[0].pop_front() {
                pair.feed(0, Event::Received(bytes));
            } else if let Some(bundle) = bundles.next() {
                pair.feed(0, Event::Order(Order::Start(bundle)));
            } else {
                break;
            }
        }
        most = most.max(given);
        pair.feed(0, Event::Closed(Cause::Reset));
        pair.feed(1, Event::Closed(Cause::Reset));
        for end in 0..2 {
            let facts = pair.take(end);
            assert_eq!(faults(&facts).len(), 1, "after {writes} writes: {facts:?}");
            assert!(matches!(facts.last(), Some(Fact::Ended(_))));
            assert!(pair.ends[end].is_over());
            lost += 1;
        }
    }
    assert_eq!(lost, 12);
    assert!(most > 2, "{most} writes");
}

#[test]
fn no_responder_begins_on_a_multiplexer_that_has_failed() {
    let mut pair = Pair::fresh();
    pair.run();
    pair.take(1);
    pair.feed(0, Event::Order(Order::Start(Temperature::Established)));
    let words = one_read(&mut pair, 1);
    let mut bytes = vec![0, 0, 0, 0, 0, 99, 0, 1, 0x80];
    bytes.extend_from_slice(&words);
    pair.feed(1, Event::Received(bytes.into()));
    let unknown = Fault::Mux(mux::Error::UnknownMiniProtocol(ProtocolId(99)));
    let facts = pair.take(1);
    assert_eq!(facts, [Fact::Ended(unknown)]);
    pair.feed(1, Event::Received(words));
    pair.feed(1, Event::Order(Order::Start(Temperature::Established)));
    pair.feed(1, Event::Tick);
    assert_eq!(pair.take(1), [], "nothing follows");
}

/// Keep-alive says goodbye last, so no farewell starts it anew at a peer that nobody probes then:
/// after ninety-seven seconds that would cost a connection that the peer may still use.
#[test]
fn keep_alive_ends_last_and_no_other_farewell_starts_it_anew() {
    let mut pair = Pair::new([offer(), offer()]);
    pair.run();
    for bundle in BUNDLES {
        pair.order(0, Order::Start(bundle));
    }
    for bundle in BUNDLES {
        pair.order(0, Order::Stop(bundle));
    }
    let ended = |facts: &[Fact], protocol| {
        let role = Role::Initiator;
        facts.contains(&Fact::Stopped { protocol, role })
    };
    let facts = pair.take(0);
    assert!(ended(&facts, ProtocolId::PEER_SHARING));
    assert!(ended(&facts, ProtocolId::CHAIN_SYNC));
    let last = ProtocolId::KEEP_ALIVE;
    assert!(!ended(&facts, last), "tx-submission waits for a request");
    // The peer asks for transactions after a minute.
    pair.tick(Duration::from_secs(61));
    let facts = pair.take(0);
    assert!(ended(&facts, ProtocolId::TX_SUBMISSION));
    assert!(ended(&facts, last), "{facts:?}");
    let heard = responders(&pair.take(1));
    let starts = heard
        .iter()
        .filter(|(protocol, on)| *protocol == last && *on);
    assert_eq!(starts.count(), 1, "{heard:?}");
    assert_eq!(heard.last(), Some(&(last, false)), "{heard:?}");
}

/// A peer that says goodbye to keep-alive and then falls silent, while a half of it runs that we
/// may wait for without limit, is not waited for longer than the keep-alive limit.
#[test]
fn a_peer_that_ends_keep_alive_and_falls_silent_is_not_waited_for_without_limit() {
    let mut pair = Pair::new([offer(), offer()]);
    pair.run();
    pair.order(0, Order::Start(Temperature::Hot));
    pair.order(0, Order::Start(Temperature::Established));
    for bundle in BUNDLES {
        pair.order(0, Order::Stop(bundle));
    }
    // As a peer might that has no such order among its farewells.
    let done = segment(ProtocolId::KEEP_ALIVE, Role::Initiator, &[0x81, 0x02]);
    pair.take(1);
    pair.feed(1, Event::Received(done));
    let heard = responders(&pair.take(1));
    let last = ProtocolId::KEEP_ALIVE;
    assert_eq!(heard, [(last, false), (last, true)], "it runs on");
    pair.now = pair.now.after(Duration::from_secs(98));
    pair.feed(1, Event::Tick);
    let ends = faults(&pair.take(1));
    assert!(
        matches!(ends[..], [Fault::Protocol { protocol, .. }] if protocol == last),
        "{ends:?}"
    );
}
