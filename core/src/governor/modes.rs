//! Modes: whether only trusted peers may be used, and which targets hold.
//!
//! *Sensitive*: bootstrap peers are configured and the chain is old. Then all others must go before
//! anything else is done; when they have gone the state is *clean*, and bootstrap peers and
//! trustable local roots are used until the chain is young.
//!
//! src: ouroboros-network, Cardano's extension of the peer selection governor

use super::{
    Action, ConsensusMode, Governor, Judgement, Notice, Snapshot, Source, Status, Targets, Trace,
    Trust, UseLedger, machine::Timer,
};
use crate::base::Cx;
use alloc::{boxed::Box, vec::Vec};

impl Governor {
    /// Whether only trusted peers may be used.
    pub(super) fn is_sensitive(&self) -> bool {
        self.config.consensus == ConsensusMode::Praos
            && self.bootstrap
            && self.judged == Judgement::TooOld
    }

    /// Whether anything but getting rid of untrusted peers may be done.
    pub(super) fn is_able(&self) -> bool {
        !self.is_sensitive() || self.only_trusted
    }

    /// Decision: bootstrap peers were switched on or off.
    pub(super) fn bootstrap_changed(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let on = self.topology.bootstrap.is_some();
        if self.config.consensus == ConsensusMode::Genesis || on == self.bootstrap {
            return false;
        }
        self.forget_bootstrap();
        self.bootstrap = on;
        // An old chain is found out anew by the next decision.
        self.judged = Judgement::YoungEnough;
        self.only_trusted = false;
        self.cleaning(cx, false);
        self.trace(cx, Trace::BootstrapChanged(on));
        true
    }

    /// Decision: the chain became old or young.
    pub(super) fn judgement_changed(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let praos = self.config.consensus == ConsensusMode::Praos;
        if self.told == self.judged || (praos && !self.bootstrap) {
            return false;
        }
        self.judged = self.told;
        self.trace(cx, Trace::JudgementChanged(self.told));
        if !praos {
            self.verify_snapshot(cx);
            return true;
        }
        self.only_trusted = false;
        self.roots_at_once();
        match self.told {
            Judgement::TooOld => {
                self.targets = Targets::ZERO;
                self.local_changed = true;
                self.cleaning(cx, true);
            }
            Judgement::YoungEnough => {
                self.forget_bootstrap();
                self.local_changed = true;
                self.cleaning(cx, false);
            }
        }
        true
    }

    fn cleaning(&mut self, cx: &Cx<'_, Action>, on: bool) {
        self.cleaning_until = on.then(|| cx.now.after(self.config.bootstrap_timeout));
        self.timers.set(Timer::Cleaning, self.cleaning_until);
    }

    /// Bootstrap peers that are not connected are known no longer.
    fn forget_bootstrap(&mut self) {
        for status in [Status::Cold, Status::ColdWaiting] {
            let cold: Vec<_> = self.table.cell(Source::Bootstrap, status).to_vec();
            for slot in cold {
                self.forget(slot);
            }
        }
    }

    /// Decision: all that is left is trusted.
    pub(super) fn quiesce(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        if !self.is_sensitive() || self.only_trusted || !self.is_clean() {
            return false;
        }
        self.only_trusted = true;
        self.local_changed = true;
        self.cleaning(cx, false);
        self.trace(cx, Trace::OnlyTrusted);
        true
    }

    fn is_clean(&self) -> bool {
        let counters = self.table.counters();
        let untrusted = [
            counters.config.known,
            counters.ledger.known,
            counters.big.known,
            counters.non_root.known,
            counters.ordinary.cold_promotions,
            counters.ordinary.warm_promotions,
            counters.members.active,
            counters.members.warm_promotions,
        ];
        untrusted.iter().all(|n| *n == 0)
            && self.local.members().all(|(_, traits)| traits.trustable)
            && self.gone.is_empty()
            && self.asked.is_empty()
            && self.requests.is_idle()
    }

    /// The local roots have changed while only trusted peers may be used: cleaning begins again
    /// when somebody is there who is not trusted.
    pub(super) fn trusted_changed(&mut self) {
        if self.is_sensitive() && self.only_trusted {
            let counters = self.table.counters();
            let untrusted = counters
                .config
                .known
                .saturating_add(counters.ledger.known)
                .saturating_add(counters.big.known)
                .saturating_add(counters.non_root.known);
            if untrusted > 0 {
                self.judged = Judgement::YoungEnough;
                self.only_trusted = false;
            }
        }
    }

    /// Decision: churn, the operator or a mode wants other targets.
    pub(super) fn targets_changed(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        if !self.is_able() || self.aimed == self.targets {
            return false;
        }
        let (old, new) = (self.targets, self.aimed);
        self.targets = new;
        self.local_changed = true;
        self.trace(cx, Trace::TargetsChanged { old, new });
        true
    }

    /// Another snapshot file.
    pub(super) fn set_snapshot(
        &mut self,
        cx: &mut Cx<'_, Action>,
        snapshot: Option<Box<Snapshot>>,
    ) {
        let snapshot = snapshot.map(|mut snapshot| {
            if snapshot.big_only {
                snapshot.pools = snapshot.pools.all_big();
            }
            snapshot
        });
        if snapshot == self.snapshot {
            return;
        }
        self.snapshot = snapshot;
        self.dirty = true;
        self.roots_at_once();
        self.verify_snapshot(cx);
    }

    fn verify_snapshot(&self, cx: &mut Cx<'_, Action>) {
        let genesis = self.config.consensus == ConsensusMode::Genesis;
        if let Some(snapshot) = &self.snapshot
            && genesis
            && self.told == Judgement::TooOld
            && snapshot.point.slot().is_some()
        {
            cx.act(Action::Notice(Notice::VerifySnapshot(snapshot.point)));
        }
    }

    /// Whether all we are connected to is trusted.
    pub fn trust(&self) -> Trust {
        let counters = self.table.counters();
        let bootstrap_points = self.topology.bootstrap.as_ref();
        let local_only = self.topology.use_ledger == UseLedger::Never
            && !self.config.sharing
            && bootstrap_points.is_none_or(Vec::is_empty);
        let strangers = |trusted: u32| {
            let ordinary = counters.ordinary.established.saturating_sub(trusted);
            ordinary.saturating_add(counters.members.active)
        };
        let trusted = if local_only {
            strangers(self.trusted_local) == 0
        } else if self.bootstrap {
            let trusted = self
                .trusted_local
                .saturating_add(counters.bootstrap.established);
            strangers(trusted) == 0 && counters.bootstrap.active > 0
        } else {
            self.config.consensus == ConsensusMode::Genesis
                && counters.big.active >= self.config.big_for_trust
        };
        if trusted {
            Trust::Trusted
        } else {
            Trust::Untrusted
        }
    }

    /// Established local roots that are trustable.
    pub(super) fn count_trusted(&mut self) {
        let trusted = self.local.members().filter(|(peer, traits)| {
            let established = |known: &super::table::Peer| known.status().is_established();
            traits.trustable && self.table.get(*peer).is_some_and(established)
        });
        self.trusted_local = u32::try_from(trusted.count()).unwrap_or(u32::MAX);
    }
}
