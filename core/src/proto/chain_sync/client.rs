//! Follows a peer's chain of headers, pipelined between two marks.
//!
//! In: where to begin, the peer's answers. Out: facts in the order of the peer's answers. The
//! first answer after an intersection is normally a rollback to it. How many requests are under
//! way follows from [`decide`]; there are never more than the high mark.
//!
//! While the block number at the end of the peer's chain is not known (after an intersection or a
//! rollback, until the owner gives it or a header says it) one request at a time is under way.
//!
//! Invariants, beside those of the [`Session`]:
//! 21. An intersection is sought exactly while the session waits in `StIntersect`.
//! 22. Points that were offered are kept only while an intersection is sought.
//! 23. Requests are outstanding only while following.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{ChainSync, INTERSECT, MUST_REPLY, Message, SPEC};
use crate::{
    base::{BlockNo, Cx, HeaderView, Instant, Machine, Point, Role, Spec, Tip, Violated, violated},
    proto::{Action, Event, Fault, Half, session::Session},
};

/// The client half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Client {
    session: Session<ChainSync>,
    marks: Marks,
    phase: Phase,
    /// The points of the question under way.
    offered: Vec<Point>,
    /// The points of the next question, once nothing is outstanding.
    wanted: Option<Vec<Point>>,
    /// Where the peer's chain ends for all we were told.
    end: Point,
    head: Head,
    tip: Tip,
    mode: Mode,
    paused: bool,
    stopping: bool,
}

/// Requests under way: below `low` more are sent until there are `high`. Both inclusive, `low`
/// at most `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Marks {
    /// Above this many, answers are awaited after the high mark was reached.
    pub low: usize,
    /// So many at most.
    pub high: usize,
}

impl Default for Marks {
    /// 200 and 300. src: ouroboros-network, chain-sync pipelining of the node configuration
    fn default() -> Self {
        Self {
            low: 200,
            high: 300,
        }
    }
}

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Find the newest common point among `points` (newest first; those behind the first
    /// [`Client::POINTS_MAX`] are not offered), then follow from there. Asked again while
    /// following, the client first collects what is outstanding.
    Follow {
        /// Points of our chain, newest first.
        points: Vec<Point>,
    },
    /// The block number at the end of the peer's chain after an intersection or a rollback. It is
    /// not believed when the chain has gone on meanwhile.
    Head {
        /// The end of the chain that it is about.
        point: Point,
        /// Its block number.
        number: BlockNo,
    },
    /// Stop asking for more; what is outstanding still arrives.
    Pause,
    /// Ask for more again.
    Resume,
    /// The peer is trusted: however long it has no news, that is no fault.
    /// src: ouroboros-network, `timeLimitsChainSync`, trustable peers
    Trust,
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer's chain has this point of ours; following begins.
    Intersected {
        /// One of the points that were offered.
        point: Point,
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer's chain has none of the points; nothing follows until the next order.
    NotIntersected {
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer's chain grew by one header.
    Forward {
        /// The header exactly as it travelled, its era envelope included.
        header: Bytes,
        /// What the rules read in it.
        view: HeaderView,
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer's chain now ends here.
    Backward {
        /// The new end.
        point: Point,
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer has nothing more to say until its chain changes.
    CaughtUp,
}

/// Whether requests were last sent up to the high mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// Requests are sent until the high mark.
    Low,
    /// Answers are collected until the low mark.
    High,
}

/// What to do next; see [`decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Send one request and wait for its answer.
    Request,
    /// Send one request.
    Pipeline,
    /// Take an answer if one is there, else send another request.
    CollectOrPipeline,
    /// Wait for an answer.
    Collect,
}

/// The block number at the end of the peer's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Head {
    Unknown,
    Origin,
    At(BlockNo),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    /// No common point is known.
    Adrift,
    /// The peer is asked for one.
    Seeking,
    /// Headers are asked for.
    Following,
}

impl Client {
    /// Points offered at most, inclusive: so many fit the 65,535 bytes of a message.
    pub const POINTS_MAX: usize = 1_400;

    /// A client for the connection `of` with the usual marks.
    pub fn new(of: u64) -> Self {
        Self::with_marks(of, Marks::default())
    }

    /// A client for the connection `of` with other marks; a high mark of 0 counts as 1.
    pub fn with_marks(of: u64, marks: Marks) -> Self {
        let high = marks.high.max(1);
        Self {
            session: Session::new(Role::Initiator, of, high),
            marks: Marks {
                low: marks.low.min(high),
                high,
            },
            phase: Phase::Adrift,
            offered: Vec::new(),
            wanted: None,
            end: Point::Origin,
            head: Head::Unknown,
            tip: Tip::ORIGIN,
            mode: Mode::Low,
            paused: false,
            stopping: false,
        }
    }

    /// Requests under way.
    pub fn outstanding(&self) -> usize {
        self.session.outstanding()
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        match self.session.hear(cx, bytes) {
            Some(Message::RollForward { header, tip }) => self.on_forward(cx, header, tip),
            Some(Message::RollBackward { point, tip }) => self.on_backward(cx, point, tip),
            Some(Message::AwaitReply) => cx.act(Action::Fact(Fact::CaughtUp)),
            Some(Message::IntersectFound { point, tip }) => self.on_found(cx, point, tip),
            Some(Message::IntersectNotFound { tip }) => {
                self.tip = tip;
                self.settle(Phase::Adrift);
                cx.act(Action::Fact(Fact::NotIntersected { tip }));
            }
            // Only ever sent by us; the table has no such edge here.
            Some(Message::RequestNext | Message::FindIntersect(_) | Message::Done) => {}
            None => self.settle(Phase::Adrift),
        }
        self.pump(cx);
    }

    fn on_forward(&mut self, cx: &mut Cx<'_, Action<Fact>>, header: Bytes, tip: Tip) {
        match cx.rules.header(&header) {
            Ok(view) => {
                self.tip = tip;
                self.end = view.point;
                self.head = Head::At(view.block_no);
                cx.act(Action::Fact(Fact::Forward { header, view, tip }));
            }
            Err(fault) => self.reject(cx, Fault::Header(fault)),
        }
    }

    fn on_backward(&mut self, cx: &mut Cx<'_, Action<Fact>>, point: Point, tip: Tip) {
        self.tip = tip;
        self.end_at(point);
        cx.act(Action::Fact(Fact::Backward { point, tip }));
    }

    fn on_found(&mut self, cx: &mut Cx<'_, Action<Fact>>, point: Point, tip: Tip) {
        if !self.offered.contains(&point) {
            self.reject(cx, Fault::Intersection(point));
            return;
        }
        self.tip = tip;
        self.head = Head::Unknown;
        self.end_at(point);
        self.mode = Mode::Low;
        self.settle(Phase::Following);
        cx.act(Action::Fact(Fact::Intersected { point, tip }));
    }

    fn on_order(&mut self, cx: &mut Cx<'_, Action<Fact>>, order: Order) {
        match order {
            Order::Follow { mut points } => {
                points.truncate(Self::POINTS_MAX);
                self.wanted = Some(points);
            }
            Order::Head { point, number } => {
                if point == self.end && point != Point::Origin {
                    self.head = Head::At(number);
                }
            }
            Order::Pause => self.paused = true,
            Order::Resume => self.paused = false,
            Order::Trust => self.session.limit(MUST_REPLY, None),
        }
        self.pump(cx);
    }

    /// Sends all that may be sent now.
    fn pump(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        if self.session.is_over() || self.phase == Phase::Seeking {
            return;
        }
        if self.session.outstanding() == 0 {
            if self.stopping {
                // Our turn, with nothing outstanding: it is always allowed.
                let _ = self.session.say(cx, &Message::Done);
                self.settle(Phase::Adrift);
                self.wanted = None;
                return;
            }
            if let Some(points) = self.wanted.take() {
                self.seek(cx, points);
                return;
            }
        }
        let waiting = self.stopping || self.paused || self.wanted.is_some();
        if waiting || self.phase != Phase::Following {
            return;
        }
        while self.asks() {
            if self.session.say(cx, &Message::RequestNext).is_err() {
                return;
            }
        }
    }

    fn seek(&mut self, cx: &mut Cx<'_, Action<Fact>>, points: Vec<Point>) {
        let question = Message::FindIntersect(points);
        let asked = self.session.say(cx, &question).is_ok();
        if let (true, Message::FindIntersect(points)) = (asked, question) {
            self.offered = points;
            self.phase = Phase::Seeking;
        }
    }

    /// Whether to send another request now. Whether an answer is there already is not known to
    /// this machine: it takes them one by one, so one that may collect or pipeline pipelines.
    fn asks(&mut self) -> bool {
        let n = self.session.outstanding();
        let head = match self.head {
            Head::Unknown => return n == 0,
            Head::Origin => None,
            Head::At(number) => Some(number),
        };
        let (decision, mode) = decide(self.mode, n, head, self.tip, self.marks);
        self.mode = mode;
        decision != Decision::Collect
    }

    fn end_at(&mut self, point: Point) {
        if point == Point::Origin {
            self.head = Head::Origin;
        } else if point == self.tip.point {
            self.head = Head::At(self.tip.block_no);
        } else if point != self.end {
            self.head = Head::Unknown;
        }
        self.end = point;
    }

    fn settle(&mut self, phase: Phase) {
        self.phase = phase;
        self.offered = Vec::new();
    }

    fn reject(&mut self, cx: &mut Cx<'_, Action<Fact>>, fault: Fault) {
        self.session.reject(cx, fault);
        self.settle(Phase::Adrift);
    }
}

/// How far to pipeline: `n` requests are outstanding, `head` is the block number at the end of
/// the peer's chain (`None` = the origin), `tip` what the peer last said of its own.
///
/// With nothing outstanding the comparison is for equality: a client ahead of its server
/// pipelines, so that it hears of the rollback soon.
/// src: ouroboros-network, `pipelineDecisionLowHighMark`
pub fn decide(
    mode: Mode,
    n: usize,
    head: Option<BlockNo>,
    tip: Tip,
    marks: Marks,
) -> (Decision, Mode) {
    let server = (!tip.is_empty()).then_some(tip.block_no);
    if n == 0 {
        let level = head == server;
        let decision = if level {
            Decision::Request
        } else {
            Decision::Pipeline
        };
        return (decision, Mode::Low);
    }
    match mode {
        Mode::Low => {
            // The origin counts as 1 here.
            let outstanding = u64::try_from(n).unwrap_or(u64::MAX);
            let reached = head.unwrap_or(1).saturating_add(outstanding);
            if server.is_none_or(|server| reached >= server) {
                (Decision::Collect, Mode::Low)
            } else if n >= marks.high {
                (Decision::Collect, Mode::High)
            } else {
                (Decision::CollectOrPipeline, Mode::Low)
            }
        }
        Mode::High if n > marks.low => (Decision::Collect, Mode::High),
        Mode::High => (Decision::CollectOrPipeline, Mode::Low),
    }
}

impl Machine for Client {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => self.session.start(cx.now, cx.choice),
            Event::Received(bytes) => self.on_received(cx, &bytes),
            Event::Order(order) => self.on_order(cx, order),
            Event::Stop => {
                self.stopping = true;
                self.pump(cx);
            }
            Event::Tick => {
                self.session.tick(cx);
                if self.session.is_over() {
                    self.settle(Phase::Adrift);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.session.check_invariants()?;
        let seeking = self.phase == Phase::Seeking;
        violated(
            seeking == (self.session.awaited() == Some(INTERSECT)),
            SPEC.name,
            21,
            "an intersection is sought exactly while the session waits in StIntersect",
        )?;
        violated(
            self.offered.is_empty() || seeking,
            SPEC.name,
            22,
            "points that were offered are kept only while an intersection is sought",
        )?;
        violated(
            self.session.outstanding() == 0 || self.phase == Phase::Following,
            SPEC.name,
            23,
            "requests are outstanding only while following",
        )
    }
}

impl Half for Client {
    type Order = Order;
    type Fact = Fact;

    const SPEC: &'static Spec = &SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
