//! The tables of `sim rain`: what spreading a message takes when members are dead, die, lie, know
//! of different members or are cut off.
//!
//! A table is of one size of the group and follows from that alone, so the page of the
//! documentation can be checked against what is measured now. Runs are spread over the processors;
//! what comes of them is in the order of seeds.

use core::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{sync::Mutex, thread};

use bytes::Bytes;
use samanea_core::{
    base::{Actor, GroupId},
    rain::{Config, Start},
};

use super::{
    measure::{Measured, Scheme, measure},
    reference::{self, Cell, DEAD, TOLERANCE, Time},
    toy::Lots,
    world::{Mood, World, config, quiet},
};

/// A table of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Members dead from the start, by scheme, beside the reference.
    Dead,
    /// Members that die right after they acknowledged.
    Dying,
    /// Members that say they hold everything and send nothing on.
    Liars,
    /// Members that do not know of some others.
    Views,
    /// A network that is cut when a message is published, and heals.
    Partitions,
}

impl Table {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::Dead,
        Self::Dying,
        Self::Liars,
        Self::Views,
        Self::Partitions,
    ];

    /// Its name on the command line and in the page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Dying => "dying",
            Self::Liars => "liars",
            Self::Views => "views",
            Self::Partitions => "partitions",
        }
    }

    /// The largest group it is made for: beyond, it would take hours.
    pub const fn members_max(self) -> u32 {
        match self {
            Self::Dead => 100_000,
            Self::Dying | Self::Liars | Self::Views | Self::Partitions => 1_000,
        }
    }

    /// Runs of a cell: more for few members.
    pub const fn runs(self, members: u32) -> u32 {
        let runs = match self {
            Self::Dead | Self::Dying => 10,
            Self::Liars | Self::Views | Self::Partitions => 3,
        };
        match members {
            0..=100 => runs * 10,
            101..=500 => runs * 2,
            501..=2_000 => runs,
            _ => runs.div_ceil(5),
        }
    }

    /// The table, in Markdown. Each row is told as it is done.
    pub fn measure(self, members: u32, told: &mut dyn FnMut(&str)) -> String {
        match self {
            Self::Dead => dead(members, told),
            Self::Dying => dying(members, told),
            Self::Liars => liars(members, told),
            Self::Views => views(members, told),
            Self::Partitions => partitions(members, told),
        }
    }
}

/// The mean of several runs.
#[derive(Clone, Debug, Default)]
pub struct Mean {
    runs: u32,
    whole: u32,
    reached: f64,
    payloads: f64,
    controls: f64,
    duplicates: f64,
    hops: (f64, f64),
    last: f64,
    busiest: f64,
}

impl Mean {
    /// Of runs with seeds 1 to `runs`.
    ///
    /// # Panics
    /// When a run does.
    pub fn of(runs: u32, run: impl Fn(u64) -> Measured + Sync) -> Self {
        let next = AtomicU64::new(1);
        let done = Mutex::new(Vec::new());
        let workers = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..workers.min(runs as usize) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed > runs.into() {
                            break;
                        }
                        let one = run(seed);
                        done.lock().expect("no run has panicked").push((seed, one));
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no run has panicked");
        done.sort_by_key(|(seed, _)| *seed);
        let mut mean = Self {
            runs,
            ..Self::default()
        };
        let part = 1.0 / f64::from(runs.max(1));
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        for (_, one) in done {
            let live = f64::from(one.live.max(1));
            mean.whole += u32::from(one.reached == one.live);
            mean.reached += part * f64::from(one.reached) / live;
            mean.payloads += part * one.payloads as f64;
            mean.controls += part * one.controls as f64;
            mean.duplicates += part * one.duplicates as f64 / live;
            let (most, half) = one.hops();
            mean.hops.0 = mean.hops.0.max(most as f64);
            mean.hops.1 += part * half as f64;
            mean.last += part * one.last as f64 / 100.0;
            mean.busiest += part * f64::from(one.busiest);
        }
        mean
    }

    /// Whether everybody was reached in every run.
    pub fn is_whole(&self) -> bool {
        self.whole == self.runs && self.runs > 0
    }

    fn coverage(&self) -> String {
        if self.is_whole() {
            return "100".into();
        }
        format!("{:.2}", self.reached * 100.0)
    }

    fn cell(&self) -> String {
        format!(
            "{} · {:.0}+{:.0} · {:.2} · {:.0}/{:.0} · {:.0}/{:.0}",
            self.coverage(),
            self.payloads,
            self.controls,
            self.duplicates,
            self.hops.0,
            self.hops.1,
            self.last,
            self.busiest
        )
    }

    fn short(&self) -> String {
        format!(
            "{} ({} of {}) · {:.0}+{:.0} · {:.0}",
            self.coverage(),
            self.whole,
            self.runs,
            self.payloads,
            self.controls,
            self.last
        )
    }

    /// What is worse than in the reference, in words.
    fn worse(&self, cell: Option<&Cell>, time: Option<Time>) -> Vec<String> {
        let mut worse = Vec::new();
        // The upper end of what rounds to the reference's figure.
        let mut look = |what: &str, own: f64, other: f64, half: f64, digits: usize| {
            if own > (other + half) * TOLERANCE {
                worse.push(format!("{what} {own:.digits$} ({other:.digits$})"));
            }
        };
        if let Some(cell) = cell {
            let thousands = |figure: f64| if figure >= 10_000.0 { 50.0 } else { 0.5 };
            look(
                "payloads",
                self.payloads,
                cell.payloads,
                thousands(cell.payloads),
                0,
            );
            look(
                "other frames",
                self.controls,
                cell.controls,
                thousands(cell.controls),
                0,
            );
            look(
                "copies for nothing",
                self.duplicates,
                cell.duplicates,
                0.05,
                2,
            );
            look("most sends", self.hops.0, cell.hops.0, 0.0, 0);
            look("median of sends", self.hops.1.round(), cell.hops.1, 0.0, 0);
        }
        if let Some((last, busiest)) = time {
            look("units until the last", self.last, last, 0.5, 1);
            look("sends of the busiest", self.busiest, busiest, 0.5, 0);
        }
        if !self.is_whole() {
            worse.push(format!("{} % reached", self.coverage()));
        }
        worse
    }
}

fn heads(out: &mut String, first: &str, heads: impl Iterator<Item = String>) {
    let heads: Vec<String> = heads.collect();
    let _ = writeln!(out, "| {first} | {} |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(heads.len()));
}

fn row(out: &mut String, name: &str, cells: &[String]) {
    let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
}

/// Members dead from the start, by scheme.
fn dead(n: u32, told: &mut dyn FnMut(&str)) -> String {
    let mut out = String::new();
    let runs = Table::Dead.runs(n);
    let _ = writeln!(out, "{n} members, {runs} runs a cell:\n");
    let percents = DEAD.iter().map(|percent| format!("{percent} % dead"));
    heads(&mut out, "", percents.clone());
    let mut measure = |out: &mut String, name: &str, scheme: &Scheme| {
        let means = DEAD.map(|percent| {
            let dead = (n - 1) * percent / 100;
            Mean::of(runs, |seed| scheme.measure(n, seed, (dead, Mood::Dead)))
        });
        let cells = means.each_ref().map(Mean::cell);
        told(&format!("{n} {name}: {}", cells.join(" | ")));
        row(out, name, &cells);
        means
    };
    for (name, scheme) in Scheme::all() {
        measure(&mut out, name, &scheme);
    }
    let Some(cells) = reference::adopted(n) else {
        return out;
    };
    let _ = writeln!(out, "\nBeside the reference, one custodian:\n");
    heads(&mut out, "", percents);
    let mut verdicts = String::new();
    let mut compare = |name: &str, means: &[Mean; 6], cells: Option<&[Cell; 6]>, time: &Timed| {
        let mut worse = Vec::new();
        for (at, (mean, percent)) in means.iter().zip(DEAD).enumerate() {
            let of = mean.worse(cells.and_then(|cells| cells.get(at)), time(n, percent));
            if !of.is_empty() {
                worse.push(format!("{percent} % dead: {}", of.join(", ")));
            }
        }
        if worse.is_empty() {
            worse.push("nothing".into());
        }
        let _ = writeln!(verdicts, "- {name}: {}", worse.join("; "));
    };
    let all = (1_000_000, Some(&cells), reference::adopted_time as Timed);
    let none = (0, None, reference::handed_on_time as Timed);
    let early = (Start::AfterReceipt, 2);
    let late = (quiet().cleanup.start, quiet().cleanup.patience);
    let default = (quiet().adoption, all.1, all.2);
    for (name, (adoption, cells, time), start, first) in [
        ("every silent child adopted", all, early, true),
        ("none adopted, arcs handed on", none, early, true),
        (
            "every silent child adopted, chains as late as by default",
            all,
            late,
            false,
        ),
        (
            "none adopted, chains as late as by default",
            none,
            late,
            false,
        ),
        ("budget and chains as by default", default, late, false),
    ] {
        let known = |percent: &u32| cells.is_some() || time(n, *percent).is_some();
        if !DEAD.iter().any(known) {
            continue;
        }
        if first {
            let shown = DEAD.iter().enumerate().map(|(at, percent)| {
                shown(cells.and_then(|cells| cells.get(at)), time(n, *percent))
            });
            let shown: Vec<String> = shown.collect();
            row(&mut out, &format!("reference: {name}"), &shown);
        }
        let mut config = quiet();
        (config.cleanup.custodians, config.adoption) = (1, adoption);
        (config.cleanup.start, config.cleanup.patience) = start;
        let scheme = Scheme::Ours(Box::new(config));
        let means = measure(&mut out, &format!("ours: {name}"), &scheme);
        compare(name, &means, cells, &time);
    }
    let _ = writeln!(
        out,
        "\nWorse than the reference by more than five percent (its figure in brackets):\n\n{verdicts}"
    );
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

type Timed = fn(u32, u32) -> Option<Time>;

/// A cell of the reference as ours are shown; what it does not say is a dash.
fn shown(cell: Option<&Cell>, time: Option<Time>) -> String {
    let spread = cell.map_or_else(
        || "100 · – · – · –".into(),
        |cell| {
            format!(
                "100 · {:.0}+{:.0} · {:.1} · {:.0}/{:.0}",
                cell.payloads, cell.controls, cell.duplicates, cell.hops.0, cell.hops.1
            )
        },
    );
    let time = time.map_or_else(
        || "–".into(),
        |(last, busiest)| format!("{last:.0}/{busiest:.0}"),
    );
    format!("{spread} · {time}")
}

/// Members that die right after they acknowledged.
fn dying(n: u32, told: &mut dyn FnMut(&str)) -> String {
    let mut out = String::new();
    let percents = [1, 5, 10, 20, 30];
    heads(
        &mut out,
        "members, custodians, whether crashes are reported",
        percents.iter().map(|percent| format!("{percent} % die")),
    );
    for (k, reported) in [(1, true), (2, true), (1, false), (2, false)] {
        let cells = percents.map(|percent| {
            let mut config = config();
            config.times.digest = Duration::from_secs(86_400);
            config.cleanup.custodians = k;
            let run = |seed| {
                let mut world = World::of(n, &config, seed);
                world.reported = reported;
                set(&mut world, seed, n * percent / 100, Mood::Dying);
                measure(&mut world)
            };
            Mean::of(Table::Dying.runs(n), run).short()
        });
        let name = format!("{n}, {k}, {}", if reported { "reported" } else { "silent" });
        told(&format!("dying {name}: {}", cells.join(" | ")));
        row(&mut out, &name, &cells);
    }
    out
}

fn set(world: &mut World, seed: u64, count: u32, mood: Mood) {
    for at in Lots::of(seed, 1).some(count, world.members(), |at| at > 0) {
        world.set_mood(at, mood);
    }
}

/// Members that say they hold everything and send nothing on.
fn liars(n: u32, told: &mut dyn FnMut(&str)) -> String {
    let mut out = String::new();
    let custodians = [1_u8, 2, 3, 4, 6];
    let columns = custodians.iter().map(|k| format!("k = {k}"));
    heads(
        &mut out,
        "members, liars",
        columns.chain(["k = 2, with digests".into()]),
    );
    for percent in [10, 20, 33] {
        let cell = |base: &Config, k: u8| {
            let mut config = base.clone();
            config.cleanup.custodians = k;
            let run = |seed| {
                let mut world = World::of(n, &config, seed);
                set(&mut world, seed, (n - 1) * percent / 100, Mood::Liar);
                measure(&mut world)
            };
            Mean::of(Table::Liars.runs(n), run).short()
        };
        let quiet = quiet();
        let mut cells = custodians.map(|k| cell(&quiet, k)).to_vec();
        cells.push(cell(&config(), 2));
        let name = format!("{n}, {percent} %");
        told(&format!("liars {name}: {}", cells.join(" | ")));
        row(&mut out, &name, &cells);
        if let Some(known) = reference::liars(n, percent) {
            let known = known.iter().map(ToString::to_string);
            let cells: Vec<String> = known.chain(["–".into()]).collect();
            row(&mut out, "reference", &cells);
        }
    }
    out
}

/// Members that do not know of some others, the publisher among them.
fn views(n: u32, told: &mut dyn FnMut(&str)) -> String {
    let mut out = String::new();
    let columns = ["k = 1", "k = 2", "k = 2, with digests"];
    heads(
        &mut out,
        "members, unknown to each",
        columns.into_iter().map(String::from),
    );
    for percent in [1, 5, 10, 20] {
        let cell = |base: &Config, k: u8| {
            let mut config = base.clone();
            config.cleanup.custodians = k;
            let run = |seed| measure(&mut World::differing(n, &config, seed, percent * 10));
            Mean::of(Table::Views.runs(n), run).short()
        };
        let cells = [cell(&quiet(), 1), cell(&quiet(), 2), cell(&config(), 2)];
        let name = format!("{n}, {percent} %");
        told(&format!("views {name}: {}", cells.join(" | ")));
        row(&mut out, &name, &cells);
        if let Some([one, two]) = reference::views(n, percent) {
            row(
                &mut out,
                "reference",
                &[one.to_string(), two.to_string(), "–".into()],
            );
        }
    }
    out
}

/// A network that is cut when a message is published, and heals.
fn partitions(n: u32, told: &mut dyn FnMut(&str)) -> String {
    let mut out = String::new();
    let shares = [3, 2];
    heads(
        &mut out,
        "members",
        shares.iter().map(|share| {
            format!(
                "1 of {share} cut off for 20 s: missed; seconds until the last, after it healed"
            )
        }),
    );
    let runs = Table::Partitions.runs(n).min(10);
    let cells = shares.map(|share| {
        let (mut missed, mut last) = (0, Duration::ZERO);
        for seed in 1..=u64::from(runs) {
            let mut world = World::of(n, &config(), seed);
            world.run(Duration::from_secs(6));
            world.cut(|at| u8::from(at % share == 1));
            let group = GroupId::AllStaked;
            let id = world.publish(0, &group, Bytes::from_static(b"a message"));
            world.run(Duration::from_secs(20));
            world.heal();
            let healed = world.now();
            world.run(Duration::from_secs(35));
            let Some(id) = id else { continue };
            missed += world.missed(&id, 0..n).len();
            let got = world
                .spread(&id)
                .into_iter()
                .flat_map(|spread| spread.got.values());
            let late = got.map(|got| got.at.since(healed)).max();
            last = last.max(late.unwrap_or_default());
        }
        format!("{missed} in {runs} runs; {:.1}", last.as_secs_f64())
    });
    told(&format!("partitions {n}: {}", cells.join(" | ")));
    row(&mut out, &n.to_string(), &cells);
    out
}

/// Validators among themselves, with and without so many servicers around: whether all they were
/// told and asked for, and every deadline, are the same; and how many steps they took.
pub fn isolated(validators: u32, servicers: u32, seed: u64) -> (bool, u64) {
    let run = |servicers: u32| {
        let mut world = World::new(seed);
        world.watched = validators;
        let group = GroupId::Role(Actor::Validator);
        let others = GroupId::Role(Actor::Servicer);
        world.add(validators, &config(), &group);
        if servicers > 0 {
            world.add(servicers, &config(), &others);
        }
        for round in 0..4 {
            let payload = Bytes::from_static(b"a message");
            world.publish(round * 5 % validators, &group, payload.clone());
            if servicers > 0 {
                world.publish(validators + round * 7 % servicers, &others, payload);
            }
            world.run(Duration::from_millis(1_500));
        }
        world.run(Duration::from_secs(4));
        world
    };
    let (alone, among) = (run(0), run(servicers));
    let same = (0..validators)
        .all(|at| alone.trace(at) == among.trace(at) && alone.rain(at) == among.rain(at));
    let steps = (0..validators).map(|at| alone.trace(at).1).sum();
    let busy = among.spreads().count() > alone.spreads().count();
    (
        same && busy && alone.seen == among.seen && !alone.seen.is_empty(),
        steps,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_a_line_for_everything() {
        let mut lines = 0;
        let page = dead(9, &mut |_| lines += 1);
        assert_eq!(lines, Scheme::all().len());
        let whole = page.lines().filter(|line| line.contains("(default)"));
        let cells: Vec<&str> = whole.flat_map(|line| line.split('|')).collect();
        let full = cells
            .iter()
            .filter(|cell| cell.trim().starts_with("100 "))
            .count();
        assert_eq!(full, DEAD.len(), "{page}");
    }

    #[test]
    fn what_is_worse_than_the_reference_is_said_and_nothing_else() {
        let cell = Cell {
            payloads: 100.0,
            controls: 300.0,
            duplicates: 0.1,
            hops: (5.0, 3.0),
        };
        let mut mean = Mean {
            runs: 1,
            whole: 1,
            reached: 1.0,
            payloads: 105.0,
            controls: 315.0,
            duplicates: 0.15,
            hops: (5.0, 3.0),
            last: 16.8,
            busiest: 72.0,
        };
        let time = Some((16.0, 72.0));
        assert_eq!(mean.worse(Some(&cell), time), [""; 0]);
        mean.payloads = 106.0;
        mean.hops.0 = 6.0;
        mean.last = 17.5;
        let worse = mean.worse(Some(&cell), time);
        assert_eq!(
            worse,
            [
                "payloads 106 (100)",
                "most sends 6 (5)",
                "units until the last 17.5 (16.0)"
            ]
        );
        (mean.whole, mean.reached) = (0, 0.5);
        assert_eq!(mean.worse(None, None), ["50.00 % reached"]);
    }

    #[test]
    fn validators_are_isolated_and_that_is_seen() {
        let (same, steps) = isolated(20, 40, 1);
        assert!(same && steps > 400, "{steps} steps");
    }
}
