//! Rules of the clean-up that seem right and are not: each story leaves a member out with the naive
//! rule, in a model, and nobody out with the machines.

use core::time::Duration;

use bytes::Bytes;
use samanea_core::{
    base::{Cx, First, GroupId, Instant, Machine as _},
    proto::rain_link::Frame,
    rain::{Acks, Action, Config, Event, Options, Rain, Reach, Redundancy, Side, View},
};
use samanea_sim::rain::{
    naive::{Few, Rule},
    toy::{Keyed, member, number},
    world::{Mood, World, config, quiet, view_of},
};

const NOBODY: [usize; 0] = [];

/// Members whose mail the test delivers, or loses. Digests are always lost: the chains are to do
/// it alone.
struct Table {
    now: Instant,
    view: View,
    config: Config,
    rains: Vec<Rain>,
    gone: Vec<bool>,
    mail: Vec<(u32, u32, Frame)>,
    got: Vec<u32>,
}

impl Table {
    fn new(n: u32, config: Config) -> Self {
        let view = view_of(&GroupId::AllStaked, 0..n);
        let all = 0..n as usize;
        let mut table = Self {
            now: Instant::from_secs(1),
            view,
            rains: (0..n)
                .map(|at| Rain::new(config.clone(), member(at), 1))
                .collect(),
            config,
            gone: all.clone().map(|_| false).collect(),
            mail: Vec::new(),
            got: all.map(|_| 0).collect(),
        };
        for at in 0..n {
            table.introduce(at);
        }
        table
    }

    fn introduce(&mut self, at: u32) {
        let (view, expires) = (self.view.clone(), None);
        self.tell(at, Event::View { view, expires });
    }

    /// The members as they sit on the clean-up ring, from member 0 on.
    fn ring(&self) -> Vec<u32> {
        let place = self.view.clean_place(0).unwrap();
        let steps = 0..self.view.members();
        let at = |steps| self.view.clean_ahead(place, steps, Side::Right);
        steps
            .map(|steps| self.view.clean_at(at(steps)).unwrap())
            .collect()
    }

    fn tell(&mut self, at: u32, event: Event) {
        if self.gone[at as usize] {
            return;
        }
        let mut out = Vec::new();
        let rules = Keyed(member(at));
        let mut choice = First;
        let mut cx = Cx::new(self.now, &mut choice, &rules, &mut out);
        self.rains[at as usize].step(&mut cx, event);
        self.rains[at as usize].check_invariants().unwrap();
        for action in out {
            match action {
                Action::Send { peer, frame, .. } if !matches!(frame, Frame::Digest { .. }) => {
                    self.mail.push((at, number(&peer), frame));
                }
                Action::Deliver(_) => self.got[at as usize] += 1,
                _ => {}
            }
        }
    }

    fn publish(&mut self, at: u32) {
        let event = Event::Publish {
            tag: 1,
            group: GroupId::AllStaked,
            payload: Bytes::from_static(b"a message"),
            options: Options::default(),
        };
        self.tell(at, event);
    }

    fn take(&mut self, from: u32, to: u32) -> Vec<Frame> {
        let (taken, left): (Vec<_>, Vec<_>) = self
            .mail
            .drain(..)
            .partition(|(of, at, _)| (*of, *at) == (from, to));
        self.mail = left;
        taken.into_iter().map(|(_, _, frame)| frame).collect()
    }

    /// Everything on its way from one to the other arrives; how much that was.
    fn deliver(&mut self, from: u32, to: u32) -> usize {
        let taken = self.take(from, to);
        let count = taken.len();
        for frame in taken {
            let peer = member(from);
            self.tell(to, Event::Received { peer, frame });
        }
        count
    }

    /// Everything on its way from one to the other is lost; how much that was.
    fn lose(&mut self, from: u32, to: u32) -> usize {
        self.take(from, to).len()
    }

    /// Time passes, and no mail is delivered.
    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        let due = |table: &Self| {
            let live = (0..).zip(table.rains.iter().zip(&table.gone));
            live.filter(|(_, (_, gone))| !**gone)
                .filter_map(|(at, (rain, _))| Some((rain.next_deadline()?, at)))
                .min()
        };
        while let Some((when, at)) = due(self).filter(|(when, _)| *when <= end) {
            self.now = self.now.max(when);
            self.tell(at, Event::Tick);
        }
        self.now = end;
    }

    /// Time passes, and all mail is delivered.
    fn run(&mut self, span: Duration) {
        let step = Duration::from_millis(10);
        for _ in 0..span.as_millis() / step.as_millis() {
            while let Some((from, to, _)) = self.mail.first() {
                let (from, to) = (*from, *to);
                self.deliver(from, to);
            }
            self.pass(step);
        }
    }

    fn down(&mut self, one: u32, two: u32) {
        self.lose(one, two);
        self.lose(two, one);
        for (at, other) in [(one, two), (two, one)] {
            let peer = member(other);
            self.tell(at, Event::Down { peer });
        }
    }

    fn up(&mut self, one: u32, two: u32) {
        for (at, other) in [(one, two), (two, one)] {
            let event = Event::Up {
                peer: member(other),
                round_trip: None,
                payload_max: 1 << 20,
                credit: 1 << 20,
            };
            self.tell(at, event);
        }
    }

    /// A member dies, and those who live are told.
    fn crash(&mut self, at: u32) {
        for other in (0..self.view.members()).filter(|other| *other != at) {
            self.down(at, other);
        }
        self.gone[at as usize] = true;
    }
}

/// One custodian; nothing repairs but chains.
fn chains(acks: Acks) -> Config {
    let mut config = Config {
        reach: Reach::Assumed,
        redundancy: Some(Redundancy::None),
        acks,
        ..Config::default()
    };
    config.cleanup.custodians = 1;
    config.cleanup.watch = false;
    config.times.digest = Duration::from_secs(86_400);
    config
}

/// The first question on its way from a member, if any: to whom.
fn asked_by(table: &Table, at: u32) -> Option<u32> {
    let mut asks = table.mail.iter();
    let ask = asks.find(|(from, _, frame)| *from == at && matches!(frame, Frame::Igyw(_)));
    ask.map(|(_, to, _)| *to)
}

/// Three members, of whom two hold it: the second is asked by the first. If it counts the first at
/// once, and the first dies, it goes on past the first, which is once around: the third is never
/// asked.
#[test]
fn who_asks_is_counted_when_the_chain_comes_to_it_and_not_at_once() {
    let model = |rule| {
        let mut few = Few::new(3, 1, rule);
        few.give(0, None);
        few.give(1, None);
        few.go_on(0);
        few.crash(0);
        few.go_on(1);
        few.missed()
    };
    assert_eq!(model(Rule::CountAtOnce), [2], "the naive rule");
    assert_eq!(model(Rule::Right), NOBODY);

    let mut table = Table::new(3, chains(Acks::Off));
    let [a, b, c] = table.ring()[..] else {
        panic!("three members");
    };
    table.publish(a);
    // The copy takes so long that the publisher's chain begins first.
    table.pass(Duration::from_millis(450));
    assert_eq!((table.deliver(a, b), table.lose(a, c)), (1, 1));
    table.pass(Duration::from_millis(380));
    assert_eq!(asked_by(&table, a), Some(b));
    table.deliver(a, b);
    assert_eq!(table.got, counts([(a, 1), (b, 1), (c, 0)]));
    // The publisher dies before the other's chain begins.
    table.crash(a);
    for _ in 0..1_000 {
        if asked_by(&table, b).is_none() {
            table.pass(Duration::from_millis(10));
        }
    }
    assert_eq!(asked_by(&table, b), Some(c), "who asked is not counted");
    table.run(Duration::from_secs(10));
    assert_eq!(table.got, counts([(a, 1), (b, 1), (c, 1)]));
}

fn counts(of: [(u32, u32); 3]) -> Vec<u32> {
    let mut counts = vec![0; 3];
    for (at, count) in of {
        counts[at as usize] = count;
    }
    counts
}

/// A holder starts anew with nothing. If it is still taken for a holder, it is counted, and neither
/// it nor the one behind it is asked.
#[test]
fn a_holder_that_starts_anew_is_taken_for_one_that_has_nothing() {
    let model = |rule| {
        let mut few = Few::new(3, 1, rule);
        few.give(0, None);
        few.give(1, Some(0));
        few.restart(1);
        few.go_on(0);
        if !few.missed().contains(&1) {
            few.go_on(1);
        }
        few.missed()
    };
    assert_eq!(model(Rule::TrustMemory), [1, 2], "the naive rule");
    assert_eq!(model(Rule::Right), NOBODY);

    let mut table = Table::new(3, chains(Acks::All));
    let [a, b, c] = table.ring()[..] else {
        panic!("three members");
    };
    table.publish(a);
    assert_eq!((table.deliver(a, b), table.lose(a, c)), (1, 1));
    assert_eq!(table.deliver(b, a), 1, "it acknowledges");
    let id = *table.rains[a as usize].held().next().unwrap();
    let holders = |table: &Table| table.rains[a as usize].look(&id).unwrap().holders;
    assert!(holders(&table).contains(&b));
    table.down(a, b);
    table.down(b, c);
    table.rains[b as usize] = Rain::new(table.config.clone(), member(b), 2);
    table.introduce(b);
    assert!(!holders(&table).contains(&b), "its memory is lost");
    table.up(a, b);
    table.up(b, c);
    assert_eq!(table.got, counts([(a, 1), (b, 1), (c, 0)]));
    table.run(Duration::from_secs(20));
    assert_eq!(table.got, counts([(a, 1), (b, 2), (c, 1)]), "once a life");
}

/// A connection breaks, comes back, and breaks again with the answer on its way. If to be asked
/// again were enough to be passed over no longer, that member would be forgotten.
#[test]
fn who_was_passed_over_is_asked_again_until_it_has_it() {
    let model = |rule| {
        let mut few = Few::new(3, 1, rule);
        few.give(0, None);
        few.crash(1);
        few.cut(0, 2);
        few.go_on(0);
        few.mend(0, 2, false);
        few.cut(0, 2);
        few.mend(0, 2, true);
        few.missed()
    };
    assert_eq!(model(Rule::AskingForgets), [2], "the naive rule");
    assert_eq!(model(Rule::Right), NOBODY);

    // What the second break takes with it: the answer, or the payload.
    for payload in [false, true] {
        let mut table = Table::new(3, chains(Acks::Off));
        let [a, b, c] = table.ring()[..] else {
            panic!("three members");
        };
        table.crash(b);
        table.publish(a);
        table.down(a, c);
        table.pass(Duration::from_secs(5));
        table.up(a, c);
        for _ in 0..100 {
            if asked_by(&table, a).is_none() {
                table.pass(Duration::from_millis(10));
            }
        }
        assert_eq!(asked_by(&table, a), Some(c));
        assert_eq!(table.deliver(a, c), 1, "it is asked again");
        if payload {
            assert_eq!(table.deliver(c, a), 1, "it wants it");
            assert_eq!(table.lose(a, c), 1, "the payload is lost");
        } else {
            assert_eq!(table.lose(c, a), 1, "its answer is lost");
        }
        table.down(a, c);
        table.pass(Duration::from_secs(1));
        table.up(a, c);
        assert_eq!(table.got[c as usize], 0);
        table.run(Duration::from_secs(5));
        assert_eq!(table.got[c as usize], 1, "payload lost: {payload}");
    }
}

/// A member with two liars on either side of it on the clean-up ring, and one above it in the tree;
/// those next to them are honest.
fn surrounded(n: u32) -> Option<(u32, Vec<u32>)> {
    let view = view_of(&GroupId::AllStaked, 0..n);
    (1..n).find_map(|at| {
        let parent = view.gaps().derive(at, |_| false).parent?;
        let place = view.clean_place(at)?;
        let near: Vec<u32> = [1, 2, 3]
            .into_iter()
            .flat_map(|steps| Side::BOTH.map(|side| view.clean_ahead(place, steps, side)))
            .filter_map(|place| view.clean_at(place))
            .collect();
        let mut liars = near[..4].to_vec();
        let fit = parent != 0 && !liars.contains(&0) && !near.contains(&parent);
        liars.push(parent);
        fit.then_some((at, liars))
    })
}

/// As many liars on both sides of a member as a chain counts hide it. One more custodian finds it,
/// and so does a digest of, or to, anybody at random.
#[test]
fn a_member_between_liars_is_found_by_one_custodian_more_or_by_a_digest_to_anybody() {
    let n = 27;
    let (hidden, liars) = surrounded(n).expect("somebody");
    let missed = |base: &Config, custodians, seed| {
        let mut config = base.clone();
        config.cleanup.custodians = custodians;
        let mut world = World::of(n, &config, seed);
        world.checked = true;
        for at in &liars {
            world.set_mood(*at, Mood::Liar);
        }
        let payload = Bytes::from_static(b"a message");
        let id = world.publish(0, &GroupId::AllStaked, payload).unwrap();
        world.run(Duration::from_secs(58));
        world.missed(&id, 0..n)
    };
    for seed in 1..=4 {
        let left = missed(&quiet(), 2, seed);
        assert!(left.contains(&hidden), "{left:?}");
        assert_eq!(missed(&quiet(), 3, seed), [0_u32; 0], "three custodians");
        assert_eq!(missed(&config(), 2, seed), [0_u32; 0], "digests");
    }
}
