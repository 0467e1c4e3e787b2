//! Groups without a ledger: members say themselves that they join and leave, and watch over their
//! neighbours.
//!
//! ```text
//!  Joined ◀─────────── a join of a later life ─────────── Left
//!    └─ a leave of this life, by itself or by two others ─▶┘
//! ```
//!
//! What is known of a member is its last word: joined or left, in which life. A later life wins,
//! and within one life to have left wins, so words may come in any order. Words are signed. They
//! spread over the links of the ring: whoever learns something new tells those it forwards to and
//! its neighbours; and neighbours who find at a ping that their lists differ send each other what
//! they know.
//!
//! A neighbour that does not answer for long is reported; when two members report it within some
//! time (one, where there are but two) it has left. One that is alive refutes that by joining in
//! another life. Who says itself that it is in another life is listened to once between two pings:
//! so nobody can make all others order their rings anew all the time.
//!
//! Who may join is not asked here: a key is all it takes, and one who has many is many members.
//! Where that matters the application gives views, as a ledger would.
//!
//! Such a group has one view, of epoch 0, that is replaced whenever the set changes: two members
//! whose sets differ act each on its own, and the clean-up finds whoever falls between.
//! deviates: words go from member to member instead of being published as messages of the group,
//! so that one who is not in anybody's list yet can be told of.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "Join" and "Leave"; the
//! reports of neighbours are those of SWIM (Das, Gupta, Motivala, 2002)

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use bytes::Bytes;

use super::{
    Action, Misdeed, Notice, Rain, Refusal, Side, View,
    group::Group,
    id::{join_bytes, leave_bytes},
    machine::Timer,
};
use crate::{
    base::{Cx, GroupId, Instant, MemberKey},
    proto::rain_link::{ADDRESS_BYTES_MAX, Frame, Joined, Left, RECORDS_MAX, Record},
};

/// Members asked for the list before any is known.
const CONTACTS_MAX: usize = 16;

/// What a group without a ledger knows of its members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Membership {
    /// In which life this node is in the group.
    boot: u32,
    address: Bytes,
    contacts: BTreeSet<MemberKey>,
    words: BTreeMap<MemberKey, Word>,
    /// Neighbours that have not answered, since when.
    silent: BTreeMap<MemberKey, Instant>,
    /// Who is said to be gone, by whom, when.
    reports: BTreeMap<MemberKey, Vec<(MemberKey, Instant)>>,
}

/// The last word about a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Word {
    record: Record,
    since: Instant,
}

impl Word {
    /// Greater wins.
    fn rank(&self) -> (u32, bool) {
        match &self.record {
            Record::Joined(joined) => (joined.boot, false),
            Record::Left(left) => (left.boot, true),
        }
    }

    /// Whether it is the member itself that says so.
    fn is_own(&self) -> bool {
        match &self.record {
            Record::Joined(_) => true,
            Record::Left(left) => left.by == left.member,
        }
    }

    fn is_joined(&self) -> bool {
        matches!(self.record, Record::Joined(_))
    }
}

impl Membership {
    fn members(&self) -> impl Iterator<Item = MemberKey> {
        let words = self.words.iter();
        words
            .filter(|(_, word)| word.is_joined())
            .map(|(key, _)| *key)
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    fn records(&self) -> Vec<Record> {
        let words = self.words.values().take(RECORDS_MAX);
        words.map(|word| word.record.clone()).collect()
    }

    /// Forgets who left long ago, and reports that no longer count.
    fn expire(&mut self, now: Instant, left: core::time::Duration, reports: core::time::Duration) {
        self.words
            .retain(|_, word| word.is_joined() || now.since(word.since) < left);
        for by in self.reports.values_mut() {
            by.retain(|(_, at)| now.since(*at) < reports);
        }
        self.reports.retain(|_, by| !by.is_empty());
    }
}

impl Rain {
    /// Joins a group without a ledger.
    pub(super) fn join(
        &mut self,
        cx: &mut Cx<'_, Action>,
        group: &GroupId,
        address: Bytes,
        contacts: Vec<MemberKey>,
    ) {
        let full = self.groups.len() >= self.config.limits.groups;
        if full || address.len() > ADDRESS_BYTES_MAX || self.groups.contains_key(group) {
            return self.stale();
        }
        let boot = self.boot;
        let Some(own) = self.own_join(cx, group, boot, &address) else {
            let (tag, why) = (0, Refusal::NoKey);
            return Self::notice(cx, Notice::Refused { tag, why });
        };
        let word = Word {
            record: Record::Joined(own),
            since: cx.now,
        };
        let membership = Membership {
            boot,
            address,
            contacts: contacts.into_iter().take(CONTACTS_MAX).collect(),
            words: BTreeMap::from([(self.me, word)]),
            silent: BTreeMap::new(),
            reports: BTreeMap::new(),
        };
        let Ok(view) = View::new(group.clone(), 0, None, [self.me.into()], cx.rules) else {
            return self.stale();
        };
        let no = self.number_of_new(cx, group);
        let mut known = Group::new(no, view);
        known.membership = Some(membership);
        known.next = self.next_after_forgotten(group);
        self.groups.insert(group.clone(), known);
        let at = cx.now.after(self.config.times.ping);
        self.timers.set(Timer::Ping(no), Some(at));
        self.introduce(cx, group);
    }

    fn own_join(
        &self,
        cx: &Cx<'_, Action>,
        group: &GroupId,
        boot: u32,
        address: &Bytes,
    ) -> Option<Joined> {
        let mut joined = Joined {
            member: self.me,
            boot,
            address: address.clone(),
            signature: crate::base::Signature::default(),
        };
        joined.signature = cx.rules.sign(&join_bytes(group, &joined))?;
        Some(joined)
    }

    /// Tells contacts that are up that this node is there.
    pub(super) fn introduce(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId) {
        let Some(membership) = self.membership(group) else {
            return;
        };
        let own = membership
            .words
            .get(&self.me)
            .map(|word| word.record.clone());
        let contacts: Vec<MemberKey> = membership.contacts.iter().copied().collect();
        for peer in contacts {
            let up = self.peers.is_up(&peer, self.config.reach);
            if let (true, Some(record)) = (up || self.call(cx, peer), own.clone())
                && up
            {
                self.send(cx, peer, said(group, record));
            }
        }
    }

    /// The same to a contact that is up now.
    pub(super) fn introduce_to(
        &mut self,
        cx: &mut Cx<'_, Action>,
        group: &GroupId,
        peer: MemberKey,
    ) {
        let Some(membership) = self.membership(group) else {
            return;
        };
        let own = membership
            .words
            .get(&self.me)
            .map(|word| word.record.clone());
        if let Some(record) = own.filter(|_| membership.contacts.contains(&peer)) {
            self.send(cx, peer, said(group, record));
        }
    }

    /// Leaves a group without a ledger, and says so.
    pub(super) fn leave(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId) {
        let Some(membership) = self.membership(group) else {
            return self.stale();
        };
        let boot = membership.boot;
        let me = self.me;
        if let Some(left) = self.signed_leave(cx, group, me, boot) {
            self.spread_word(cx, group, &Record::Left(left), None);
        }
        self.on_forget(cx, group);
    }

    fn signed_leave(
        &self,
        cx: &Cx<'_, Action>,
        group: &GroupId,
        member: MemberKey,
        boot: u32,
    ) -> Option<Left> {
        let mut left = Left {
            member,
            boot,
            by: self.me,
            signature: crate::base::Signature::default(),
        };
        left.signature = cx.rules.sign(&leave_bytes(group, &left))?;
        Some(left)
    }

    fn membership(&self, group: &GroupId) -> Option<&Membership> {
        self.groups.get(group)?.membership.as_ref()
    }

    fn membership_mut(&mut self, group: &GroupId) -> Option<&mut Membership> {
        self.groups.get_mut(group)?.membership.as_mut()
    }

    /// Somebody says that it, or another, has joined.
    pub(super) fn on_join(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        group: &GroupId,
        joined: Joined,
    ) {
        let first = joined.member == peer;
        self.on_records(cx, peer, group, [Record::Joined(joined)].into());
        let records = self.membership(group).map(Membership::records);
        if let (true, Some(records)) = (first, records) {
            let group = group.clone();
            self.send(cx, peer, Frame::Members { group, records });
        }
    }

    /// Words about members.
    pub(super) fn on_records(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        group: &GroupId,
        records: Vec<Record>,
    ) {
        if self.membership(group).is_none() {
            return self.stale();
        }
        let rate = self.config.limits.asked_rate;
        let entry = self.peers.entry(cx.now, peer, &self.config);
        if !entry.may_ask(cx.now, records.len(), rate) {
            return self.misdeed(cx, peer, Misdeed::Flood);
        }
        let mut changed = false;
        let mut news = VecDeque::new();
        for record in records {
            match self.take_word(cx, group, &record) {
                Taken::Old => {}
                Taken::False => self.misdeed(cx, peer, Misdeed::Invalid),
                Taken::Reported => news.push_back(record),
                Taken::New => {
                    changed = true;
                    news.push_back(record);
                }
            }
        }
        if changed {
            self.renew(cx, group);
        }
        for record in news {
            self.spread_word(cx, group, &record, Some(peer));
        }
    }

    /// One word: verified, and kept if it is news.
    fn take_word(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId, record: &Record) -> Taken {
        let now = cx.now;
        let most = self.config.limits.peers;
        let me = self.me;
        let word = Word {
            record: record.clone(),
            since: now,
        };
        let Some(membership) = self.membership(group) else {
            return Taken::Old;
        };
        let (member, signer, bytes, signature) = match record {
            Record::Joined(it) => (it.member, it.member, join_bytes(group, it), &it.signature),
            Record::Left(it) => (it.member, it.by, leave_bytes(group, it), &it.signature),
        };
        let known = membership.words.get(&member);
        // Its own doing, and again before neighbours could have asked after it.
        let again = matches!(record, Record::Joined(_))
            && known.is_some_and(|known| {
                known.is_own() && now.since(known.since) < self.config.times.ping
            });
        let full = known.is_none() && membership.words.len() >= most;
        if full || again || known.is_some_and(|known| known.rank() >= word.rank()) {
            return Taken::Old;
        }
        if !cx.rules.verify(&signer, &bytes, signature) {
            return Taken::False;
        }
        if let Record::Left(left) = record {
            if left.by != left.member {
                let reported = self.report(now, group, left);
                if reported != Taken::New {
                    return reported;
                }
            }
            if left.member == me {
                return self.refute(cx, group, left.boot);
            }
        }
        if let Some(membership) = self.membership_mut(group) {
            membership.words.insert(member, word);
            membership.silent.remove(&member);
            membership.reports.remove(&member);
        }
        if let Record::Joined(joined) = record {
            let (peer, address) = (joined.member, joined.address.clone());
            cx.act(Action::Address { peer, address });
        }
        Taken::New
    }

    /// A member says that another is gone; [`Taken::New`] when enough say so.
    fn report(&mut self, now: Instant, group: &GroupId, left: &Left) -> Taken {
        let within = self.config.times.reports;
        let Some(membership) = self.membership_mut(group) else {
            return Taken::Old;
        };
        let is_member = membership.words.get(&left.by).is_some_and(Word::is_joined);
        let about = membership.words.get(&left.member);
        let same = about.is_some_and(|word| word.rank() == (left.boot, false));
        if !is_member || !same {
            return Taken::Old;
        }
        let others = membership.members().count().saturating_sub(1);
        let by = membership.reports.entry(left.member).or_default();
        by.retain(|(_, at)| now.since(*at) < within);
        if by.iter().any(|(who, _)| *who == left.by) {
            return Taken::Old;
        }
        by.push((left.by, now));
        if by.len() >= others.min(2) {
            Taken::New
        } else {
            Taken::Reported
        }
    }

    /// This node is said to be gone: it joins again, in another life.
    fn refute(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId, boot: u32) -> Taken {
        let me = self.me;
        let Some(membership) = self.membership(group) else {
            return Taken::Old;
        };
        let address = membership.address.clone();
        let next = membership.boot.max(boot).saturating_add(1);
        let Some(own) = self.own_join(cx, group, next, &address) else {
            return Taken::Old;
        };
        let record = Record::Joined(own);
        let since = cx.now;
        if let Some(membership) = self.membership_mut(group) {
            membership.boot = next;
            let word = Word {
                record: record.clone(),
                since,
            };
            membership.words.insert(me, word);
            membership.reports.remove(&me);
        }
        self.spread_word(cx, group, &record, None);
        Taken::Old
    }

    /// The set has changed: another view.
    fn renew(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId) {
        let Some(membership) = self.membership(group) else {
            return;
        };
        let members: Vec<MemberKey> = membership.members().collect();
        let members = members.into_iter().map(Into::into);
        let Ok(view) = View::new(group.clone(), 0, None, members, cx.rules) else {
            return self.stale();
        };
        let interest = super::interest::of(&view, &self.me, &self.config);
        let count = view.members();
        if let Some(known) = self.groups.get_mut(group) {
            known.views = VecDeque::from([view]);
        }
        cx.act(Action::Interest(interest));
        self.unpark(cx, group, 0);
        let (group, members) = (group.clone(), count);
        Self::notice(cx, Notice::Members { group, members });
    }

    /// Tells those this node is linked to on the ring.
    fn spread_word(
        &mut self,
        cx: &mut Cx<'_, Action>,
        group: &GroupId,
        record: &Record,
        but: Option<MemberKey>,
    ) {
        let Some(view) = self.view(group) else {
            return;
        };
        let interest = super::interest::of(view, &self.me, &self.config);
        let targets: BTreeSet<MemberKey> = interest
            .hot
            .into_iter()
            .chain(interest.warm)
            .filter(|peer| Some(*peer) != but && self.peers.is_up(peer, self.config.reach))
            .collect();
        for peer in targets {
            self.send(cx, peer, said(group, record.clone()));
        }
    }

    /// Asks neighbours whether they are there, and reports who was silent for long.
    pub(super) fn ping_tick(&mut self, cx: &mut Cx<'_, Action>, no: u32) {
        let times = self.config.times;
        self.timers
            .set(Timer::Ping(no), Some(cx.now.after(times.ping)));
        let Some(group) = self.numbers.get(&no).cloned() else {
            return;
        };
        let now = cx.now;
        let Some(membership) = self.membership_mut(&group) else {
            return;
        };
        membership.expire(now, times.left, times.reports);
        let alone = membership.members().count() <= 1;
        let gone: Vec<(MemberKey, u32)> = membership
            .silent
            .iter()
            .filter(|(_, since)| now.since(**since) >= times.gone)
            .filter_map(|(key, _)| Some((*key, membership.words.get(key)?.rank().0)))
            .collect();
        for (member, boot) in gone {
            if let Some(left) = self.signed_leave(cx, &group, member, boot) {
                let record = Record::Left(left);
                if self.take_word(cx, &group, &record) == Taken::New {
                    self.renew(cx, &group);
                }
                self.spread_word(cx, &group, &record, None);
            }
        }
        if alone {
            self.introduce(cx, &group);
        }
        let view = self.view(&group).map_or([0; 8], |view| view.digest().0);
        for peer in self.neighbours(&group) {
            if let Some(membership) = self.membership_mut(&group) {
                membership.silent.entry(peer).or_insert(now);
            }
            if self.peers.is_up(&peer, self.config.reach) {
                let group = group.clone();
                self.send(cx, peer, Frame::Ping { group, view });
            } else {
                self.call(cx, peer);
            }
        }
    }

    /// The members next to this one on the clean-up ring.
    fn neighbours(&self, group: &GroupId) -> Vec<MemberKey> {
        let Some(view) = self.view(group) else {
            return Vec::new();
        };
        let Some(place) = view.seat(&self.me).and_then(|seat| view.clean_place(seat)) else {
            return Vec::new();
        };
        let n = view.members();
        let reach = u32::from(self.config.cleanup.custodians).min(n.saturating_sub(1));
        let mut found: Vec<MemberKey> = Vec::new();
        for side in Side::BOTH {
            for steps in 1..=reach {
                let seat = view.clean_at(view.clean_ahead(place, steps, side));
                let key = seat.and_then(|seat| view.key(seat));
                let fresh = key.filter(|key| *key != self.me && !found.contains(key));
                found.extend(fresh);
            }
        }
        found
    }

    /// A neighbour is there, or asks whether we are; when its list differs it is sent ours.
    pub(super) fn on_ping(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        group: &GroupId,
        theirs: [u8; 8],
        answer: bool,
    ) {
        if self.membership(group).is_none() {
            return self.stale();
        }
        let rate = self.config.limits.asked_rate;
        let entry = self.peers.entry(cx.now, peer, &self.config);
        if !entry.may_ask(cx.now, 1, rate) {
            return self.misdeed(cx, peer, Misdeed::Flood);
        }
        let view = self.view(group).map_or([0; 8], |view| view.digest().0);
        if let Some(membership) = self.membership_mut(group) {
            membership.silent.remove(&peer);
        }
        if answer {
            let group = group.clone();
            self.send(cx, peer, Frame::Pong { group, view });
        }
        let records = self.membership(group).map(Membership::records);
        if let Some(records) = records.filter(|_| view != theirs) {
            let group = group.clone();
            self.send(cx, peer, Frame::Members { group, records });
        }
    }
}

/// What became of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It was known, or does not count.
    Old,
    /// Nobody signed it.
    False,
    /// A report, and not enough yet.
    Reported,
    /// The set may have changed.
    New,
}

fn said(group: &GroupId, record: Record) -> Frame {
    let group = group.clone();
    match record {
        Record::Joined(record) => Frame::Join { group, record },
        Record::Left(record) => Frame::Leave { group, record },
    }
}
