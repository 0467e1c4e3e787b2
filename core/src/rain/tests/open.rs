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

/// Else one member could make all others order their rings anew all the time.
#[test]
fn who_joins_again_and_again_is_heard_once_between_two_pings() {
    let mut world = joined(6);
    let renewed = |world: &World| {
        let told = |n: &&(u32, Notice)| n.0 == 0 && matches!(n.1, Notice::Members { .. });
        world.notices.iter().filter(told).count()
    };
    let join = |boot: u32| {
        let mut record = crate::proto::rain_link::Joined {
            member: member(2),
            boot,
            address: Bytes::new(),
            signature: Signature::default(),
        };
        let bytes = id::join_bytes(&open(), &record);
        record.signature = Toy(member(2)).sign(&bytes).unwrap();
        let group = open();
        Frame::Join { group, record }
    };
    let leave = |boot: u32| {
        let mut record = crate::proto::rain_link::Left {
            member: member(2),
            boot,
            by: member(2),
            signature: Signature::default(),
        };
        let bytes = id::leave_bytes(&open(), &record);
        record.signature = Toy(member(2)).sign(&bytes).unwrap();
        let group = open();
        Frame::Leave { group, record }
    };
    let before = renewed(&world);
    for boot in 2..60 {
        world.hear(0, 2, join(boot));
    }
    assert_eq!(renewed(&world) - before, 1);
    world.hear(0, 2, leave(60));
    for boot in 61..90 {
        world.hear(0, 2, join(boot));
        world.hear(0, 2, leave(boot));
    }
    // To leave is heard at once; to leave in a later life changes nobody's place.
    assert_eq!(world.members(0), [0, 1, 3, 4, 5]);
    // The test speaks for it.
    world.dead[2] = true;
    world.run(Duration::from_secs(6));
    world.hear(0, 2, join(90));
    assert_eq!(world.members(0), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_message_of_one_who_has_just_joined_waits_for_its_word() {
    let mut world = joined(5);
    let group = open();
    let rules = Toy(member(7));
    let mut record = crate::proto::rain_link::Joined {
        member: member(7),
        boot: 1,
        address: Bytes::new(),
        signature: Signature::default(),
    };
    let bytes = id::join_bytes(&group, &record);
    record.signature = rules.sign(&bytes).unwrap();
    let mut data = world.data(0, 0, Flags::TREE);
    (data.group, data.epoch, data.origin) = (group.clone(), 0, member(7));
    let id = id::message_id(&data, &rules);
    data.signature = rules.sign(&id::signed_bytes(&id)).unwrap();
    world.got.fill(0);
    world.hear_data(1, 0, &data);
    assert_eq!(world.got[1], 0);
    world.hear(1, 0, Frame::Join { group, record });
    assert_eq!(world.got[1], 1);
}
