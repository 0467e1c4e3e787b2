//! What becomes of peers: answers to what was ordered, and what happens by itself.
//!
//! src: ouroboros-network, peer selection governor, jobs and asynchronous demotions

use core::{net::SocketAddr, time::Duration};

use super::{
    Action, Failure, Governor, Source, Status, Temperature, Trace,
    machine::Timer,
    table::{Flags, Peer},
};
use crate::base::{Choice, Class, Cx, Instant, Site, SlotIndex};

/// What a failure does to a peer.
struct Cost {
    /// Not tried again before this.
    delay: Duration,
    /// Whether it was forgotten.
    forgotten: bool,
}

impl Governor {
    pub(super) fn established(&mut self, cx: &mut Cx<'_, Action>, peer: SocketAddr, sharing: bool) {
        let Some((slot, known)) = self.find(peer) else {
            // Left all sets meanwhile; it was told to close then.
            return self.count_stale();
        };
        if known.status() != Status::Connecting {
            return self.count_stale();
        }
        self.outage.dial(cx.now, true);
        self.alive(cx);
        self.to(cx.now, slot, Status::Warm);
        if let Some(known) = self.table.at_mut(slot) {
            let flags = &mut known.flags;
            flags.know(Flags::SHARING_KNOWN, Flags::SHARING, sharing);
            flags.set(Flags::REACHED, true);
            flags.set(Flags::TEPID | Flags::DEMOTED | Flags::PREFERRED, false);
        }
        self.answers_changed(slot);
        if sharing && self.config.sharing {
            let first = cx.now.after(self.config.share.first);
            self.timers.set(Timer::Ask(slot), Some(first));
        }
        self.trace(cx, Trace::PromoteColdDone { peer });
    }

    /// A peer that was forgotten is connected no longer: it may come back, and whoever waits for
    /// untrusted peers to leave waits for one less.
    fn has_left(&mut self, peer: &SocketAddr) {
        if self.gone.remove(peer) {
            self.dirty = true;
        } else {
            self.count_stale();
        }
    }

    pub(super) fn not_established(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: SocketAddr,
        failure: Failure,
    ) {
        let Some((slot, known)) = self.find(peer) else {
            return self.has_left(&peer);
        };
        match known.status() {
            Status::Connecting => {}
            // It came back as a root while its dial was being given up.
            Status::Cooling => return self.cold_again(cx, slot, None),
            _ => return self.count_stale(),
        }
        if failure.class == Class::Network {
            self.outage.dial(cx.now, false);
            self.look_for_outage(cx);
        }
        if failure.class == Class::Adversarial && self.offend(cx, slot, peer) {
            return;
        }
        let cost = self.fail(cx, slot, failure, |governor, choice, n| {
            governor.back_off(choice, peer, n)
        });
        let Cost { delay, forgotten } = cost;
        self.trace(
            cx,
            Trace::PromoteColdFailed {
                peer,
                class: failure.class,
                delay,
                forgotten,
            },
        );
    }

    pub(super) fn activated(&mut self, cx: &mut Cx<'_, Action>, peer: SocketAddr) {
        let Some((slot, known)) = self.find(peer) else {
            return self.count_stale();
        };
        if known.status() != Status::Activating {
            return self.count_stale();
        }
        self.to(cx.now, slot, Status::Hot);
        let clear = cx.now.after(self.config.back_off.clear);
        self.timers.set(Timer::Clear(slot), Some(clear));
        self.trace(cx, Trace::PromoteWarmDone { peer });
    }

    pub(super) fn deactivated(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: SocketAddr,
        delay: Option<Duration>,
    ) {
        let Some((slot, known)) = self.find(peer) else {
            return self.count_stale();
        };
        match known.status() {
            Status::Deactivating => {
                if let Some(known) = self.table.at_mut(slot) {
                    known.flags.set(Flags::TEPID | Flags::DEMOTED, true);
                }
                self.to(cx.now, slot, Status::Warm);
                self.trace(cx, Trace::DemoteHotDone { peer });
            }
            Status::Hot | Status::Activating => {
                let source = known.source();
                let delay = delay.map_or(Duration::ZERO, |delay| {
                    let most = self.config.back_off.warm_fuzz;
                    delay.saturating_add(fuzz(cx.choice, most))
                });
                self.wait(cx.now, slot, Status::WarmWaiting, cx.now.after(delay));
                let to = Temperature::Warm;
                self.trace(
                    cx,
                    Trace::Asynchronous {
                        peer,
                        source,
                        to,
                        delay,
                    },
                );
            }
            _ => self.count_stale(),
        }
    }

    pub(super) fn cooling(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: SocketAddr,
        failure: Option<Failure>,
    ) {
        let Some((slot, known)) = self.find(peer) else {
            return;
        };
        let (status, source) = (known.status(), known.source());
        if !status.is_established() {
            return self.count_stale();
        }
        // A local root or member stays: what it did counts when it is cold.
        if failure.is_some_and(|failure| failure.class == Class::Adversarial)
            && !matches!(source, Source::Local | Source::Member)
            && self.offend(cx, slot, peer)
        {
            return;
        }
        match status {
            Status::Closing | Status::Cooling => {}
            Status::Deactivating => {
                self.tepid(slot);
                self.to(cx.now, slot, Status::Cooling);
                self.trace(cx, Trace::DemoteFailed { peer });
            }
            _ => {
                if status == Status::Hot {
                    self.tepid(slot);
                }
                self.to(cx.now, slot, Status::Cooling);
                let (to, delay) = (Temperature::Cooling, Duration::ZERO);
                self.trace(
                    cx,
                    Trace::Asynchronous {
                        peer,
                        source,
                        to,
                        delay,
                    },
                );
            }
        }
    }

    pub(super) fn cold(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: SocketAddr,
        failure: Option<Failure>,
    ) {
        let Some((slot, known)) = self.find(peer) else {
            return self.has_left(&peer);
        };
        if !known.status().is_established() {
            return self.count_stale();
        }
        if failure.is_some_and(|failure| failure.class == Class::Adversarial)
            && self.offend(cx, slot, peer)
        {
            // The peer actions have it no longer either.
            self.gone.remove(&peer);
            return;
        }
        self.cold_again(cx, slot, failure);
    }

    /// A peer is cold and may be established again, now or later.
    fn cold_again(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex, failure: Option<Failure>) {
        let Some((peer, known)) = self.table.at(slot) else {
            return;
        };
        let (ordered, source) = (known.status() == Status::Closing, known.source());
        let class = failure.map(|failure| failure.class);
        let counts = class == Some(Class::Network)
            && (!ordered || self.config.policy.count_failed_demotions);
        // Only a local root or member that lied comes here: its hold-off is to be waited for.
        let lied = class == Some(Class::Adversarial);
        if ordered && !counts && !lied {
            self.to(cx.now, slot, Status::Cold);
            return self.trace(cx, Trace::DemoteWarmDone { peer });
        }
        let failure = failure.unwrap_or(Failure {
            class: Class::Internal,
            delay: None,
        });
        // One that hung when it was to be demoted would else be the first to be promoted again.
        let error = self.config.back_off.error;
        let Cost { delay, .. } = self.fail(cx, slot, failure, |governor, choice, n| {
            if governor.is_insisted(&peer) {
                return governor.back_off(choice, peer, n);
            }
            let fuzz = fuzz(choice, governor.config.back_off.cold_fuzz);
            if class == Some(Class::Network) {
                error.saturating_add(fuzz)
            } else {
                fuzz
            }
        });
        if ordered {
            return self.trace(cx, Trace::DemoteFailed { peer });
        }
        let to = Temperature::Cold;
        self.trace(
            cx,
            Trace::Asynchronous {
                peer,
                source,
                to,
                delay,
            },
        );
    }

    /// A failure of a peer that is cold now: it waits, or is forgotten when it failed too often
    /// and nobody insists on it. While an outage lasts failures do not count.
    fn fail(
        &mut self,
        cx: &mut Cx<'_, Action>,
        slot: SlotIndex,
        failure: Failure,
        delay: impl FnOnce(&Self, &mut dyn Choice, u8) -> Duration,
    ) -> Cost {
        let Some((peer, known)) = self.table.at(slot) else {
            return Cost {
                delay: Duration::ZERO,
                forgotten: true,
            };
        };
        let (before, source) = (known.failures, known.source());
        self.look_for_outage(cx);
        let counts = failure.class != Class::Internal && !self.in_outage;
        let insisted = matches!(
            source,
            Source::Local | Source::Config | Source::Bootstrap | Source::Member
        );
        if counts && before >= self.config.back_off.failures_max && !insisted {
            self.forget(slot);
            return Cost {
                delay: Duration::ZERO,
                forgotten: true,
            };
        }
        let failures = if counts {
            before.saturating_add(1)
        } else {
            before
        };
        if let Some(known) = self.table.at_mut(slot) {
            known.failures = failures;
            known.flags.set(Flags::PREFERRED, false);
        }
        if counts {
            self.timers.set(Timer::Clear(slot), None);
        }
        let least = if self.in_outage { OUTAGE_FAILURES } else { 1 };
        let delay = delay(self, cx.choice, failures.max(least));
        let delay = failure.delay.map_or(delay, |least| {
            let fuzz = fuzz(cx.choice, self.config.back_off.cold_fuzz);
            delay.max(least.saturating_add(fuzz))
        });
        let held = self.offenders.held(cx.now, &peer);
        let until = held.map_or(cx.now.after(delay), |held| held.max(cx.now.after(delay)));
        self.wait(cx.now, slot, Status::ColdWaiting, until);
        self.answers_changed(slot);
        Cost {
            delay,
            forgotten: false,
        }
    }

    /// The delay after the nth failure to connect.
    fn back_off(&self, choice: &mut dyn Choice, peer: SocketAddr, n: u8) -> Duration {
        let rules = &self.config.back_off;
        let doublings = n.saturating_sub(1);
        if self.is_insisted(&peer) {
            let doubled = rules.kept_base.saturating_mul(1 << doublings.min(16));
            let delay = doubled.min(rules.kept_max);
            return delay.saturating_add(up_to(choice, delay / 4));
        }
        let doubled = 1_u32 << doublings.min(rules.doublings_max).min(16);
        let delay = rules.base.saturating_mul(doubled);
        let fuzz = rules.fuzz.min(delay);
        delay
            .saturating_sub(fuzz)
            .saturating_add(up_to(choice, fuzz.saturating_mul(2)))
    }

    /// A peer broke a rule. It leaves all sets at once, unless the operator insists on it; either
    /// way it is not tried before its hold-off is over. Whether it left.
    fn offend(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex, peer: SocketAddr) -> bool {
        let hold_off = self.offenders.offend(cx.now, peer);
        let at = self.offenders.next_deadline();
        self.timers.set(Timer::Forgive, at);
        self.trace(cx, Trace::Offence { peer, hold_off });
        let Some((_, known)) = self.table.at(slot) else {
            return false;
        };
        let (source, status) = (known.source(), known.status());
        if matches!(source, Source::Local | Source::Member) {
            return false;
        }
        let busy = status.is_established();
        self.forget(slot);
        if busy {
            self.gone.insert(peer);
        }
        true
    }

    /// A peer is asked for addresses no more.
    pub(super) fn not_asked(&mut self, slot: SlotIndex) {
        self.timers.set(Timer::Ask(slot), None);
        self.timers.set(Timer::Reply(slot), None);
        self.askable.remove(&slot);
        self.asked.remove(&slot);
    }

    /// A peer is known no longer.
    pub(super) fn forget(&mut self, slot: SlotIndex) {
        let Some((peer, known)) = self.table.at(slot).map(|(peer, known)| (peer, *known)) else {
            return;
        };
        self.shift(slot, |table| {
            table.remove(slot);
        });
        self.groups_changed |= known.source() == Source::Local;
        if self.mature.contains_key(&peer) {
            self.light.insert(peer);
        }
        self.timers.set(Timer::Clear(slot), None);
        self.measure.forget(&peer);
        if self.tellable.remove(&(self.table.tag(&peer), slot)) {
            self.answers.leave(&peer);
        }
    }

    /// Somebody is there: no outage.
    pub(super) fn alive(&mut self, cx: &mut Cx<'_, Action>) {
        self.outage.heard(cx.now);
        self.look_for_outage(cx);
    }

    fn look_for_outage(&mut self, cx: &mut Cx<'_, Action>) {
        let outage = self.config.policy.detect_outage && self.outage.is_outage(cx.now);
        if outage != self.in_outage {
            self.in_outage = outage;
            self.trace(cx, Trace::Outage(outage));
        }
    }

    pub(super) fn forgive(&mut self, now: Instant) {
        self.offenders.expire(now);
        let at = self.offenders.next_deadline();
        self.timers.set(Timer::Forgive, at);
    }

    fn tepid(&mut self, slot: SlotIndex) {
        if let Some(known) = self.table.at_mut(slot) {
            known.flags.set(Flags::TEPID, true);
        }
    }

    pub(super) fn find(&self, peer: SocketAddr) -> Option<(SlotIndex, Peer)> {
        let slot = self.table.slot(peer)?;
        Some((slot, *self.table.at(slot)?.1))
    }
}

/// The list of relays that a peer was drawn from.
pub(super) fn operator(peer: &Peer) -> Option<u32> {
    let drawn = matches!(peer.source(), Source::Ledger | Source::Big);
    (drawn && peer.origin != 0).then_some(peer.origin)
}

/// While an outage lasts, peers wait as if they had failed so often: 40 s by default. Nobody is
/// forgotten, and everybody is not dialled every five seconds.
const OUTAGE_FAILURES: u8 = 4;

/// What is added to a delay that others may have been given as well, so that they do not all
/// return together: a tenth of a second, or this, up to this.
/// src: ouroboros-network, peer selection, fuzz of asynchronous demotions
fn fuzz(choice: &mut dyn Choice, most: Duration) -> Duration {
    let least = most.min(Duration::from_millis(100));
    least.saturating_add(up_to(choice, most.saturating_sub(least)))
}

/// A span between nothing and this, uniform in milliseconds.
pub(super) fn up_to(choice: &mut dyn Choice, span: Duration) -> Duration {
    let millis = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    let drawn = choice.below(Site::BACK_OFF, 0, millis.saturating_add(1));
    Duration::from_millis(drawn.into())
}
