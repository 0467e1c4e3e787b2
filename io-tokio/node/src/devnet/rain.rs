//! A devnet of members of one group of structured gossip: one broadcasts, some are killed before
//! and while it does, and all that live must get every message.
//!
//! ```text
//!  all start ─▶ all are told of all ─▶ linked ─▶ some killed ─▶ broadcast ─▶ counted
//!                                                            └─ others killed meanwhile
//! ```
//! Each member has a key of its own, drawn from the seed; the first one broadcasts, and is never
//! killed. Who is killed meanwhile goes when a number of members, drawn too, have the message. All
//! of it together takes no longer than the plan says.

mod ear;
mod picture;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use samanea_core::{
    base::{GroupId, MemberKey},
    chain::Start,
    node::{Command, Config, Engine, Gossip, Node},
    rain::{self, View, Way},
};
use samanea_std::{
    Options, descriptors,
    gossip::{SecretKey, Voice},
};
use tokio::{task::JoinSet, time};
use tracing::info_span;

use super::{Error, MAGIC, REDIAL};
use crate::{
    app::App,
    driver::{Driver, Handle},
    rules::MemberEras,
};
use ear::{Board, Ear};

pub use picture::to_svg;

/// What such a devnet is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The driver of each member, in order; as many members as there are drivers, two at least.
    pub drivers: Vec<Driver>,
    /// How many are killed, half of them before the broadcast; fewer than there are members.
    pub kill: usize,
    /// How many messages are broadcast, at least 1.
    pub messages: usize,
    /// The size of each in bytes.
    pub payload: usize,
    /// Decides the keys, who is killed and when, and every draw of every node.
    pub seed: u64,
    /// The longest that all of it may take.
    pub timeout: Duration,
}

/// What the whole came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When all members were linked to those whom they want; `None`: not in time, and nothing was
    /// broadcast.
    pub linked: Option<Duration>,
    /// Each member; the first one broadcasts.
    pub members: Vec<Outcome>,
    /// When the last member that lives had all, after the first message was published; `None`: not
    /// in time.
    pub took: Option<Duration>,
    /// How many messages were broadcast.
    pub messages: usize,
    /// How many members had ended all their part in the messages when counts were taken.
    pub quiet: usize,
}

/// What one member came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its number.
    pub number: usize,
    /// Its driver.
    pub driver: Driver,
    /// Whether it lives.
    pub fate: Fate,
    /// Members linked to it when all were.
    pub links: usize,
    /// Each message as it got it, if it did.
    pub got: Vec<Option<Got>>,
    /// Frames since all were linked.
    pub counts: Counts,
}

/// Frames of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Payloads sent.
    pub payloads: u64,
    /// Frames without payload sent.
    pub controls: u64,
    /// Payloads that came for nothing.
    pub duplicates: u64,
}

/// Whether a member lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there are three")]
pub enum Fate {
    /// It was never killed.
    Lives,
    /// Killed before the first message was published.
    KilledBefore,
    /// Killed while this message was broadcast.
    KilledDuring(usize),
}

/// How a member got a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got {
    /// When, after it was published.
    pub after: Duration,
    /// Over how many sends; 0 for one's own.
    pub hops: u8,
    /// From whom, by number.
    pub from: usize,
    /// How.
    pub way: Way,
}

impl Report {
    /// The members that live and did not get everything, each with the messages that it lacks.
    pub fn missing(&self) -> Vec<(usize, Vec<usize>)> {
        let lacks = |member: &Outcome| -> Vec<usize> {
            let lacks = |message: &usize| member.got.get(*message).copied().flatten().is_none();
            (0..self.messages).filter(lacks).collect()
        };
        let live = self.members.iter().filter(|m| m.fate == Fate::Lives);
        let all = live.map(|member| (member.number, lacks(member)));
        all.filter(|(_, lacks)| !lacks.is_empty()).collect()
    }

    /// How many members live.
    pub fn live(&self) -> usize {
        let live = self.members.iter().filter(|m| m.fate == Fate::Lives);
        live.count()
    }

    /// All frames.
    pub fn counts(&self) -> Counts {
        self.members
            .iter()
            .fold(Counts::default(), |sum, member| sum.plus(member.counts))
    }
}

impl Counts {
    const fn plus(self, other: Self) -> Self {
        Self {
            payloads: self.payloads.saturating_add(other.payloads),
            controls: self.controls.saturating_add(other.controls),
            duplicates: self.duplicates.saturating_add(other.duplicates),
        }
    }

    const fn since(self, before: Self) -> Self {
        Self {
            payloads: self.payloads.saturating_sub(before.payloads),
            controls: self.controls.saturating_sub(before.controls),
            duplicates: self.duplicates.saturating_sub(before.duplicates),
        }
    }
}

/// The members are looked at so often.
const LOOK: Duration = Duration::from_millis(20);
/// A message is published so long after the one before.
const PAUSE: Duration = Duration::from_millis(50);
/// Who is to be killed while a message is under way is killed after this at the latest.
const KILL_BY: Duration = Duration::from_secs(1);
/// Counts are taken so long after the last message arrived at the latest.
const QUIET: Duration = Duration::from_secs(15);

/// Runs such a devnet.
pub async fn run(plan: &Plan) -> Result<Report, Error> {
    let began = time::Instant::now();
    let deadline = began + plan.timeout;
    let mut group = Group::start(plan).await?;
    group.introduce();
    let linked = group.linked(deadline).await.then(|| began.elapsed());
    let mut took = None;
    let mut quiet = 0;
    if linked.is_some() {
        group.begin();
        took = group.broadcast(deadline).await;
        quiet = group
            .quiet(deadline.min(time::Instant::now() + QUIET))
            .await;
    }
    let report = group.report(linked, took, quiet);
    group.end().await;
    Ok(report)
}

struct Group<'a> {
    plan: &'a Plan,
    members: Vec<Member>,
    board: Arc<Board>,
    rng: ChaCha8Rng,
    killing: JoinSet<()>,
    /// When each message was published.
    published: Vec<time::Instant>,
}

struct Member {
    number: usize,
    driver: Driver,
    key: MemberKey,
    ear: Arc<Ear>,
    handle: Handle,
    addr: SocketAddr,
    fate: Fate,
    links: usize,
    before: Counts,
}

impl Group<'_> {
    async fn start(plan: &Plan) -> Result<Group<'_>, Error> {
        // Few dial each other at once, but each does in both directions.
        descriptors::raise(u64::try_from(plan.drivers.len()).unwrap_or(u64::MAX) * 128);
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let payloads = (0..plan.messages).map(|_| {
            let mut bytes = vec![0; plan.payload];
            rng.fill_bytes(&mut bytes);
            Bytes::from(bytes)
        });
        let board = Arc::new(Board::new(payloads.collect()));
        let mut members = Vec::new();
        for (number, driver) in plan.drivers.iter().enumerate() {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            let voice = Voice::of(SecretKey::from_seed(seed));
            members.push(Member::start(plan, number, *driver, voice, &board).await?);
        }
        Ok(Group {
            plan,
            members,
            board,
            rng,
            killing: JoinSet::new(),
            published: Vec::new(),
        })
    }

    /// Tells everybody who is in the group and where each lives.
    fn introduce(&self) {
        let keys = self.members.iter().map(|member| member.key.into());
        // Far fewer than a group can have.
        let rules = MemberEras(Voice::mute());
        let Ok(view) = View::new(GroupId::AllStaked, 1, None, keys, &rules) else {
            return;
        };
        for member in &self.members {
            for other in self.members.iter().filter(|o| o.number != member.number) {
                let (key, addr) = (other.key, Some(other.addr));
                member.handle.command(Command::Member { key, addr });
            }
            let (view, expires) = (view.clone(), None);
            member.handle.command(Command::View { view, expires });
        }
    }

    /// Waits until every member is linked to those whom it wants; false when the time is not enough.
    async fn linked(&mut self, deadline: time::Instant) -> bool {
        loop {
            let mut all = true;
            for member in &mut self.members {
                let wanted = member.handle.with(|node| node.machine().members_wanted());
                let linked = wanted.iter().filter(|(_, conn)| conn.is_some()).count();
                member.links = linked;
                all &= !wanted.is_empty() && linked == wanted.len();
            }
            if all || time::Instant::now() >= deadline {
                return all;
            }
            time::sleep(LOOK).await;
        }
    }

    /// From here on frames are counted.
    fn begin(&mut self) {
        for member in &mut self.members {
            member.before = member.counts();
        }
    }

    /// Publishes and kills; how long it took until all who live had everything.
    async fn broadcast(&mut self, deadline: time::Instant) -> Option<Duration> {
        let mut victims = self.victims();
        let later = victims.split_off(victims.len() / 2);
        for victim in victims {
            self.kill(victim, Fate::KilledBefore);
        }
        while self.killing.join_next().await.is_some() {}
        let began = time::Instant::now();
        let mut later = later.into_iter().enumerate().peekable();
        let of = self.plan.kill - self.plan.kill / 2;
        for message in 0..self.plan.messages {
            self.publish(message);
            while let Some((_, victim)) =
                later.next_if(|(at, _)| at * self.plan.messages / of.max(1) <= message)
            {
                let enough = self.some_of(self.live());
                self.board.reached(message, enough, KILL_BY).await;
                self.kill(victim, Fate::KilledDuring(message));
            }
            if message + 1 < self.plan.messages {
                time::sleep(PAUSE).await;
            }
        }
        let mut counts = self.board.watch();
        let all = async {
            while self.lacking() {
                let _ = counts.changed().await;
            }
        };
        let all = time::timeout_at(deadline, all).await;
        all.is_ok().then(|| began.elapsed())
    }

    /// Waits until those who live have ended their part in every message, or until `by`; how many
    /// have.
    async fn quiet(&self, by: time::Instant) -> usize {
        let live = self.live();
        loop {
            let members = self.members.iter().filter(|m| m.fate == Fate::Lives);
            let quiet = members.filter(|m| m.ear.done() >= self.plan.messages);
            let quiet = quiet.count();
            if quiet == live || time::Instant::now() >= by {
                return quiet;
            }
            time::sleep(LOOK).await;
        }
    }

    fn publish(&mut self, message: usize) {
        self.published.push(time::Instant::now());
        let payload = self.board.payload(message);
        if let Some(first) = self.members.first() {
            first.handle.command(Command::Publish {
                tag: u64::try_from(message).unwrap_or_default(),
                group: GroupId::AllStaked,
                payload,
                options: rain::Options::default(),
            });
        }
    }

    /// Ends a member as if its process were killed; goes on at once.
    fn kill(&mut self, number: usize, fate: Fate) {
        if let Some(member) = self.members.get_mut(number) {
            member.fate = fate;
            self.killing.spawn(member.handle.clone().kill());
        }
    }

    /// Whom to kill, in order; never the first.
    fn victims(&mut self) -> Vec<usize> {
        let mut left: Vec<usize> = (1..self.members.len()).collect();
        let mut victims = Vec::new();
        while victims.len() < self.plan.kill && !left.is_empty() {
            let at = self.some_of(left.len()) - 1;
            victims.push(left.swap_remove(at));
        }
        victims
    }

    /// A number from 1 to `of`.
    fn some_of(&mut self, of: usize) -> usize {
        let n = u64::try_from(of).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.rng.next_u64() % n).unwrap_or(0) + 1
    }

    fn live(&self) -> usize {
        let live = self.members.iter().filter(|m| m.fate == Fate::Lives);
        live.count()
    }

    /// Whether somebody who lives lacks a message.
    fn lacking(&self) -> bool {
        let mut live = self.members.iter().filter(|m| m.fate == Fate::Lives);
        live.any(|member| member.ear.has() < self.plan.messages)
    }

    fn report(&self, linked: Option<Duration>, took: Option<Duration>, quiet: usize) -> Report {
        let by_key = |key: &MemberKey| self.members.iter().position(|m| m.key == *key);
        let outcome = |member: &Member| {
            let heard = member.ear.heard();
            let got = heard.into_iter().zip(&self.published).map(|(heard, at)| {
                let heard = heard?;
                Some(Got {
                    after: heard.at.saturating_duration_since(*at),
                    hops: heard.hops,
                    from: by_key(&heard.via)?,
                    way: heard.way,
                })
            });
            Outcome {
                number: member.number,
                driver: member.driver,
                fate: member.fate,
                links: member.links,
                got: got.collect(),
                counts: member.counts().since(member.before),
            }
        };
        Report {
            linked,
            members: self.members.iter().map(outcome).collect(),
            took,
            messages: self.plan.messages,
            quiet,
        }
    }

    async fn end(mut self) {
        for member in self.members {
            if member.fate == Fate::Lives {
                self.killing.spawn(member.handle.stop());
            }
        }
        self.killing.join_all().await;
    }
}

impl Member {
    async fn start(
        plan: &Plan,
        number: usize,
        driver: Driver,
        voice: Voice,
        board: &Arc<Board>,
    ) -> Result<Self, Error> {
        let key = voice.member().unwrap_or_default();
        let mut config = Config::new(MAGIC);
        config.redial_min = REDIAL;
        config.chain.start = Start::Genesis;
        config.gossip = Some(Gossip::new(key, 1));
        let app = App::within(info_span!("member", number), 0).speaking(voice);
        let ear = Arc::new(Ear::new(app, Arc::clone(board)));
        let own_seed = plan.seed.wrapping_add(u64::try_from(number).unwrap_or(0));
        let node = Node::new(Engine::new(config), own_seed);
        let mut options = Options::default();
        options.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let listen = |source| Error::Listen {
            node: number,
            source,
        };
        let handle = Handle::start(driver, Box::new(node), Arc::clone(&ear) as _, options)
            .await
            .map_err(listen)?;
        let addr = handle.listening().first().copied();
        Ok(Self {
            number,
            driver,
            key,
            ear,
            addr: addr.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            handle,
            fate: Fate::Lives,
            links: 0,
            before: Counts::default(),
        })
    }

    /// Frames since the start.
    fn counts(&self) -> Counts {
        let stats = self.handle.with(|node| {
            let rain = node.machine().rain();
            rain.map(|rain| *rain.stats()).unwrap_or_default()
        });
        Counts {
            payloads: stats.payloads,
            controls: stats.controls,
            duplicates: stats.duplicates,
        }
    }
}
