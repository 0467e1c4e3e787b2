//! Structured gossip between whole engines, over real bytes.

use alloc::collections::BTreeSet;

use super::*;
use crate::{
    base::Actor,
    node::Gossip,
    rain::{self, Audience, View, Way, audience},
};

fn config(at: usize) -> Config {
    let mut config = Config::new(42);
    config.gossip = Some(Gossip::new(member(at), 1));
    config
}

fn members(count: usize) -> Net {
    let mut net = Net::new((0..count).map(config));
    let view = View::new(
        GroupId::AllStaked,
        1,
        None,
        (0..count).map(|at| member(at).into()),
        &Keyed(0),
    );
    let view = view.unwrap();
    for at in 0..count {
        for other in (0..count).filter(|other| *other != at) {
            let (key, addr) = (member(other), Some(addr(other)));
            net.feed(at, Event::Command(Command::Member { key, addr }));
        }
        let (view, expires) = (view.clone(), None);
        net.feed(at, Event::Command(Command::View { view, expires }));
    }
    // They dial each other at the same time, and some try again.
    net.pass(Duration::from_secs(10));
    net
}

fn publish(net: &mut Net, at: usize, payload: &'static [u8]) {
    let command = Command::Publish {
        tag: 7,
        group: GroupId::AllStaked,
        payload: Bytes::from_static(payload),
        options: rain::Options::default(),
    };
    net.feed(at, Event::Command(command));
    net.run();
}

impl Net {
    fn delivered(&self) -> Vec<(usize, Bytes, Way)> {
        let all = self.notices.iter().filter_map(|(at, notice)| match notice {
            Notice::Delivered(it) => Some((*at, it.payload.clone(), it.way)),
            _ => None,
        });
        all.collect()
    }
}

#[test]
fn members_find_each_other_and_get_what_one_publishes_over_the_tree() {
    let count = 9;
    let mut net = members(count);
    for node in &net.nodes {
        let rain = node.machine().rain().unwrap();
        assert_eq!(rain.groups().count(), 1);
        let wanted = node.machine().members_wanted();
        assert!(wanted.len() > 3, "{wanted:?}");
        assert!(wanted.iter().all(|(_, conn)| conn.is_some()), "{wanted:?}");
        let counters = node.machine().governor().counters();
        assert_eq!(counters.members.established as usize, wanted.len());
        assert_eq!(counters.local.known, 0, "nobody is kept by command");
    }
    publish(&mut net, 4, b"rain");
    let mut got = net.delivered();
    got.sort_unstable();
    let at: Vec<usize> = got.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(at, (0..count).collect::<Vec<_>>());
    assert!(got.iter().all(|(_, payload, _)| payload == "rain"));
    let trees = got.iter().filter(|(_, _, way)| *way == Way::Tree).count();
    assert_eq!(trees, count - 1, "all but the publisher's own");
    let payloads: u64 = net
        .nodes
        .iter()
        .map(|node| node.machine().rain().unwrap().stats().payloads)
        .sum();
    assert_eq!(payloads, count as u64 - 1);
}

#[test]
fn a_node_without_a_part_in_gossip_never_sees_a_link() {
    let mut net = Net::new([config(0), Config::new(42)]);
    net.feed(0, Event::Command(Command::AddPeer(addr(1))));
    net.run();
    assert!(net.nodes[1].machine().rain().is_none());
    let up = |(_, notice): &&(usize, Notice)| matches!(notice, Notice::Member { .. });
    assert_eq!(net.notices.iter().filter(up).count(), 0);
    let down = |(_, notice): &&(usize, Notice)| matches!(notice, Notice::Down { .. });
    assert_eq!(net.notices.iter().filter(down).count(), 0);
}

#[test]
fn a_member_that_cannot_prove_its_key_is_not_heard() {
    let mut liar = config(0);
    liar.gossip = Some(Gossip::new(member(1), 1));
    // The node at 0 signs as 0 and says that it is 1.
    let mut net = Net::new([liar, config(2)]);
    let (key, home) = (member(2), Some(addr(1)));
    net.feed(0, Event::Command(Command::Member { key, addr: home }));
    net.feed(0, Event::Command(Command::AddPeer(addr(1))));
    net.run();
    let gossip = |(_, notice): &&(usize, Notice)| {
        matches!(
            notice,
            Notice::Down {
                fault: Fault::Gossip,
                ..
            }
        )
    };
    assert!(net.notices.iter().filter(gossip).count() > 0);
}

#[test]
fn members_who_refuse_a_dial_are_passed_over_at_once() {
    let count = 40;
    // Nobody but the first is there.
    let mut net = Net::new([config(0)]);
    for other in 1..count {
        let (key, addr) = (member(other), Some(addr(other)));
        net.feed(0, Event::Command(Command::Member { key, addr }));
    }
    let all = (0..count).map(|at| member(at).into());
    let view = View::new(GroupId::AllStaked, 1, None, all, &Keyed(0)).unwrap();
    let expires = None;
    net.command(0, Command::View { view, expires });
    // Whom the group wants has been dialled in vain.
    let wanted = net.engine(0).members_wanted().len();
    net.pass(Duration::from_secs(1));
    net.dials.clear();
    publish(&mut net, 0, b"rain");
    let done = |net: &Net| {
        let done = net.notices.iter().filter(|(_, notice)| {
            matches!(notice, Notice::Gossip(rain::Notice::Done { report, .. }) if report.passed > 30)
        });
        done.count()
    };
    let mut seconds = 0;
    while done(&net) == 0 && seconds < 60 {
        net.pass(Duration::from_secs(1));
        seconds += 1;
    }
    let homes: BTreeSet<_> = net.dials.iter().map(|(_, remote, _)| *remote).collect();
    assert!(
        homes.len() > 20,
        "those whom no group wants are dialled too"
    );
    // Were each waited for, it would be more than twice as long.
    assert!(seconds < 20, "{seconds} s");
    let kept = net.engine(0).governor().members().count();
    assert_eq!(
        kept, wanted,
        "who was dialled for a message is not dialled again"
    );
}

/// Two members of one group; only the node at 0 knows where the other lives.
fn one_sided() -> Net {
    let mut net = Net::new((0..2).map(config));
    let view = View::new(
        GroupId::AllStaked,
        1,
        None,
        (0..2).map(|at| member(at).into()),
        &Keyed(0),
    );
    let view = view.unwrap();
    for at in 0..2 {
        let (view, expires) = (view.clone(), None);
        net.feed(at, Event::Command(Command::View { view, expires }));
    }
    let (key, addr) = (member(1), Some(addr(1)));
    net.feed(0, Event::Command(Command::Member { key, addr }));
    net
}

fn is_linked(net: &Net) -> bool {
    let wanted = net.engine(0).members_wanted();
    let ways = wanted.iter().filter(|(key, _)| *key == member(1));
    ways.filter(|(_, conn)| conn.is_some()).count() == 1
}

#[test]
fn whoever_knows_that_the_other_is_a_member_opens_the_link_whoever_dialled() {
    let mut net = Net::new((0..2).map(config));
    // The other dials first, and knows nothing of members.
    net.command(1, Command::AddPeer(addr(0)));
    net.pass(Duration::from_secs(5));
    let view = View::new(
        GroupId::AllStaked,
        1,
        None,
        (0..2).map(|at| member(at).into()),
        &Keyed(0),
    );
    let (view, expires) = (view.unwrap(), None);
    net.command(0, Command::View { view, expires });
    assert!(!is_linked(&net));
    let (key, addr) = (member(1), Some(addr(1)));
    net.command(0, Command::Member { key, addr });
    net.pass(Duration::from_secs(5));
    assert!(is_linked(&net));
    assert_eq!(net.dials.len(), 1, "over the connection that was there");
}

#[test]
fn a_link_is_opened_anew_when_only_the_peer_has_no_further_use_for_the_connection() {
    let mut net = one_sided();
    net.pass(Duration::from_secs(5));
    assert!(is_linked(&net));
    net.command(1, Command::AddPeer(addr(0)));
    net.pass(Duration::from_secs(20));
    let lost = |net: &Net| {
        let lost = net
            .notices
            .iter()
            .filter(|(at, notice)| *at == 0 && matches!(notice, Notice::Member { conn: None, .. }));
        lost.count()
    };
    assert_eq!(lost(&net), 0);
    net.command(1, Command::RemovePeer(addr(0)));
    net.pass(Duration::from_secs(20));
    assert!(lost(&net) > 0, "the peer ended its part");
    assert!(is_linked(&net));
    let down = |(_, notice): &&(usize, Notice)| matches!(notice, Notice::Down { .. });
    assert_eq!(net.notices.iter().filter(down).count(), 0);
    publish(&mut net, 0, b"rain");
    assert_eq!(net.delivered().len(), 2);
}

#[test]
fn a_connection_released_and_acquired_again_has_a_link() {
    let mut net = one_sided();
    net.pass(Duration::from_secs(5));
    // The peer uses it, too, so that it stays when we have no more use for it.
    net.command(1, Command::AddPeer(addr(0)));
    net.pass(Duration::from_secs(20));
    let key = member(1);
    net.command(0, Command::Member { key, addr: None });
    net.pass(Duration::from_secs(20));
    let home = Some(addr(1));
    net.command(0, Command::Member { key, addr: home });
    net.pass(Duration::from_secs(20));
    assert!(is_linked(&net));
    publish(&mut net, 0, b"rain");
    assert_eq!(net.delivered().len(), 2);
}

/// Validators, others with a stake, and an archival node; each knows where everybody lives.
fn society() -> Net {
    let mut net = Net::new((0..9).map(config));
    let role = GroupId::Role;
    let groups: [(GroupId, core::ops::Range<usize>); 4] = [
        (audience::validators(), 0..4),
        (role(Actor::Servicer), 4..8),
        (GroupId::AllStaked, 0..8),
        (role(Actor::Archival), 7..9),
    ];
    let plain = groups.map(|(group, members)| {
        let members = members.map(|at| member(at).into());
        View::new(group, 1, None, members, &Keyed(0)).unwrap()
    });
    let known = |group: &GroupId| plain.iter().find(|view| view.group() == group).cloned();
    let terms = [audience::others(), audience::archive()];
    let terms = terms.map(|term| View::of_term(&term, &known, &Keyed(0)).unwrap().unwrap());
    for at in 0..9 {
        for other in (0..9).filter(|other| *other != at) {
            let (key, addr) = (member(other), Some(addr(other)));
            net.feed(at, Event::Command(Command::Member { key, addr }));
        }
        for view in plain.iter().chain(&terms) {
            let (view, expires) = (view.clone(), None);
            net.feed(at, Event::Command(Command::View { view, expires }));
        }
    }
    net.pass(Duration::from_secs(10));
    net
}

#[test]
fn a_block_crosses_the_bridge_between_engines_and_reaches_each_node_once() {
    let mut net = society();
    let payload = Bytes::from_static(b"block");
    let audience = Audience::BlockToArchive;
    let tag = 1;
    net.command(
        2,
        Command::PublishTo {
            tag,
            audience,
            payload,
        },
    );
    net.pass(Duration::from_secs(15));
    let mut at: Vec<usize> = net.delivered().iter().map(|(at, _, _)| *at).collect();
    at.sort_unstable();
    assert_eq!(at, (0..9).collect::<Vec<_>>());
    let bridged = net.notices.iter().filter(|(at, notice)| {
        let bridged = matches!(notice, Notice::Gossip(rain::Notice::Bridged { .. }));
        assert!(!bridged || *at < 4, "{at} is no validator");
        bridged
    });
    assert_eq!(bridged.count(), 8, "four validators, two groups");
}

#[test]
fn a_servicer_reaches_validators_by_dialling_those_where_its_message_enters() {
    let mut net = society();
    for at in [5, 8] {
        let payload = Bytes::from_static(b"transaction");
        let audience = Audience::Transactions;
        let tag = 1;
        net.command(
            at,
            Command::PublishTo {
                tag,
                audience,
                payload,
            },
        );
    }
    net.pass(Duration::from_secs(15));
    let mut at: Vec<usize> = net.delivered().iter().map(|(at, _, _)| *at).collect();
    at.sort_unstable();
    assert_eq!(at, [0, 1, 2, 3], "each once: an archival node has no door");
    let refused = |(at, notice): &&(usize, Notice)| {
        matches!(notice, Notice::Gossip(rain::Notice::Refused { .. })) && *at == 8
    };
    assert_eq!(net.notices.iter().filter(refused).count(), 1);
}
