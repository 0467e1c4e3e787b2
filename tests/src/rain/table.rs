//! The tables of `sim rain`: what spreading a message takes when members are dead, die, lie, know
//! of different members or are cut off.

use core::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use samanea_core::{
    base::{Actor, GroupId},
    rain::Config,
};

use super::{
    measure::{Measured, Scheme, measure},
    toy::Lots,
    world::{Mood, World, config, quiet},
};

/// Members dead from the start, in percent.
const DEAD: [u32; 6] = [0, 5, 10, 20, 30, 50];

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
    pub fn of(runs: u32, mut run: impl FnMut(u64) -> Measured) -> Self {
        let mut mean = Self {
            runs,
            ..Self::default()
        };
        let part = 1.0 / f64::from(runs.max(1));
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        for seed in 1..=u64::from(runs) {
            let one = run(seed);
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
}

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Sizes of the group.
    pub sizes: Vec<u32>,
    /// Runs of a cell, for a thousand members; more for fewer, fewer for more.
    pub runs: u32,
}

impl Effort {
    fn runs(&self, n: u32) -> u32 {
        match n {
            0..=100 => self.runs * 10,
            101..=500 => self.runs * 4,
            501..=2_000 => self.runs,
            _ => (self.runs / 5).max(1),
        }
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
pub fn dead(effort: &Effort, mut told: impl FnMut(&str)) -> String {
    let mut out = String::new();
    for n in &effort.sizes {
        let _ = writeln!(out, "\n{n} members, {} runs a cell:\n", effort.runs(*n));
        heads(
            &mut out,
            "",
            DEAD.iter().map(|percent| format!("{percent} % dead")),
        );
        for (name, scheme) in Scheme::all() {
            let cells = DEAD.map(|percent| {
                let dead = (n - 1) * percent / 100;
                let run = |seed| scheme.measure(*n, seed, (dead, Mood::Dead));
                Mean::of(effort.runs(*n), run).cell()
            });
            told(&format!("{n} {name}: {}", cells.join(" | ")));
            row(&mut out, name, &cells);
        }
    }
    out
}

/// Members that die right after they acknowledged.
pub fn dying(effort: &Effort, mut told: impl FnMut(&str)) -> String {
    let mut out = String::new();
    let percents = [1, 5, 10, 20, 30];
    heads(
        &mut out,
        "members, custodians, whether crashes are reported",
        percents.iter().map(|percent| format!("{percent} % die")),
    );
    for n in &effort.sizes {
        for (k, reported) in [(1, true), (2, true), (1, false), (2, false)] {
            let cells = percents.map(|percent| {
                let mut config = config();
                config.times.digest = Duration::from_secs(86_400);
                config.cleanup.custodians = k;
                let run = |seed| {
                    let mut world = World::of(*n, &config, seed);
                    world.reported = reported;
                    set(&mut world, seed, *n * percent / 100, Mood::Dying);
                    measure(&mut world)
                };
                Mean::of(effort.runs(*n), run).short()
            });
            let name = format!("{n}, {k}, {}", if reported { "reported" } else { "silent" });
            told(&format!("dying {name}: {}", cells.join(" | ")));
            row(&mut out, &name, &cells);
        }
    }
    out
}

fn set(world: &mut World, seed: u64, count: u32, mood: Mood) {
    for at in Lots::of(seed, 1).some(count, world.members(), |at| at > 0) {
        world.set_mood(at, mood);
    }
}

/// Members that say they hold everything and send nothing on.
pub fn liars(effort: &Effort, mut told: impl FnMut(&str)) -> String {
    let mut out = String::new();
    let custodians = [1_u8, 2, 3, 4, 6];
    let columns = custodians.iter().map(|k| format!("k = {k}"));
    heads(
        &mut out,
        "members, liars",
        columns.chain(["k = 2, with digests".into()]),
    );
    for n in &effort.sizes {
        for percent in [10, 20, 33] {
            let cell = |base: &Config, k: u8| {
                let mut config = base.clone();
                config.cleanup.custodians = k;
                let run = |seed| {
                    let mut world = World::of(*n, &config, seed);
                    set(&mut world, seed, (*n - 1) * percent / 100, Mood::Liar);
                    measure(&mut world)
                };
                Mean::of(effort.runs(*n), run).short()
            };
            let quiet = quiet();
            let mut cells = custodians.map(|k| cell(&quiet, k)).to_vec();
            cells.push(cell(&config(), 2));
            let name = format!("{n}, {percent} %");
            told(&format!("liars {name}: {}", cells.join(" | ")));
            row(&mut out, &name, &cells);
        }
    }
    out
}

/// Members that do not know of some others.
pub fn views(effort: &Effort, mut told: impl FnMut(&str)) -> String {
    let mut out = String::new();
    let columns = ["k = 1", "k = 2", "k = 2, with digests"];
    heads(
        &mut out,
        "members, unknown to each",
        columns.into_iter().map(String::from),
    );
    for n in effort.sizes.iter().filter(|n| **n <= 1_000) {
        for per_mille in [10, 50, 100, 200] {
            let cell = |base: &Config, k: u8| {
                let mut config = base.clone();
                config.cleanup.custodians = k;
                let run = |seed| {
                    let mut world = World::differing(*n, &config, seed, per_mille);
                    measure(&mut world)
                };
                Mean::of(effort.runs(*n), run).short()
            };
            let cells = [cell(&quiet(), 1), cell(&quiet(), 2), cell(&config(), 2)];
            let name = format!("{n}, {} %", per_mille / 10);
            told(&format!("views {name}: {}", cells.join(" | ")));
            row(&mut out, &name, &cells);
        }
    }
    out
}

/// A network that is cut when a message is published, and heals.
pub fn partitions(effort: &Effort, mut told: impl FnMut(&str)) -> String {
    let mut out = String::new();
    let shares = [3, 2];
    heads(
        &mut out,
        "members",
        shares.iter().map(|share| {
            format!("1 of {share} cut off for 20 s: reached; seconds after it healed")
        }),
    );
    for n in effort.sizes.iter().filter(|n| **n <= 1_000) {
        let cells = shares.map(|share| {
            let runs = effort.runs(*n).min(10);
            let (mut missed, mut last) = (0, Duration::ZERO);
            for seed in 1..=u64::from(runs) {
                let mut world = World::of(*n, &config(), seed);
                world.run(Duration::from_secs(6));
                world.cut(|at| u8::from(at % share == 1));
                let group = GroupId::AllStaked;
                let id = world.publish(0, &group, Bytes::from_static(b"a message"));
                world.run(Duration::from_secs(20));
                world.heal();
                let healed = world.now();
                world.run(Duration::from_secs(35));
                let Some(id) = id else { continue };
                missed += world.missed(&id, 0..*n).len();
                let got = world
                    .spread(&id)
                    .into_iter()
                    .flat_map(|spread| spread.got.values());
                let late = got.map(|got| got.at.since(healed)).max();
                last = last.max(late.unwrap_or_default());
            }
            format!("{missed} missed in {runs} runs; {:.1}", last.as_secs_f64())
        });
        told(&format!("partitions {n}: {}", cells.join(" | ")));
        row(&mut out, &n.to_string(), &cells);
    }
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
        let effort = Effort {
            sizes: vec![9],
            runs: 1,
        };
        let mut lines = 0;
        let page = dead(&effort, |_| lines += 1);
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
    fn validators_are_isolated_and_that_is_seen() {
        let (same, steps) = isolated(20, 40, 1);
        assert!(same && steps > 400, "{steps} steps");
    }
}
