//! The only place that reads clocks.

use std::time::{Duration, Instant as Monotonic, SystemTime};

use samanea_core::base::Instant;

/// The monotonic clock as machines are told of it: microseconds, rounded down.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Monotonic,
    base: Instant,
}

impl Clock {
    /// A clock that shows `base` now. A node that was restored goes on from its last time.
    pub fn starting_at(base: Instant) -> Self {
        Self {
            began: monotonic(),
            base,
        }
    }

    /// The time, rounded down to whole microseconds.
    pub fn now(&self) -> Instant {
        let us = monotonic().duration_since(self.began).as_micros();
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        Instant::from_micros(self.base.as_micros().saturating_add(us))
    }

    /// How long to sleep so that [`now`](Self::now) is not earlier than `at` afterwards; zero
    /// when it is already there.
    pub fn until(&self, at: Instant) -> Duration {
        // Exact to the nanosecond, so the microsecond that `at` names has begun afterwards.
        at.since(self.base)
            .saturating_sub(monotonic().duration_since(self.began))
    }
}

/// The clock of the machine we run on.
#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
fn monotonic() -> Monotonic {
    Monotonic::now()
}

/// The time since the Unix epoch, as the machine we run on has it; zero before. Only for what is
/// compared with times that others tell, such as the beginnings of slots: it may jump.
#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
pub fn wall() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_from_its_base_and_never_back() {
        let base = Instant::from_secs(7);
        let clock = Clock::starting_at(base);
        let first = clock.now();
        let second = clock.now();
        assert!(first >= base && second >= first);
    }

    #[test]
    fn the_wait_for_a_time_that_has_passed_is_zero_and_else_at_most_the_distance() {
        let clock = Clock::starting_at(Instant::from_secs(7));
        assert_eq!(clock.until(Instant::ZERO), Duration::ZERO);
        assert_eq!(clock.until(Instant::from_secs(7)), Duration::ZERO);
        let wait = clock.until(Instant::from_secs(3_607));
        assert!(wait <= Duration::from_hours(1) && wait > Duration::from_mins(59));
    }
}
