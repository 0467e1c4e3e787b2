//! Plays a scenario and judges it.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use samanea_core::{
    base::{Choice, Cx, Instant, Machine as _, NoRules, Seeded, Site},
    governor::{Action, Config, Event, Governor, Notice, Saved},
};

use super::{
    laws::{Breach, Law, Seen},
    overlooked::Overlooked,
    picture::Picture,
    safety::Safety,
    scenario::{Chance, Scenario},
    settled::Settled,
    shares::Shares,
    world::{Turn, World},
};

/// How a scenario ended.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The first breach of each law.
    pub broken: BTreeMap<Law, Breach>,
    /// What was seen.
    pub seen: Seen,
    /// What the governor said of itself at the end.
    pub end: Picture,
    /// The last events and actions, if they were written down.
    pub journal: Vec<String>,
}

/// Steps at one instant at most.
const STEPS_MAX: u32 = 1_000;
/// Lines of a journal.
const LINES_MAX: usize = 120;

/// A governor in its world, with those who watch it.
pub struct Run<'a> {
    scenario: &'a Scenario,
    /// The world.
    pub world: World<'a>,
    /// The governor.
    pub governor: Governor,
    choice: Dice,
    picture: Picture,
    safety: Safety,
    settled: Settled,
    overlooked: Overlooked,
    shares: Shares,
    verdict: Verdict,
    journal: Journal,
    steps_now: u32,
    acted: bool,
    over: bool,
}

/// Whether events and actions are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// They are not.
    Off,
    /// They are, until this law is broken.
    Until(Law),
}

/// Plays a scenario to its end, or to a breach after which nothing can be said.
pub fn run(scenario: &Scenario, journal: Journal) -> Verdict {
    let mut run = Run::new(scenario, journal);
    run.start();
    let end = Instant::ZERO.after(scenario.horizon);
    while !run.over && run.advance(end) {}
    run.finish()
}

/// The shortest scenario found that still breaks a law, and its verdict.
pub fn shortest(failing: &Scenario, law: Law, tries: u32) -> (Scenario, Verdict) {
    let mut kept = failing.clone();
    let mut left = tries;
    'again: loop {
        for simpler in kept.simpler() {
            if left == 0 {
                break 'again;
            }
            left -= 1;
            let verdict = run(&simpler, Journal::Off);
            if let Some(breach) = verdict.broken.get(&law) {
                kept = simpler;
                kept.horizon = breach.at.since(Instant::ZERO);
                kept.horizon += core::time::Duration::from_secs(1);
                continue 'again;
            }
        }
        break;
    }
    let verdict = run(&kept, Journal::Until(law));
    (kept, verdict)
}

impl<'a> Run<'a> {
    /// A governor that was told nothing yet.
    pub fn new(scenario: &'a Scenario, journal: Journal) -> Self {
        let governor = Governor::new(scenario.config.clone(), (7, 9));
        let seed = match scenario.chance {
            Chance::Seeded(seed) => seed,
            Chance::First | Chance::Last => 0,
        };
        Self {
            scenario,
            world: World::new(scenario),
            picture: Picture::of(&governor),
            governor,
            choice: Dice {
                how: scenario.chance,
                seeded: Seeded::new(seed),
            },
            safety: Safety::new(scenario),
            settled: Settled::new(scenario),
            overlooked: Overlooked::new(scenario),
            shares: Shares::default(),
            verdict: Verdict::default(),
            journal,
            steps_now: 0,
            acted: false,
            over: false,
        }
    }

    fn start(&mut self) {
        self.tell(Event::Tick);
        for doing in &self.scenario.start {
            for event in self.world.script(doing) {
                self.tell(event);
            }
        }
        self.settle();
    }

    /// Goes to the next instant at which something is due; `false` at the end.
    fn advance(&mut self, end: Instant) -> bool {
        let due = [self.world.next(), self.governor.next_deadline()];
        let Some(next) = due.into_iter().flatten().min().filter(|at| *at <= end) else {
            return false;
        };
        if next > self.world.now {
            self.over_time(next);
            self.world.now = next;
            self.steps_now = 0;
            self.acted = false;
        }
        while let Some(turn) = self.world.turn() {
            match turn {
                Turn::Tell(events) => events.into_iter().for_each(|event| self.tell(event)),
                Turn::Restart => self.restart(),
            }
            if self.over {
                return false;
            }
        }
        if self.governor.next_deadline().is_some_and(|at| at <= next) {
            self.tell(Event::Tick);
            let late = self.governor.next_deadline();
            let late = late.filter(|at| *at <= self.world.now);
            if let Some(late) = late {
                let what = format!("after a tick the next deadline is {late}");
                self.breach(Law::Deadlines, what);
            }
            self.verdict.seen.case(Law::Deadlines, 1);
        }
        if self.world.next().is_none_or(|at| at > next) {
            self.settle();
        }
        !self.over
    }

    /// Nothing happens until then; what is overlooked stays so.
    fn over_time(&mut self, until: Instant) {
        let broken = &mut self.verdict.broken;
        self.overlooked.until(until, &self.picture, broken);
    }

    fn restart(&mut self) {
        let saved: Saved = self.governor.saved(self.world.now);
        self.verdict.seen.mark("restart");
        self.governor = Governor::new(self.scenario.config.clone(), (7, 9));
        self.picture = Picture::of(&self.governor);
        self.safety.again(self.scenario);
        self.settled = Settled::new(self.scenario);
        self.overlooked = Overlooked::new(self.scenario);
        for peer in &saved.peers {
            self.world.revealed.insert(peer.peer);
        }
        self.tell(Event::Tick);
        self.tell(Event::Restore(Box::new(saved)));
        for event in self.world.again() {
            self.tell(event);
        }
    }

    /// Tells the governor something, and carries out what it wants.
    pub fn tell(&mut self, event: Event) {
        let mut told = std::collections::VecDeque::from([event]);
        while let Some(event) = told.pop_front() {
            if self.over {
                return;
            }
            let actions = self.step(&event);
            for action in actions {
                match self.world.order(&action) {
                    Ok(follows) => told.extend(follows),
                    Err(what) => {
                        self.breach(Law::Orders, what);
                        self.over = true;
                    }
                }
            }
        }
    }

    fn step(&mut self, event: &Event) -> Vec<Action> {
        self.verdict.seen.steps += 1;
        self.write("", event);
        let twin = self.verdict.seen.steps.is_multiple_of(61).then(|| {
            let twin = self.twin();
            (twin, self.choice.clone())
        });
        let mut actions = Vec::new();
        let now = self.world.now;
        let mut cx = Cx::new(now, &mut self.choice, &NoRules, &mut actions);
        self.governor.step(&mut cx, event.clone());
        for action in &actions {
            self.acted |= is_work(action);
            if !matches!(action, Action::Notice(Notice::Counters(_))) {
                self.write("    ", action);
            }
        }
        if let Some((twin, mut choice)) = twin {
            let (twin, same) = twin.stepped(now, &mut choice, &NoRules, event.clone());
            self.verdict.seen.case(Law::Snapshot, 1);
            if twin != self.governor || same != actions {
                self.breach(
                    Law::Snapshot,
                    format!("a restored twin differs at {event:?}"),
                );
            }
        }
        let is_due = self.governor.next_deadline().is_some_and(|at| at <= now);
        if self.verdict.seen.steps.is_multiple_of(5) && !is_due {
            let overlooked = self.governor.overlooked(now);
            self.verdict.seen.case(Law::Awake, 1);
            if !overlooked.is_empty() {
                let what = format!("after {event:?} it would go on with {overlooked:?}");
                self.breach(Law::Awake, what);
            }
        }
        if let Err(violated) = self.governor.check_invariants() {
            self.breach(Law::Invariants, violated.to_string());
        }
        self.steps_now += 1;
        if self.steps_now > STEPS_MAX {
            let what = format!("{} steps at one instant", self.steps_now);
            self.breach(Law::Livelock, what);
            self.over = true;
        }
        self.verdict.seen.case(Law::Livelock, 1);
        let before = core::mem::replace(&mut self.picture, Picture::of(&self.governor));
        let after = &self.picture;
        let mut report = Report {
            now,
            broken: &mut self.verdict.broken,
            seen: &mut self.verdict.seen,
        };
        self.safety
            .stepped(&mut report, &self.world, event, &actions, &before, after);
        self.settled.stepped(now, &self.world, event, &actions);
        self.overlooked.stepped(now, event, &actions);
        actions
    }

    /// The governor after a journey through a snapshot.
    fn twin(&mut self) -> Governor {
        let bytes = postcard::to_allocvec(&self.governor);
        let twin = bytes
            .ok()
            .and_then(|bytes| postcard::from_bytes(&bytes).ok());
        twin.unwrap_or_else(|| {
            self.breach(Law::Snapshot, "cannot be saved and restored".into());
            self.governor.clone()
        })
    }

    /// The end of an instant.
    fn settle(&mut self) {
        if self.over {
            return;
        }
        let early = self.verdict.seen.steps.is_multiple_of(7)
            && self
                .governor
                .next_deadline()
                .is_none_or(|at| at > self.world.now);
        if early {
            let mut choice = self.choice.clone();
            let same = self.governor.clone();
            let now = self.world.now;
            let (same, actions) = same.stepped(now, &mut choice, &NoRules, Event::Tick);
            self.verdict.seen.case(Law::Deadlines, 1);
            if same != self.governor || !actions.is_empty() {
                self.breach(Law::Deadlines, format!("an early tick did {actions:?}"));
            }
        }
        let mut report = Report {
            now: self.world.now,
            broken: &mut self.verdict.broken,
            seen: &mut self.verdict.seen,
        };
        self.settled
            .settle(&mut report, &self.world, &self.picture, self.acted);
        self.overlooked
            .settle(&mut report, &self.world, &self.picture, &self.settled);
        self.shares.settle(&self.picture);
    }

    fn finish(mut self) -> Verdict {
        if !self.over {
            let end = Instant::ZERO.after(self.scenario.horizon);
            self.over_time(end);
        }
        self.verdict.seen.runs += 1;
        self.shares.finish(&mut self.verdict.seen);
        self.verdict.end = self.picture;
        self.verdict
    }

    fn breach(&mut self, law: Law, what: String) {
        let at = self.world.now;
        let breach = Breach { law, at, what };
        self.verdict.broken.entry(law).or_insert(breach);
    }

    fn write(&mut self, margin: &str, what: &dyn core::fmt::Debug) {
        if let Journal::Until(law) = self.journal
            && !self.verdict.broken.contains_key(&law)
        {
            let journal = &mut self.verdict.journal;
            let mut line = String::new();
            let _ = write!(line, "{margin}{} {what:?}", self.world.now);
            line.truncate(400);
            journal.push(line);
            if journal.len() > LINES_MAX {
                journal.remove(0);
            }
        }
    }
}

/// Where breaches and cases go.
pub(super) struct Report<'a> {
    /// The time.
    pub(super) now: Instant,
    broken: &'a mut BTreeMap<Law, Breach>,
    /// What was seen.
    pub(super) seen: &'a mut Seen,
}

impl Report<'_> {
    /// A law has a case; `what` tells how it is broken when it is.
    pub(super) fn holds(&mut self, law: Law, holds: bool, what: impl FnOnce() -> String) {
        self.seen.case(law, 1);
        if !holds {
            self.breach(law, what());
        }
    }

    /// A law is broken.
    pub(super) fn breach(&mut self, law: Law, what: String) {
        let at = self.now;
        let breach = Breach { law, at, what };
        self.broken.entry(law).or_insert(breach);
    }
}

/// Whether an action shows that the governor is busy: reports, answers to others, and what comes
/// round by the clock do not.
const fn is_work(action: &Action) -> bool {
    !matches!(
        action,
        Action::Notice(Notice::Counters(_) | Notice::SaveDue)
            | Action::Sample { .. }
            | Action::TellPeers { .. }
            | Action::WantLedger
    )
}

/// Chance as the scenario wants it.
#[derive(Clone, Debug)]
struct Dice {
    how: Chance,
    seeded: Seeded,
}

impl Choice for Dice {
    fn below(&mut self, site: Site, of: u64, n: u32) -> u32 {
        match self.how {
            Chance::Seeded(_) => self.seeded.below(site, of, n),
            Chance::First => 0,
            Chance::Last => n.saturating_sub(1),
        }
    }
}

/// The settings of a run, for those who watch.
pub(super) fn config(scenario: &Scenario) -> Config {
    scenario.config.clone()
}
