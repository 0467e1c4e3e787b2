//! Groups without a ledger.

use super::*;

fn open() -> GroupId {
    GroupId::Custom(Hash32([5; 32]))
}

/// Members that join one after the other, each knowing the first alone.
fn joined(n: u32) -> World {
    let mut config = plain();
    config.cleanup.on = true;
    let mut world = World::new(n, &config);
    for at in 0..n {
        world.join(at, if at == 0 { &[] } else { &[0] });
        world.run(Duration::from_millis(300));
    }
    world.run(Duration::from_secs(12));
    world
}

impl World {
    fn join(&mut self, at: u32, contacts: &[u32]) {
        let event = Event::Join {
            group: open(),
            address: Bytes::from_static(b"10.0.0.1:3001"),
            contacts: contacts.iter().map(|at| member(*at)).collect(),
        };
        self.tell(at, event);
    }

    fn members(&self, at: u32) -> Vec<u32> {
        let view = self.rains[at as usize].view(&open());
        view.map_or_else(Vec::new, |view| view.keys().map(number).collect())
    }

    fn publish_open(&mut self, at: u32) {
        self.got.fill(0);
        let event = Event::Publish {
            tag: 1,
            group: open(),
            payload: Bytes::from_static(b"open"),
            options: Options::default(),
        };
        self.tell(at, event);
    }
}

#[test]
fn everybody_learns_who_joins_and_gets_what_is_published() {
    for n in [1, 2, 3, 12] {
        let mut world = joined(n);
        let all: Vec<u32> = (0..n).collect();
        for at in 0..n {
            assert_eq!(world.members(at), all, "{n} members, as {at} sees it");
        }
        world.publish_open(n - 1);
        world.run(Duration::from_secs(10));
        assert_eq!(world.missed(), []);
    }
}

#[test]
fn everybody_learns_who_leaves() {
    let mut world = joined(6);
    world.tell(3, Event::Leave(open()));
    world.run(Duration::from_secs(12));
    for at in [0, 1, 2, 4, 5] {
        assert_eq!(world.members(at), [0, 1, 2, 4, 5]);
    }
    assert_eq!(world.members(3), []);
}

#[test]
fn a_silent_member_is_reported_by_its_neighbours_and_has_left() {
    let mut world = joined(6);
    world.dead[2] = true;
    world.run(Duration::from_secs(60));
    for at in [0, 1, 3, 4, 5] {
        assert_eq!(world.members(at), [0, 1, 3, 4, 5]);
    }
}

#[test]
fn one_report_is_not_enough_and_who_is_alive_refutes_two() {
    let mut world = joined(6);
    let left = |by: u32| {
        let mut left = crate::proto::rain_link::Left {
            member: member(2),
            boot: 1,
            by: member(by),
            signature: Signature::default(),
        };
        let bytes = id::leave_bytes(&open(), &left);
        left.signature = Toy(member(by)).sign(&bytes).unwrap();
        let (group, record) = (open(), left);
        let frame = Frame::Leave { group, record };
        let peer = member(by);
        Event::Received { peer, frame }
    };
    world.tell(0, left(4));
    world.tell(0, left(4));
    assert_eq!(world.members(0).len(), 6, "one says so, twice");
    world.tell(0, left(5));
    assert_eq!(world.members(0).len(), 5);
    world.run(Duration::from_secs(20));
    for at in 0..6 {
        assert_eq!(world.members(at).len(), 6, "it said that it is there");
    }
}

#[test]
fn a_word_that_nobody_signed_changes_nothing() {
    let mut world = joined(3);
    let record = crate::proto::rain_link::Joined {
        member: member(77),
        boot: 1,
        address: Bytes::new(),
        signature: Signature::default(),
    };
    let (group, peer) = (open(), member(1));
    let frame = Frame::Join { group, record };
    world.tell(0, Event::Received { peer, frame });
    assert_eq!(world.members(0).len(), 3);
    let what = Misdeed::Invalid;
    assert!(world.notices.contains(&(0, Notice::Misdeed { peer, what })));
}
