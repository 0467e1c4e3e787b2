//! Requests for roots: from bootstrap peers, from the ledger or a snapshot of it, from the public
//! roots of the topology file.
//!
//! One request of each kind at a time. While only trusted peers may be used, bootstrap peers are
//! the answer. Else relays are drawn from the ledger by stake, names looked up; when there is no
//! ledger to draw from, the public roots answer, but never a request for big ledger peers.
//!
//! src: ouroboros-network, `requestPublicRootPeers` and ledger peers

use alloc::{boxed::Box, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{
    Action, Governor, Kind, Ledger, LedgerState, Relay, Source, Status, Trace, UseLedger, lookups,
    machine::Timer,
    table::{Flags, Peer},
};
use crate::base::{Cx, Instant, Site, Slot};

/// How long the application's first ledger state is waited for.
const LEDGER_PATIENCE: Duration = Duration::from_secs(3);

/// Both requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Requests {
    roots: One,
    big: One,
    /// The application's ledger state is asked for again at this time.
    ledger_due: Option<Instant>,
}

/// One kind of request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct One {
    phase: Phase,
    /// Requests in a row that brought nobody, or (negative) that failed.
    in_vain: i8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    #[default]
    Idle,
    /// The application's ledger state is awaited, for so many peers.
    Ledger(u32),
    /// Names are looked up.
    Names {
        batch: u64,
        source: Source,
        /// The relays asked for, with the tags of their lists.
        tags: Vec<(Relay, u32)>,
        advertise: Vec<Relay>,
    },
}

impl Requests {
    pub(super) fn is_idle(&self) -> bool {
        self.roots.phase == Phase::Idle && self.big.phase == Phase::Idle
    }

    /// Replaces each time by what `ahead` makes of it.
    pub(super) fn rebase(&mut self, ahead: impl Fn(Instant) -> Instant) {
        self.ledger_due = self.ledger_due.map(ahead);
    }

    const fn of(&mut self, kind: Kind) -> &mut One {
        match kind {
            Kind::All => &mut self.roots,
            Kind::Big => &mut self.big,
        }
    }
}

const fn timer(kind: Kind) -> Timer {
    match kind {
        Kind::All => Timer::Roots,
        Kind::Big => Timer::Big,
    }
}

impl Governor {
    /// Back-offs of requests are forgotten: the sources have changed.
    pub(super) fn roots_at_once(&mut self) {
        for kind in [Kind::All, Kind::Big] {
            self.requests.of(kind).in_vain = 0;
            self.timers.set(timer(kind), None);
        }
        self.dirty = true;
    }

    /// Decision: too few roots.
    pub(super) fn roots_below(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let need = self
            .targets
            .root
            .saturating_sub(self.table.counters().roots);
        self.request(cx, Kind::All, need)
    }

    /// Decision: too few big ledger peers.
    pub(super) fn known_big_below(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        if self.is_sensitive() {
            return false;
        }
        let known = self.table.counters().big.known;
        let need = self.targets.known_big.saturating_sub(known);
        self.request(cx, Kind::Big, need)
    }

    fn request(&mut self, cx: &mut Cx<'_, Action>, kind: Kind, need: u32) -> bool {
        let waits = self.timers.of(&timer(kind)).is_some();
        if need == 0 || waits || self.requests.of(kind).phase != Phase::Idle {
            return false;
        }
        let big = kind == Kind::Big;
        self.trace(cx, Trace::RootsRequest { big, wanted: need });
        if !self.is_sensitive() && self.topology.use_ledger != UseLedger::Never {
            self.want_ledger(cx);
            if self.ledger.is_none() && self.timers.of(&Timer::Ledger).is_some() {
                self.requests.of(kind).phase = Phase::Ledger(need);
                return true;
            }
        }
        self.draw(cx, kind, need);
        true
    }

    /// Asks the application for its ledger state when the last is old.
    fn want_ledger(&mut self, cx: &mut Cx<'_, Action>) {
        if self.requests.ledger_due.is_some_and(|at| at > cx.now) {
            return;
        }
        let empty = self.ledger.as_ref().is_none_or(|l| l.pools.is_empty());
        let life = if empty {
            self.config.roots.ledger_life_empty
        } else {
            self.config.roots.ledger_life
        };
        if self.requests.ledger_due.is_none() {
            let until = cx.now.after(LEDGER_PATIENCE);
            self.timers.set(Timer::Ledger, Some(until));
        }
        self.requests.ledger_due = Some(cx.now.after(life));
        cx.act(Action::WantLedger);
    }

    /// The application's ledger state.
    pub(super) fn set_ledger(&mut self, cx: &mut Cx<'_, Action>, ledger: Box<LedgerState>) {
        let life = if ledger.pools.is_empty() {
            self.config.roots.ledger_life_empty
        } else {
            self.config.roots.ledger_life
        };
        self.requests.ledger_due = Some(cx.now.after(life));
        self.ledger = Some(ledger);
        self.dirty = true;
        self.ledger_silent(cx);
    }

    /// The ledger state has come, or is waited for no longer: requests go on.
    pub(super) fn ledger_silent(&mut self, cx: &mut Cx<'_, Action>) {
        self.timers.set(Timer::Ledger, None);
        for kind in [Kind::All, Kind::Big] {
            if let Phase::Ledger(need) = self.requests.of(kind).phase {
                self.draw(cx, kind, need);
            }
        }
    }

    /// The pools to draw from: of a snapshot that is younger than our own ledger, else our own.
    /// src: ouroboros-network, `stakeMapWithSlotOverSource`
    fn pools(&self) -> Option<&Ledger> {
        let after = match self.topology.use_ledger {
            UseLedger::Never => return None,
            UseLedger::Always => Slot::default(),
            UseLedger::After(slot) => slot,
        };
        let tip = self.ledger.as_ref().and_then(|ledger| ledger.tip);
        if let Some(snapshot) = &self.snapshot
            && let Some(slot) = snapshot.point.slot()
            && slot >= tip.unwrap_or_default()
            && slot >= after
        {
            return Some(&snapshot.pools);
        }
        let always = self.topology.use_ledger == UseLedger::Always;
        let ledger = self.ledger.as_ref()?;
        let usable = always || ledger.tip.is_some_and(|tip| tip >= after);
        usable.then_some(&ledger.pools)
    }

    /// Draws or lists relays, and looks names up.
    fn draw(&mut self, cx: &mut Cx<'_, Action>, kind: Kind, need: u32) {
        let mut advertise = Vec::new();
        let (source, relays): (Source, Vec<(Relay, u32)>) = if self.is_sensitive() {
            let points = self.topology.bootstrap.iter().flatten();
            let points = points.map(|point| (point.clone(), 0));
            (Source::Bootstrap, points.collect())
        } else {
            let unknown = |relay: &Relay| match relay {
                Relay::Addr(addr) => self.may_be_root(cx.now, addr),
                Relay::Host { .. } | Relay::Service { .. } => true,
            };
            let drawn = match self.pools() {
                Some(pools) => pools.draw(kind, need as usize, cx.choice, unknown),
                None => Vec::new(),
            };
            if !drawn.is_empty() || kind == Kind::Big {
                let source = match kind {
                    Kind::All => Source::Ledger,
                    Kind::Big => Source::Big,
                };
                (source, drawn)
            } else {
                let points = self.topology.public.iter();
                let points = points.flat_map(|group| {
                    let told = group.advertise;
                    group.access_points.iter().map(move |point| (point, told))
                });
                let mut all = Vec::new();
                for (point, told) in points {
                    if told {
                        advertise.push(point.clone());
                    }
                    all.push((point.clone(), 0));
                }
                (Source::Config, all)
            }
        };
        let ledger = matches!(source, Source::Ledger | Source::Big);
        let asked = relays.iter().map(|(relay, _)| (relay.clone(), ledger));
        let asked: Vec<(Relay, bool)> = asked.collect();
        let mut out = core::mem::take(&mut self.work.lookups);
        let batch = self.lookups.batch(cx.now, asked, &mut out);
        self.requests.of(kind).phase = Phase::Names {
            batch,
            source,
            tags: relays,
            advertise,
        };
        self.looked_up(cx, out);
    }

    /// Whether an address may become a root of a source other than the operator's.
    fn may_be_root(&self, now: Instant, addr: &SocketAddr) -> bool {
        let known = self.table.get(*addr);
        known.is_none_or(|known| known.source() == Source::NonRoot)
            && !self.own.contains(addr)
            && !self.gone.contains(addr)
            && self.offenders.held(now, addr).is_none()
    }

    /// What the lookups ask for, carried out.
    pub(super) fn looked_up(&mut self, cx: &mut Cx<'_, Action>, mut out: Vec<lookups::Out>) {
        let mut done = Vec::new();
        for out in out.drain(..) {
            match out {
                lookups::Out::Resolve { ticket, question } => {
                    cx.act(Action::Resolve { ticket, question });
                }
                lookups::Out::LocalChanged => {
                    self.local_changed = true;
                    self.dirty = true;
                }
                lookups::Out::BatchDone {
                    batch,
                    found,
                    ttl,
                    failed,
                } => done.push((batch, found, ttl, failed)),
            }
        }
        self.work.lookups = out;
        for (batch, found, ttl, failed) in done {
            self.batch_done(cx, batch, found, ttl, failed);
        }
    }

    fn batch_done(
        &mut self,
        cx: &mut Cx<'_, Action>,
        done: u64,
        found: Vec<(Relay, Vec<SocketAddr>)>,
        ttl: Option<Duration>,
        failed: bool,
    ) {
        for kind in [Kind::All, Kind::Big] {
            let one = self.requests.of(kind);
            if !matches!(&one.phase, Phase::Names { batch, .. } if *batch == done) {
                continue;
            }
            let Phase::Names {
                source,
                tags,
                advertise,
                ..
            } = core::mem::take(&mut one.phase)
            else {
                continue;
            };
            self.dirty = true;
            let trusted_only = self.is_sensitive();
            if trusted_only != (source == Source::Bootstrap) {
                // The mode has changed meanwhile: what was asked for is not wanted any more.
                self.timers.set(timer(kind), None);
                return;
            }
            let found = self.choose(cx, source, found, &tags);
            let mut new = 0_u32;
            for (addr, relay, tag) in found {
                let told = match source {
                    Source::Config => Some(advertise.contains(&relay)),
                    Source::Bootstrap | Source::Big => Some(false),
                    _ => None,
                };
                let added = self.add_root(cx.now, addr, source, tag, told);
                new = new.saturating_add(u32::from(added));
            }
            return self.requested(cx, kind, new, source, ttl, failed);
        }
    }

    /// One address of each name that was drawn from the ledger, all of those that were listed.
    fn choose(
        &self,
        cx: &mut Cx<'_, Action>,
        source: Source,
        found: Vec<(Relay, Vec<SocketAddr>)>,
        tags: &[(Relay, u32)],
    ) -> Vec<(SocketAddr, Relay, u32)> {
        let mut chosen = Vec::new();
        for (relay, addrs) in found {
            let tag = tags.iter().find(|(asked, _)| *asked == relay);
            let tag = tag.map_or(0, |(_, tag)| *tag);
            if matches!(source, Source::Ledger | Source::Big) {
                let addrs: Vec<SocketAddr> = addrs
                    .into_iter()
                    .filter(|addr| self.may_be_root(cx.now, addr))
                    .collect();
                let of = u32::try_from(addrs.len()).unwrap_or(u32::MAX);
                let at = cx.choice.below(Site::LEDGER_NAME, 0, of) as usize;
                if let Some(addr) = addrs.get(at) {
                    chosen.push((*addr, relay, tag));
                }
            } else {
                chosen.extend(addrs.into_iter().map(|addr| (addr, relay.clone(), tag)));
            }
        }
        chosen
    }

    /// A root has come; whether it is new.
    fn add_root(
        &mut self,
        now: Instant,
        addr: SocketAddr,
        source: Source,
        tag: u32,
        advertise: Option<bool>,
    ) -> bool {
        if !self.may_be_root(now, &addr) {
            return false;
        }
        let slot = if let Some(slot) = self.table.slot(addr) {
            self.shift(slot, |table| {
                table.set_source(slot, source);
                if let Some(known) = table.at_mut(slot) {
                    known.origin = tag;
                }
            });
            Some(slot)
        } else {
            let mut peer = Peer::new(now, source, Status::Cold);
            peer.origin = tag;
            self.learn(addr, peer)
        };
        let Some(slot) = slot else {
            return false;
        };
        if let (Some(told), Some(known)) = (advertise, self.table.at_mut(slot)) {
            let flags = &mut known.flags;
            flags.know(Flags::ADVERTISE_KNOWN, Flags::ADVERTISE, told);
        }
        self.answers_changed(slot);
        true
    }

    /// A request is over; the next waits.
    fn requested(
        &mut self,
        cx: &mut Cx<'_, Action>,
        kind: Kind,
        new: u32,
        source: Source,
        ttl: Option<Duration>,
        failed: bool,
    ) {
        let doublings_max = self.config.roots.doublings_max.min(30);
        let most = i8::try_from(doublings_max).unwrap_or(i8::MAX);
        let ledger_ttl = self.config.roots.ledger_ttl;
        let ttl_min = self.config.names.ttl_min;
        let one = self.requests.of(kind);
        let retry = if new > 0 {
            one.in_vain = 0;
            match source {
                Source::Ledger | Source::Big => ledger_ttl,
                _ => ttl.unwrap_or(ttl_min),
            }
        } else {
            one.in_vain = if failed {
                one.in_vain.min(0).saturating_sub(1).max(-most)
            } else {
                one.in_vain.max(0).saturating_add(1).min(most)
            };
            Duration::from_secs(1 << one.in_vain.unsigned_abs())
        };
        self.timers.set(timer(kind), Some(cx.now.after(retry)));
        let big = kind == Kind::Big;
        self.trace(
            cx,
            if failed {
                Trace::RootsFailure { big, retry }
            } else {
                Trace::RootsResult { big, new, retry }
            },
        );
    }

    /// When a request of this kind may be made next.
    pub(super) fn next_request(&self, kind: Kind) -> Option<Instant> {
        self.timers.of(&timer(kind))
    }
}
