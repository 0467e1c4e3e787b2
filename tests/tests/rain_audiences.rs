//! Worlds of validators, servicers, watchers and archival nodes, in groups that overlap: who gets
//! what, and who hears nothing of it.

use core::{ops::Range, time::Duration};
use std::{
    collections::BTreeSet,
    io::{self, Write as _},
};

use bytes::Bytes;
use samanea_core::{
    base::{Actor, GroupId, MemberKey, MessageId, Rules as _},
    proto::rain_link::{Data, Flags, Frame, Limit, Terms},
    rain::{Audience, Config, Event, Options, View, Way, audience, id},
};
use samanea_sim::rain::{
    toy::{Keyed, member},
    world::{Mood, UNIT, World, config, quiet, view_of},
};

const NOBODY: [u32; 0] = [];
const SERVICERS: u32 = 100;
const WATCHERS: u32 = 20;
const ARCHIVAL: u32 = 15;
/// Longer than anything takes, shorter than a message is kept.
const LONG: Duration = Duration::from_secs(50);
const PAYLOAD: Bytes = Bytes::from_static(b"a message of forty bytes, or thereabouts");

/// Without a single digest, so that every frame is about a message.
fn hushed() -> Config {
    let mut config = quiet();
    config.times.digest = Duration::from_secs(10_000_000);
    config
}

/// Members by number: validators first, then servicers, watchers, and archival nodes without a
/// stake. Some validators and some servicers are archival nodes, too.
struct Society {
    world: World,
    validators: u32,
}

impl Society {
    fn new(validators: u32, config: &Config, seed: u64) -> Self {
        let mut world = World::new(seed);
        world.checked = true;
        for _ in 0..validators + SERVICERS + WATCHERS + ARCHIVAL {
            world.join(config);
        }
        let mut society = Self { world, validators };
        for view in society.views() {
            for at in 0..society.world.members() {
                let (view, expires) = (view.clone(), None);
                society.world.tell(at, Event::View { view, expires });
            }
        }
        // Past the first digests.
        society.world.run(Duration::from_secs(6));
        society
    }

    fn validators(&self) -> Range<u32> {
        0..self.validators
    }

    fn servicers(&self) -> Range<u32> {
        self.validators..self.validators + SERVICERS
    }

    fn watchers(&self) -> Range<u32> {
        self.servicers().end..self.staked().end
    }

    fn staked(&self) -> Range<u32> {
        0..self.validators + SERVICERS + WATCHERS
    }

    /// Those with a stake who are no validators.
    fn others(&self) -> Range<u32> {
        self.validators..self.staked().end
    }

    fn strangers(&self) -> Range<u32> {
        self.staked().end..self.world.members()
    }

    fn archival(&self) -> Vec<u32> {
        let first = self.validators;
        let some = [0, 1, 2, first, first + 1, first + 2].into_iter();
        some.chain(self.strangers()).collect()
    }

    fn views(&self) -> Vec<View> {
        let role = GroupId::Role;
        let plain = vec![
            view_of(&role(Actor::Validator), self.validators()),
            view_of(&role(Actor::Servicer), self.servicers()),
            view_of(&role(Actor::Watcher), self.watchers()),
            view_of(&role(Actor::Archival), self.archival().into_iter()),
            view_of(&GroupId::AllStaked, self.staked()),
        ];
        let known = |group: &GroupId| plain.iter().find(|view| view.group() == group).cloned();
        let rules = Keyed(MemberKey::default());
        let terms = [audience::others(), audience::archive()];
        let terms: Vec<View> = terms
            .iter()
            .map(|term| View::of_term(term, &known, &rules).unwrap().unwrap())
            .collect();
        assert_eq!(terms[0].members(), SERVICERS + WATCHERS);
        assert_eq!(terms[1].members(), ARCHIVAL);
        plain.into_iter().chain(terms).collect()
    }

    /// Publishes, lets it spread, and tells who heard anything at all.
    fn spread(
        &mut self,
        at: u32,
        audience: Audience,
        payload: Bytes,
    ) -> (MessageId, BTreeSet<u32>) {
        let all = 0..self.world.members();
        let before: Vec<u64> = all.clone().map(|at| self.world.heard(at)).collect();
        let id = self.world.publish_to(at, audience, payload);
        self.world.run(LONG);
        let heard = all.filter(|at| self.world.heard(*at) > before[*at as usize]);
        (id.expect("it was published"), heard.collect())
    }

    fn got(&self, id: &MessageId) -> BTreeSet<u32> {
        let spread = self.world.spread(id);
        spread.map_or_else(BTreeSet::new, |spread| spread.got.keys().copied().collect())
    }

    fn hops(&self, id: &MessageId) -> u8 {
        let got = self.world.spread(id).expect("somebody got it").got.values();
        got.map(|got| got.hop).max().unwrap_or(0)
    }

    /// The ids of a message in the groups that it has gone on to, by who handed it in.
    fn onward(&self, id: &MessageId) -> Vec<(u32, MessageId)> {
        let bridged = self.world.bridged.iter().filter(|(_, of, _)| of == id);
        bridged.map(|(at, _, onward)| (*at, *onward)).collect()
    }
}

fn set(of: Range<u32>) -> BTreeSet<u32> {
    of.collect()
}

fn tell(of: &str, text: &str) {
    let _ = writeln!(io::stderr(), "rain audiences: {of}: {text}");
}

fn consensus() -> Audience {
    let round = Duration::from_secs(20);
    Audience::Consensus { round }
}

#[test]
fn consensus_is_heard_by_validators_alone_and_forgotten_after_the_round() {
    let mut hops = Vec::new();
    for validators in [1, 4, 32, 33, 60] {
        let mut society = Society::new(validators, &hushed(), 3);
        let before = society.world.sent().payloads;
        let (id, heard) = society.spread(validators / 2, consensus(), PAYLOAD);
        let all = set(society.validators());
        assert_eq!(society.got(&id), all);
        let silent = validators == 1;
        assert_eq!(heard, if silent { BTreeSet::new() } else { all });
        let payloads = society.world.sent().payloads - before;
        assert_eq!(payloads, u64::from(validators - 1), "no copy for nothing");
        let star = (2..=32).contains(&validators);
        assert!(!star || society.hops(&id) == 1, "directly");
        hops.push(society.hops(&id));
        // Twenty seconds have long passed.
        let held = (0..society.world.members()).map(|at| society.world.rain(at).held().count());
        assert_eq!(held.sum::<usize>(), 0, "the round is over");
    }
    assert!(hops[3] > 1, "33 are too many for a star");
    tell("consensus", &format!("hops {hops:?}"));
}

/// In a small group each is sent it directly; who is dead hurts nobody, and who died after it was
/// chosen is found out by nobody's chain in vain.
#[test]
fn consensus_reaches_live_validators_whoever_is_dead() {
    for validators in [10, 32, 50] {
        for seed in 0..4 {
            let mut society = Society::new(validators, &hushed(), seed);
            for at in 1..validators / 3 {
                society.world.set_mood(at * 3, Mood::Dead);
            }
            let (id, heard) = society.spread(0, consensus(), PAYLOAD);
            let all = 0..validators;
            assert_eq!(society.world.missed(&id, all.clone()), NOBODY);
            assert!(heard.iter().all(|at| all.contains(at)));
        }
    }
}

#[test]
fn transactions_of_a_servicer_reach_all_validators_and_nobody_else_hears_of_them() {
    for bytes in [40, 15 << 10, 20 << 10] {
        let mut society = Society::new(40, &hushed(), 5);
        let from = society.servicers().start + 7;
        let before = society.world.sent();
        let payload = Bytes::from(vec![7; bytes]);
        let silent = society.world.heard(from);
        let (id, heard) = society.spread(from, Audience::Transactions, payload);
        assert_eq!(society.got(&id), set(society.validators()));
        let mut expected = set(society.validators());
        // Who has handed it in hears that it was taken.
        expected.insert(from);
        assert_eq!(heard, expected);
        let payloads = society.world.sent().payloads - before.payloads;
        assert_eq!(payloads, 40, "each validator is sent it once");
        let asked = society.world.heard(from) - silent;
        assert_eq!(asked, if bytes > 16 << 10 { 6 } else { 3 }, "{bytes} bytes");
        assert!(society.hops(&id) <= 5, "{}", society.hops(&id));
    }
}

#[test]
fn transactions_reach_live_validators_although_a_third_of_them_is_dead() {
    let mut dead_entries = 0;
    for seed in 0..12 {
        let mut society = Society::new(40, &hushed(), seed);
        for at in 0..13 {
            society.world.set_mood(at * 3, Mood::Dead);
        }
        let from = society.servicers().start + 7;
        let (id, _) = society.spread(from, Audience::Transactions, PAYLOAD);
        assert_eq!(society.world.missed(&id, 0..40), NOBODY, "seed {seed}");
        let payloads = society.world.rain(from).stats().payloads;
        dead_entries += payloads - 3;
    }
    assert!(dead_entries > 0, "no entry was dead");
}

#[test]
fn transactions_to_all_reach_everybody_with_a_stake() {
    let mut society = Society::new(40, &hushed(), 5);
    let from = society.servicers().start;
    let (id, heard) = society.spread(from, Audience::TransactionsToAll, PAYLOAD);
    assert_eq!(society.got(&id), set(society.staked()));
    assert_eq!(heard, set(society.staked()));
}

#[test]
fn a_block_reaches_validators_and_then_all_others_once_each() {
    for validators in [1, 2, 3, 5, 40] {
        let mut society = Society::new(validators, &hushed(), 9);
        let before = society.world.sent().payloads;
        let (id, heard) = society.spread(validators / 2, Audience::Block, PAYLOAD);
        assert_eq!(society.got(&id), set(society.validators()));
        let onward = society.onward(&id);
        let bridge: BTreeSet<u32> = onward.iter().map(|(at, _)| *at).collect();
        let ids: BTreeSet<MessageId> = onward.iter().map(|(_, id)| *id).collect();
        assert_eq!(bridge.len(), validators.min(5) as usize);
        assert!(bridge.contains(&(validators / 2)), "the origin is one");
        assert_eq!(ids.len(), 1, "one message, whoever hands it in");
        let there = ids.first().expect("it went on");
        assert_eq!(society.got(there), set(society.others()));
        let payloads = society.world.sent().payloads - before;
        let staked = u64::from(society.staked().end);
        assert_eq!(payloads, staked - 1, "no copy for nothing");
        let strangers = society.strangers();
        assert!(heard.iter().all(|at| !strangers.contains(at)));
        // Of validators, only those of the bridge hold what is not theirs.
        for at in society.validators() {
            let held = society.world.rain(at).held().any(|held| held == there);
            assert_eq!(held, bridge.contains(&at));
        }
    }
}

#[test]
fn a_block_for_the_archive_reaches_archival_nodes_once_too() {
    let mut society = Society::new(40, &hushed(), 9);
    let (id, _) = society.spread(11, Audience::BlockToArchive, PAYLOAD);
    let ids: BTreeSet<MessageId> = society.onward(&id).iter().map(|(_, id)| *id).collect();
    assert_eq!(ids.len(), 2, "one in each group");
    let mut times = vec![0; society.world.members() as usize];
    for of in ids.iter().chain([&id]) {
        for at in society.got(of) {
            times[at as usize] += 1;
        }
    }
    assert!(times.iter().all(|times| *times == 1), "{times:?}");
}

/// Who dies does so before the block, or right after it has acknowledged it and hands nothing in.
#[test]
fn a_block_reaches_everybody_alive_with_all_of_the_bridge_dead_but_one() {
    let (mut runs, mut chains, mut slowest) = (0, 0, 0);
    for seed in 0..6 {
        // Who they are follows from the id alone.
        let mut rehearsal = Society::new(40, &hushed(), seed);
        let (id, _) = rehearsal.spread(11, Audience::Block, PAYLOAD);
        let bridge = rehearsal.onward(&id);
        assert_eq!(bridge.len(), 5);
        let there = bridge[0].1;
        for (dead, mood) in [
            (1, Mood::Dead),
            (2, Mood::Dead),
            (2, Mood::Dying),
            (4, Mood::Dead),
            (4, Mood::Dying),
        ] {
            let mut society = Society::new(40, &hushed(), seed);
            let others = bridge.iter().filter(|(at, _)| *at != 11);
            for (at, _) in others.take(dead) {
                society.world.set_mood(*at, mood);
            }
            let (same, _) = society.spread(11, Audience::Block, PAYLOAD);
            assert_eq!(same, id);
            let case = format!("{dead} of the bridge {mood:?}, seed {seed}");
            assert_eq!(society.onward(&id).len(), 5 - dead, "{case}");
            assert_eq!(
                society.world.missed(&id, society.validators()),
                NOBODY,
                "{case}"
            );
            assert_eq!(
                society.world.missed(&there, society.others()),
                NOBODY,
                "{case}"
            );
            let spread = society.world.spread(&there).expect("it went on");
            let late = spread.got.values().map(|got| got.at.since(spread.since));
            slowest = slowest.max(late.max().unwrap_or_default().as_millis() / UNIT.as_millis());
            chains += spread.got.values().filter(|g| g.way == Way::Chain).count();
            runs += 1;
        }
    }
    assert!(chains > runs, "{chains} by chains in {runs} runs");
    let text = format!("{runs} runs, {chains} deliveries by chains, {slowest} units");
    tell("bridge", &text);
}

/// The originator dies with its last send: the others of the bridge do it.
#[test]
fn a_block_goes_on_when_its_origin_dies_right_after_it_was_published() {
    for seed in 0..6 {
        let mut society = Society::new(40, &hushed(), seed);
        let id = society.world.publish_to(11, Audience::Block, PAYLOAD);
        society.world.crash(11);
        society.world.run(LONG);
        let id = id.expect("it was published");
        let there = society.onward(&id)[0].1;
        assert_eq!(society.onward(&id).len(), 5);
        assert_eq!(society.world.missed(&id, society.validators()), NOBODY);
        assert_eq!(society.world.missed(&there, society.others()), NOBODY);
    }
}

#[test]
fn a_block_reaches_everybody_alive_with_a_third_of_all_dead() {
    let mut dead_bridge = 0;
    for seed in 0..4 {
        let mut society = Society::new(40, &hushed(), seed);
        for at in (0..society.staked().end).filter(|at| at % 3 == 1 && *at != 11) {
            society.world.set_mood(at, Mood::Dead);
        }
        let (id, _) = society.spread(11, Audience::Block, PAYLOAD);
        let onward = society.onward(&id);
        assert_eq!(society.world.missed(&id, society.validators()), NOBODY);
        assert_eq!(society.world.missed(&onward[0].1, society.others()), NOBODY);
        dead_bridge += 5 - onward.len();
    }
    assert!(dead_bridge > 0, "no bridge member was dead");
}

/// What validators say to each other is the same, whether a block goes on or not.
#[test]
fn validators_send_each_other_the_same_whether_a_block_goes_on_or_not() {
    let frames = |audience: Audience| {
        let mut society = Society::new(40, &config(), 7);
        society.world.watched = 40;
        let (_, _) = society.spread(11, audience, PAYLOAD);
        let seen = society.world.seen.iter();
        seen.map(|(at, from, to, _)| (*at, *from, *to))
            .collect::<Vec<_>>()
    };
    let group = audience::validators();
    let options = Options::default();
    let alone = frames(Audience::Group { group, options });
    assert!(alone.len() > 100);
    let on = frames(Audience::Block);
    assert_eq!(alone, on, "times and receivers of all frames");
}

#[test]
fn who_is_no_validator_publishes_neither_blocks_nor_votes() {
    let mut society = Society::new(10, &hushed(), 1);
    let strangers = society.strangers().start;
    for at in [
        society.servicers().start,
        society.watchers().start,
        strangers,
    ] {
        for audience in [consensus(), Audience::Block, Audience::BlockToArchive] {
            assert_eq!(society.world.publish_to(at, audience, PAYLOAD), None);
        }
    }
    for at in [society.watchers().start, strangers] {
        let audience = Audience::Transactions;
        assert_eq!(society.world.publish_to(at, audience, PAYLOAD), None);
    }
    let archival = Audience::Announcement;
    let servicer = society.servicers().start + 50;
    assert_eq!(society.world.publish_to(servicer, archival, PAYLOAD), None);
}

/// A servicer has a door to the validators, and none to where blocks go on to.
#[test]
fn what_is_handed_in_where_there_is_no_door_is_not_taken() {
    let mut society = Society::new(10, &hushed(), 1);
    let (servicer, validator) = (society.servicers().start, 3);
    let to = society.watchers().start;
    let mut taken = Vec::new();
    let cases = [
        (servicer, servicer),
        (servicer, validator),
        (society.strangers().start, validator),
        (servicer, society.strangers().start),
        (validator, servicer),
        (validator, validator),
    ];
    for (seq, (from, origin)) in (0..).zip(cases) {
        let view = society.world.rain(to).view(&audience::others()).cloned();
        let view = view.expect("it was told");
        let rules = Keyed(member(origin));
        let mut data = Data {
            group: audience::others(),
            epoch: 1,
            view: view.digest().0,
            origin: member(origin),
            boot: 1,
            seq,
            limit: Limit::Key(member(to)),
            flags: Flags::TREE.with(Flags::INJECT).with(Flags::DELEGATED),
            hop: 1,
            signature: samanea_core::base::Signature::default(),
            terms: Terms::default(),
            payload: PAYLOAD,
        };
        let id = id::message_id(&data, &rules);
        data.signature = rules.sign(&id::signed_bytes(&id)).expect("a key");
        let frame = Frame::Data(Box::new(data));
        let peer = member(from);
        let before = society.world.rain(to).stats().misdeeds;
        society
            .world
            .push(from, to, Event::Received { peer, frame });
        society.world.run(UNIT * 2);
        taken.push(society.got(&id).contains(&to));
        let blamed = society.world.rain(to).stats().misdeeds - before;
        // A member may pass on what another member's origin has no right to: it must not.
        assert_eq!(
            blamed > 0,
            !taken.last().expect("one"),
            "{from} for {origin}"
        );
    }
    // A servicer is a member of the group itself: what it passes on of a validator is taken.
    assert_eq!(taken, [true, true, false, false, true, true]);
}

#[test]
fn an_announcement_reaches_archival_nodes_and_digests_find_who_was_cut_off() {
    let mut society = Society::new(40, &config(), 2);
    let archival = society.archival();
    let lost = society.strangers().start + 3;
    society.world.cut(|at| u8::from(at == lost));
    let point = Bytes::from_static(b"slot 7, hash of a block");
    let id = society.world.publish_to(11, Audience::Announcement, point);
    let id = id.expect("it was published");
    society.world.run(Duration::from_secs(15));
    let mut others: BTreeSet<u32> = archival.iter().copied().collect();
    others.remove(&lost);
    assert_eq!(society.got(&id), others);
    society.world.heal();
    society.world.run(Duration::from_secs(20));
    others.insert(lost);
    assert_eq!(society.got(&id), others);
    let ways = &society.world.spread(&id).expect("it spread").got;
    assert!(matches!(ways[&lost].way, Way::Pulled | Way::Chain));
}

/// A view of the next group that comes late: the message waits for it.
#[test]
fn a_bridge_member_that_lacks_a_view_hands_in_when_it_comes() {
    let mut society = Society::new(5, &hushed(), 4);
    let rules = Keyed(MemberKey::default());
    let next = society
        .views()
        .into_iter()
        .map(|view| view.next(2, None, None, None, &rules).expect("as many"));
    let next: Vec<View> = next.collect();
    let late = 3;
    let all = 0..society.world.members();
    for view in &next {
        for at in all.clone().filter(|at| *at != late) {
            let (view, expires) = (view.clone(), None);
            society.world.tell(at, Event::View { view, expires });
        }
    }
    let validators = next
        .iter()
        .find(|view| *view.group() == audience::validators());
    let (view, expires) = (validators.cloned().expect("one"), None);
    society.world.tell(late, Event::View { view, expires });
    let id = society.world.publish_to(0, Audience::Block, PAYLOAD);
    let id = id.expect("it was published");
    society.world.run(Duration::from_millis(1_500));
    assert_eq!(society.onward(&id).len(), 4, "one waits");
    for view in next {
        let expires = None;
        society.world.tell(late, Event::View { view, expires });
    }
    assert_eq!(society.onward(&id).len(), 5);
    society.world.run(LONG);
    let there = society.onward(&id)[0].1;
    assert_eq!(society.world.missed(&there, society.others()), NOBODY);
}
