//! Whole nodes that find each other, byte by byte.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use samanea_core::{
    base::{Instant, ProtocolId},
    governor::{LocalGroup, Relay, Source, Status, Trace, Traits},
    node::Notice,
    proto::handshake::Mode,
};
use samanea_sim::{
    governor::Seen,
    nodes::{self, Nodes, Plan},
    world::{Options, Profile, address},
};

const SECOND: Duration = Duration::from_secs(1);
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// When which node first knew which address.
type Known = BTreeMap<(usize, SocketAddr), Instant>;

/// A and C know B, which knows nobody. C starts so much later.
fn line(seed: u64, later: Duration, until: Duration) -> (Nodes, Known) {
    let end = Plan::new().with(&[B], Traits::default());
    let plans = vec![end.clone(), Plan::new(), end];
    let mut nodes = asleep(seed, plans);
    nodes.start(A).unwrap();
    nodes.start(B).unwrap();
    nodes.pass(later).unwrap();
    nodes.start(C).unwrap();
    let known = nodes.first_known(Instant::ZERO.after(until)).unwrap();
    (nodes, known)
}

/// All of them from the beginning.
fn run(seed: u64, plans: Vec<Plan>, until: Duration) -> (Nodes, Known) {
    let mut nodes = asleep(seed, plans);
    for at in 0..nodes.plans.len() {
        nodes.start(at).unwrap();
    }
    let known = nodes.first_known(Instant::ZERO.after(until)).unwrap();
    (nodes, known)
}

fn asleep(seed: u64, plans: Vec<Plan>) -> Nodes {
    let options = Options {
        profile: Profile {
            delay_min: Duration::from_millis(5),
            delay_max: Duration::from_millis(40),
            ..Profile::default()
        },
        ..Options::default()
    };
    Nodes::asleep(options, seed, plans)
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "nodes: {text}");
}

/// B meets A by its connection, which is mature after 900 s; C asks after 300 s in vain and asks
/// again 900 s later.
#[test]
fn the_end_of_a_line_learns_of_the_other_end_through_the_middle() {
    for seed in 0..5 {
        let (nodes, known) = line(seed, Duration::ZERO, 1_400 * SECOND);
        let learned = known[&(C, address(A))];
        let met = known[&(B, address(A))];
        assert!(met >= Instant::from_secs(900), "seed {seed}: {met}");
        let range = Instant::from_secs(1_200)..=Instant::from_secs(1_250);
        assert!(range.contains(&learned), "seed {seed}: {learned}");
        let a = nodes.governor(C).unwrap().explain(&address(A)).unwrap();
        assert_eq!(a.source, Source::NonRoot);
        assert_eq!(a.told_by, Some(address(B)));
        let told = nodes.traces(C, |trace| {
            matches!(trace, Trace::ShareResult { peer, taken: 1, .. } if *peer == address(B))
        });
        assert_eq!(told.first(), Some(&learned));
        assert!(a.status.is_established(), "{a}");
        say(&format!(
            "seed {seed}: B met A at {met}, C was told of it at {learned}"
        ));
    }
}

/// B has met A long before C comes, but C asks nobody in the first 300 s.
#[test]
fn who_comes_later_asks_no_sooner_than_three_hundred_seconds_after() {
    let later = 1_000 * SECOND;
    for seed in 0..3 {
        let (nodes, known) = line(seed, later, 1_500 * SECOND);
        let learned = known[&(C, address(A))];
        let range = Instant::from_secs(1_300)..=Instant::from_secs(1_320);
        assert!(range.contains(&learned), "seed {seed}: {learned}");
        let is_request = |trace: &Trace| matches!(trace, Trace::ShareRequest { .. });
        assert_eq!(nodes.traces(C, is_request).len(), 1, "seed {seed}");
        say(&format!(
            "seed {seed}: C came at 1000 s and was told of A at {learned}"
        ));
    }
}

/// B knows A from the start and may tell: with sharing it does at the first question, without it
/// nobody is asked, nobody learns, and the protocol is on no wire.
#[test]
fn nobody_learns_through_who_does_not_share() {
    for seed in 0..3 {
        let plans = |sharing| {
            let roots = Traits {
                advertise: true,
                ..Traits::default()
            };
            let mut b = Plan::new().with(&[A], roots);
            b.config.peer_sharing = sharing;
            let c = Plan::new().with(&[B], Traits::default());
            vec![Plan::new(), b, c]
        };
        let all = [A, B, C];
        let (nodes, known) = run(seed, plans(true), 400 * SECOND);
        let learned = known[&(C, address(A))];
        let range = Instant::from_secs(300)..=Instant::from_secs(320);
        assert!(range.contains(&learned), "seed {seed}: {learned}");
        assert!(nodes.segments().asked(C, ProtocolId::PEER_SHARING) > 0);

        let (nodes, known) = run(seed, plans(false), 3_000 * SECOND);
        assert!(!known.contains_key(&(C, address(A))), "seed {seed}");
        assert!(!known.contains_key(&(A, address(C))), "seed {seed}");
        assert_eq!(nodes.segments().spoilt, 0);
        assert!(
            all.iter()
                .any(|at| nodes.segments().asked(*at, ProtocolId::KEEP_ALIVE) > 0)
        );
        for at in all {
            assert_eq!(nodes.segments().asked(at, ProtocolId::PEER_SHARING), 0);
        }
    }
}

/// Whatever happens to up to five nodes, each of them keeps the laws; and each law had something
/// to say.
#[test]
fn a_few_nodes_hold_every_law() {
    let mut seen = Seen::default();
    for seed in 0..40 {
        let scenario = nodes::scenario(seed);
        if let Ok(played) = nodes::judge(&scenario, seed) {
            seen.add(&played.seen);
        } else {
            let (smallest, why) = nodes::shortest(&scenario, seed, 30);
            panic!("seed {seed}: {why}\n{smallest:#?}");
        }
    }
    say(&seen.to_string());
    assert_eq!(nodes::unseen(&seen), []);
}

/// Equal seeds give equal runs.
#[test]
fn a_scenario_of_a_few_nodes_plays_twice_alike() {
    for seed in 100..103 {
        let scenario = nodes::scenario(seed);
        let play = || nodes::judge(&scenario, seed).unwrap().hash;
        assert_eq!(play(), play());
    }
}

/// Nodes that do otherwise than the laws expect are found out.
#[test]
fn nodes_that_break_a_law_are_found_out() {
    let found = |law: &str, change: fn(&mut Plan)| {
        let breaks = |seed: &u64| {
            let scenario = nodes::scenario(*seed);
            let verdict = nodes::judge_changed(&scenario, *seed, change);
            verdict.is_err_and(|why| why.contains(law))
        };
        let seed = (0..100).find(breaks);
        assert!(seed.is_some(), "{law} is never broken");
        say(&format!("{law} is broken by seed {}", seed.unwrap_or(0)));
    };
    found("GroupWarm", |plan| {
        plan.config.governor.back_off.base = 1_000 * SECOND;
    });
    found("EstablishedBelow", |plan| {
        plan.config.governor.back_off.cold_fuzz = 2_000 * SECOND;
        plan.config.governor.back_off.error = 1_000 * SECOND;
        plan.config.governor.back_off.base = 1_000 * SECOND;
    });
    found("Cools", |plan| {
        plan.config.manager.time_wait = 1_000 * SECOND;
    });
    found("Firewall", |plan| {
        for group in &mut plan.topology.local {
            group.traits.behind_firewall = false;
        }
    });
    found("Mode", |plan| {
        for group in &mut plan.topology.local {
            group.traits.mode = Mode::InitiatorAndResponder;
        }
    });
}

/// A root that was away is connected to again, no later than its longest back-off after it is
/// back.
#[test]
fn a_local_root_that_starts_anew_is_connected_to_again() {
    for seed in 0..6 {
        let plans = vec![Plan::new().with(&[B], Traits::default()), Plan::new()];
        let mut nodes = asleep(seed, plans);
        nodes.start(A).unwrap();
        nodes.start(B).unwrap();
        nodes.pass(100 * SECOND).unwrap();
        let is_hot = |nodes: &Nodes| {
            let status = nodes.governor(A).unwrap().status(&address(B));
            status.is_some_and(|(_, status)| status == Status::Hot)
        };
        assert!(is_hot(&nodes), "seed {seed}");
        let silent = seed % 2 == 0;
        if silent {
            nodes.world.power_off(B);
        } else {
            nodes.world.stop(B);
        }
        nodes.pass(300 * SECOND).unwrap();
        assert!(!is_hot(&nodes), "seed {seed}");
        let fell = |trace: &Trace| matches!(trace, Trace::Asynchronous { .. });
        assert!(!nodes.traces(A, fell).is_empty(), "seed {seed}");
        nodes.start(B).unwrap();
        let back = nodes.world.now();
        nodes.pass(163 * SECOND).unwrap();
        assert!(is_hot(&nodes), "seed {seed}");
        let done = |trace: &Trace| matches!(trace, Trace::PromoteColdDone { .. });
        let again = nodes.traces(A, done).last().copied().unwrap();
        let took = again.since(back);
        say(&format!(
            "seed {seed}: connected again {took:?} after it was back"
        ));
    }
}

/// While names cannot be looked up nobody is known; the next attempts come after 60 s, 125 s and
/// 255 s: each time twice the last delay and 5 s.
#[test]
fn names_that_fail_are_looked_up_again_until_they_are_known() {
    for seed in 0..4 {
        let mut a = Plan::new();
        a.topology.local.push(LocalGroup {
            hot: 1,
            warm: 1,
            traits: Traits::default(),
            access_points: vec![Relay::Host {
                name: "b.example".into(),
                port: address(B).port(),
            }],
        });
        let mut nodes = asleep(seed, vec![a, Plan::new()]);
        let names = nodes.world.names();
        names.set("b.example", vec![address(B).ip()]);
        names.fail_until(Instant::from_secs(200));
        nodes.start(A).unwrap();
        nodes.start(B).unwrap();
        nodes.pass(199 * SECOND).unwrap();
        assert_eq!(nodes.governor(A).unwrap().status(&address(B)), None);
        nodes.pass(250 * SECOND).unwrap();
        let (source, status) = nodes.governor(A).unwrap().status(&address(B)).unwrap();
        assert_eq!((source, status), (Source::Local, Status::Hot));
        let asked = nodes.world.names().asked().to_vec();
        let failed = asked.iter().filter(|(_, _, answered)| !answered);
        let failed: Vec<_> = failed
            .map(|(at, _, _)| at.since(Instant::ZERO).as_secs())
            .collect();
        assert_eq!(failed, [0, 60, 185], "seed {seed}");
        say(&format!("seed {seed}: lookups failed at {failed:?} s"));
    }
}

/// Who is behind a firewall is waited for, and used when it comes.
#[test]
fn a_root_behind_a_firewall_is_used_when_it_has_dialled_us() {
    for seed in 0..3 {
        let behind = Traits {
            behind_firewall: true,
            ..Traits::default()
        };
        let plans = vec![Plan::new().with(&[B], behind), Plan::new()];
        let mut nodes = asleep(seed, plans);
        nodes.start(A).unwrap();
        nodes.start(B).unwrap();
        nodes.pass(400 * SECOND).unwrap();
        let status = |nodes: &Nodes| nodes.governor(A).unwrap().status(&address(B)).unwrap().1;
        assert!(matches!(status(&nodes), Status::Cold | Status::ColdWaiting));
        assert_eq!(nodes.world.hosts()[B].tally.ups, 0, "nobody was dialled");
        let roots = Plan::new().with(&[A], Traits::default()).topology;
        nodes.set_topology(B, roots);
        nodes.pass(170 * SECOND).unwrap();
        assert_eq!(status(&nodes), Status::Hot, "seed {seed}");
        let dialled = nodes.world.hosts()[A]
            .tally
            .notices
            .iter()
            .any(|(_, notice)| matches!(notice, Notice::Up { dialled: true, .. }));
        assert!(!dialled, "seed {seed}");
    }
}
