//! What must always hold.

use alloc::collections::BTreeSet;

use super::{Governor, Source, Status, Targets, machine::Timer, sharing::is_told};
use crate::base::{Violated, violated};

const NAME: &str = "governor";

impl Governor {
    pub(super) fn invariants(&self) -> Result<(), Violated> {
        self.parts()?;
        self.nesting()?;
        let targets = self.targets.check().is_ok();
        violated(targets, NAME, 4, "the targets are sane")?;
        let fits = self.local_changed || self.local.len() <= self.local_limit();
        violated(fits, NAME, 4, "local roots are within their limit")?;
        self.deadlines()?;
        let counted = self.table.iter().try_fold(
            super::diversity::Diversity::new(&self.config.policy),
            |mut all, (addr, _)| {
                if let Some((peer, operator)) =
                    self.table.slot(addr).and_then(|slot| self.spread(slot))
                {
                    all.add(&peer, operator);
                }
                Ok(all)
            },
        )?;
        let text = "diversity counts who is connected";
        violated(counted == self.diversity, NAME, 8, text)?;
        let told = self.table.iter().filter(|(_, known)| is_told(known));
        let told =
            told.filter_map(|(addr, _)| Some((self.table.tag(&addr), self.table.slot(addr)?)));
        let told: BTreeSet<_> = told.collect();
        let text = "those that may be told are listed";
        violated(told == self.tellable, NAME, 9, text)
    }

    fn parts(&self) -> Result<(), Violated> {
        self.table.check_invariants()?;
        self.timers.check_invariants()?;
        self.lookups.check_invariants()?;
        self.churn.check_invariants()?;
        self.offenders.check_invariants()?;
        self.outage.check_invariants()?;
        self.board.check_invariants()?;
        self.measure.check_invariants()?;
        self.answers.check_invariants()?;
        violated(self.local.is_fit(), NAME, 1, "the groups are fit")
    }

    /// Local roots are known as such, and nobody else is; nobody is both known and gone.
    fn nesting(&self) -> Result<(), Violated> {
        let local = |(peer, _): (core::net::SocketAddr, _)| {
            self.table
                .get(peer)
                .is_some_and(|known| known.source() == Source::Local)
        };
        let text = "local roots are known";
        violated(self.local.members().all(local), NAME, 3, text)?;
        let counters = self.table.counters();
        let text = "nobody else is a local root";
        let as_many = counters.local.known as usize == self.local.len();
        violated(as_many, NAME, 3, text)?;
        for count in [&counters.ordinary, &counters.big, &counters.members] {
            let nested = count.active <= count.established && count.established <= count.known;
            violated(nested, NAME, 2, "active ⊆ established ⊆ known")?;
        }
        let is_member = |peer: &core::net::SocketAddr| {
            let known = self.table.get(*peer);
            known.is_some_and(|known| known.source() == Source::Member)
        };
        let as_many = counters.members.known as usize == self.members.len();
        let all = self.members.keys().all(is_member) && as_many;
        let few = self.members.len() <= self.config.members_max;
        let text = "members in force are known as such, and nobody else";
        violated(self.members_changed || (all && few), NAME, 10, text)?;
        let apart = self.gone.iter().all(|peer| !self.table.contains(*peer));
        violated(apart, NAME, 7, "nobody is both known and gone")?;
        let light = self
            .light
            .iter()
            .all(|peer| self.mature.contains_key(peer) && !self.table.contains(*peer));
        violated(light, NAME, 7, "who may be learned is not known")?;
        let calm = self.is_able() || self.targets == Targets::ZERO;
        violated(calm, NAME, 4, "nothing is aimed at while others must go")
    }

    fn deadlines(&self) -> Result<(), Violated> {
        let asked = self.askable.iter().chain(self.asked.keys());
        for slot in asked {
            let fits = self.table.at(*slot).is_some_and(|(_, known)| {
                let status = known.status();
                status.is_established()
                    && !matches!(status, Status::Cooling | Status::Closing)
                    && known.flags.has(super::table::Flags::SHARING)
            });
            let text = "who is asked for addresses is connected and shares";
            violated(fits, NAME, 6, text)?;
        }
        for (slot, in_time) in &self.asked {
            let due = self.timers.of(&Timer::Reply(*slot)).is_some();
            violated(due == *in_time, NAME, 5, "who is asked has a deadline")?;
        }
        let cleaning = self.timers.of(&Timer::Cleaning);
        let fits = cleaning.is_none() || cleaning == self.cleaning_until;
        violated(fits, NAME, 5, "cleaning has its deadline")
    }
}
