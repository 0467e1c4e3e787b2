//! Links of structured gossip on joined connections.

use alloc::{boxed::Box, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Config, Connection, Event, Fact, Fault, Order, Profile, Temperature,
    hostile::segment,
    tests::{Pair, faults, offer},
};
use crate::{
    base::{GroupId, MemberKey, ProtocolId, Role, Signature},
    mux::{self, HalfId},
    proto::{
        handshake::{self, Mode},
        rain_link::{self, Data, Flags, Frame, Limit, Terms, Unfit, client, server},
    },
};

/// Both ends may link, or neither.
pub(super) fn linkable(rain: bool) -> Pair {
    offered(rain, offer())
}

fn offered(rain: bool, second: handshake::Config) -> Pair {
    let config = Config {
        rain,
        ..Config::default()
    };
    Pair::with([offer(), second].map(|offer| Profile {
        offer,
        config: config.clone(),
    }))
}

/// Agreed, and nothing runs.
fn agreed(mut pair: Pair) -> Pair {
    pair.run();
    for end in 0..2 {
        pair.take(end);
    }
    pair
}

fn linked() -> Pair {
    let mut pair = agreed(linkable(true));
    pair.order(0, Order::Link);
    pair.order(0, word(0));
    for end in 0..2 {
        pair.take(end);
        assert!(pair.ends[end].is_linked());
    }
    pair
}

fn say(frame: Frame) -> Order {
    Order::RainSay(client::Order::Say(frame))
}

/// A word that can be told from others.
fn word(bytes: u32) -> Order {
    say(Frame::Credit { bytes })
}

fn heard(bytes: u32) -> Fact {
    Fact::RainHear(server::Fact::Heard(Frame::Credit { bytes }))
}

fn payload(bytes: usize) -> Frame {
    Frame::Data(Box::new(Data {
        group: GroupId::AllStaked,
        epoch: 0,
        view: [0; 8],
        origin: MemberKey([1; 32]),
        boot: 0,
        seq: 0,
        limit: Limit::Level(0),
        flags: Flags::TREE,
        hop: 1,
        signature: Signature::default(),
        terms: Terms::default(),
        payload: Bytes::from(vec![7; bytes]),
    }))
}

/// The starts and stops of our words.
fn opened(facts: &[Fact]) -> Vec<bool> {
    let of = |fact: &Fact| match fact {
        Fact::Started { protocol, role } if is_ours(*protocol, *role) => Some(true),
        Fact::Stopped { protocol, role } if is_ours(*protocol, *role) => Some(false),
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

fn is_ours(protocol: ProtocolId, role: Role) -> bool {
    (protocol, role) == (ProtocolId::RAIN_LINK, Role::Initiator)
}

fn said(facts: &[Fact]) -> Vec<&Frame> {
    let of = |fact| match fact {
        &Fact::RainHear(server::Fact::Heard(ref frame)) => Some(frame),
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

#[test]
fn a_link_that_one_end_opens_carries_frames_both_ways() {
    let mut pair = agreed(linkable(true));
    pair.order(0, Order::Link);
    assert_eq!(opened(&pair.take(0)), [true]);
    assert!(!pair.ends[1].is_linked(), "nothing said yet");
    pair.order(0, word(1));
    let facts = pair.take(1);
    assert_eq!(opened(&facts), [true], "{facts:?}");
    let at = |fact: &Fact| facts.iter().position(|other| other == fact);
    let open = Fact::Started {
        protocol: ProtocolId::RAIN_LINK,
        role: Role::Initiator,
    };
    assert!(at(&open) < at(&heard(1)), "open before the first frame");
    pair.order(1, word(2));
    pair.order(1, say(payload(100_000)));
    let facts = pair.take(0);
    assert_eq!(opened(&facts), []);
    assert_eq!(
        said(&facts),
        [&Frame::Credit { bytes: 2 }, &payload(100_000)]
    );
}

#[test]
fn either_end_closes_the_link_for_both() {
    for end in 0..2 {
        let mut pair = linked();
        pair.order(end, say(payload(300_000)));
        pair.order(end, Order::Unlink);
        assert_eq!(opened(&pair.take(end)), [false]);
        let facts = pair.take(1 - end);
        assert_eq!(opened(&facts), [false]);
        assert_eq!(said(&facts), [&payload(300_000)], "what was queued leaves");
        for end in 0..2 {
            assert!(!pair.ends[end].is_linked());
            let runs = |protocol, role| pair.ends[end].runs(HalfId { protocol, role });
            for protocol in super::half::LINK
                .into_iter()
                .chain([ProtocolId::KEEP_ALIVE])
            {
                assert!(!runs(protocol, Role::Initiator), "{protocol}");
                assert!(!runs(protocol, Role::Responder), "{protocol}");
            }
        }
        pair.order(end, Order::Link);
        pair.order(end, word(5));
        assert_eq!(said(&pair.take(1 - end)), [&Frame::Credit { bytes: 5 }]);
        assert!(pair.ends[1 - end].is_linked(), "opened anew");
    }
}

/// The farewell of the old link comes back when the new one runs.
#[test]
fn a_link_opened_anew_before_the_old_one_is_over_stands() {
    let mut pair = linked();
    pair.feed(1, Event::Order(word(7)));
    for order in [Order::Unlink, Order::Link, word(8)] {
        pair.feed(0, Event::Order(order));
    }
    pair.run();
    let (a, b) = (pair.take(0), pair.take(1));
    assert_eq!(
        (opened(&a), opened(&b)),
        (vec![false, true], vec![false, true])
    );
    assert_eq!(said(&a), [] as [&Frame; 0], "said on the old link");
    assert_eq!(said(&b), [&Frame::Credit { bytes: 8 }]);
    pair.order(1, word(9));
    assert_eq!(said(&pair.take(0)), [&Frame::Credit { bytes: 9 }]);
    assert!(pair.ends.iter().all(Connection::is_linked));
}

#[test]
fn a_link_alone_keeps_its_connection_alive() {
    let mut pair = linked();
    for _ in 0..60 {
        pair.tick(Duration::from_secs(10));
    }
    assert_eq!(faults(&pair.take(0)), []);
    assert_eq!(faults(&pair.take(1)), []);
    assert!(pair.ends.iter().all(Connection::is_linked));
}

#[test]
fn a_link_ends_with_the_established_bundle_and_leaves_that_one_running_else() {
    let alive = HalfId {
        protocol: ProtocolId::KEEP_ALIVE,
        role: Role::Initiator,
    };
    let mut pair = linked();
    pair.order(1, Order::Start(Temperature::Established));
    pair.order(1, Order::Unlink);
    assert!(pair.ends[1].runs(alive), "the bundle wants it");
    pair.order(1, Order::Link);
    pair.order(1, word(3));
    assert!(pair.ends[0].is_linked());
    pair.order(1, Order::Stop(Temperature::Warm));
    assert!(pair.ends[1].is_linked());
    pair.order(1, Order::Stop(Temperature::Established));
    for end in &pair.ends {
        assert!(!end.is_linked() && !end.runs(alive));
    }
    let faults = (faults(&pair.take(0)), faults(&pair.take(1)));
    assert_eq!(faults, (vec![], vec![]));
}

/// At most what the kernel was given before, and a segment.
#[test]
fn a_word_overtakes_the_payloads_of_its_connection() {
    let mut pair = linked();
    pair.feed(0, Event::Order(say(payload(4 << 20))));
    pair.feed(0, Event::Order(word(9)));
    pair.heard[1].clear();
    let mut ahead = 0;
    while said(&pair.facts[1]).is_empty() {
        let bytes = pair.wires[1].pop_front().unwrap();
        let len = u64::try_from(bytes.len()).unwrap();
        ahead += bytes.len();
        pair.feed(1, Event::Received(bytes));
        pair.feed(0, Event::Flushed(len));
    }
    assert_eq!(said(&pair.facts[1]), [&Frame::Credit { bytes: 9 }]);
    let config = mux::Config::default();
    let most = config.window_bytes + 2 * mux::BATCH_BYTES_MAX;
    assert!(ahead <= most, "{ahead} bytes before the word");
    assert!(pair.ends[0].payload_queued() > 3 << 20);
}

#[test]
fn the_room_for_payloads_is_told_and_can_be_asked() {
    let mut pair = linked();
    let (protocol, role) = (ProtocolId::RAIN_BULK, Role::Initiator);
    pair.feed(0, Event::Order(say(payload(200_000))));
    assert!(!pair.take(0).contains(&Fact::Full { protocol, role }));
    let queued = pair.ends[0].payload_queued();
    assert!((70_000..200_000).contains(&queued), "{queued}");
    pair.feed(0, Event::Order(say(payload(400_000))));
    assert!(pair.take(0).contains(&Fact::Full { protocol, role }));
    assert!(pair.ends[0].payload_queued() > 400_000);
    pair.run();
    assert!(pair.take(0).contains(&Fact::Room { protocol, role }));
    assert_eq!(pair.ends[0].payload_queued(), 0);
}

#[test]
fn a_frame_that_no_peer_would_take_is_told_and_harms_nothing() {
    let mut pair = linked();
    let large = payload(rain_link::PAYLOAD_BYTES_MAX + 1);
    pair.order(0, say(large));
    let unfit = client::Fact::Unfit(Unfit { kind: 1 });
    assert_eq!(pair.take(0), [Fact::RainSay(unfit)]);
    pair.order(0, word(1));
    assert_eq!(pair.take(1), [heard(1)]);
}

/// A stock node agrees on a standard version, and never sees more.
#[test]
fn where_no_link_may_run_none_is_opened_and_none_is_taken() {
    let stock = handshake::Config {
        own_versions: false,
        ..offer()
    };
    let only = handshake::Config {
        mode: Mode::InitiatorOnly,
        ..offer()
    };
    for (rain, second) in [(true, stock), (false, offer()), (true, only)] {
        let mut pair = agreed(offered(rain, second));
        let before = pair.heard.clone();
        for end in 0..2 {
            assert!(!pair.ends[end].may_link());
            for order in [Order::Link, word(1), say(payload(1)), Order::Unlink] {
                pair.order(end, order);
                assert_eq!(pair.take(end), []);
            }
        }
        assert_eq!(pair.heard, before, "not a byte");
        for protocol in [ProtocolId::RAIN_LINK, ProtocolId::RAIN_BULK] {
            let mut pair = agreed(offered(rain, second));
            pair.feed(
                0,
                Event::Received(segment(protocol, Role::Initiator, &[0x82, 12, 0])),
            );
            let unknown = Fault::Mux(mux::Error::UnknownMiniProtocol(protocol));
            assert_eq!(faults(&pair.take(0)), [unknown]);
        }
    }
}

#[test]
fn a_link_is_no_part_of_any_bundle() {
    let mut pair = linkable(true).start();
    let rain = |fact: &&Fact| {
        let lane = |protocol| super::half::LINK.contains(protocol);
        matches!(fact, Fact::Started { protocol, .. } if lane(protocol))
    };
    for end in 0..2 {
        assert_eq!(pair.take(end).iter().filter(rain).count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever both order, and however it crosses on the way: no exchange goes on by itself, both
    /// ends agree in the end, every frame belongs to the link that runs, and a new link opens.
    #[test]
    fn orders_that_cross_on_the_way_end_in_agreement(
        script in proptest::collection::vec((0_usize..2, 0_u8..8), 1..60),
    ) {
        let mut pair = agreed(linkable(true));
        let mut number = 0;
        for (end, what) in script {
            match what {
                0 | 1 => pair.feed(end, Event::Order(Order::Link)),
                2 => pair.feed(end, Event::Order(Order::Unlink)),
                3 => {
                    number += 1;
                    pair.feed(end, Event::Order(word(number)));
                }
                4 => pair.feed(end, Event::Order(say(payload(20)))),
                _ => deliver(&mut pair, end),
            }
        }
        let mut deliveries = 0;
        while let Some(end) = (0..2).find(|end| !pair.wires[*end].is_empty()) {
            deliver(&mut pair, end);
            deliveries += 1;
            prop_assert!(deliveries < 1_000, "they go on for ever");
        }
        for end in 0..2 {
            within_links(&pair.take(end))?;
        }
        let runs = |end: usize| pair.ends[end].is_linked();
        let said = |end: usize| pair.ends[end].runs(HalfId {
            protocol: ProtocolId::RAIN_LINK,
            role: Role::Responder,
        });
        // One that has not said anything yet is alone.
        for end in 0..2 {
            prop_assert!(!said(end) || runs(end));
        }
        pair.order(0, Order::Link);
        pair.order(0, word(100_000));
        let facts = pair.take(1);
        prop_assert!(facts.contains(&heard(100_000)), "{facts:?}");
        pair.order(1, word(100_001));
        prop_assert!(pair.take(0).contains(&heard(100_001)));
    }
}

fn deliver(pair: &mut Pair, end: usize) {
    if let Some(bytes) = pair.wires[end].pop_front() {
        let len = u64::try_from(bytes.len()).unwrap_or(0);
        pair.feed(end, Event::Received(bytes));
        pair.feed(1 - end, Event::Flushed(len));
    }
}

/// Frames only between a start and a stop, which alternate.
fn within_links(facts: &[Fact]) -> Result<(), TestCaseError> {
    let mut open = false;
    for fact in facts {
        match fact {
            Fact::Started { protocol, role } if is_ours(*protocol, *role) => {
                prop_assert!(!open);
                open = true;
            }
            Fact::Stopped { protocol, role } if is_ours(*protocol, *role) => {
                prop_assert!(open);
                open = false;
            }
            Fact::RainHear(_) => prop_assert!(open, "a frame without a link"),
            Fact::Ended(fault) => prop_assert!(false, "{fault}"),
            _ => {}
        }
    }
    Ok(())
}
