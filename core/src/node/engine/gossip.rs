//! Structured gossip in the engine: links, members, whom groups want connections to.
//!
//! The members that a group wants are a class of peers of their own, as far as their addresses are
//! known: they are dialled, held, counted by no target and left alone by churn. Inbound
//! connections are kept for them, and for those who will connect to us. A member dialled because a
//! message needs it stays until it is lost or its groups' views change.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::{IpAddr, SocketAddr};

use super::{
    super::{self as node, Action, GroupLook, Notice},
    Engine,
};
use crate::{
    base::{Cx, GroupId, Instant, Machine, MemberKey, Serial},
    conn::{Fault, Order},
    governor, manager,
    proto::rain_link::{Frame, client},
    rain::{self, Interest, Links, Rain, links::Heard},
};

/// How often a link is opened on one connection: whoever ends it again and again is left.
const LINKS_MAX: u8 = 16;

/// What a node has of structured gossip.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Gossip {
    rain: Rain,
    links: Links,
    addresses: BTreeMap<MemberKey, SocketAddr>,
    addresses_max: usize,
    interests: BTreeMap<GroupId, Wants>,
    /// Dialled because a message needed them.
    called: BTreeSet<MemberKey>,
    /// Whom we keep because of groups.
    kept: BTreeSet<SocketAddr>,
    /// For whom inbound connections are kept.
    reserved: BTreeSet<IpAddr>,
}

/// Whom one group wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Wants {
    hot: BTreeSet<MemberKey>,
    warm: BTreeSet<MemberKey>,
    accept: BTreeSet<MemberKey>,
}

impl Wants {
    fn of(interest: &Interest) -> Self {
        let set = |members: &[MemberKey]| members.iter().copied().collect();
        Self {
            hot: set(&interest.hot),
            warm: set(&interest.warm),
            accept: set(&interest.accept),
        }
    }

    /// Those to be connected to.
    fn near(&self) -> impl Iterator<Item = &MemberKey> {
        self.hot.iter().chain(&self.warm)
    }
}

impl Gossip {
    pub(super) fn boxed(settings: &node::Gossip) -> Box<Self> {
        let config = settings.config.clone();
        Box::new(Self {
            rain: Rain::new(config, settings.member, settings.boot),
            links: Links::new(settings.member),
            addresses: BTreeMap::new(),
            addresses_max: settings.addresses_max,
            interests: BTreeMap::new(),
            called: BTreeSet::new(),
            kept: BTreeSet::new(),
            reserved: BTreeSet::new(),
        })
    }

    pub(super) const fn rain(&self) -> &Rain {
        &self.rain
    }

    /// The members that groups want, and the connections of those that can be reached.
    pub(super) fn members_wanted(&self) -> Vec<(MemberKey, Option<Serial>)> {
        let members: BTreeSet<&MemberKey> = self.interests.values().flat_map(Wants::near).collect();
        let linked = |member: &MemberKey| (*member, self.links.conn(member));
        members.into_iter().map(linked).collect()
    }

    /// Each group as it is now, in order.
    pub(super) fn looks(&self) -> Vec<GroupLook> {
        let up = self.links.members();
        let me = self.rain.me();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let look = |group: &GroupId| {
            let view = self.rain.view(group)?;
            let linked = up.iter().filter(|key| view.seat(key).is_some());
            let wanted = self.interests.get(group);
            let wanted = wanted.map_or(0, |wants| wants.near().count());
            Some(GroupLook {
                group: group.clone(),
                epoch: view.epoch(),
                members: view.members(),
                is_member: view.seat(&me).is_some(),
                linked: count(linked.count()),
                wanted: count(wanted),
                held: count(self.rain.held_of(group)),
            })
        };
        self.rain.groups().filter_map(look).collect()
    }

    /// Where these members live, as far as it is known.
    fn homes<'a>(&self, members: impl Iterator<Item = &'a MemberKey>) -> BTreeSet<SocketAddr> {
        let homes = members.filter_map(|member| self.addresses.get(member));
        homes.copied().collect()
    }

    /// The addresses that groups want: those to be hot, and the others.
    fn wanted(&self) -> (BTreeSet<SocketAddr>, BTreeSet<SocketAddr>) {
        let all = || self.interests.values();
        let hot = self.homes(all().flat_map(|wants| &wants.hot));
        let warm = all().flat_map(|wants| &wants.warm).chain(&self.called);
        let mut warm = self.homes(warm);
        warm.retain(|addr| !hot.contains(addr));
        (hot, warm)
    }

    /// Those who may connect to us because of groups.
    fn expected(&self) -> BTreeSet<IpAddr> {
        let all = self.interests.values();
        let all = all.flat_map(|wants| wants.near().chain(&wants.accept));
        let homes = self.homes(all.chain(&self.called));
        homes.into_iter().map(|addr| addr.ip()).collect()
    }
}

impl Engine {
    pub(super) fn gossip_deadline(&self) -> Option<Instant> {
        self.gossip.as_ref()?.rain.next_deadline()
    }

    /// One event for structured gossip; what it asks for is carried out.
    pub(super) fn gossip(&mut self, cx: &mut Cx<'_, Action>, event: rain::Event) {
        let Some(gossip) = &mut self.gossip else {
            return self.count_stale();
        };
        let mut acts = core::mem::take(&mut self.work.rain_acts);
        gossip.rain.step(&mut cx.child(&mut acts), event);
        for action in acts.drain(..) {
            self.gossiped(cx, action);
        }
        self.work.rain_acts = acts;
    }

    fn gossiped(&mut self, cx: &mut Cx<'_, Action>, action: rain::Action) {
        match action {
            rain::Action::Send { peer, frame, .. } => {
                let conn = self.gossip.as_ref().and_then(|g| g.links.conn(&peer));
                if let Some(conn) = conn {
                    self.say(conn, frame);
                }
            }
            // What is written is on its way.
            rain::Action::Cancel { .. } => {}
            rain::Action::Dial { peer } => self.call_member(cx, peer),
            rain::Action::Interest(interest) => self.want(cx, &interest),
            rain::Action::Address { peer, address } => {
                // Names are the application's to resolve; what is no address is nowhere.
                let addr = core::str::from_utf8(&address).ok();
                let addr = addr.and_then(|text| text.parse().ok());
                self.member_lives_at(cx, peer, addr);
            }
            rain::Action::Deliver(delivery) => {
                cx.act(Action::Notify(Notice::Delivered(Box::new(delivery))));
            }
            rain::Action::Validate { id } => cx.act(Action::Notify(Notice::Validate(id))),
            rain::Action::Notice(notice) => cx.act(Action::Notify(Notice::Gossip(notice))),
        }
    }

    fn say(&mut self, conn: Serial, frame: Frame) {
        self.order(conn, Order::RainSay(client::Order::Say(frame)));
    }

    fn call_member(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        if gossip.addresses.contains_key(&peer) {
            gossip.called.insert(peer);
            self.keep_wanted(cx);
        }
        // Without an address its time to connect runs out.
    }

    /// Other members are wanted by a group.
    fn want(&mut self, cx: &mut Cx<'_, Action>, interest: &Interest) {
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        let wants = Wants::of(interest);
        if wants == Wants::default() {
            gossip.interests.remove(&interest.group);
        } else {
            gossip.interests.insert(interest.group.clone(), wants);
        }
        gossip.called.clear();
        self.keep_wanted(cx);
    }

    /// Keeps whom groups want, and nobody else of those kept because of them.
    fn keep_wanted(&mut self, cx: &mut Cx<'_, Action>) {
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        let (hot, warm) = gossip.wanted();
        let expected = gossip.expected();
        gossip.kept = hot.union(&warm).copied().collect();
        let before = core::mem::replace(&mut gossip.reserved, expected.clone());
        for ip in before.difference(&expected) {
            self.manage(cx, manager::Event::Reserve { ip: *ip, on: false });
        }
        for ip in expected.difference(&before) {
            self.manage(cx, manager::Event::Reserve { ip: *ip, on: true });
        }
        let (hot, warm) = (hot.into_iter().collect(), warm.into_iter().collect());
        self.govern(cx, governor::Event::Members { hot, warm });
    }

    /// Where a member can be dialled.
    pub(super) fn member_lives_at(
        &mut self,
        cx: &mut Cx<'_, Action>,
        key: MemberKey,
        addr: Option<SocketAddr>,
    ) {
        let Some(gossip) = &mut self.gossip else {
            return self.count_stale();
        };
        let room = gossip.addresses.len() < gossip.addresses_max;
        let home = addr;
        match addr {
            Some(addr) if room || gossip.addresses.contains_key(&key) => {
                gossip.addresses.insert(key, addr);
            }
            Some(_) => return self.count_stale(),
            None => {
                gossip.addresses.remove(&key);
            }
        }
        self.keep_wanted(cx);
        let there = self
            .conns
            .iter()
            .filter(|(_, entry)| Some(entry.remote) == home);
        let there: Vec<Serial> = there.map(|(conn, _)| *conn).collect();
        for conn in there {
            self.link(conn);
        }
    }

    /// A connection on one of our own versions to where a member lives: a link is opened. Others
    /// may have no part in gossip, and a link would be unknown to them. Both ends may open it at
    /// once, which makes one link.
    pub(super) fn link(&mut self, conn: Serial) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        let member = self.gossip.as_ref().is_some_and(|gossip| {
            let mut homes = gossip.addresses.values();
            homes.any(|home| *home == entry.remote) && !gossip.links.is_open(conn)
        });
        if member && entry.own_version && entry.links < LINKS_MAX {
            entry.links = entry.links.saturating_add(1);
            self.order(conn, Order::Link);
        }
    }

    /// The link of a connection has ended, not the connection: whom we still want is linked anew,
    /// as when the peer has no further use for us and we have for it.
    pub(super) fn link_again(&mut self, conn: Serial) {
        let remote = self.conns.get(&conn).map(|entry| entry.remote);
        let kept = self.gossip.as_ref().map(|gossip| &gossip.kept);
        if let (Some(remote), Some(kept)) = (remote, kept)
            && kept.contains(&remote)
        {
            self.link(conn);
        }
    }

    pub(super) fn link_opened(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let Some(gossip) = &mut self.gossip else {
            return self.count_stale();
        };
        let hello = gossip.links.opened(conn, gossip.rain.config(), cx.choice);
        self.say(conn, hello);
    }

    pub(super) fn link_closed(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        let Some((key, other)) = gossip.links.closed(conn) else {
            return;
        };
        let now = gossip.links.conn(&key);
        cx.act(Action::Notify(Notice::Member { key, conn: now }));
        let peer = key;
        self.gossip(cx, rain::Event::Down { peer });
        if let Some(other) = other {
            self.gossip(cx, up(&other));
        }
    }

    /// A connection to this address, or a dial, has ended: a message that waits for a member who
    /// lives there goes on without it. Whom no group wants is dialled again when a message needs it.
    pub(super) fn call_ended(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) {
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        let (links, addresses) = (&gossip.links, &gossip.addresses);
        let waits = |member: &&MemberKey| {
            addresses.get(member) == Some(&remote) && links.conn(member).is_none()
        };
        let Some(peer) = gossip.called.iter().find(waits).copied() else {
            return;
        };
        gossip.called.remove(&peer);
        self.gossip(cx, rain::Event::NotDialled { peer });
        self.keep_wanted(cx);
    }

    pub(super) fn link_heard(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, frame: Frame) {
        let Some(gossip) = &mut self.gossip else {
            return self.count_stale();
        };
        let mut none = Vec::new();
        match gossip.links.heard(&cx.child(&mut none), conn, frame) {
            Heard::Nothing => {}
            Heard::Say(frame) => self.say(conn, frame),
            Heard::Up(peer) => {
                let (key, conn) = (peer.member, Some(conn));
                cx.act(Action::Notify(Notice::Member { key, conn }));
                self.gossip(cx, up(&peer));
            }
            Heard::Frame(peer, frame) => self.gossip(cx, rain::Event::Received { peer, frame }),
            Heard::Misdeed => self.order(conn, Order::Reset(Fault::Gossip)),
        }
    }

    pub(super) fn link_is_full(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, full: bool) {
        let Some(gossip) = &self.gossip else {
            return;
        };
        if let Some(peer) = gossip.links.member(conn) {
            // All that it may be sent at once.
            let most = gossip.rain.config().limits.credit;
            let bytes = if full { most } else { 0 };
            self.gossip(cx, rain::Event::Queued { peer, bytes });
        }
    }
}

fn up(peer: &rain::links::Peer) -> rain::Event {
    rain::Event::Up {
        peer: peer.member,
        round_trip: None,
        payload_max: peer.payload_max,
        credit: peer.credit,
    }
}
