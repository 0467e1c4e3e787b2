//! Whole nodes that find each other, byte by byte.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use samanea_core::{
    base::{Instant, ProtocolId},
    governor::{Source, Trace, Traits},
};
use samanea_sim::{
    nodes::{Nodes, Plan},
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
    writeln!(io::stderr(), "nodes: {text}").unwrap();
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
