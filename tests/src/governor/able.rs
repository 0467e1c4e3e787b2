//! With whom something could be done, by what a governor says of itself, and since when.

use core::{net::SocketAddr, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use samanea_core::{
    base::Instant,
    governor::{Count, Explanation, Source, Status},
};

use super::{
    laws::{Law, Seen},
    picture::Picture,
};

/// With whom something could be done, and which law wants it done.
pub type Overlookable = BTreeSet<(Law, SocketAddr)>;

/// Finds them.
pub struct Able<'a> {
    /// What the governor says.
    pub picture: &'a Picture,
    /// Whether a peer could be dialled now.
    pub due: &'a dyn Fn(&Explanation) -> bool,
    /// Whether a peer could be made hot now.
    pub ready: &'a dyn Fn(&Explanation) -> bool,
}

impl Able<'_> {
    /// Below and above the targets of established peers; `big` whether big ledger peers are
    /// wanted.
    pub fn established(&self, big: bool, into: &mut Overlookable) {
        let (targets, counters) = (self.picture.targets, self.picture.counters);
        let ordinary = counters.ordinary;
        if ordinary.established + ordinary.cold_promotions < targets.established {
            self.add(Law::EstablishedBelow, into, |peer| {
                is_other(peer) && (self.due)(peer)
            });
        }
        let all_big = counters.big;
        if big && all_big.established + all_big.cold_promotions < targets.established_big {
            self.add(Law::BigEstablishedBelow, into, |peer| {
                peer.source == Source::Big && (self.due)(peer)
            });
        }
        let warm = |peer: &Explanation| matches!(peer.status, Status::Warm | Status::WarmWaiting);
        let leaving = |count: Count| count.warm_demotions + count.warm_promotions + count.cooling;
        let local_warm = counters.local.warm();
        let over = (ordinary.established.saturating_sub(targets.established)).min(
            ordinary
                .established
                .saturating_sub(local_warm + ordinary.active),
        );
        if over > leaving(ordinary) {
            self.add(Law::EstablishedAbove, into, |peer| {
                is_other(peer) && warm(peer)
            });
        }
        let over =
            (all_big.established.saturating_sub(targets.established_big)).min(all_big.warm());
        if over > leaving(all_big) {
            self.add(Law::BigEstablishedAbove, into, |peer| {
                peer.source == Source::Big && warm(peer)
            });
        }
    }

    /// Below and above the targets of active peers.
    pub fn active(&self, into: &mut Overlookable) {
        let (targets, counters) = (self.picture.targets, self.picture.counters);
        let ordinary = counters.ordinary;
        let is_hot = |peer: &Explanation| peer.status == Status::Hot;
        if ordinary.active + ordinary.warm_promotions < targets.active {
            self.add(Law::ActiveBelow, into, |peer| {
                is_other(peer) && (self.ready)(peer)
            });
        }
        if ordinary.active.saturating_sub(ordinary.active_demotions) > targets.active {
            self.add(Law::ActiveAbove, into, |peer| {
                is_other(peer) && is_hot(peer)
            });
        }
        let big = counters.big;
        if big.active + big.warm_promotions < targets.active_big && !targets.is_zero() {
            self.add(Law::BigActiveBelow, into, |peer| {
                peer.source == Source::Big && (self.ready)(peer)
            });
        }
        if big.active.saturating_sub(big.active_demotions) > targets.active_big {
            self.add(Law::BigActiveAbove, into, |peer| {
                peer.source == Source::Big && is_hot(peer)
            });
        }
    }

    /// Members of a group of local roots that has too few or too many.
    pub fn group(
        &self,
        hot: u32,
        warm: u32,
        member: impl Fn(&Explanation) -> bool,
        into: &mut Overlookable,
    ) {
        let count = |is: &dyn Fn(Status) -> bool| {
            self.picture.count(|peer| member(peer) && is(peer.status))
        };
        if count(&|s| s.is_established() || s == Status::Connecting) < warm {
            self.add(Law::GroupWarm, into, |peer| {
                member(peer) && (self.due)(peer)
            });
        }
        let active = count(&Status::is_active);
        if active + count(&|s| s == Status::Activating) < hot {
            self.add(Law::GroupHot, into, |peer| {
                member(peer) && (self.ready)(peer)
            });
        }
        if active.saturating_sub(count(&|s| s == Status::Deactivating)) > hot {
            self.add(Law::GroupCool, into, |peer| {
                member(peer) && peer.status == Status::Hot
            });
        }
    }

    fn add(&self, law: Law, into: &mut Overlookable, is: impl Fn(&Explanation) -> bool) {
        let those = self.picture.peers.values().filter(|peer| is(peer));
        into.extend(those.map(|peer| (law, peer.peer)));
    }
}

/// Neither a local root nor a big ledger peer.
fn is_other(peer: &Explanation) -> bool {
    !matches!(peer.source, Source::Local | Source::Big)
}

/// Since when each law has had whom before it, without a break.
#[derive(Clone, Debug, Default)]
pub struct Waiting(BTreeMap<(Law, SocketAddr), Instant>);

impl Waiting {
    /// At the end of an instant these can be acted on; whoever is new has a case.
    pub fn settle(&mut self, now: Instant, able: Overlookable, seen: &mut Seen) {
        self.0.retain(|key, _| able.contains(key));
        for key in able {
            self.0.entry(key).or_insert_with(|| {
                seen.case(key.0, 1);
                now
            });
        }
    }

    /// All of a law are done with.
    pub fn forget(&mut self, law: Law) {
        self.0.retain(|(of, _), _| *of != law);
    }

    /// Nothing happens until then: who will have waited for longer than the bound, and since when.
    pub fn late(
        &self,
        until: Instant,
        bound: impl Fn(Law) -> Duration,
    ) -> impl Iterator<Item = (Law, SocketAddr, Instant)> {
        let waiting = self.0.iter();
        let late = waiting.filter(move |((law, _), since)| until.since(**since) > bound(*law));
        late.map(|((law, peer), since)| (*law, *peer, *since))
    }
}
