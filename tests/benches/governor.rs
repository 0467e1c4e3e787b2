//! What the selection of peers costs per event, and per known peer, from a hundred and fifty known
//! peers to a million.
//!
//! One machine meets a script drawn as it goes, and what it was told is kept; a second one, equal
//! to the first, is told the same and timed. So drawing costs nothing here.

#[path = "support/crowd.rs"]
mod crowd;
#[path = "support/figures.rs"]
mod figures;

use std::{
    alloc::System,
    collections::{BTreeMap, VecDeque},
    hint::black_box,
};

use core::time::Duration;

use cap::Cap;
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use rustix::time::{ClockId, clock_gettime};
use samanea_core::{
    base::{Cx, Instant, Machine as _, NoRules, Seeded},
    governor::{Action, Event, Governor, Saved, SavedPeer, Targets},
};

use crowd::{Crowd, Script};
use figures::{for_real, median, now, rounds, wanted};

/// Counts what is allocated.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

fn main() {
    let sizes: &[u32] = if for_real() {
        &[150, 10_000, 1_000_000]
    } else {
        &[150]
    };
    let begin = now();
    for script in [Script::Steady, Script::Storm] {
        if !wanted(script.name()) {
            continue;
        }
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN);
        table.set_header([
            &format!("governor, {}", script.name()),
            "established",
            "ns per event",
            "range",
            "ns, slowest of a thousand",
            "slots touched per event",
            "actions per event",
            "B per cold peer",
            "with its timer",
            "ns per peer learned",
            "forgotten",
        ]);
        let mut mixes = Vec::new();
        for size in sizes {
            let (row, mix) = run(script, *size);
            table.add_row(row);
            mixes.push(format!("{size} known: {mix}"));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let rounds = rounds().max(1);
        println!(
            "{table}\n\n(medians of {rounds} rounds)\n{}\n",
            mixes.join("\n")
        );
    }
    println!("(took {:.0} s)", begin.elapsed().as_secs_f64());
}

/// One row, and the mix of events.
fn run(script: Script, size: u32) -> (Vec<String>, String) {
    let mut crowd = Crowd::new(script, size);
    let waiting = bytes_waiting(script, size);
    let (mut timed, learned, bytes) = Timed::filled(&mut crowd);
    // The first cycle of churn is over after this; what it forgot is learned again.
    crowd.pass(Duration::from_secs(4_200));
    crowd.fill();
    timed.play(crowd.taken());
    let batch = if for_real() { 100_000 } else { 2_000 };
    // Once for the caches.
    timed.play(crowd.more(batch));
    let (mut figures, mut slow, mut slots, mut actions, mut events) =
        (Vec::new(), Vec::new(), 0, 0, 0);
    let mut kinds = BTreeMap::new();
    for _ in 0..rounds().max(1) {
        let batch = crowd.more(batch);
        let (touched, said, count) = (timed.governor.touched(), timed.said, batch.len());
        figures.push(timed.play(batch));
        slots += timed.governor.touched() - touched;
        actions += timed.said - said;
        events += count;
        slow.push(timed.slowest(crowd.more(count), &mut kinds));
    }
    assert!(timed.governor == crowd.governor, "both were told the same");
    let known = timed.governor.counters().ordinary.known;
    let established = timed.governor.counters().ordinary.established;
    let mix = mix(&kinds);
    let forgotten = timed.forget(known);
    let (low, high) = figures
        .iter()
        .fold((f64::MAX, f64::MIN), |(l, h), f| (l.min(*f), h.max(*f)));
    let per = |count: u64| format!("{:.2}", real(count) / real(events as u64));
    let row = vec![
        format!("{known} known"),
        format!("{established}"),
        format!("{:.0}", median(figures)),
        format!("{low:.0} – {high:.0}"),
        format!("{:.0}", median(slow)),
        per(slots as u64),
        per(actions),
        format!("{bytes:.0}"),
        format!("{waiting:.0}"),
        format!("{learned:.0}"),
        format!("{forgotten:.0}"),
    ];
    (row, mix)
}

/// Of each kind of event its part, in percent, and nanoseconds.
fn mix(kinds: &BTreeMap<&'static str, (u64, f64)>) -> String {
    let all: u64 = kinds.values().map(|(count, _)| count).sum();
    let part = |(kind, (count, ns)): (&&str, &(u64, f64))| {
        let percent = 100.0 * real(*count) / real(all);
        format!("{kind} {percent:.1} % {:.0} ns", ns / real(*count))
    };
    kinds.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// Nanoseconds for which this thread has run: what others do on the machine does not count.
fn used() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let whole = u64::try_from(used.tv_sec).unwrap_or(0) * 1_000_000_000;
    real(whole + u64::try_from(used.tv_nsec).unwrap_or(0))
}

/// Bytes per known peer when each has failed and waits for its time.
fn bytes_waiting(script: Script, size: u32) -> f64 {
    let before = MEMORY.allocated();
    let mut crowd = Crowd::new(script, size);
    crowd.fail_all();
    let counters = crowd.governor.counters().ordinary;
    assert!(
        counters.known == size && counters.available == 0,
        "all wait"
    );
    // What the script itself holds is little.
    real((MEMORY.allocated() - before) as u64) / real(size.into())
}

/// Bytes that an event has on the heap.
fn weight(event: &Event) -> usize {
    match event {
        Event::Restore(saved) => {
            size_of::<Saved>() + saved.peers.capacity() * size_of::<SavedPeer>()
        }
        _ => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

/// The machine that is timed.
struct Timed {
    governor: Governor,
    choice: Seeded,
    out: Vec<Action>,
    said: u64,
    at: Instant,
}

impl Timed {
    /// Is told who is known; nanoseconds and bytes per peer.
    fn filled(crowd: &mut Crowd) -> (Self, f64, f64) {
        let mut timed = Self {
            governor: Governor::new(crowd.governor.config().clone(), (3, 4)),
            choice: Seeded::new(crowd::SEED),
            out: Vec::new(),
            said: 0,
            at: Instant::ZERO,
        };
        crowd.fill();
        let filling = crowd.taken();
        let told: usize = filling.iter().map(|(_, event)| weight(event)).sum();
        let before = MEMORY.allocated();
        let ns = timed.play(filling) * 2.0;
        // The machine has freed what it was told; a peer or two is on its way to be warm.
        let bytes = (MEMORY.allocated() + told).saturating_sub(before);
        let known = real(timed.governor.counters().ordinary.known.into());
        (timed, ns / known, real(bytes as u64) / known)
    }

    /// Nanoseconds per event.
    fn play(&mut self, events: VecDeque<(Instant, Event)>) -> f64 {
        let count = events.len();
        let begin = used();
        for (at, event) in events {
            self.step(at, event);
        }
        (used() - begin) / real(count.max(1) as u64)
    }

    /// Nanoseconds that one event of a thousand exceeds.
    fn slowest(
        &mut self,
        events: VecDeque<(Instant, Event)>,
        kinds: &mut BTreeMap<&'static str, (u64, f64)>,
    ) -> f64 {
        let mut each = Vec::with_capacity(events.len());
        let clock = (0..100).map(|_| -used() + used()).fold(f64::MAX, f64::min);
        for (at, event) in events {
            let kind = kinds.entry(crowd::kind(&event)).or_default();
            let begin = used();
            self.step(at, event);
            let took = used() - begin - clock;
            kind.0 += 1;
            kind.1 += took;
            each.push(took);
        }
        each.sort_by(f64::total_cmp);
        each.get(each.len() * 999 / 1_000)
            .copied()
            .unwrap_or(f64::NAN)
    }

    fn step(&mut self, at: Instant, event: Event) {
        self.at = at;
        let mut cx = Cx::new(at, &mut self.choice, &NoRules, &mut self.out);
        self.governor.step(&mut cx, event);
        self.said += black_box(&self.out).len() as u64;
        self.out.clear();
        // As a driver does after each step.
        black_box(self.governor.next_deadline());
    }

    /// A fifth less is wanted; nanoseconds per peer forgotten.
    fn forget(&mut self, known: u32) -> f64 {
        let deadline = Targets {
            known: known / 5 * 4,
            ..crowd::targets(known)
        };
        let sync = Targets::ZERO;
        let begin = used();
        self.step(self.at, Event::Targets { deadline, sync });
        // Portions of them.
        while self.governor.counters().ordinary.known > deadline.known {
            let Some(at) = self.governor.next_deadline() else {
                break;
            };
            self.step(at, Event::Tick);
        }
        let took = used() - begin;
        let left = self.governor.counters().ordinary.known;
        took / real(known.saturating_sub(left).max(1).into())
    }
}
