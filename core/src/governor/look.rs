//! What can be looked at: numbers, reasons, what is saved.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::SocketAddr;

use super::{
    Action, Config, Count, Counters, Explanation, Governor, Judgement, Kind, Next, Saved,
    SavedPeer, Source, Status, Targets, Topology, Traits, churn,
    outcomes::operator,
    table::{Flags, Peer},
};
use crate::base::{Cx, Instant, NoRules, Seeded};

impl Governor {
    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Known peers looked at so far, each as often as it was; a measure of work.
    pub fn touched(&self) -> usize {
        self.table.touched()
    }

    /// Numbers of peers.
    pub const fn counters(&self) -> &Counters {
        self.table.counters()
    }

    /// The targets in force.
    pub const fn targets(&self) -> Targets {
        self.targets
    }

    /// What the application says of the chain.
    pub const fn judgement(&self) -> Judgement {
        self.told
    }

    /// The roots as the operator wrote them.
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }

    /// What is said of a local root in force.
    pub fn local_root(&self, peer: &SocketAddr) -> Option<Traits> {
        self.local.get(peer).map(|(_, traits)| traits)
    }

    /// All local roots in force, by address.
    pub fn local_roots(&self) -> impl Iterator<Item = (SocketAddr, Traits)> {
        self.local.members()
    }

    /// Peers kept by command, by address.
    pub fn kept(&self) -> impl Iterator<Item = SocketAddr> {
        self.kept.iter().copied()
    }

    /// Whether a peer is kept by command.
    pub fn is_kept(&self, peer: &SocketAddr) -> bool {
        self.kept.contains(peer)
    }

    /// Members of groups in force, by address.
    pub fn members(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.keys().copied()
    }

    /// Whether a peer has left all sets although its connection is not over.
    pub fn is_gone(&self, peer: &SocketAddr) -> bool {
        self.gone.contains(peer)
    }

    /// Peers that are connected, are being connected, or have left before that was over.
    pub fn used(&self) -> usize {
        let counters = self.table.counters();
        let of = |count: &Count| count.established.saturating_add(count.cold_promotions) as usize;
        of(&counters.ordinary)
            .saturating_add(of(&counters.big))
            .saturating_add(of(&counters.members))
            .saturating_add(self.gone.len())
    }

    /// What it would do now if it were woken for no reason, while no timer is due: nothing, or an
    /// event was taken in without a look at what follows from it. For tests.
    pub fn overlooked(&self, now: Instant) -> Vec<Action> {
        let mut one = self.clone();
        one.dirty = one.started;
        let mut out = Vec::new();
        let mut choice = Seeded::new(0);
        let mut cx = Cx::new(now, &mut choice, &NoRules, &mut out);
        one.settle(&mut cx);
        out
    }

    /// Events that came for peers that were gone, or that did not fit.
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    /// Names that were not looked up because too many wait.
    pub const fn names_left_out(&self) -> u64 {
        self.lookups.left_out()
    }

    /// Whether failures do not count because nearly all dials fail.
    pub const fn is_outage(&self) -> bool {
        self.in_outage
    }

    /// When roots, and big ledger peers, may be asked for next, if that waits.
    pub fn next_requests(&self) -> [Option<Instant>; 2] {
        [self.next_request(Kind::All), self.next_request(Kind::Big)]
    }

    /// What is known of a peer, its status, and whether anything waits for it.
    pub fn status(&self, peer: &SocketAddr) -> Option<(Source, Status)> {
        let known = self.table.get(*peer)?;
        Some((known.source(), known.status()))
    }

    /// Why a peer is as it is; `None` when it is unknown. Costs a look at every peer.
    pub fn explain(&self, peer: &SocketAddr) -> Option<Explanation> {
        let known = self.table.get(*peer)?;
        let told_by = self
            .table
            .iter()
            .find(|(addr, _)| is_by(known, self.table.tag(addr)));
        Some(self.explained(*peer, known, told_by.map(|(addr, _)| addr)))
    }

    /// The same for all peers.
    pub fn explain_all(&self) -> impl Iterator<Item = Explanation> {
        let tags: BTreeMap<u32, SocketAddr> = self
            .table
            .iter()
            .map(|(addr, _)| (self.table.tag(&addr), addr))
            .collect();
        self.table.iter().map(move |(addr, known)| {
            let told_by = tags.get(&known.origin).copied();
            let told_by = told_by.filter(|by| is_by(known, self.table.tag(by)));
            self.explained(addr, known, told_by)
        })
    }

    fn explained(
        &self,
        peer: SocketAddr,
        known: &Peer,
        told_by: Option<SocketAddr>,
    ) -> Explanation {
        let kept = self.is_kept(&peer);
        let root = self.local.get(&peer).filter(|_| !kept);
        let of = root.and_then(|(group, _)| self.local.groups().get(group));
        let first = usize::from(!self.kept.is_empty());
        let sharing = known.flags.has(Flags::SHARING_KNOWN);
        Explanation {
            peer,
            source: known.source(),
            status: known.status(),
            since: Instant::from_secs(known.since.into()),
            group: root.map(|(group, _)| group.saturating_sub(first)),
            valencies: of.map(|group| (group.hot, group.warm)),
            traits: root.map(|(_, traits)| traits),
            kept,
            told_by,
            failures: known.failures,
            reached: known.flags.has(Flags::REACHED),
            tepid: known.flags.has(Flags::TEPID),
            advertise: known.flags.has(Flags::ADVERTISE),
            sharing: sharing.then(|| known.flags.has(Flags::SHARING)),
            score: self.worth(&peer).0,
            round_trip: self.measure.rtt(&peer),
            hops: self.measure.hops(&peer).map(u32::from),
            next: self.next(peer, known),
        }
    }

    fn next(&self, peer: SocketAddr, known: &Peer) -> Next {
        let counters = self.table.counters();
        let targets = &self.targets;
        let (count, established, active) = match known.source() {
            Source::Big => (&counters.big, targets.established_big, targets.active_big),
            Source::Member => {
                let all = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
                (&counters.members, all, self.members_hot())
            }
            _ => (&counters.ordinary, targets.established, targets.active),
        };
        if self.stopping {
            return Next::Nothing;
        }
        match known.status() {
            Status::ColdWaiting => Next::Retry(known.until()),
            Status::WarmWaiting => Next::Reactivate(known.until()),
            Status::Connecting
            | Status::Activating
            | Status::Closing
            | Status::Deactivating
            | Status::Cooling => Next::Answer,
            Status::Hot if matches!(known.source(), Source::Local | Source::Member) => Next::Stays,
            Status::Warm if known.source() == Source::Member && !self.is_hot_member(&peer) => {
                Next::Stays
            }
            Status::Hot => Next::Churn(self.next_cycle()),
            Status::Cold if !self.is_able() => Next::Untrusted,
            Status::Cold => self.next_of_cold(peer, known, count, established),
            Status::Warm => Next::ActiveFull {
                have: count.active.saturating_add(count.warm_promotions),
                want: self.group_of(&peer).map_or(active, |group| group.hot),
            },
        }
    }

    fn next_of_cold(&self, peer: SocketAddr, known: &Peer, count: &Count, want: u32) -> Next {
        let local = matches!(known.source(), Source::Local | Source::Member);
        if !local && !self.diversity.may(&peer, operator(known)) {
            return Next::Diversity;
        }
        Next::EstablishedFull {
            have: count.established.saturating_add(count.cold_promotions),
            want: self.group_of(&peer).map_or(want, |group| group.warm),
        }
    }

    fn group_of(&self, peer: &SocketAddr) -> Option<&super::Group> {
        let (group, _) = self.local.get(peer)?;
        self.local.groups().get(group)
    }

    /// Cycles of churn that came to their end.
    pub const fn cycles(&self) -> u64 {
        self.cycles
    }

    /// When the next cycle of churn begins, if none is under way.
    pub fn next_cycle(&self) -> Option<Instant> {
        match self.churn.phase() {
            churn::Phase::Waiting { until } => until,
            _ => None,
        }
    }

    /// What should be kept over a restart.
    pub fn saved(&self, now: Instant) -> Saved {
        let mut peers: Vec<SavedPeer> = self
            .table
            .iter()
            .filter(|(_, known)| !matches!(known.source(), Source::Local | Source::Member))
            .map(|(peer, known)| SavedPeer {
                peer,
                failures: known.failures,
                reached: known.flags.has(Flags::REACHED),
                advertise: known
                    .flags
                    .has(Flags::ADVERTISE_KNOWN)
                    .then(|| known.flags.has(Flags::ADVERTISE)),
                established: known.status().is_established(),
            })
            .collect();
        peers.sort_unstable_by_key(|saved| saved.peer);
        Saved {
            peers,
            offenders: self.offenders.saved(now),
        }
    }

    /// Takes up what was known before a restart: as peers of no source in particular, until a
    /// source names them again. While bootstrap peers are configured and the chain is old, nobody.
    pub(super) fn restore(&mut self, now: Instant, saved: Saved) {
        self.offenders.restore(now, &saved.offenders);
        self.forgive(now);
        if self.is_sensitive() {
            return;
        }
        for saved in saved.peers {
            if self.own.contains(&saved.peer)
                || saved.peer.port() == 0
                || self.offenders.held(now, &saved.peer).is_some()
            {
                continue;
            }
            let mut peer = Peer::new(now, Source::NonRoot, Status::Cold);
            peer.failures = saved.failures.min(self.config.back_off.failures_max);
            let flags = &mut peer.flags;
            flags.set(Flags::REACHED, saved.reached);
            flags.set(Flags::PREFERRED, saved.established);
            if let Some(advertise) = saved.advertise {
                flags.know(Flags::ADVERTISE_KNOWN, Flags::ADVERTISE, advertise);
            }
            self.learn(saved.peer, peer);
        }
        self.dirty = true;
    }
}

/// Whether this peer was told by the one with this tag.
fn is_by(known: &Peer, tag: u32) -> bool {
    known.source() == Source::NonRoot && known.origin != 0 && known.origin == tag
}
