//! The cycle as a table, its times, its laws against a model, and the targets it goes down to.

use alloc::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::base::Seeded;

/// Peers that do what they are told, after a while.
#[derive(Clone)]
struct Toy {
    counters: Counters,
    churn: Churn,
    choice: Seeded,
    now: Instant,
    base: Targets,
    regime: Regime,
    consensus: ConsensusMode,
    local_hot: u32,
    paused: bool,
    /// All that came out, and when.
    said: Vec<(Instant, Out)>,
    /// The targets of the step before.
    aimed: Option<Targets>,
}

impl Toy {
    fn new(base: Targets) -> Self {
        Self {
            counters: Counters::default(),
            churn: Churn::new(ChurnTimes::default()),
            choice: Seeded::new(7),
            now: Instant::ZERO,
            base,
            regime: Regime::Default,
            consensus: ConsensusMode::Praos,
            local_hot: 0,
            paused: false,
            said: Vec::new(),
            aimed: None,
        }
    }

    /// Lets churn look, and checks what always holds.
    fn look(&mut self) -> Vec<Out> {
        let out = self.with(|churn, seen, choice, out| churn.step(seen, choice, out));
        assert!(self.churn.next_deadline().is_none_or(|at| at > self.now));
        let again = self.with(|churn, seen, choice, out| churn.step(seen, choice, out));
        assert_eq!(again, [], "one look is enough");
        out
    }

    /// One phase on.
    fn once(&mut self) -> Vec<Out> {
        self.with(|churn, seen, choice, out| {
            assert!(churn.advance(seen, choice, out), "{:?}", churn.phase());
        })
    }

    fn with(
        &mut self,
        act: impl FnOnce(&mut Churn, &Seen<'_>, &mut Seeded, &mut Vec<Out>),
    ) -> Vec<Out> {
        let mut out = Vec::new();
        let seen = Seen {
            now: self.now,
            counters: &self.counters,
            base: self.base,
            regime: self.regime,
            consensus: self.consensus,
            local_hot: self.local_hot,
            paused: self.paused,
        };
        act(&mut self.churn, &seen, &mut self.choice, &mut out);
        self.churn.check_invariants().unwrap();
        self.said.extend(out.iter().map(|out| (self.now, *out)));
        out
    }

    fn in_step(&self) -> Option<u8> {
        match self.churn.phase() {
            Phase::Step { step, .. } => Some(step),
            Phase::Idle | Phase::HeadStart { .. } | Phase::Waiting { .. } => None,
        }
    }

    /// Everybody does what the targets say.
    fn obey(&mut self) {
        let t = self.churn.targets();
        self.counters.ordinary.known = t.known;
        self.counters.ordinary.established = t.established;
        self.counters.ordinary.active = t.active;
        self.counters.big.known = t.known_big;
        self.counters.big.established = t.established_big;
        self.counters.big.active = t.active_big;
        self.counters.roots = self.counters.roots.max(t.root);
    }

    /// Obeys a second after each change, for so long.
    fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        while self.now < end {
            self.look();
            self.obey();
            let soon = self.now.after(Duration::from_secs(1));
            let idle = matches!(self.churn.phase(), Phase::Waiting { .. });
            let next = self.churn.next_deadline().filter(|_| idle);
            self.now = next.unwrap_or(soon).max(soon).min(end);
        }
        self.look();
    }

    /// To the beginning of the first cycle; everybody has obeyed before.
    fn reach_cycle(&mut self) -> Vec<Out> {
        self.look();
        self.obey();
        if let Phase::HeadStart { until, .. } = self.churn.phase() {
            self.now = until;
            self.look();
            self.obey();
        }
        self.now = self.churn.next_deadline().unwrap();
        self.once()
    }

    fn steps(&self) -> Vec<u8> {
        let step = |(_, out): &(Instant, Out)| match out {
            Out::Step { step } => Some(*step),
            Out::Targets(_) | Out::Done { .. } => None,
        };
        self.said.iter().filter_map(step).collect()
    }
}

fn least(a: Targets, b: Targets) -> Targets {
    Targets {
        root: a.root.min(b.root),
        known: a.known.min(b.known),
        established: a.established.min(b.established),
        active: a.active.min(b.active),
        known_big: a.known_big.min(b.known_big),
        established_big: a.established_big.min(b.established_big),
        active_big: a.active_big.min(b.active_big),
    }
}

/// src: computed by hand from the rule of each step, when every step succeeds
#[test]
fn a_cycle_lowers_targets_by_as_much_as_was_worked_out() {
    let of = |[
        root,
        known,
        established,
        active,
        known_big,
        established_big,
        active_big,
    ]: [u32; 7]| Targets {
        root,
        known,
        established,
        active,
        known_big,
        established_big,
        active_big,
    };
    let cases = [
        (Targets::RELAY, of([54, 126, 26, 16, 14, 9, 4])),
        (Targets::BLOCK_PRODUCER, of([86, 86, 26, 16, 14, 9, 4])),
        (Targets::SYNC, of([0, 122, 9, 4, 88, 34, 24])),
    ];
    for (base, minimum) in cases {
        let mut toy = Toy::new(base);
        toy.reach_cycle();
        toy.said.clear();
        let before = toy.churn.targets();
        toy.run(Duration::from_secs(100));
        let targets = toy.said.iter().filter_map(|(_, out)| match out {
            Out::Targets(targets) => Some(*targets),
            Out::Step { .. } | Out::Done { .. } => None,
        });
        assert_eq!(targets.fold(before, least), minimum);
        assert_eq!(toy.steps(), (2..=12).collect::<Vec<u8>>());
        assert_eq!(toy.churn.targets(), base);
    }
}

/// Each step of a relay: its targets, and after it what it moved.
#[test]
fn the_twelve_steps_come_in_order_each_with_its_targets() {
    let r = Targets::RELAY;
    let t = |step| match step {
        1 => Targets { active_big: 4, ..r },
        3 | 5 => Targets {
            established_big: 9,
            ..r
        },
        4 => Targets {
            established_big: 9,
            known_big: 14,
            ..r
        },
        7 => Targets { active: 16, ..r },
        9 | 11 => Targets {
            established: 26,
            ..r
        },
        10 => Targets {
            established: 26,
            known: 126,
            root: 54,
            ..r
        },
        _ => r,
    };
    let mut toy = Toy::new(r);
    assert_eq!(
        toy.reach_cycle(),
        [Out::Targets(t(1)), Out::Step { step: 1 }]
    );
    let took = Duration::from_secs(2);
    for step in 1..12 {
        assert_eq!(toy.look(), []);
        toy.now = toy.now.after(took);
        toy.obey();
        let done = Out::Done {
            step,
            took,
            timeout: false,
        };
        let next = Out::Step { step: step + 1 };
        assert_eq!(toy.look(), [done, Out::Targets(t(step + 1)), next]);
    }
    toy.obey();
    let last = Out::Done {
        step: 12,
        took: Duration::ZERO,
        timeout: false,
    };
    assert_eq!(toy.look(), [last]);
    assert!(matches!(toy.churn.phase(), Phase::Waiting { .. }));
}

/// The other regimes: (step, active big, active, established), with three local roots hot.
#[test]
fn fewer_are_active_while_blocks_are_fetched_in_bulk() {
    let praos = [
        (1, 1, 20, 30),
        (2, 1, 20, 30),
        (7, 1, 3, 30),
        (8, 1, 4, 30),
        (9, 1, 4, 20),
        (12, 1, 4, 30),
    ];
    let bootstrap = [
        (1, 1, 4, 30),
        (2, 1, 4, 30),
        (7, 1, 3, 30),
        (8, 1, 4, 30),
        (9, 1, 4, 4),
        (12, 1, 4, 5),
    ];
    for (regime, table) in [
        (Regime::PraosSync, praos),
        (Regime::BootstrapPraosSync, bootstrap),
    ] {
        let mut toy = Toy::new(Targets::RELAY);
        (toy.regime, toy.local_hot) = (regime, 3);
        toy.reach_cycle();
        let mut seen = Vec::new();
        for step in 1..=12 {
            assert_eq!(toy.in_step(), Some(step));
            let t = toy.churn.targets();
            if table.iter().any(|(listed, ..)| *listed == step) {
                seen.push((step, t.active_big, t.active, t.established));
            }
            toy.obey();
            toy.once();
        }
        assert_eq!(seen, table, "{regime:?}");
    }
}

/// Hot valencies of local roots, and the active targets that follow, of 5: down and up.
#[test]
fn local_roots_count_while_blocks_are_fetched_in_bulk() {
    for (local_hot, down, up) in [
        (0, 1, 2),
        (1, 1, 2),
        (3, 3, 4),
        (4, 4, 5),
        (9, 4, 5),
        (u32::MAX, 4, 5),
    ] {
        let mut toy = Toy::new(Targets::SYNC);
        (toy.regime, toy.local_hot) = (Regime::PraosSync, local_hot);
        toy.reach_cycle();
        let mut seen = Vec::new();
        for _ in 1..=12 {
            seen.extend(
                [7, 8]
                    .contains(&toy.in_step().unwrap())
                    .then_some(toy.churn.targets().active),
            );
            toy.obey();
            toy.once();
        }
        assert_eq!(seen, [down, up], "{local_hot}");
    }
}

/// Seconds of each step.
/// src: ouroboros-network, `PeerChurn`: deactivation 300, closing 1 + 120, discovery 60 + 2 · 10
#[test]
fn each_step_is_given_its_time_and_no_more() {
    let table = [300, 60, 121, 60, 80, 60, 300, 60, 121, 60, 80, 60];
    let mut toy = Toy::new(Targets::RELAY);
    toy.reach_cycle();
    for (step, secs) in (1..).zip(table) {
        assert_eq!(toy.in_step(), Some(step));
        // Never what is wanted: too many to go down, too few to come up.
        let many = if is_down(step) { 1_000 } else { 0 };
        toy.counters.ordinary.known = many;
        toy.counters.ordinary.established = many;
        toy.counters.ordinary.active = many;
        toy.counters.big = toy.counters.ordinary;
        let took = Duration::from_secs(secs);
        let end = toy.now.after(took);
        assert_eq!(toy.churn.next_deadline(), Some(end), "step {step}");
        toy.now = Instant::from_micros(end.as_micros() - 1);
        assert_eq!(toy.look(), []);
        toy.now = end;
        let timeout = true;
        assert_eq!(
            toy.once().first(),
            Some(&Out::Done {
                step,
                took,
                timeout
            })
        );
    }
    assert_eq!(toy.churn.targets(), Targets::RELAY);
}

/// Roots are waited for too, but only on the way up.
#[test]
fn more_known_peers_are_enough_only_with_enough_roots() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.reach_cycle();
    while toy.in_step() != Some(10) {
        toy.obey();
        toy.once();
    }
    toy.counters.roots = 9;
    toy.counters.ordinary.known = 126;
    toy.once();
    toy.counters.ordinary.known = 150;
    toy.counters.roots = 59;
    assert_eq!(toy.look(), []);
    toy.counters.roots = 60;
    assert!(toy.look().contains(&Out::Step { step: 12 }));
}

/// Regime, Genesis: (root, active, active big) at once, and after the head start.
#[test]
fn at_the_start_local_roots_go_first() {
    let r = Targets::RELAY;
    let none = Targets { root: 0, ..r };
    let few = Targets {
        active: 3,
        active_big: 1,
        ..r
    };
    for (consensus, regime, first, then) in [
        (ConsensusMode::Praos, Regime::Default, none, r),
        (ConsensusMode::Praos, Regime::PraosSync, none, r),
        (ConsensusMode::Praos, Regime::BootstrapPraosSync, few, few),
        (ConsensusMode::Genesis, Regime::Default, r, r),
    ] {
        let mut toy = Toy::new(r);
        (toy.consensus, toy.regime, toy.local_hot) = (consensus, regime, 2);
        assert_eq!(toy.look(), [Out::Targets(first)]);
        assert_eq!(toy.churn.next_deadline(), Some(Instant::from_secs(3)));
        toy.now = Instant::from_millis(2_999);
        assert_eq!(toy.look(), []);
        toy.now = Instant::from_secs(3);
        toy.look();
        assert_eq!(toy.churn.targets(), then);
        let (least, most) = match regime {
            Regime::Default => (3_300, 3_900),
            Regime::PraosSync | Regime::BootstrapPraosSync => (900, 960),
        };
        let next = toy.churn.next_deadline().unwrap();
        assert!((Instant::from_secs(least)..=Instant::from_secs(most)).contains(&next));
    }
}

#[test]
fn what_is_told_during_the_head_start_counts() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.look();
    toy.regime = Regime::BootstrapPraosSync;
    toy.now = Instant::from_secs(1);
    toy.look();
    let t = toy.churn.targets();
    assert_eq!((t.root, t.active, t.active_big), (60, 2, 1));
    assert_eq!(toy.churn.next_deadline(), Some(Instant::from_secs(3)));
}

#[test]
fn the_regime_follows_from_consensus_fetch_mode_and_bootstrap() {
    use ConsensusMode::{Genesis, Praos};
    use FetchMode::{BulkSync, Deadline};
    for (consensus, fetch, bootstrap, regime) in [
        (Praos, Deadline, false, Regime::Default),
        (Praos, Deadline, true, Regime::Default),
        (Praos, BulkSync, false, Regime::PraosSync),
        (Praos, BulkSync, true, Regime::BootstrapPraosSync),
        (Genesis, Deadline, false, Regime::Default),
        (Genesis, Deadline, true, Regime::Default),
        (Genesis, BulkSync, false, Regime::Default),
        (Genesis, BulkSync, true, Regime::Default),
    ] {
        assert_eq!(Regime::of(consensus, fetch, bootstrap), regime);
    }
}

/// The next cycle begins an interval after this one began: the whole range is drawn, evenly.
#[test]
fn the_interval_is_drawn_evenly_from_its_range() {
    for (regime, least, fuzz) in [
        (Regime::Default, 3_300, 600),
        (Regime::PraosSync, 900, 60),
        (Regime::BootstrapPraosSync, 900, 60),
    ] {
        let mut toy = Toy::new(Targets::RELAY);
        toy.regime = regime;
        toy.reach_cycle();
        toy.now = Instant::ZERO;
        let mut tenths = [0_u32; 10];
        let draws = 2_000;
        for _ in 0..draws {
            toy.with(|churn, seen, choice, _| churn.wait(Instant::ZERO, seen, choice));
            let at = toy.churn.next_deadline().unwrap();
            let over = at.since(Instant::from_secs(least)).as_millis();
            assert!(at >= Instant::from_secs(least) && over <= fuzz * 1_000);
            let tenth = usize::try_from(over * 10 / (fuzz * 1_000 + 1)).unwrap();
            tenths[tenth] += 1;
        }
        // Six standard deviations of a binomial of mean 200.
        assert!(
            tenths.iter().all(|n| n.abs_diff(draws / 10) < 81),
            "{tenths:?}"
        );
    }
}

#[test]
fn the_duration_of_a_cycle_is_part_of_the_interval() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.reach_cycle();
    let began = toy.now;
    toy.run(Duration::from_secs(60));
    let Phase::Waiting { until: Some(next) } = toy.churn.phase() else {
        panic!("{:?}", toy.churn.phase());
    };
    let after = next.since(began).as_secs();
    assert!((3_300..=3_900).contains(&after), "{after}");
}

/// Seldom cycles that take longer than the interval: the next one begins at once, but not now.
#[test]
fn a_cycle_that_is_late_begins_as_soon_as_time_goes_on() {
    let mut toy = Toy::new(Targets::RELAY);
    let zero = ChurnTimes {
        deadline: Duration::ZERO,
        deadline_fuzz: Duration::ZERO,
        head_start: Duration::ZERO,
        deactivate: Duration::ZERO,
        close: Duration::ZERO,
        discover: Duration::ZERO,
        step: Duration::ZERO,
        ..ChurnTimes::default()
    };
    toy.churn = Churn::new(zero);
    toy.look();
    for turn in 1..=5 {
        toy.said.clear();
        toy.now = Instant::from_micros(turn);
        toy.look();
        assert_eq!(toy.steps(), (1..=12).collect::<Vec<u8>>());
    }
    toy.now = Instant::FAR;
    let out = toy.with(|churn, seen, choice, out| churn.step(seen, choice, out));
    assert!(out.len() < 100, "even at the end of time a look ends");
}

/// Nobody is there: what is to go down is down, what is to come up is waited for, no longer.
#[test]
fn a_node_that_finds_nobody_waits_for_each_step_up() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.look();
    while toy.in_step().is_none() {
        toy.now = toy.churn.next_deadline().unwrap();
        toy.look();
    }
    let began = toy.now;
    let mut looks = 0;
    while toy.in_step().is_some() {
        toy.now = toy.churn.next_deadline().unwrap();
        toy.look();
        looks += 1;
    }
    assert!(looks <= 6, "{looks}");
    assert!(toy.now.since(began) <= Duration::from_secs(2 * (60 + 80 + 60)));
    let late = |(_, out): &&(Instant, Out)| matches!(out, Out::Done { timeout: true, .. });
    assert_eq!(toy.said.iter().filter(late).count(), 6);
}

#[test]
fn nothing_churns_while_nothing_is_aimed_at() {
    let mut toy = Toy::new(Targets::ZERO);
    assert_eq!(toy.look(), []);
    assert_eq!(toy.churn.next_deadline(), None);
    toy.now = Instant::from_secs(100_000);
    assert_eq!(toy.look(), []);
    toy.base = Targets::RELAY;
    assert_eq!(toy.look().len(), 1, "a later base starts it");
    assert_eq!(toy.churn.next_deadline(), Some(Instant::from_secs(100_003)));
    toy.reach_cycle();
    toy.base = Targets::ZERO;
    assert_eq!(toy.look(), [Out::Targets(Targets::ZERO)]);
    assert_eq!(
        (toy.churn.phase(), toy.churn.next_deadline()),
        (Phase::Idle, None)
    );
}

#[test]
fn switched_off_only_the_start_writes_targets() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.churn = Churn::new(ChurnTimes {
        on: false,
        ..ChurnTimes::default()
    });
    toy.regime = Regime::BootstrapPraosSync;
    toy.look();
    toy.now = Instant::from_secs(3);
    toy.look();
    assert_eq!(toy.churn.targets(), Targets::RELAY);
    assert_eq!(toy.churn.next_deadline(), None);
    toy.now = Instant::FAR;
    assert_eq!(toy.look(), []);
    toy.base = Targets::BLOCK_PRODUCER;
    assert_eq!(toy.look(), [Out::Targets(Targets::BLOCK_PRODUCER)]);
}

/// Cycles in which each kind changes: hot every second, warm every third, known every fourth.
#[test]
fn each_kind_of_change_has_its_own_frequency() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.churn = Churn::new(ChurnTimes {
        hot_every: 2,
        warm_every: 3,
        known_every: 4,
        ..ChurnTimes::default()
    });
    let mut per_cycle = vec![0; 12];
    toy.reach_cycle();
    let mut cycle = 0;
    while cycle < 12 {
        let steps = toy.steps();
        let expected: Vec<u8> = (1..=12)
            .filter(|step| match step {
                1 | 2 | 7 | 8 => cycle % 2 == 0,
                3 | 6 | 9 | 12 => cycle % 3 == 0,
                _ => cycle % 4 == 0,
            })
            .collect();
        while toy.in_step().is_some() {
            toy.obey();
            toy.once();
        }
        assert!(steps.len() <= 1);
        assert_eq!(toy.steps(), expected, "cycle {cycle}");
        assert_eq!(toy.churn.targets(), Targets::RELAY);
        per_cycle[cycle] = expected.len();
        toy.said.clear();
        toy.now = toy.churn.next_deadline().unwrap();
        toy.once();
        cycle += 1;
    }
    assert_eq!(per_cycle, [12, 0, 4, 4, 8, 0, 8, 0, 8, 4, 4, 0]);
}

/// Genesis mode: the chain becomes young in every step; what is in force follows at once.
#[test]
fn other_base_targets_hold_at_once_in_every_step() {
    for swap in 1..=12 {
        let mut toy = Toy::new(Targets::SYNC);
        let mut twin = Toy::new(Targets::RELAY);
        toy.reach_cycle();
        twin.reach_cycle();
        while toy.in_step() != Some(swap) {
            for toy in [&mut toy, &mut twin] {
                toy.obey();
                toy.once();
            }
        }
        let until = toy.churn.next_deadline();
        toy.base = Targets::RELAY;
        toy.churn.moved = twin.churn.moved;
        let out = toy.look();
        assert_eq!(
            out.first(),
            Some(&Out::Targets(twin.churn.targets())),
            "step {swap}"
        );
        if toy.in_step() == Some(swap) {
            assert_eq!(toy.churn.next_deadline(), until, "timers stand");
        }
    }
}

#[test]
fn a_pause_does_not_count() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.reach_cycle();
    let deadline = toy.churn.next_deadline().unwrap();
    toy.paused = true;
    toy.now = toy.now.after(Duration::from_secs(10));
    assert_eq!(toy.look(), []);
    assert_eq!(toy.churn.next_deadline(), None);
    // What is in force meanwhile empties the node.
    toy.counters = Counters::default();
    toy.now = toy.now.after(Duration::from_secs(5_000));
    assert_eq!(toy.look(), []);
    toy.base = Targets::BLOCK_PRODUCER;
    let Some(Out::Targets(targets)) = toy.look().first().copied() else {
        panic!("base targets are followed");
    };
    assert_eq!((targets.known, targets.active_big), (100, 4));
    toy.counters.big.active = 5;
    toy.paused = false;
    assert_eq!(toy.look(), []);
    let deadline = deadline.after(Duration::from_secs(5_000));
    assert_eq!(toy.churn.next_deadline(), Some(deadline));
    toy.counters.big.active = 4;
    assert!(toy.look().contains(&Out::Step { step: 2 }));
}

#[test]
fn churn_starts_only_after_a_pause() {
    let mut toy = Toy::new(Targets::RELAY);
    toy.paused = true;
    assert_eq!(toy.look(), []);
    assert_eq!(toy.churn.next_deadline(), None);
    toy.paused = false;
    toy.now = Instant::from_secs(50);
    assert_eq!(toy.look().len(), 1);
    assert_eq!(toy.churn.next_deadline(), Some(Instant::from_secs(53)));
}

/// What a step aims at, from the table in other words: base b, what moved further up m.
fn aim(step: u8, toy: &Toy, before: Targets, m: u32) -> Targets {
    let b = toy.base;
    let local = i64::from(toy.local_hot.max(1));
    let (bulk, few) = match toy.regime {
        Regime::Default => (false, false),
        Regime::PraosSync => (true, false),
        Regime::BootstrapPraosSync => (true, true),
    };
    let d = |u: u32, v: u32| {
        u32::try_from((i64::from(v) - i64::from(u.max(1).max(v / 5))).max(0)).unwrap()
    };
    let cut = |x: i64| u32::try_from(x.max(0)).unwrap();
    let mut t = before;
    match step {
        1 => {
            t.active_big = if bulk {
                b.active_big.min(1)
            } else {
                d(1, b.active_big)
            }
        }
        2 => {
            t.active_big = if bulk {
                b.active_big.min(1)
            } else {
                b.active_big
            }
        }
        3 => t.established_big = b.active_big + d(m, b.established_big - b.active_big),
        4 => t.known_big = b.established_big + d(m, b.known_big - b.established_big),
        5 => t.known_big = b.known_big,
        6 => t.established_big = b.established_big,
        7 if bulk => t.active = cut(local.min(i64::from(b.active) - 1)),
        7 => t.active = d(1, b.active),
        8 if bulk => t.active = cut((local + 1).min(i64::from(b.active))),
        8 => t.active = b.active,
        9 if few => t.established = cut(i64::from(t.active).min(i64::from(b.established) - 1)),
        9 => t.established = b.active + d(m, b.established - b.active),
        10 => {
            t.known = b.established + d(m, b.known - b.established);
            t.root = b
                .root
                .min(b.established + d(1, b.root.saturating_sub(b.established)));
        }
        11 => (t.known, t.root) = (b.known, b.root),
        12 if few => t.established = b.established.min(t.active + 1),
        _ => t.established = b.established,
    }
    sane(t)
}

fn bases() -> impl Strategy<Value = Targets> {
    let chain = |max: u32| prop::collection::vec(0..=max, 4);
    let random = (chain(60), chain(40)).prop_map(|(mut a, mut b)| {
        a[1..].sort_unstable();
        b.sort_unstable();
        Targets {
            root: a[0].min(a[3]),
            known: a[3],
            established: a[2],
            active: a[1],
            known_big: b[3],
            established_big: b[2],
            active_big: b[1],
        }
    });
    prop_oneof![
        Just(Targets::RELAY),
        Just(Targets::BLOCK_PRODUCER),
        Just(Targets::SYNC),
        random,
    ]
}

fn regimes() -> impl Strategy<Value = Regime> {
    prop_oneof![
        Just(Regime::Default),
        Just(Regime::PraosSync),
        Just(Regime::BootstrapPraosSync),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Obey,
    Count(u8, u32),
    Regime(Regime),
    LocalHot(u32),
    Wait(u64),
    Deadline,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => Just(Change::Obey),
        2 => (1_u8..=12, 0_u32..200).prop_map(|(set, n)| Change::Count(set, n)),
        1 => regimes().prop_map(Change::Regime),
        1 => prop_oneof![0_u32..30, Just(u32::MAX)].prop_map(Change::LocalHot),
        1 => (0_u64..100).prop_map(Change::Wait),
        4 => Just(Change::Deadline),
    ];
    prop::collection::vec(change, 120..200)
}

fn set_count(counters: &mut Counters, step: u8, to: u32) {
    match set(step) {
        Set::Root => counters.roots = to,
        Set::Known => counters.ordinary.known = to,
        Set::Established => counters.ordinary.established = to,
        Set::Active => counters.ordinary.active = to,
        Set::KnownBig => counters.big.known = to,
        Set::EstablishedBig => counters.big.established = to,
        Set::ActiveBig => counters.big.active = to,
    }
}

impl Toy {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Obey => self.obey(),
            Change::Count(step, to) => set_count(&mut self.counters, *step, *to),
            Change::Regime(regime) => self.regime = *regime,
            Change::LocalHot(local_hot) => self.local_hot = *local_hot,
            Change::Wait(ms) => self.now = self.now.after(Duration::from_millis(*ms)),
            Change::Deadline => self.now = self.churn.next_deadline().unwrap_or(self.now),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Targets in force are only ever the base or what the table says of the step that began, and
    /// only sets of this step change.
    #[test]
    fn targets_are_those_of_the_base_or_of_the_step(base in bases(), changes in changes()) {
        let mut toy = Toy::new(base);
        toy.look();
        toy.now = Instant::from_secs(4);
        toy.look();
        prop_assert_eq!(toy.churn.targets(), base);
        let (mut moved, mut before, mut at) = ([0_u32; 13], 0, base);
        let mut begun = 0;
        for change in &changes {
            toy.change(change);
            for out in toy.look() {
                match out {
                    Out::Targets(targets) => at = targets,
                    Out::Done { step, .. } => {
                        moved[usize::from(step)] = count(step, &toy.counters).abs_diff(before);
                    }
                    Out::Step { step } => {
                        begun += 1;
                        before = count(step, &toy.counters);
                        let from = match step { 3 => 1, 4 => 3, 9 => 7, 10 => 9, _ => 0 };
                        let last = toy.aimed.replace(at);
                        let expected = aim(step, &toy, last.unwrap_or(base), moved[from]);
                        prop_assert_eq!(at, expected, "step {}", step);
                    }
                }
            }
        }
        prop_assert!(begun > 0 || base.is_zero(), "no step was seen");
    }

    /// Steps come in their cyclic order, whatever happens, and at least one cycle is seen.
    #[test]
    fn the_order_of_steps_is_cyclic(base in bases(), changes in changes()) {
        prop_assume!(!base.is_zero());
        let mut toy = Toy::new(base);
        for change in &changes {
            toy.look();
            toy.change(change);
        }
        for _ in 0..30 {
            toy.look();
            toy.change(&Change::Deadline);
        }
        let steps = toy.steps();
        prop_assert!(steps.len() >= 12, "no full cycle: {:?}", steps);
        for (step, expected) in steps.iter().zip((1..=12).cycle()) {
            prop_assert_eq!(*step, expected);
        }
        let done = toy.said.iter().filter(|(_, out)| matches!(out, Out::Done { .. })).count();
        prop_assert!(steps.len() - done <= 1, "each step ends before the next begins");
    }

    /// Where everybody obeys within a second no step down is late; nor is one up.
    #[test]
    fn no_step_is_late_where_everybody_obeys(base in bases(), regime in regimes(), local in 0_u32..9) {
        prop_assume!(!base.is_zero());
        let mut toy = Toy::new(base);
        (toy.regime, toy.local_hot) = (regime, local);
        toy.run(Duration::from_secs(8_000));
        let done: Vec<bool> = toy.said.iter().filter_map(|(_, out)| match out {
            Out::Done { timeout, .. } => Some(*timeout),
            Out::Targets(_) | Out::Step { .. } => None,
        }).collect();
        prop_assert!(done.len() >= 12, "no full cycle");
        prop_assert!(!done.contains(&true));
    }

    /// Before its deadline a look at the same counters changes nothing.
    #[test]
    fn an_early_look_changes_nothing(base in bases(), changes in changes()) {
        let mut toy = Toy::new(base);
        let mut early = 0;
        for change in &changes {
            toy.change(change);
            toy.look();
            let Some(at) = toy.churn.next_deadline() else { continue };
            let (now, before) = (toy.now, toy.churn.clone());
            toy.now = Instant::from_micros(now.as_micros().midpoint(at.as_micros() - 1)).max(now);
            prop_assert_eq!(toy.look(), []);
            prop_assert!(toy.churn == before);
            toy.now = now;
            early += 1;
        }
        prop_assert!(early > 0 || base.is_zero());
    }
}
