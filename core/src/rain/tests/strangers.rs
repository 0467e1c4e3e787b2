//! Messages whose origin is a member in some views of an epoch and not in others.

use super::{defences::refusals, *};
use crate::proto::rain_link::{Igyw, Why};

/// Members of whom the last does not know the first.
fn world(n: u32, config: &Config) -> World {
    let mut world = World::new(n, config);
    let last = n - 1;
    let members = (1..n).map(|n| member(n).into());
    let view = View::new(group(), 1, None, members, &Toy(member(0))).unwrap();
    world.rains[last as usize] = Rain::new(config.clone(), member(last), 1);
    let expires = None;
    world.tell(last, Event::View { view, expires });
    world
}

fn asks(world: &World) -> Frame {
    let data = world.data(0, 0, Flags::TREE);
    let id = id::message_id(&data, &Toy(member(0)));
    Frame::Igyw(Igyw {
        group: group(),
        epoch: 1,
        ids: [id].into_iter().collect(),
        nonce: None,
    })
}

#[test]
fn a_strangers_message_is_delivered_when_enough_members_vouch_and_goes_no_further() {
    let mut world = world(5, &plain());
    let data = world.data(0, 0, Flags::TREE);
    for _ in 0..2 {
        world.hear_data(4, 1, &data);
        assert_eq!(world.got[4], 0, "one alone vouches for nobody");
    }
    assert_eq!(refusals(&world.between(4, 1), Why::UnknownEpoch), 2);
    let ask = asks(&world);
    world.hear(4, 2, ask.clone());
    assert_eq!(world.got[4], 1);
    assert_eq!(refusals(&world.between(4, 2), Why::UnknownEpoch), 1);
    world.hear(4, 3, ask);
    assert_eq!(refusals(&world.between(4, 3), Why::UnknownEpoch), 1);
    let rain = &world.rains[4];
    let message = rain.messages.values().next().unwrap();
    assert_eq!(message.way, Way::Vouched);
    assert_eq!((rain.stats().payloads, message.report.payloads), (0, 0));
    // It neither asks nor lists it.
    world.run(Duration::from_secs(12));
    for to in 0..4 {
        let said = |frame: &Frame| match frame {
            Frame::Digest { entries, .. } => !entries.is_empty(),
            frame => matches!(frame, Frame::Igyw(_) | Frame::Data(_)),
        };
        assert!(!world.between(4, to).iter().any(said));
    }
    assert_eq!(world.rains[4].stats().payloads, 0);
}

#[test]
fn a_digest_vouches_without_the_payload() {
    let mut world = world(5, &plain());
    let data = world.data(0, 0, Flags::TREE);
    world.hear_data(4, 1, &data);
    let entries = vec![crate::proto::rain_link::Entry {
        origin: member(0),
        boot: 1,
        low: 0,
        max: 0,
        holes: [].into_iter().collect(),
    }];
    let (group, reply) = (group(), true);
    let digest = Frame::Digest {
        group,
        reply,
        entries,
    };
    world.hear(4, 1, digest.clone());
    assert_eq!(world.got[4], 0);
    let pulls = |frames: &[Frame]| frames.iter().any(|f| matches!(f, Frame::Pull { .. }));
    assert!(!pulls(&world.between(4, 1)), "it is here");
    world.hear(4, 3, digest);
    assert_eq!(world.got[4], 1);
    assert!(!pulls(&world.between(4, 3)));
}

#[test]
fn everybody_gets_the_message_of_one_whom_a_member_does_not_know() {
    for n in [5, 9, 27] {
        let mut world = world(n, &plain());
        world.publish(0);
        world.run(Duration::from_secs(30));
        assert_eq!(world.missed(), [], "{n} members");
        assert!(world.got.iter().all(|got| *got == 1));
        let blamed = world.notices.iter().filter_map(|(_, notice)| match notice {
            Notice::Misdeed { peer, what } => Some((*peer, *what)),
            _ => None,
        });
        let (peer, what) = (member(0), Misdeed::Outsider);
        for blame in blamed {
            assert_eq!(blame, (peer, what), "who passes it on does no wrong");
        }
    }
}

#[test]
fn with_the_same_view_a_strangers_message_is_a_lie() {
    let mut world = world(5, &plain());
    let mut data = world.data(0, 0, Flags::TREE);
    data.view = world.rains[4].view(&group()).unwrap().digest().0;
    for peer in 1..4 {
        world.hear_data(4, peer, &data);
        let (peer, what) = (member(peer), Misdeed::Invalid);
        assert!(world.notices.contains(&(4, Notice::Misdeed { peer, what })));
    }
    assert_eq!(world.got[4], 0);
}

#[test]
fn strangers_together_take_no_more_than_one_share_and_wait_in_a_bounded_place() {
    let mut config = plain();
    (config.limits.messages, config.limits.origin_share) = (16, 8);
    config.limits.parked = 4;
    let mut world = world(5, &config);
    for seq in 0..9 {
        let data = world.data(0, seq, Flags::TREE);
        world.hear_data(4, 1, &data);
    }
    let parked = |world: &World| world.rains[4].groups.values().next().unwrap().parked.len();
    assert_eq!(parked(&world), 4);
    for seq in 5..9 {
        let data = world.data(0, seq, Flags::TREE);
        world.hear_data(4, 2, &data);
    }
    assert_eq!(world.rains[4].held().count(), 2);
    world.run(Duration::from_secs(70));
    assert_eq!((world.rains[4].held().count(), parked(&world)), (0, 0));
}
