//! Time as the drivers tell it: microseconds since an origin of the driver's choice.

use core::{fmt, time::Duration};

/// A point in time: microseconds since the origin of the driver's monotonic clock.
///
/// Arithmetic saturates; there is no way to obtain "now" here. Drivers floor the clock when they
/// read it and ceil the span when they sleep, so a tick is never early by rounding.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// A time that never comes.
    pub const FAR: Self = Self(u64::MAX);

    /// From microseconds since the origin.
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// From milliseconds since the origin; saturates.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// From seconds since the origin; saturates.
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// `self - earlier`, zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `self + span`, in whole microseconds rounded up; saturates at [`Instant::FAR`].
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let us = span.as_secs().saturating_mul(1_000_000);
        let rest = u64::from(span.subsec_nanos().div_ceil(1_000));
        Self(self.0.saturating_add(us).saturating_add(rest))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

/// Seconds with three digits behind the point, the rest cut off.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0 / 1_000;
        write!(f, "{}.{:03} s", ms / 1_000, ms % 1_000)
    }
}

/// The earlier of two optional deadlines.
pub(crate) fn soonest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::from_secs(u64::MAX), Instant::FAR);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::FAR);
        assert_eq!(Instant::FAR.after(Duration::from_micros(1)), Instant::FAR);
        assert_eq!(Instant::ZERO.after(Duration::MAX), Instant::FAR);
        assert_eq!(Instant::ZERO.since(Instant::FAR), Duration::ZERO);
        assert_eq!(
            Instant::FAR.since(Instant::ZERO).as_micros(),
            u128::from(u64::MAX)
        );
    }

    #[test]
    fn a_part_of_a_microsecond_counts_as_a_whole_one() {
        let after = |ns| Instant::ZERO.after(Duration::from_nanos(ns)).as_micros();
        assert_eq!(
            [after(0), after(1), after(999), after(1_000), after(1_001)],
            [0, 1, 1, 1, 2]
        );
    }

    #[test]
    fn the_sooner_of_two_is_taken_and_none_never_comes() {
        let (a, b) = (Some(Instant::from_secs(1)), Some(Instant::from_secs(2)));
        assert_eq!((soonest(a, b), soonest(b, a)), (a, a));
        assert_eq!(
            (soonest(None, b), soonest(a, None), soonest(None, None)),
            (b, a, None)
        );
    }

    #[test]
    fn a_time_is_shown_in_seconds() {
        let shown = |us| alloc::format!("{}", Instant::from_micros(us));
        assert_eq!(shown(1_002_999), "1.002 s");
        assert_eq!(shown(999), "0.000 s");
    }

    quickcheck! {
        fn what_is_after_was_since(from: u64, span: u64) -> bool {
            let at = Instant::from_micros(from).after(Duration::from_micros(span));
            let room = u64::MAX - from;
            at.since(Instant::from_micros(from)) == Duration::from_micros(span.min(room))
        }
    }
}
