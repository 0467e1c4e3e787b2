//! What two machines with the same future have in common.

use core::time::Duration;

use super::{Rain, Report, Stats, machine::Timer, message::Message};
use crate::base::{Instant, MemberKey};

/// A machine as seen from a time: equal ones behave alike from there on. See
/// [`Rain::canonical`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Canonical(Rain);

/// Times as seen from a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(Instant);

impl Seen {
    /// A time to come; all that are past are one, and never stays never.
    pub(super) fn ahead(self, at: Instant) -> Instant {
        if at == Instant::FAR {
            return at;
        }
        Instant::ZERO.after(at.since(self.0))
    }

    /// Whether a time is not longer ago than a span that ends.
    pub(super) fn within(self, at: Instant, span: Duration) -> bool {
        self.0.after(span) != Instant::FAR && self.0.since(at) <= span
    }

    /// How long ago a time was; from `most` on it is one.
    pub(super) fn ago(self, at: Instant, most: Duration) -> Instant {
        Instant::ZERO.after(self.0.since(at).min(most))
    }
}

/// Why it matters when a member was heard from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// Those passed over are asked again if it was not longer ago.
    pub asked: Duration,
    /// Those counted are asked for a sign of life if it was longer ago.
    pub watch: Duration,
}

impl Rain {
    /// The state with its times made relative to `now`, and without counts and dates of the past
    /// that change nothing any more.
    ///
    /// Left out is also what changes only notices and what is told in reports, who would go first
    /// if a limit were reached, and how much each member has asked lately: states that differ in
    /// those alone count as equal, so limits must be out of reach where that matters. The times of
    /// groups without a ledger stay as they are: states that differ in those alone are told apart.
    pub fn canonical(&self, now: Instant) -> Canonical {
        let seen = Seen(now);
        let mut one = self.clone();
        let times = &self.config.times;
        let heard = Heard {
            asked: times.digest,
            watch: times.watch,
        };
        let watched = |peer: &MemberKey| self.timers.of(&Timer::Watch(*peer));
        let rate = self.config.limits.asked_rate;
        one.stats = Stats::default();
        one.peers.rebase(seen, heard, watched, rate);
        one.tally.rebase();
        one.promises.rebase(seen);
        one.seen.rebase(seen, times.seen);
        for message in one.messages.values_mut() {
            message.rebase(seen, times.start_max);
        }
        for group in one.groups.values_mut() {
            group.frontiers.rebase(seen);
            for parked in &mut group.parked {
                parked.until = seen.ahead(parked.until);
            }
        }
        one.timers = one.timers.map(|at| seen.ahead(at));
        Canonical(one)
    }
}

impl Message {
    /// See [`Rain::canonical`].
    fn rebase(&mut self, seen: Seen, start_max: Duration) {
        self.report = Report::default();
        let begun = self.chains.iter().all(|chain| !chain.is_idle());
        let most = if begun { Duration::ZERO } else { start_max };
        self.since = seen.ago(self.since, most);
        for work in self.duties.values_mut() {
            // An answer to what was sent once is a measurement.
            let most = if work.once && work.stage.is_open() {
                Duration::MAX
            } else {
                Duration::ZERO
            };
            work.sent = seen.ago(work.sent, most);
        }
    }
}
