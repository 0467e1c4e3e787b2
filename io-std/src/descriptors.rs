//! How many connections the process may hold: the system counts descriptors.
//!
//! [`raise`] asks for as many as are wanted, [`fit`] makes the limits on connections fit what was
//! granted. Without that a node runs into `EMFILE` first, and then accepts and dials alike fail.
//!
//! // src: POSIX getrlimit, `RLIMIT_NOFILE`; Windows has no such limit on sockets

use std::fmt;

use samanea_core::manager::Limits;

/// Limits on connections that the process can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// As wanted; or the hard limit is what is left beside the outbound connections and
    /// [`RESERVE`], maybe 0, and the soft limit smaller in the same proportion.
    pub limits: Limits,
    /// What is missing, if anything: worth a warning.
    pub shortfall: Option<Shortfall>,
}

/// There are not as many descriptors as the configured limits need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Descriptors that the configured limits need.
    pub needed: u64,
    /// Descriptors that the process may have.
    pub granted: u64,
    /// Inbound connections at most, now.
    pub hard: u32,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the limits on connections need {} descriptors and the process may have {}: \
             no more than {} inbound connections",
            self.needed, self.granted, self.hard
        )
    }
}

/// Descriptors kept for all that is not a connection: listeners, standard streams, files, the
/// system's queues, names that are being resolved, and one connection on each listener that is
/// accepted only to be refused. Guess; a node at rest has about 15.
pub const RESERVE: u64 = 64;

/// Descriptors needed for the inbound connections of `limits` and so many others.
pub fn needed(limits: Limits, others: usize) -> u64 {
    u64::try_from(others)
        .unwrap_or(u64::MAX)
        .saturating_add(limits.hard.into())
        .saturating_add(RESERVE)
}

/// Makes limits fit a number of descriptors, `None` for any number. The `others` are connections
/// that these limits do not count: dialled, or about to end. They come first: a node that cannot
/// dial follows no chain.
pub fn fit(limits: Limits, others: usize, descriptors: Option<u64>) -> Fitted {
    let needed = needed(limits, others);
    let granted = descriptors.unwrap_or(u64::MAX);
    // Saturated limits fit where nothing is counted.
    if needed <= granted {
        return Fitted {
            limits,
            shortfall: None,
        };
    }
    let left = u64::from(limits.hard).saturating_sub(needed - granted);
    let hard = u32::try_from(left).unwrap_or(limits.hard);
    let soft = u64::from(limits.soft.min(limits.hard)) * left / u64::from(limits.hard).max(1);
    Fitted {
        limits: Limits {
            soft: u32::try_from(soft).unwrap_or(hard),
            hard,
            ..limits
        },
        shortfall: Some(Shortfall {
            needed,
            granted,
            hard,
        }),
    }
}

/// How many descriptors the process may have; `None` when there is no such limit.
pub fn limit() -> Option<u64> {
    system::limit()
}

/// Asks for at least `needed` descriptors and tells how many there may be now; never lowers the
/// limit. `None` when there is none.
pub fn raise(needed: u64) -> Option<u64> {
    system::raise(needed)
}

#[cfg(unix)]
mod system {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    pub(super) fn limit() -> Option<u64> {
        getrlimit(Resource::Nofile).current
    }

    pub(super) fn raise(needed: u64) -> Option<u64> {
        let limit = getrlimit(Resource::Nofile);
        let current = limit.current?;
        let allowed = needed.min(limit.maximum.unwrap_or(u64::MAX));
        for wanted in [allowed, allowed.min(OPEN_MAX)] {
            let raised = Rlimit {
                current: Some(wanted),
                maximum: limit.maximum,
            };
            if wanted > current && setrlimit(Resource::Nofile, raised).is_ok() {
                break;
            }
        }
        self::limit()
    }

    /// What macOS grants although its maximum reads as unlimited. src: macOS setrlimit(2)
    const OPEN_MAX: u64 = 10_240;
}

#[cfg(not(unix))]
mod system {
    pub(super) fn limit() -> Option<u64> {
        None
    }

    pub(super) fn raise(_: u64) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 384 and 512.
    fn usual() -> Limits {
        Limits::default()
    }

    fn soft_and_hard(fitted: &Fitted) -> (u32, u32) {
        (fitted.limits.soft, fitted.limits.hard)
    }

    #[test]
    fn limits_that_fit_stay_as_they_are() {
        for descriptors in [
            None,
            Some(u64::MAX),
            Some(10_000),
            Some(512 + 100 + RESERVE),
        ] {
            let expected = Fitted {
                limits: usual(),
                shortfall: None,
            };
            assert_eq!(fit(usual(), 100, descriptors), expected, "{descriptors:?}");
        }
    }

    #[test]
    fn one_descriptor_too_few_costs_one_inbound_connection() {
        let fitted = fit(usual(), 100, Some(512 + 100 + RESERVE - 1));
        assert_eq!(soft_and_hard(&fitted), (383, 511));
        assert_eq!(fitted.limits.delay, usual().delay);
        let text = fitted.shortfall.unwrap().to_string();
        assert!(
            text.contains("need 676") && text.contains("have 675"),
            "{text}"
        );
        assert!(text.contains("more than 511"), "{text}");
    }

    #[test]
    fn inbound_connections_give_way_to_the_others_and_to_the_reserve() {
        for (descriptors, expected) in [
            (256, (69, 92)),
            (100 + RESERVE + 1, (0, 1)),
            (100 + RESERVE, (0, 0)),
            (10, (0, 0)),
            (0, (0, 0)),
        ] {
            let fitted = fit(usual(), 100, Some(descriptors));
            assert_eq!(soft_and_hard(&fitted), expected, "{descriptors}");
            let shortfall = fitted.shortfall.unwrap();
            assert_eq!((shortfall.needed, shortfall.granted), (676, descriptors));
        }
    }

    #[test]
    fn extreme_limits_neither_overflow_nor_grow() {
        let extremes = [0, 1, 64, u32::MAX - 1, u32::MAX];
        let mut short = 0;
        for (soft, hard) in extremes
            .iter()
            .flat_map(|soft| extremes.map(|hard| (*soft, hard)))
        {
            let limits = Limits {
                soft,
                hard,
                ..usual()
            };
            for others in [0, 1, 64, usize::MAX - 1, usize::MAX] {
                for descriptors in [0, 1, RESERVE, 1_000, u64::MAX - 1, u64::MAX] {
                    let fitted = fit(limits, others, Some(descriptors));
                    assert!(fitted.limits.soft <= soft && fitted.limits.hard <= hard);
                    if fitted.shortfall.is_some() {
                        short += 1;
                        assert!(fitted.limits.soft <= fitted.limits.hard);
                    } else {
                        assert_eq!(fitted.limits, limits);
                    }
                }
            }
        }
        assert!(short > 100);
    }

    #[test]
    fn raising_to_what_there_is_changes_nothing() {
        let before = limit();
        assert_eq!(raise(0), before);
        assert_eq!(raise(before.unwrap_or(0)), before);
        assert_eq!(limit(), before);
    }
}
