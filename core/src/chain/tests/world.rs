//! Blocks, an application, one machine by hand, and several wired back to back: the protocol
//! halves between them do the least that the protocols ask for.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use bytes::Bytes;

use crate::{
    base::{
        Cx, First, Hash32, HeaderFault, HeaderView, Instant, Machine, Point, Rules, Serial, Ticket,
        TxId,
    },
    chain::{Action, Answer, Chain, Config, Event, Misdeed, Notice, Order, Question, Verdict},
    proto::{block_fetch, chain_sync},
};

/// Headers as plain fields.
pub(super) struct Plain;

impl Rules for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        let word = |at: usize| -> Result<u64, HeaderFault> {
            let bytes = wrapped.get(at..at + 8).ok_or(HeaderFault::Malformed)?;
            Ok(u64::from_le_bytes(bytes.try_into().unwrap()))
        };
        let hash = |at: usize| -> Result<Hash32, HeaderFault> {
            let bytes = wrapped.get(at..at + 32).ok_or(HeaderFault::Malformed)?;
            Ok(Hash32(bytes.try_into().unwrap()))
        };
        let prev = hash(32)?;
        Ok(HeaderView {
            point: Point::Block {
                slot: word(64)?,
                hash: hash(0)?,
            },
            block_no: word(72)?,
            prev: (prev != Hash32::default()).then_some(prev),
            boundary: false,
            body_bytes: u32::try_from(word(80)?).unwrap(),
        })
    }

    fn tx_id(&self, _: &[u8]) -> Option<TxId> {
        None
    }
}

/// A block: its header is all there is to know, its body repeats the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) view: HeaderView,
}

impl Block {
    /// The block with number `id` of a test, on `parent`.
    pub(super) fn on(parent: Option<&Self>, id: u64) -> Self {
        let mut hash = [0_u8; 32];
        hash[..8].copy_from_slice(&id.to_le_bytes());
        hash[8] = 1;
        let (slot, block_no, prev) = match parent {
            Some(parent) => (
                parent.slot() + 1 + id % 3,
                parent.view.block_no + 1,
                Some(parent.hash()),
            ),
            None => (10, 0, None),
        };
        Self {
            view: HeaderView {
                point: Point::Block {
                    slot,
                    hash: Hash32(hash),
                },
                block_no,
                prev,
                boundary: false,
                body_bytes: 2_000,
            },
        }
    }

    /// `count` blocks behind `parent`, with ids from `id` on.
    pub(super) fn line(parent: Option<&Self>, id: u64, count: u64) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for id in id..id + count {
            let parent = blocks.last().copied().or(parent.copied());
            blocks.push(Self::on(parent.as_ref(), id));
        }
        blocks
    }

    pub(super) fn point(&self) -> Point {
        self.view.point
    }

    pub(super) fn hash(&self) -> Hash32 {
        self.view.point.hash().unwrap()
    }

    pub(super) fn slot(&self) -> u64 {
        self.view.point.slot().unwrap()
    }

    pub(super) fn tip(&self) -> crate::base::Tip {
        crate::base::Tip {
            point: self.point(),
            block_no: self.view.block_no,
        }
    }

    pub(super) fn header(&self) -> Bytes {
        let mut out = Vec::new();
        out.extend(self.hash().0);
        out.extend(self.view.prev.unwrap_or_default().0);
        out.extend(self.slot().to_le_bytes());
        out.extend(self.view.block_no.to_le_bytes());
        out.extend(u64::from(self.view.body_bytes).to_le_bytes());
        out.into()
    }

    pub(super) fn body(&self) -> Bytes {
        Bytes::copy_from_slice(&self.hash().0)
    }
}

/// One machine by hand.
pub(super) struct Bench {
    pub(super) chain: Chain,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        Self {
            chain: Chain::new(config),
            now: Instant::ZERO,
        }
    }

    pub(super) fn feed(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        let mut choice = First;
        let mut cx = Cx::new(self.now, &mut choice, &Plain, &mut out);
        self.chain.step(&mut cx, event);
        if let Err(violated) = self.chain.check_invariants() {
            panic!("{violated}");
        }
        out
    }

    /// Ticks at the next deadline.
    pub(super) fn tick(&mut self) -> Vec<Action> {
        self.now = self.chain.next_deadline().expect("a deadline");
        let out = self.feed(Event::Tick);
        assert!(self.chain.next_deadline().is_none_or(|at| at > self.now));
        out
    }

    pub(super) fn extend(&mut self, blocks: &[Block]) -> Vec<Action> {
        let mut out = Vec::new();
        for block in blocks {
            let header = block.header();
            out.extend(self.feed(Event::Extend { header }));
        }
        out
    }

    /// Follows a peer from `point` on.
    pub(super) fn follow(&mut self, conn: u64, point: Point) -> Vec<Action> {
        let mut out = self.feed(Event::Follow(Serial(conn)));
        out.extend(self.sync(
            conn,
            chain_sync::client::Fact::Intersected {
                point,
                tip: crate::base::Tip::ORIGIN,
            },
        ));
        out.extend(self.backward(conn, point));
        out
    }

    pub(super) fn sync(&mut self, conn: u64, fact: chain_sync::client::Fact) -> Vec<Action> {
        self.feed(Event::ChainSync(Serial(conn), fact))
    }

    pub(super) fn backward(&mut self, conn: u64, point: Point) -> Vec<Action> {
        let tip = crate::base::Tip::ORIGIN;
        self.sync(conn, chain_sync::client::Fact::Backward { point, tip })
    }

    pub(super) fn forward(&mut self, conn: u64, blocks: &[Block]) -> Vec<Action> {
        let mut out = Vec::new();
        for block in blocks {
            let fact = chain_sync::client::Fact::Forward {
                header: block.header(),
                view: block.view,
                tip: block.tip(),
            };
            out.extend(self.sync(conn, fact));
        }
        out
    }

    pub(super) fn fetched(&mut self, conn: u64, fact: block_fetch::client::Fact) -> Vec<Action> {
        self.feed(Event::BlockFetch(Serial(conn), fact))
    }

    /// A peer sends these blocks, in one batch; the questions that follow.
    pub(super) fn batch(&mut self, conn: u64, blocks: &[Block]) -> Vec<(Ticket, Hash32)> {
        let mut out = self.fetched(conn, block_fetch::client::Fact::Started);
        for block in blocks {
            out.extend(self.fetched(conn, block_fetch::client::Fact::Block(block.body())));
        }
        out.extend(self.fetched(conn, block_fetch::client::Fact::Done));
        judged(&out)
    }

    pub(super) fn verdict(&mut self, ticket: Ticket, verdict: Verdict) -> Vec<Action> {
        self.feed(Event::Answer(ticket, Answer::Verdict(verdict)))
    }
}

/// The ranges that are asked of a peer.
pub(super) fn requests(actions: &[Action], conn: u64) -> Vec<(Point, Point)> {
    let request = |action: &Action| match action {
        Action::Order(
            to,
            Order::BlockFetch(block_fetch::client::Order::Request { from, to: last }),
        ) if *to == Serial(conn) => Some((*from, *last)),
        _ => None,
    };
    actions.iter().filter_map(request).collect()
}

/// The verdicts that are asked for.
pub(super) fn judged(actions: &[Action]) -> Vec<(Ticket, Hash32)> {
    let judge = |action: &Action| match action {
        Action::Ask(ticket, Question::Judge { view, .. }) => {
            Some((*ticket, view.point.hash().unwrap()))
        }
        _ => None,
    };
    actions.iter().filter_map(judge).collect()
}

/// The misdeeds that are reported.
pub(super) fn misdeeds(actions: &[Action]) -> Vec<(Serial, Misdeed)> {
    let misdeed = |action: &Action| match action {
        Action::Misdeed(conn, misdeed) => Some((*conn, *misdeed)),
        _ => None,
    };
    actions.iter().filter_map(misdeed).collect()
}

/// The orders to the chain-sync client of a peer.
pub(super) fn sync_orders(actions: &[Action], conn: u64) -> Vec<chain_sync::client::Order> {
    let order = |action: &Action| match action {
        Action::Order(to, Order::ChainSync(order)) if *to == Serial(conn) => Some(order.clone()),
        _ => None,
    };
    actions.iter().filter_map(order).collect()
}

enum Up {
    Find(Vec<Point>),
    Next,
    Range(Point, Point),
}

enum Down {
    Sync(chain_sync::server::Order),
    Fetch(block_fetch::server::Order),
}

/// One node follows another: the four halves between them and what is under way.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four halves, each with a state of two"
)]
struct Link {
    client: usize,
    server: usize,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    /// A request for the next header is unanswered.
    asked: bool,
    following: bool,
    paused: bool,
    find: Option<Vec<Point>>,
    /// Ranges unanswered; the first may be streaming.
    ranges: VecDeque<VecDeque<Hash32>>,
    serving: bool,
    waiting: VecDeque<(Point, Point)>,
    announced: BTreeSet<Hash32>,
}

pub(super) struct Member {
    pub(super) chain: Chain,
    store: BTreeMap<Hash32, Bytes>,
    asked: VecDeque<(Ticket, Question)>,
    due: BTreeSet<Hash32>,
    pub(super) evil: bool,
}

/// What has been seen, so that a run in which nothing happened fails.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: usize,
    pub(super) blocks: usize,
    pub(super) rollbacks: usize,
    pub(super) switches: usize,
    pub(super) misdeeds: usize,
    pub(super) no_blocks: usize,
}

/// Several machines.
pub(super) struct World {
    pub(super) nodes: Vec<Member>,
    links: BTreeMap<u64, Link>,
    pub(super) blocks: BTreeMap<Hash32, Block>,
    pub(super) invalid: BTreeSet<Hash32>,
    pub(super) wrong: BTreeSet<Hash32>,
    now: Instant,
    next_link: u64,
    next_block: u64,
    pub(super) seen: Seen,
}

impl World {
    pub(super) fn new(count: usize, config: &Config) -> Self {
        let member = || Member {
            chain: Chain::new(config.clone()),
            store: BTreeMap::new(),
            asked: VecDeque::new(),
            due: BTreeSet::new(),
            evil: false,
        };
        Self {
            nodes: (0..count).map(|_| member()).collect(),
            links: BTreeMap::new(),
            blocks: BTreeMap::new(),
            invalid: BTreeSet::new(),
            wrong: BTreeSet::new(),
            now: Instant::ZERO,
            next_link: 1,
            next_block: 1,
            seen: Seen::default(),
        }
    }

    pub(super) fn link(&mut self, client: usize, server: usize) {
        let id = self.next_link;
        self.next_link += 1;
        let link = Link {
            client,
            server,
            up: VecDeque::new(),
            down: VecDeque::new(),
            asked: false,
            following: false,
            paused: false,
            find: None,
            ranges: VecDeque::new(),
            serving: false,
            waiting: VecDeque::new(),
            announced: BTreeSet::new(),
        };
        self.links.insert(id, link);
        self.feed(client, Event::Follow(Serial(id)));
    }

    /// Cuts a link (by its rank) and ties it anew.
    pub(super) fn relink(&mut self, rank: usize) {
        let Some(&id) = self.links.keys().nth(rank % self.links.len().max(1)) else {
            return;
        };
        if let Some((client, server)) = self.cut(id) {
            self.link(client, server);
        }
    }

    fn cut(&mut self, id: u64) -> Option<(usize, usize)> {
        let link = self.links.remove(&id)?;
        for hash in link.ranges.iter().flatten() {
            self.nodes[link.client].due.remove(hash);
        }
        self.feed(link.client, Event::Gone(Serial(id)));
        self.feed(link.server, Event::Gone(Serial(id)));
        Some((link.client, link.server))
    }

    /// A node makes `count` blocks on the block `depth` below its tip.
    pub(super) fn forge(&mut self, node: usize, depth: u64, count: u64) -> Vec<Hash32> {
        let mut parent = self.tip_block(node);
        for _ in 0..depth {
            parent = parent.and_then(|block| self.blocks.get(&block.view.prev?).copied());
        }
        let blocks = Block::line(parent.as_ref(), self.next_block, count);
        self.next_block += count;
        for block in &blocks {
            self.blocks.insert(block.hash(), *block);
            self.nodes[node].store.insert(block.hash(), block.body());
            let header = block.header();
            self.feed(node, Event::Extend { header });
        }
        blocks.iter().map(Block::hash).collect()
    }

    fn tip_block(&self, node: usize) -> Option<Block> {
        let hash = self.nodes[node].chain.tip().point.hash()?;
        self.blocks.get(&hash).copied()
    }

    fn feed(&mut self, node: usize, event: Event) {
        let mut out = Vec::new();
        let mut choice = First;
        let chain = &mut self.nodes[node].chain;
        chain.step(&mut Cx::new(self.now, &mut choice, &Plain, &mut out), event);
        if let Err(violated) = chain.check_invariants() {
            panic!("{violated}");
        }
        for action in out {
            self.act(node, action);
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::Ask(ticket, question) => self.nodes[node].asked.push_back((ticket, question)),
            Action::Order(Serial(id), order) => self.order(node, id, order),
            Action::Misdeed(Serial(id), _) => {
                self.seen.misdeeds += 1;
                let server = self.links.get(&id).map(|link| link.server);
                let evil = server.is_some_and(|server| self.nodes[server].evil);
                assert!(evil, "an honest peer is blamed: {action:?}");
                self.cut(id);
            }
            Action::Notice(Notice::TipChanged { tip, common, .. }) => {
                let block = self.blocks.get(&tip.point.hash().unwrap()).unwrap();
                let linear = block.view.prev == common.hash();
                self.seen.switches += usize::from(!linear);
                let bad = self.invalid.contains(&block.hash());
                assert!(!bad || self.nodes[node].evil, "an invalid block is adopted");
            }
            Action::Notice(_) | Action::Announced(..) => {}
        }
    }

    fn order(&mut self, node: usize, id: u64, order: Order) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match order {
            Order::ChainSync(order) => {
                match order {
                    chain_sync::client::Order::Follow { points } => {
                        link.following = false;
                        link.find = Some(points);
                    }
                    chain_sync::client::Order::Pause => link.paused = true,
                    chain_sync::client::Order::Resume => link.paused = false,
                    chain_sync::client::Order::Head { .. } | chain_sync::client::Order::Trust => {}
                }
                link.ask();
            }
            Order::ChainServe(order) => link.down.push_back(Down::Sync(order)),
            Order::BlockServe(order) => link.down.push_back(Down::Fetch(order)),
            Order::BlockFetch(block_fetch::client::Order::Request { from, to }) => {
                self.seen.requests += 1;
                let mut range = VecDeque::new();
                let mut at = to.hash();
                while let Some(hash) = at {
                    assert!(link.announced.contains(&hash), "not announced by the peer");
                    assert!(self.nodes[node].due.insert(hash), "asked for twice");
                    range.push_front(hash);
                    at = self.blocks[&hash].view.prev;
                    if Some(hash) == from.hash() {
                        break;
                    }
                }
                assert_eq!(range.front().copied(), from.hash(), "a range in order");
                link.ranges.push_back(range);
                link.up.push_back(Up::Range(from, to));
            }
            Order::TxSupply(_) | Order::TxPull(_) | Order::TipAsk(_) | Order::TipTell(_) => {
                panic!("nobody asked");
            }
        }
    }

    /// Delivers one thing that is under way, chosen by `pick`; `false` when nothing is.
    pub(super) fn deliver(&mut self, pick: usize) -> bool {
        let mut ready = Vec::new();
        for (&id, link) in &self.links {
            if !link.up.is_empty() {
                ready.push((id, 0));
            }
            if !link.down.is_empty() {
                ready.push((id, 1));
            }
        }
        for (node, member) in self.nodes.iter().enumerate() {
            if !member.asked.is_empty() {
                ready.push((node as u64, 2));
            }
        }
        if ready.is_empty() {
            return false;
        }
        match ready[pick % ready.len()] {
            (id, 0) => self.deliver_up(id),
            (id, 1) => self.deliver_down(id),
            (node, _) => self.answer(usize::try_from(node).unwrap(), pick),
        }
        true
    }

    fn deliver_up(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let (conn, server) = (Serial(id), link.server);
        let event = match link.up.pop_front().unwrap() {
            Up::Find(points) => {
                let fact = chain_sync::server::Fact::FindIntersect(points);
                Event::ChainServe(conn, fact)
            }
            Up::Next => Event::ChainServe(conn, chain_sync::server::Fact::RequestNext),
            Up::Range(from, to) => {
                if link.serving {
                    link.waiting.push_back((from, to));
                    return;
                }
                link.serving = true;
                let fact = block_fetch::server::Fact::Requested { from, to };
                Event::BlockServe(conn, fact)
            }
        };
        self.feed(server, event);
    }

    fn deliver_down(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let client = link.client;
        match link.down.pop_front().unwrap() {
            Down::Sync(order) => self.sync_down(id, order),
            Down::Fetch(order) => {
                use block_fetch::client::Fact;
                let last = matches!(
                    order,
                    block_fetch::server::Order::NoBlocks | block_fetch::server::Order::Done
                );
                let fact = match order {
                    block_fetch::server::Order::Start => Fact::Started,
                    block_fetch::server::Order::NoBlocks => {
                        self.seen.no_blocks += 1;
                        for hash in link.ranges.pop_front().unwrap() {
                            self.nodes[client].due.remove(&hash);
                        }
                        Fact::NoBlocks
                    }
                    block_fetch::server::Order::Block(bytes) => {
                        self.seen.blocks += 1;
                        let hash = link.ranges[0].pop_front().unwrap();
                        self.nodes[client].due.remove(&hash);
                        Fact::Block(bytes)
                    }
                    block_fetch::server::Order::Done => {
                        let left = link.ranges.pop_front().unwrap();
                        assert!(left.is_empty(), "a range ends early");
                        Fact::Done
                    }
                };
                if last {
                    link.serving = false;
                    if let Some((from, to)) = link.waiting.pop_front() {
                        link.up.push_front(Up::Range(from, to));
                    }
                }
                self.feed(client, Event::BlockFetch(Serial(id), fact));
            }
        }
    }

    fn sync_down(&mut self, id: u64, order: chain_sync::server::Order) {
        use chain_sync::client::Fact;
        let link = self.links.get_mut(&id).unwrap();
        let client = link.client;
        let fact = match order {
            chain_sync::server::Order::Found { point, tip } => {
                link.following = true;
                let mut at = point.hash();
                while let Some(hash) = at {
                    link.announced.insert(hash);
                    at = self.blocks[&hash].view.prev;
                }
                Fact::Intersected { point, tip }
            }
            chain_sync::server::Order::NotFound { tip } => Fact::NotIntersected { tip },
            chain_sync::server::Order::Forward { header, tip } => {
                link.asked = false;
                let view = Plain.header(&header).unwrap();
                link.announced.insert(view.point.hash().unwrap());
                Fact::Forward { header, view, tip }
            }
            chain_sync::server::Order::Backward { point, tip } => {
                link.asked = false;
                self.seen.rollbacks += 1;
                Fact::Backward { point, tip }
            }
            chain_sync::server::Order::Await => Fact::CaughtUp,
        };
        self.feed(client, Event::ChainSync(Serial(id), fact));
        if let Some(link) = self.links.get_mut(&id) {
            link.ask();
        }
    }

    /// The application of a node answers one of its questions.
    fn answer(&mut self, node: usize, pick: usize) {
        let member = &mut self.nodes[node];
        let at = (pick / 7) % member.asked.len();
        let (ticket, question) = member.asked.remove(at).unwrap();
        let answer = match question {
            Question::Load(points) => {
                let bodies = points.iter().map_while(|point| {
                    let hash = point.hash()?;
                    if member.evil && self.wrong.contains(&hash) {
                        return Some(Bytes::from_static(b"something else"));
                    }
                    member.store.get(&hash).cloned()
                });
                Answer::Loaded(bodies.collect())
            }
            Question::Judge { view, block } => {
                let hash = view.point.hash().unwrap();
                let verdict = if block != self.blocks[&hash].body() {
                    Verdict::WrongBody
                } else if self.invalid.contains(&hash) {
                    Verdict::Invalid
                } else if pick.is_multiple_of(23) {
                    Verdict::Failed
                } else {
                    member.store.insert(hash, block);
                    Verdict::Kept
                };
                Answer::Verdict(verdict)
            }
            Question::Offer { .. } => Answer::Taken(false),
            Question::Take(_) => Answer::Txs(Vec::new()),
        };
        self.feed(node, Event::Answer(ticket, answer));
    }

    /// Delivers everything and lets time pass until nothing more happens.
    pub(super) fn settle(&mut self) {
        let mut pick = 1;
        for _ in 0..200_000 {
            pick += 1;
            if self.deliver(pick) {
                continue;
            }
            let next = self.nodes.iter().filter_map(|n| n.chain.next_deadline());
            let Some(at) = next.min() else { return };
            self.now = at;
            for node in 0..self.nodes.len() {
                self.feed(node, Event::Tick);
            }
        }
        panic!("the world never settles");
    }
}

impl Link {
    /// What the chain-sync client does next.
    fn ask(&mut self) {
        if self.asked {
            return;
        }
        if let Some(points) = self.find.take() {
            self.up.push_back(Up::Find(points));
        } else if self.following && !self.paused {
            self.asked = true;
            self.up.push_back(Up::Next);
        }
    }
}
