//! What two governors with the same future have in common.

use super::{Governor, outage::Outage};
use crate::base::Instant;

/// A governor as seen from a time: equal ones behave alike from there on. See
/// [`Governor::canonical`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Canonical(Governor);

impl Governor {
    /// The state with its times made relative to `now`, and without counts and dates of the past
    /// that change nothing any more.
    ///
    /// The times of churn under way, of names, of measurements and of outages (if they are looked
    /// for) stay as they are: states that differ in those alone are told apart.
    pub fn canonical(&self, now: Instant) -> Canonical {
        let mut one = self.clone();
        let policy = &one.config.policy;
        let ahead = |at: Instant| Instant::ZERO.after(at.since(now));
        if !policy.detect_outage {
            one.outage = Outage::new(policy);
        }
        one.table.rebase(now, ahead, policy.demoted_hold_off);
        one.offenders.rebase(now, ahead);
        one.requests.rebase(ahead);
        if one.requests.is_idle() {
            one.lookups.renumber();
        }
        one.timers = one.timers.map(ahead);
        one.cleaning_until = one.cleaning_until.map(ahead);
        one.stale = 0;
        Canonical(one)
    }
}
