//! Two connections joined in memory.

use alloc::{collections::VecDeque, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Action, Cause, Config, Connection, Event, Fact, Fault, Order, Profile, Temperature};
use crate::{
    base::{
        Cx, HeaderFault, HeaderView, Instant, Machine, Point, ProtocolId, Role, Rules, Seeded,
        Serial, Tip, TxId,
    },
    mux::{self, HalfId},
    proto::{
        block_fetch, chain_sync,
        handshake::{self, Failure, Mode},
        peer_sharing,
    },
};

/// Every header is fine and says the same.
struct Lenient;

impl Rules for Lenient {
    fn name(&self) -> &'static str {
        "lenient"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        let point = Point::Origin;
        Ok(HeaderView {
            point,
            block_no: 0,
            prev: None,
            boundary: false,
            body_bytes: 0,
        })
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }
}

pub(super) fn offer() -> handshake::Config {
    handshake::Config {
        magic: 42,
        mode: Mode::InitiatorAndResponder,
        peer_sharing: true,
        query: false,
        own_versions: true,
        experimental: false,
    }
}

pub(super) struct Pair {
    pub(super) ends: [Connection; 2],
    choice: Seeded,
    pub(super) now: Instant,
    /// Bytes on their way to each end.
    pub(super) wires: [VecDeque<Bytes>; 2],
    /// All bytes that each end was given.
    pub(super) heard: [Bytes; 2],
    pub(super) facts: [Vec<Fact>; 2],
    pub(super) closed: [bool; 2],
    cuts: Vec<usize>,
    delivered: usize,
}

impl Pair {
    pub(super) fn new(offers: [handshake::Config; 2]) -> Self {
        Self::with(offers.map(|offer| Profile {
            offer,
            config: Config::default(),
        }))
    }

    pub(super) fn with([a, b]: [Profile; 2]) -> Self {
        let ends = [
            Connection::new(Serial(1), Role::Initiator, &a),
            Connection::new(Serial(2), Role::Responder, &b),
        ];
        let mut pair = Self {
            ends,
            choice: Seeded::new(7),
            now: Instant::from_secs(1),
            wires: Default::default(),
            heard: Default::default(),
            facts: Default::default(),
            closed: [false; 2],
            cuts: vec![usize::MAX],
            delivered: 0,
        };
        pair.feed(0, Event::Start);
        pair.feed(1, Event::Start);
        pair
    }

    pub(super) fn feed(&mut self, end: usize, event: Event) {
        if let Event::Received(bytes) = &event {
            self.heard[end] = [&self.heard[end][..], bytes].concat().into();
        }
        for event in [event, Event::Turn] {
            let mut out = Vec::new();
            let mut cx = Cx::new(self.now, &mut self.choice, &Lenient, &mut out);
            self.ends[end].step(&mut cx, event);
            self.ends[end].check_invariants().unwrap();
            for action in out {
                match action {
                    Action::Write(batch) => self.wires[1 - end].extend(batch),
                    Action::Close { .. } => self.closed[end] = true,
                    Action::Fact(fact) => self.facts[end].push(fact),
                }
            }
        }
    }

    pub(super) fn order(&mut self, end: usize, order: Order) {
        self.feed(end, Event::Order(order));
        self.run();
    }

    /// Delivers until both wires are empty, in pieces of the sizes in `cuts`, over and over.
    pub(super) fn run(&mut self) {
        while let Some(end) = (0..2).find(|&end| !self.wires[end].is_empty()) {
            let mut bytes = self.wires[end].pop_front().unwrap();
            let cut = self.cuts[self.delivered % self.cuts.len()].max(1);
            self.delivered += 1;
            if bytes.len() > cut {
                self.wires[end].push_front(bytes.split_off(cut));
            }
            let len = bytes.len() as u64;
            if self.closed[end] {
                continue;
            }
            self.feed(end, Event::Received(bytes));
            if !self.closed[1 - end] {
                self.feed(1 - end, Event::Flushed(len));
            }
        }
        for end in 0..2 {
            if self.closed[1 - end] && !self.closed[end] {
                self.closed[end] = true;
                self.feed(end, Event::Closed(Cause::Eof));
            }
        }
    }

    pub(super) fn tick(&mut self, after: Duration) {
        self.now = self.now.after(after);
        for end in 0..2 {
            self.feed(end, Event::Tick);
            let next = self.ends[end].next_deadline();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a tick must move the deadline on"
            );
        }
        self.run();
    }

    pub(super) fn take(&mut self, end: usize) -> Vec<Fact> {
        core::mem::take(&mut self.facts[end])
    }

    /// Nothing delivered yet.
    pub(super) fn fresh() -> Self {
        Self::new([offer(), offer()])
    }

    pub(super) fn started() -> Self {
        Self::new([offer(), offer()]).start()
    }

    /// With every bundle of the dialler running.
    pub(super) fn start(self) -> Self {
        let mut pair = self;
        pair.run();
        for bundle in [
            Temperature::Established,
            Temperature::Warm,
            Temperature::Hot,
        ] {
            pair.order(0, Order::Start(bundle));
        }
        pair
    }
}

pub(super) fn faults(facts: &[Fact]) -> Vec<Fault> {
    facts
        .iter()
        .filter_map(|f| {
            if let Fact::Ended(fault) = f {
                Some(*fault)
            } else {
                None
            }
        })
        .collect()
}

fn started(facts: &[Fact], protocol: ProtocolId, role: Role) -> bool {
    facts.contains(&Fact::Started { protocol, role })
}

#[test]
fn both_ends_agree_on_our_highest_version() {
    let mut pair = Pair::new([offer(), offer()]);
    pair.run();
    let (a, b) = (pair.take(0), pair.take(1));
    assert_eq!(a, b);
    let Some(Fact::Agreed(agreed)) = a.first() else {
        panic!("no agreement: {a:?}")
    };
    assert_eq!(agreed.version, 0x2000 | 15);
}

#[test]
fn another_network_is_refused_on_both_sides() {
    let mut pair = Pair::new([
        offer(),
        handshake::Config {
            magic: 43,
            ..offer()
        },
    ]);
    pair.run();
    let refused = |f: &Fault| {
        matches!(
            f,
            Fault::Handshake(Failure::Refused(_) | Failure::Magic { .. })
        )
    };
    let ours = faults(&pair.take(0));
    assert!(ours.len() == 1 && ours.iter().all(refused), "{ours:?}");
    let theirs = faults(&pair.take(1));
    assert!(
        theirs.len() == 1 && theirs.iter().all(refused),
        "{theirs:?}"
    );
}

#[test]
fn the_established_bundle_probes_and_the_other_end_answers() {
    let mut pair = Pair::started();
    let facts = pair.take(0);
    assert!(
        facts.iter().any(|f| matches!(f, Fact::KeepAlive(_))),
        "{facts:?}"
    );
    assert!(started(
        &pair.take(1),
        ProtocolId::KEEP_ALIVE,
        Role::Responder
    ));
    pair.tick(Duration::from_secs(10));
    assert!(
        pair.take(0).iter().any(|f| matches!(f, Fact::KeepAlive(_))),
        "a second probe"
    );
}

#[test]
fn a_peer_that_falls_silent_is_timed_out() {
    let mut pair = Pair::started();
    pair.take(0);
    pair.now = pair.now.after(Duration::from_secs(10));
    pair.feed(0, Event::Tick);
    let swallowed = pair.wires[1]
        .drain(..)
        .map(|bytes| bytes.len() as u64)
        .sum();
    assert!(swallowed > 0, "a probe");
    pair.feed(0, Event::Flushed(swallowed));
    pair.now = pair.now.after(Duration::from_secs(61));
    pair.feed(0, Event::Tick);
    let faults = faults(&pair.take(0));
    assert!(
        matches!(
            faults[..],
            [Fault::Protocol {
                protocol: ProtocolId::KEEP_ALIVE,
                ..
            }]
        ),
        "{faults:?}"
    );
}

#[test]
fn a_chain_is_followed_and_a_block_fetched_across_the_seam() {
    let mut pair = Pair::started();
    pair.take(0);
    pair.take(1);
    let follow = chain_sync::client::Order::Follow {
        points: vec![Point::Origin],
    };
    pair.order(0, Order::ChainSync(follow));
    let asked = pair.take(1);
    assert!(
        asked.iter().any(|f| matches!(f, Fact::ChainServe(_))),
        "{asked:?}"
    );
    let found = chain_sync::server::Order::Found {
        point: Point::Origin,
        tip: Tip::ORIGIN,
    };
    pair.order(1, Order::ChainServe(found));
    let facts = pair.take(0);
    assert!(
        facts.iter().any(|f| matches!(
            f,
            Fact::ChainSync(chain_sync::client::Fact::Intersected {
                point: Point::Origin,
                ..
            })
        )),
        "{facts:?}"
    );
    let hash = crate::base::Hash32([1; 32]);
    let point = Point::Block { slot: 1, hash };
    pair.order(
        0,
        Order::BlockFetch(block_fetch::client::Order::Request {
            from: point,
            to: point,
        }),
    );
    let body = Bytes::from(vec![7; 100_000]);
    for order in [
        block_fetch::server::Order::Start,
        block_fetch::server::Order::Block(body.clone()),
        block_fetch::server::Order::Done,
    ] {
        pair.order(1, Order::BlockServe(order));
    }
    let facts = pair.take(0);
    let block = Fact::BlockFetch(block_fetch::client::Fact::Block(body));
    assert!(facts.contains(&block), "the body arrives whole");
    assert!(facts.contains(&Fact::BlockFetch(block_fetch::client::Fact::Done)));
}

#[test]
fn the_hot_bundle_stops_and_starts_again_on_the_same_connection() {
    let mut pair = Pair::started();
    pair.take(0);
    pair.take(1);
    pair.order(0, Order::Stop(Temperature::Hot));
    let facts = pair.take(0);
    let stopped = Fact::Stopped {
        protocol: ProtocolId::BLOCK_FETCH,
        role: Role::Initiator,
    };
    assert!(facts.contains(&stopped), "{facts:?}");
    pair.order(0, Order::Start(Temperature::Hot));
    assert!(started(
        &pair.take(0),
        ProtocolId::BLOCK_FETCH,
        Role::Initiator
    ));
    let point = Point::Block {
        slot: 1,
        hash: crate::base::Hash32([1; 32]),
    };
    pair.order(
        0,
        Order::BlockFetch(block_fetch::client::Order::Request {
            from: point,
            to: point,
        }),
    );
    let facts = pair.take(1);
    assert!(
        facts.iter().any(|f| matches!(f, Fact::BlockServe(_))),
        "{facts:?}"
    );
}

#[test]
fn the_accepting_end_uses_the_same_connection_the_other_way() {
    let mut pair = Pair::started();
    pair.order(1, Order::Start(Temperature::Established));
    assert!(pair.take(1).iter().any(|f| matches!(f, Fact::KeepAlive(_))));
    let ask = peer_sharing::client::Order::Ask(3);
    pair.order(1, Order::PeerAsk(ask));
    let facts = pair.take(0);
    let asked = Fact::PeerShare(peer_sharing::server::Fact::Asked(3));
    assert!(facts.contains(&asked), "{facts:?}");
}

#[test]
fn an_initiator_only_peer_gets_no_initiators_of_ours() {
    let mut pair = Pair::new([
        handshake::Config {
            mode: Mode::InitiatorOnly,
            ..offer()
        },
        offer(),
    ]);
    pair.run();
    pair.order(1, Order::Start(Temperature::Established));
    pair.order(0, Order::Start(Temperature::Established));
    assert!(!pair.ends[1].runs(HalfId {
        protocol: ProtocolId::KEEP_ALIVE,
        role: Role::Initiator
    }));
    assert!(pair.take(0).iter().any(|f| matches!(f, Fact::KeepAlive(_))));
}

#[test]
fn an_orderly_close_is_told_to_both_ends() {
    let mut pair = Pair::started();
    pair.take(0);
    pair.take(1);
    pair.order(0, Order::Close);
    assert_eq!(faults(&pair.take(0)), [Fault::Closed]);
    let theirs = faults(&pair.take(1));
    assert!(
        matches!(
            theirs[..],
            [Fault::Lost(Cause::Eof) | Fault::Ended(Cause::Eof)]
        ),
        "{theirs:?}"
    );
    assert!(pair.ends.iter().all(Connection::is_over));
}

#[test]
fn a_segment_for_an_unknown_protocol_ends_the_connection() {
    let mut pair = Pair::started();
    pair.take(1);
    let segment = Bytes::from_static(&[0, 0, 0, 0, 0, 99, 0, 1, 0x80]);
    pair.feed(1, Event::Received(segment));
    assert_eq!(
        faults(&pair.take(1)),
        [Fault::Mux(mux::Error::UnknownMiniProtocol(ProtocolId(99)))]
    );
}

#[test]
fn silence_in_the_handshake_ends_it_after_ten_seconds() {
    let mut pair = Pair::new([offer(), offer()]);
    pair.wires = Default::default();
    pair.tick(Duration::from_secs(9));
    assert!(pair.take(0).is_empty() && pair.take(1).is_empty());
    pair.tick(Duration::from_secs(2));
    assert_eq!(faults(&pair.take(0)).len(), 1);
    assert_eq!(faults(&pair.take(1)).len(), 1);
}

proptest! {
    /// Chunking does not matter: any cut of the same bytes tells the same facts.
    #[test]
    fn cuts_do_not_matter(cuts in proptest::collection::vec(1_usize..40, 1..8)) {
        let script = |cuts: Vec<usize>| {
            let mut pair = Pair::new([offer(), offer()]);
            pair.cuts = cuts;
            pair.run();
            for bundle in [Temperature::Established, Temperature::Warm, Temperature::Hot] {
                pair.order(0, Order::Start(bundle));
            }
            pair.order(0, Order::PeerAsk(peer_sharing::client::Order::Ask(9)));
            let share = peer_sharing::server::Order::Share(vec!["1.2.3.4:5".parse().unwrap()]);
            pair.order(1, Order::PeerShare(share));
            pair.facts
        };
        let whole = script(vec![usize::MAX]);
        prop_assert!(whole[0].len() > 5);
        prop_assert_eq!(script(cuts), whole);
    }

    /// Whatever a peer sends behind the handshake, nothing panics and the connection either
    /// lives on or ends with exactly one fault.
    #[test]
    fn hostile_bytes_end_in_at_most_one_fault(
        junk in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60), 1..6),
        proto in 0_u8..12,
        mode in any::<bool>(),
    ) {
        let mut pair = Pair::started();
        pair.take(1);
        for payload in junk {
            let mut bytes = vec![0, 0, 0, 0, if mode { 0x80 } else { 0 }, proto, 0];
            bytes.push(u8::try_from(payload.len()).unwrap());
            bytes.extend(payload);
            pair.feed(1, Event::Received(bytes.into()));
        }
        let ended = faults(&pair.take(1)).len();
        prop_assert!(ended <= 1);
        prop_assert_eq!(pair.ends[1].is_over(), ended == 1);
    }
}
