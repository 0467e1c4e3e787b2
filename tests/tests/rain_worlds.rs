//! Worlds of members alone: who gets a message when others die, lie, are cut off, or know of
//! different members.

use core::time::Duration;
use std::io::{self, Write as _};

use bytes::Bytes;
use samanea_core::{
    base::{Actor, GroupId, MessageId},
    proto::rain_link::{Flags, Frame, Igyw},
    rain::{Acks, Cleanup, Config, Event, Shape, Way, tree::levels},
};
use samanea_sim::rain::{
    toy::{Lots, member},
    world::{Mood, UNIT, World, config, quiet},
};

/// Longer than a message is kept.
const KEPT: Duration = Duration::from_secs(70);

const PAYLOAD: Bytes = Bytes::from_static(b"a message of forty bytes, or thereabouts");

fn all() -> GroupId {
    GroupId::AllStaked
}

/// What was seen of one run.
struct Seen {
    missed: usize,
    live: usize,
    by_chain: usize,
    by_pull: usize,
    units: u128,
}

fn see(world: &World, id: &MessageId) -> Seen {
    let spread = world.spread(id).expect("it was published");
    let live = (0..world.members()).filter(|at| world.is_sound(*at));
    let way = |way: Way| spread.got.values().filter(|got| got.way == way).count();
    let last = spread.got.values().map(|got| got.at.since(spread.since));
    Seen {
        missed: world.missed(id, 0..world.members()).len(),
        live: live.count(),
        by_chain: way(Way::Chain),
        by_pull: way(Way::Pulled),
        units: last.max().unwrap_or_default().as_millis() / UNIT.as_millis(),
    }
}

/// Member 0 publishes among members of which so many have a mood.
fn broadcast(n: u32, config: &Config, seed: u64, (count, mood): (u32, Mood)) -> (World, MessageId) {
    let mut world = World::of(n, config, seed);
    world.checked = true;
    broadcast_in(&mut world, seed, (count, mood))
        .map(|id| (world, id))
        .expect("a member may publish")
}

fn broadcast_in(world: &mut World, seed: u64, (count, mood): (u32, Mood)) -> Option<MessageId> {
    let mut lots = Lots::of(seed, 1);
    for at in lots.some(count, world.members(), |at| at > 0) {
        world.set_mood(at, mood);
    }
    // Past the first digests.
    world.run(Duration::from_secs(6));
    let id = world.publish(0, &all(), PAYLOAD);
    world.run(KEPT);
    id
}

fn tell(of: &str, text: &str) {
    let _ = writeln!(io::stderr(), "rain worlds: {of}: {text}");
}

#[test]
fn every_live_member_gets_it_whoever_is_dead_from_the_start() {
    let (mut runs, mut chains) = (0, 0);
    for n in [2, 5, 27, 100] {
        for percent in [0, 10, 30, 50] {
            for seed in 0..8 {
                let dead = n * percent / 100;
                let (world, id) = broadcast(n, &quiet(), seed, (dead, Mood::Dead));
                let came = see(&world, &id);
                assert_eq!(came.missed, 0, "{n} members, {dead} dead, seed {seed}");
                assert_eq!(came.live, (n - dead) as usize);
                assert!(world.sent().payloads >= u64::from(n - 1));
                runs += 1;
                chains += came.by_chain;
            }
        }
    }
    assert!(runs >= 128 && chains > 0, "{runs} runs, {chains} by chains");
    tell(
        "dead",
        &format!("{runs} runs, {chains} deliveries by chains"),
    );
}

/// However many are dead, and wherever: whoever stands in for them makes so many sends that are
/// taken, and no more.
#[test]
fn a_dead_half_costs_nobody_more_than_its_budget() {
    let (mut most, mut adopted, mut handed_on) = (0, 0, 0);
    for (n, adoption) in [(243, 0), (243, 3), (100, 3)] {
        for seed in 0..3 {
            let mut config = quiet();
            config.cleanup.on = false;
            config.adoption = adoption;
            let mut world = World::of(n, &config, seed);
            world.checked = true;
            for at in Lots::of(seed, 1).some(n / 2, n, |at| at > 0) {
                world.set_mood(at, Mood::Dead);
            }
            let id = world.publish(0, &all(), PAYLOAD).unwrap();
            world.run(Duration::from_secs(50));
            assert_eq!(see(&world, &id).missed, 0);
            let levels = u32::from(levels(n));
            for at in (0..n).filter(|at| world.is_sound(*at)) {
                let report = world.rain(at).look(&id).unwrap().report;
                let bound = (2 + adoption) * levels;
                assert!(report.acked <= bound, "{at} of {n}: {report:?}");
                most = most.max(report.acked);
                adopted += report.adopted;
                handed_on += report.delegated;
            }
        }
    }
    assert!(adopted > 0 && handed_on > 0);
    let text =
        format!("{most} sends taken of the busiest, {adopted} adopted, {handed_on} handed on");
    tell("budget", &text);
}

/// Whoever dies does so right after it has acknowledged: nobody makes its sends. With digests off
/// it is the chains alone that find those who were to get them; one custodian must do.
#[test]
fn every_live_member_gets_it_when_members_die_right_after_they_acknowledge() {
    let (mut runs, mut chains, mut rearmed, mut slowest) = (0, 0, 0, 0);
    for reported in [true, false] {
        for k in [1, 2] {
            for n in [9, 60] {
                for percent in [5, 15, 30] {
                    for seed in 0..4 {
                        let mut config = config();
                        config.times.digest = Duration::from_secs(86_400);
                        config.cleanup.custodians = k;
                        let mut world = World::of(n, &config, seed);
                        world.checked = true;
                        world.reported = reported;
                        let dying = (n * percent).div_ceil(100);
                        let id = broadcast_in(&mut world, seed, (dying, Mood::Dying)).unwrap();
                        let came = see(&world, &id);
                        let these = format!("{n} members, {percent} %, k = {k}, seed {seed}");
                        assert_eq!(came.missed, 0, "{these}, reported: {reported}");
                        runs += 1;
                        chains += came.by_chain;
                        slowest = slowest.max(came.units);
                        let all = (0..n).map(|at| world.rain(at).stats().rearmed);
                        rearmed += all.sum::<u64>();
                    }
                }
            }
        }
    }
    assert!(
        chains > runs,
        "{chains} deliveries by chains in {runs} runs"
    );
    assert!(rearmed > 0, "no chain went on");
    let text = format!("{runs} runs, {chains} by chains, {rearmed} re-arms, {slowest} units");
    tell("dying", &text);
}

/// A third of the members says that it has everything and sends nothing on. With enough custodians
/// the chains find nearly everybody; with digests everybody is found.
#[test]
fn honest_members_get_it_from_each_other_although_others_lie() {
    let (mut missed_by_chains, mut pulled, mut honest) = (0, 0, 0);
    for seed in 0..3 {
        let liars = (60, Mood::Liar);
        let mut config = quiet();
        config.cleanup.custodians = 2;
        let (world, id) = broadcast(180, &config, seed, liars);
        missed_by_chains += see(&world, &id).missed;
        let mut config = self::config();
        config.cleanup.custodians = 2;
        let (world, id) = broadcast(180, &config, seed, liars);
        let came = see(&world, &id);
        assert_eq!(
            came.missed, 0,
            "seed {seed}: somebody honest has no honest partner"
        );
        pulled += came.by_pull;
        honest += came.live;
    }
    assert!(missed_by_chains > 0, "liars hid nobody: nothing was shown");
    assert!(pulled > 0, "nothing was pulled");
    let text = format!("{honest} honest, {missed_by_chains} hidden from chains, {pulled} pulled");
    tell("liars", &text);
}

#[test]
fn views_that_differ_do_not_leave_anybody_out() {
    let (mut runs, mut repaired) = (0, 0);
    for per_mille in [10, 50, 200] {
        for seed in 0..5 {
            let mut world = World::differing(80, &config(), seed, per_mille);
            world.checked = true;
            let id = broadcast_in(&mut world, seed, (0, Mood::Sound)).unwrap();
            let came = see(&world, &id);
            assert_eq!(
                came.missed, 0,
                "{per_mille} of a thousand unknown, seed {seed}"
            );
            runs += 1;
            repaired += came.by_chain + came.by_pull;
        }
    }
    assert!(
        runs == 15 && repaired > 0,
        "{repaired} repaired in {runs} runs"
    );
    tell(
        "views",
        &format!("{runs} runs, {repaired} deliveries beside the tree"),
    );
}

#[test]
fn a_partition_that_heals_leaves_nobody_out() {
    let mut across = 0;
    for shape in [Shape::Exact, Shape::Legacy] {
        for seed in 0..4 {
            let mut config = config();
            config.shape = shape;
            let mut world = World::of(60, &config, seed);
            world.checked = true;
            world.run(Duration::from_secs(6));
            world.cut(|at| u8::from(at % 3 == 1));
            let id = world.publish(0, &all(), PAYLOAD).unwrap();
            world.run(Duration::from_secs(20));
            let missed = world.missed(&id, 0..60);
            assert!(
                missed.iter().all(|at| at % 3 == 1),
                "one side has it: {missed:?}"
            );
            assert_eq!(missed.len(), 20, "nothing went across");
            world.heal();
            world.run(Duration::from_secs(45));
            assert_eq!(see(&world, &id).missed, 0, "{shape:?}, seed {seed}");
            across += missed.len();
        }
    }
    tell(
        "partition",
        &format!("{across} members got it after the cut had healed"),
    );
}

const VALIDATORS: u32 = 40;

/// Validators among themselves, with so many servicers around; what validators saw.
fn validators(servicers: u32, hostile: bool) -> World {
    let mut world = World::new(5);
    world.watched = VALIDATORS;
    world.checked = true;
    let group = GroupId::Role(Actor::Validator);
    let others = GroupId::Role(Actor::Servicer);
    world.add(VALIDATORS, &config(), &group);
    if servicers > 0 {
        world.add(servicers, &config(), &others);
    }
    for round in 0..6_u32 {
        world
            .publish(round * 5 % VALIDATORS, &group, PAYLOAD)
            .unwrap();
        if servicers > 0 {
            let from = VALIDATORS + round * 7 % servicers;
            world.publish(from, &others, PAYLOAD).unwrap();
            assert_eq!(world.publish(from, &group, PAYLOAD), None, "no member");
            if hostile {
                nag(&mut world, from, round % VALIDATORS);
            }
        }
        world.run(Duration::from_millis(1_700));
    }
    world.run(Duration::from_secs(15));
    world
}

/// One who is no member asks one who is, and pushes something.
fn nag(world: &mut World, from: u32, to: u32) {
    let id = *world.spreads().next().expect("something was published").0;
    let group = GroupId::Role(Actor::Validator);
    let igyw = Igyw {
        group,
        epoch: 1,
        ids: [id].into_iter().collect(),
        nonce: None,
    };
    let duty = samanea_core::proto::rain_link::Duty {
        id,
        limit: samanea_core::proto::rain_link::Limit::Level(0),
        flags: Flags::TREE,
        hop: 1,
    };
    for frame in [Frame::Igyw(igyw), Frame::Duty(duty)] {
        let peer = member(from);
        world.push(from, to, Event::Received { peer, frame });
    }
}

#[test]
fn servicers_change_no_byte_and_no_timer_among_validators() {
    let alone = validators(0, false);
    let among = validators(300, false);
    for at in 0..VALIDATORS {
        assert_eq!(alone.trace(at), among.trace(at), "member {at}");
        assert_eq!(alone.rain(at), among.rain(at), "member {at}");
    }
    assert!(alone.seen == among.seen, "other frames among validators");
    let servicers = VALIDATORS..VALIDATORS + 300;
    let reached = among.spreads().filter(|(id, spread)| {
        spread.got.contains_key(&(VALIDATORS + 1)) && among.missed(id, servicers.clone()).is_empty()
    });
    assert_eq!(reached.count(), 6, "the servicers were busy, too");
    assert!(
        alone.seen.len() > 6 * VALIDATORS as usize,
        "validators spoke"
    );
    let steps: u64 = (0..VALIDATORS).map(|at| alone.trace(at).1).sum();
    let text = format!(
        "{steps} steps and {} frames of validators",
        alone.seen.len()
    );
    tell("isolation", &text);
}

#[test]
fn servicers_that_nag_change_no_byte_among_validators() {
    let alone = validators(0, false);
    let among = validators(300, true);
    assert!(alone.seen == among.seen, "other frames among validators");
    let nagged = (0..VALIDATORS).filter(|at| alone.trace(*at) != among.trace(*at));
    assert!(nagged.count() >= 6, "nobody was nagged");
}

/// A few members: some slow for a while, up to two that die at any moment, told or not. How many
/// deliveries are missing, and how many were due. Member 0 publishes twice and lives.
fn schedule(seed: u64, rules: Cleanup, told: bool) -> (usize, usize) {
    let mut lots = Lots::of(seed, 3);
    let mut config = config();
    // Chains alone: digests would find everybody, too.
    config.times.digest = Duration::from_secs(86_400);
    config.cleanup = rules;
    config.cleanup.custodians = if lots.happens(700) { 1 } else { 2 };
    config.acks = if lots.happens(500) {
        Acks::Off
    } else {
        Acks::All
    };
    let n = 3 + lots.below(5);
    let mut world = World::of(n, &config, seed);
    world.checked = true;
    // Unless they are watched, somebody must say who has died.
    world.reported = lots.happens(500) || told;
    let mut crashes: Vec<(u32, u32)> = Vec::new();
    for at in lots.some(2.min(n - 2), n, |at| at > 0) {
        crashes.push((lots.below(4_000), at));
    }
    let slow = lots.some(lots.clone().below(n), n, |at| at > 0);
    for at in &slow {
        world.slow_down(*at, 12);
    }
    let first = world
        .publish(0, &all(), PAYLOAD)
        .expect("a member may publish");
    let pause = 300 + lots.below(1_000);
    let mut second = None;
    for millis in 0..4_000 {
        if millis == pause {
            for at in &slow {
                world.slow_down(*at, 1);
            }
            second = world.publish(0, &all(), PAYLOAD);
        }
        for (_, at) in crashes.iter().filter(|(when, _)| *when == millis) {
            world.crash(*at);
        }
        world.run(Duration::from_millis(1));
    }
    world.run(Duration::from_secs(50));
    let ids = [first, second.expect("published")];
    let missed = ids.iter().map(|id| world.missed(id, 0..n).len()).sum();
    let live = (0..n).filter(|at| world.is_sound(*at)).count();
    (missed, 2 * live)
}

#[test]
fn random_schedules_of_few_members_leave_out_nobody_unless_a_rule_is_missing() {
    let all_rules = Cleanup::default();
    // A watch tells the watched what is held, and so finds those passed over, too.
    let unwatched = Cleanup {
        watch: false,
        ..all_rules
    };
    let mut due = 0;
    for (rules, told) in [(all_rules, false), (unwatched, true)] {
        for seed in 0..250 {
            let (missed, live) = schedule(seed, rules, told);
            assert_eq!(missed, 0, "seed {seed}, told: {told}");
            due += live;
        }
    }
    let unserved = Cleanup {
        serve_late: false,
        ..all_rules
    };
    let unasked = Cleanup {
        ask_passed: false,
        ..unwatched
    };
    for (rule, rules, told) in [
        ("late answers", unserved, false),
        ("passed over", unasked, true),
    ] {
        let found = (0..250).find(|seed| schedule(*seed, rules, told).0 > 0);
        tell(
            "schedules",
            &format!("without the rule of {rule}: missed with seed {found:?}"),
        );
        assert!(
            found.is_some(),
            "nobody is missed without the rule of {rule}"
        );
    }
    assert!(due > 1_000, "{due} deliveries were due");
    tell("schedules", &format!("{due} deliveries were due, all came"));
}
