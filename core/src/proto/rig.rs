//! A rig that steps a half and checks its laws on the way, and a duel of a client with a server.

use alloc::{collections::VecDeque, vec::Vec};
use core::{fmt::Debug, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Action, Event, Fault, Half, Protocol, testing::encode};
use crate::{
    base::{
        BlockNo, Cx, Hash32, HeaderFault, HeaderView, Instant, Kind, Point, Rules, Seeded, Spec,
        State, Tip, TxId,
    },
    wire::{Encoded, codec::DecodeError},
};

/// Reads headers made by [`header`].
pub(super) struct TestRules;

impl Rules for TestRules {
    fn name(&self) -> &'static str {
        "test"
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        let at = wrapped
            .len()
            .checked_sub(48)
            .ok_or(HeaderFault::Malformed)?;
        let word = |from: usize| u64::from_be_bytes(wrapped[from..from + 8].try_into().unwrap());
        let hash = Hash32(wrapped[at + 16..].try_into().unwrap());
        Ok(HeaderView {
            point: Point::Block {
                slot: word(at),
                hash,
            },
            block_no: word(at + 8),
            prev: None,
            boundary: false,
            body_bytes: 0,
        })
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }
}

/// A block of one of many chains.
pub(super) fn point(fork: u8, number: BlockNo) -> Point {
    let mut hash = [fork; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    Point::Block {
        slot: number * 20 + 1,
        hash: Hash32(hash),
    }
}

/// That block as the end of its chain.
pub(super) fn tip(fork: u8, number: BlockNo) -> Tip {
    Tip {
        point: point(fork, number),
        block_no: number,
    }
}

/// That block's header in its envelope, `bytes` long inside tag 24 and at least 48.
pub(super) fn header(fork: u8, number: BlockNo, bytes: usize) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(&[0x82, 6, 0xd8, 24, 0x59]);
    out.put_u16(bytes.try_into().unwrap());
    out.put_bytes(0xaa, bytes - 48);
    let point = point(fork, number);
    out.put_u64(point.slot().unwrap());
    out.put_u64(number);
    out.put_slice(&point.hash().unwrap().0);
    out.freeze()
}

/// What survives a snapshot.
pub(super) trait Kept: Sized {
    /// The same after it was written down and read again.
    fn half_way(&self) -> Self;
}

#[cfg(feature = "serde")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Kept for T {
    fn half_way(&self) -> Self {
        let kept = postcard::to_allocvec(self).unwrap();
        postcard::from_bytes(&kept).unwrap()
    }
}

#[cfg(not(feature = "serde"))]
impl<T: Clone> Kept for T {
    fn half_way(&self) -> Self {
        self.clone()
    }
}

/// One half with its own clock, rules and chance. Every step checks: invariants; that early ticks
/// change nothing; that a tick leaves no deadline due; that nothing follows the end; and goes on
/// with what a snapshot kept of the half, where there are snapshots.
#[derive(Clone)]
pub(super) struct Rig<H> {
    pub(super) half: H,
    pub(super) now: Instant,
    rules: &'static dyn Rules,
    choice: Seeded,
    over: bool,
}

impl<H> Rig<H>
where
    H: Half + Clone + PartialEq + Debug + Kept,
    H::Order: Clone + Debug,
    H::Fact: Clone + PartialEq + Debug,
{
    /// Not started yet.
    pub(super) fn new(half: H) -> Self {
        Self {
            half,
            now: Instant::from_secs(1),
            rules: &TestRules,
            choice: Seeded::new(1),
            over: false,
        }
    }

    /// Started, its first actions dropped.
    pub(super) fn started(half: H) -> Self {
        Self::start(half).0
    }

    /// Started, with its first actions.
    pub(super) fn start(half: H) -> (Self, Vec<Action<H::Fact>>) {
        Self::with_rules(half, &TestRules)
    }

    /// Started under these rules, with its first actions.
    pub(super) fn with_rules(half: H, rules: &'static dyn Rules) -> (Self, Vec<Action<H::Fact>>) {
        let mut rig = Self {
            rules,
            ..Self::new(half)
        };
        let out = rig.step(Event::Start);
        (rig, out)
    }

    pub(super) fn step(&mut self, event: Event<H::Order>) -> Vec<Action<H::Fact>> {
        let tick = matches!(event, Event::Tick);
        let over = self.over;
        let mut out = Vec::new();
        self.half.step(
            &mut Cx::new(self.now, &mut self.choice, self.rules, &mut out),
            event,
        );
        self.half.check_invariants().unwrap();
        let kept = self.half.half_way();
        assert_eq!(kept, self.half, "a snapshot is another half");
        self.half = kept;
        self.ticks_early();
        assert!(!tick || self.half.next_deadline().is_none_or(|at| at > self.now));
        assert!(!over || out.is_empty(), "after the end: {out:?}");
        let last = |action: &Action<H::Fact>| matches!(action, Action::Ended | Action::Failed(_));
        let ends = out.iter().filter(|action| last(action)).count();
        if ends > 0 {
            assert!(ends == 1 && out.last().is_some_and(last), "{out:?}");
            assert_eq!(
                (self.half.awaits(), self.half.next_deadline()),
                (None, None)
            );
            self.over = true;
        }
        out
    }

    /// Asserts that a tick just before the deadline, or ever where there is none, changes nothing.
    fn ticks_early(&self) {
        let due = self.half.next_deadline().unwrap_or(Instant::FAR);
        let early = Instant::from_micros(due.as_micros().saturating_sub(1));
        if early < self.now {
            return;
        }
        let (mut half, mut choice) = (self.half.clone(), self.choice.clone());
        let mut out = Vec::new();
        half.step(
            &mut Cx::new(early, &mut choice, self.rules, &mut out),
            Event::Tick,
        );
        assert!(out.is_empty(), "an early tick did something: {out:?}");
        assert_eq!(half, self.half, "an early tick changed something");
    }

    pub(super) fn stop(&mut self) -> Vec<Action<H::Fact>> {
        self.step(Event::Stop)
    }

    pub(super) fn order(&mut self, order: H::Order) -> Vec<Action<H::Fact>> {
        self.step(Event::Order(order))
    }

    /// Feeds a message as it travels.
    pub(super) fn receive<P: Protocol>(&mut self, message: &P::Message) -> Vec<Action<H::Fact>> {
        assert!(self.half.awaits().is_some(), "the peer may not speak");
        self.step(Event::Received(encode::<P>(message)))
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    /// Lets this much time pass and ticks.
    pub(super) fn tick_after(&mut self, span: Duration) -> Vec<Action<H::Fact>> {
        self.wait(span);
        self.step(Event::Tick)
    }

    /// Asserts that the peer's time in `state` is over after `span` and not a microsecond before.
    pub(super) fn times_out(mut self, state: State, span: Duration) {
        let early = span.saturating_sub(Duration::from_micros(1));
        assert_eq!(self.tick_after(early), []);
        let late = self.tick_after(Duration::from_micros(1));
        let fault = Fault::TimedOut { state: state.0 };
        assert_eq!(late, [Action::Failed(fault)]);
        assert_eq!(self.tick_after(span), [], "fires once");
    }

    /// Asserts that no message is awaited for a limited time.
    pub(super) fn never_times_out(mut self) {
        assert_eq!(self.half.next_deadline(), None);
        assert_eq!(self.tick_after(Duration::from_secs(1 << 40)), []);
    }

    /// Asserts the byte limit of the state that the rig is in, at and over it.
    pub(super) fn takes_at_most(self, max: usize) {
        assert_eq!(self.half.awaits(), Some(max));
        let over = self
            .clone()
            .step(Event::Received(Bytes::from(alloc::vec![0; max + 1])));
        assert_eq!(over, [Action::Failed(Fault::TooLarge { max })]);
        let mut at = self;
        let at = at.step(Event::Received(Bytes::from(alloc::vec![0; max])));
        assert!(
            matches!(at[..], [Action::Failed(Fault::Decode(_))]),
            "{at:?}"
        );
    }

    /// Feeds each message that has no edge in `state`, in which the rig waits, to a copy, and
    /// asserts that it fails; gives how many there were.
    pub(super) fn refuses_the_rest<P: Protocol>(
        &self,
        state: State,
        sample: impl Fn(Kind) -> P::Message,
    ) -> usize {
        let mut seen = 0;
        for (_, kind, edge) in P::SPEC.cells().filter(|(at, ..)| *at == state) {
            let same_label = P::SPEC
                .edges_from(state)
                .any(|other| Some(other.label) == label(P::SPEC, kind));
            if edge.is_none() && !same_label {
                let out = self.clone().receive::<P>(&sample(kind));
                let refused = [Action::Failed(Fault::Decode(DecodeError::Label {
                    label: label(P::SPEC, kind).unwrap().into(),
                }))];
                assert_eq!(out, refused, "{kind:?} in {state:?}");
                seen += 1;
            }
        }
        seen
    }
}

fn label(spec: &Spec, kind: Kind) -> Option<u8> {
    let edge = spec.edges.iter().find(|edge| edge.kind == kind)?;
    Some(edge.label)
}

/// A client and a server with a wire between them. A fault of either fails the test.
#[derive(Clone)]
pub(super) struct Duel<C, S> {
    pub(super) client: Rig<C>,
    pub(super) server: Rig<S>,
    pub(super) up: VecDeque<Encoded>,
    pub(super) down: VecDeque<Encoded>,
    /// Both have ended.
    pub(super) ended: (bool, bool),
}

impl<C, S> Duel<C, S>
where
    C: Half + Clone + PartialEq + Debug + Kept,
    C::Order: Clone + Debug,
    C::Fact: Clone + PartialEq + Debug,
    S: Half + Clone + PartialEq + Debug + Kept,
    S::Order: Clone + Debug,
    S::Fact: Clone + PartialEq + Debug,
{
    /// Both started.
    pub(super) fn new(client: C, server: S) -> (Self, Vec<C::Fact>) {
        let mut duel = Self {
            client: Rig::new(client),
            server: Rig::new(server),
            up: VecDeque::new(),
            down: VecDeque::new(),
            ended: (false, false),
        };
        assert_eq!(duel.server_step(Event::Start), []);
        let facts = duel.client_step(Event::Start);
        (duel, facts)
    }

    pub(super) fn client_step(&mut self, event: Event<C::Order>) -> Vec<C::Fact> {
        let out = self.client.step(event);
        sort(out, &mut self.up, &mut self.ended.0)
    }

    pub(super) fn server_step(&mut self, event: Event<S::Order>) -> Vec<S::Fact> {
        let out = self.server.step(event);
        sort(out, &mut self.down, &mut self.ended.1)
    }

    /// Delivers one message to the server if it awaits one.
    pub(super) fn deliver_up(&mut self) -> Vec<S::Fact> {
        let bytes = next(self.server.half.awaits(), &mut self.up);
        bytes.map_or_else(Vec::new, |bytes| self.server_step(Event::Received(bytes)))
    }

    /// Delivers one message to the client if it awaits one.
    pub(super) fn deliver_down(&mut self) -> Vec<C::Fact> {
        let bytes = next(self.client.half.awaits(), &mut self.down);
        bytes.map_or_else(Vec::new, |bytes| self.client_step(Event::Received(bytes)))
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.client.wait(span);
        self.server.wait(span);
    }
}

fn next(awaits: Option<usize>, wire: &mut VecDeque<Encoded>) -> Option<Bytes> {
    let max = awaits?;
    let encoded = wire.pop_front()?;
    assert!(encoded.len() <= max);
    Some([&encoded.head[..], &encoded.body[..]].concat().into())
}

fn sort<F: Debug>(out: Vec<Action<F>>, wire: &mut VecDeque<Encoded>, ended: &mut bool) -> Vec<F> {
    let mut facts = Vec::new();
    for action in out {
        match action {
            Action::Send(encoded) => wire.push_back(encoded),
            Action::Fact(fact) => facts.push(fact),
            Action::Ended => *ended = true,
            Action::Failed(fault) => panic!("a legal message failed: {fault}"),
        }
    }
    facts
}
