//! What the table of connections costs per event, and per entry, from a hundred entries to a
//! million.
//!
//! One machine meets a script drawn as it goes, and what it was told is kept; a second one, equal
//! to the first, is told the same and timed. So drawing costs nothing here.

#[path = "support/figures.rs"]
mod figures;
#[path = "support/traffic.rs"]
mod traffic;

use std::{alloc::System, hint::black_box};

use cap::Cap;
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use samanea_core::{
    base::{Cx, Instant, Machine as _, NoRules, Seeded},
    manager::{Action, Event, Manager},
};

use figures::{for_real, median, now, rounds, wanted};
use traffic::{Script, Traffic};

/// Counts what is allocated.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

fn main() {
    let sizes: &[usize] = if for_real() {
        &[100, 10_000, 1_000_000]
    } else {
        &[100]
    };
    for script in [Script::Normal, Script::Pruning] {
        if !wanted(script.name()) {
            continue;
        }
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN);
        table.set_header([
            &format!("connection table, {} script", script.name()),
            "ns per event",
            "range",
            "steps per second",
            "ns per random read",
            "slots touched per event",
            "actions per event",
            "B per entry",
        ]);
        let mut mix = String::new();
        for size in sizes {
            let (row, kinds) = run(script, *size);
            table.add_row(row);
            mix = kinds;
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let rounds = rounds().max(1);
        println!("{table}\n\n(medians of {rounds} rounds; events: {mix})\n");
    }
}

/// One row, and the mix of events.
fn run(script: Script, size: usize) -> (Vec<String>, String) {
    let mut traffic = Traffic::new(script, size);
    let mut timed = Timed::new(&traffic);
    let filling = traffic.filled();
    let before = MEMORY.allocated();
    timed.play(&filling);
    let bytes = MEMORY.allocated() - before;
    let filled = timed.manager.len();
    drop(filling);
    let batch = if for_real() { 200_000 } else { 2_000 };
    // Until entries of every age are there; and once for the caches.
    let warm = traffic.more(batch.max(size));
    timed.play(&warm);
    drop(warm);
    let mut chase = Chase::new(bytes);
    let mut reads = Vec::new();
    let (mut figures, mut slots, mut actions, mut events) = (Vec::new(), 0, 0, 0);
    for _ in 0..rounds().max(1) {
        let batch = traffic.more(batch);
        let touched = timed.manager.touched();
        let said = timed.said;
        reads.push(chase.run(batch.len()));
        figures.push(timed.play(&batch));
        slots += timed.manager.touched() - touched;
        actions += timed.said - said;
        events += batch.len();
    }
    assert!(timed.manager == traffic.manager, "both were told the same");
    let (low, high) = figures
        .iter()
        .fold((f64::MAX, f64::MIN), |(l, h), f| (l.min(*f), h.max(*f)));
    let ns = median(figures);
    let per = |count: u64| format!("{:.2}", real(count) / real(events as u64));
    let row = vec![
        format!("{} entries", timed.manager.len()),
        format!("{ns:.0}"),
        format!("{low:.0} – {high:.0}"),
        format!("{:.0}", 1e9 / ns),
        format!("{:.0}", median(reads)),
        per(slots),
        per(actions),
        format!("{:.0}", real(bytes as u64) / real(filled as u64)),
    ];
    (row, traffic.mix())
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// Reads from memory of the same size, each of which says where the next one is: what the caches
/// and whoever shares them with us make of any table so large.
struct Chase {
    next: Vec<[u32; 16]>,
    at: u32,
}

impl Chase {
    fn new(bytes: usize) -> Self {
        let len = u32::try_from(bytes / 64 + 2).unwrap();
        // One cycle through all: a random walk of swaps.
        let mut order: Vec<u32> = (0..len).collect();
        let mut dice = 1_u64;
        for i in (1..order.len()).rev() {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order.swap(i, usize::try_from(dice >> 33).unwrap() % i);
        }
        let mut next = vec![[0; 16]; order.len()];
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            next[*from as usize][0] = *to;
        }
        Self { next, at: 0 }
    }

    /// Nanoseconds per read.
    fn run(&mut self, times: usize) -> f64 {
        let begin = now();
        for _ in 0..times {
            self.at = self.next[black_box(self.at) as usize][0];
        }
        begin.elapsed().as_secs_f64() * 1e9 / real(times as u64)
    }
}

/// The machine that is timed.
struct Timed {
    manager: Manager,
    choice: Seeded,
    out: Vec<Action>,
    said: u64,
}

impl Timed {
    fn new(traffic: &Traffic) -> Self {
        Self {
            manager: Manager::new(traffic.manager.config().clone()),
            choice: Seeded::new(traffic::SEED),
            out: Vec::new(),
            said: 0,
        }
    }

    /// Nanoseconds per event.
    fn play(&mut self, events: &[(Instant, Event)]) -> f64 {
        let begin = now();
        for (at, event) in events {
            let mut cx = Cx::new(*at, &mut self.choice, &NoRules, &mut self.out);
            self.manager.step(&mut cx, event.clone());
            self.said += black_box(&self.out).len() as u64;
            self.out.clear();
            // As a driver does after each step.
            black_box(self.manager.next_deadline());
        }
        begin.elapsed().as_secs_f64() * 1e9 / real(events.len() as u64)
    }
}
