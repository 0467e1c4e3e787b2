//! What members that mean harm can do, and what they cannot.

use super::*;
use crate::proto::rain_link::{Data, Igyw, Limit, Why};

const LONG: Duration = Duration::from_secs(50);

/// Chains of one custodian; nothing repairs but them.
fn chains() -> Config {
    let mut config = plain();
    config.acks = Acks::Off;
    config.cleanup.custodians = 1;
    config.cleanup.watch = false;
    config.times.digest = Duration::from_secs(86_400);
    config
}

impl World {
    pub(super) fn hear(&mut self, at: u32, from: u32, frame: Frame) {
        let peer = member(from);
        self.tell(at, Event::Received { peer, frame });
    }

    pub(super) fn hear_data(&mut self, at: u32, from: u32, data: &Data) {
        self.hear(at, from, Frame::Data(alloc::boxed::Box::new(data.clone())));
    }

    /// What is on its way from one to another.
    pub(super) fn between(&self, from: u32, to: u32) -> Vec<Frame> {
        let all = self.queue.values().filter_map(|(at, event)| match event {
            Event::Received { peer, frame } if (*peer, *at) == (member(from), to) => {
                Some(frame.clone())
            }
            _ => None,
        });
        all.collect()
    }

    fn blamed(&self, at: u32, peer: u32, what: Misdeed) -> bool {
        let peer = member(peer);
        self.notices.contains(&(at, Notice::Misdeed { peer, what }))
    }

    /// Waits for the next question from one to another.
    fn until_asked(&mut self, from: u32, to: u32) {
        let asks = |frame: &Frame| matches!(frame, Frame::Igyw(_));
        for _ in 0..20_000 {
            if self.between(from, to).iter().any(asks) {
                return;
            }
            self.run(Duration::from_millis(1));
        }
        panic!("{from} does not ask {to}");
    }

    fn newest_of(&self, at: u32) -> MessageId {
        let rain = &self.rains[at as usize];
        let all = rain.messages.iter();
        let newest = all.max_by_key(|(_, message)| message.seq);
        *newest.expect("it holds one").0
    }
}

pub(super) fn refusals(frames: &[Frame], why: Why) -> usize {
    let is = |frame: &&Frame| matches!(frame, Frame::Nack { why: of, .. } if *of == why);
    frames.iter().filter(is).count()
}

fn ids_from(first: u8, count: u8) -> crate::proto::rain_link::Ids {
    let ids = first..first.saturating_add(count);
    ids.map(|n| MessageId(Hash32([n; 32]))).collect()
}

fn igyw(ids: crate::proto::rain_link::Ids) -> Frame {
    Frame::Igyw(Igyw {
        group: group(),
        epoch: 1,
        ids,
        nonce: None,
    })
}

#[test]
fn who_cannot_prove_that_it_holds_a_message_is_not_counted() {
    let mut config = chains();
    config.cleanup.challenge = true;
    let mut world = World::new(2, &config);
    world.no_tree = true;
    world.publish(0);
    world.until_asked(0, 1);
    let id = world.newest_of(0);
    let ids = [id].into_iter().collect();
    let proofs = vec![Hash32([9; 32])];
    world.hear(0, 1, Frame::No { ids, proofs });
    assert!(world.blamed(0, 1, Misdeed::FalseProof));
    assert_eq!(world.rains[0].look(&id).unwrap().holders, [0]);
    // It was asked all the same, and says now that it wants it.
    world.run(LONG);
    assert_eq!(world.missed(), []);
    assert_eq!(world.rains[0].look(&id).unwrap().holders, [0, 1]);
}

#[test]
fn who_wants_messages_and_never_takes_them_is_sent_no_more() {
    let mut config = chains();
    config.times.suspicion = Duration::from_millis(1);
    let mut world = World::new(3, &config);
    world.no_tree = true;
    // Its machine is silent: the test speaks for it.
    world.dead[1] = true;
    let served = |world: &mut World| {
        world.publish(0);
        world.until_asked(0, 1);
        let ids = [world.newest_of(0)].into_iter().collect();
        let before = world.payloads;
        world.hear(0, 1, Frame::Yes { ids });
        let payloads = world.payloads - before;
        world.run(Duration::from_secs(5));
        payloads
    };
    let first: Vec<u32> = (0..5).map(|_| served(&mut world)).collect();
    assert_eq!(first, [1, 1, 1, 0, 0]);
    assert!(world.blamed(0, 1, Misdeed::Unreliable));
    // One that takes something is believed again.
    let ids = [world.newest_of(0)].into_iter().collect();
    world.hear(0, 1, Frame::Ack { ids });
    assert_eq!(served(&mut world), 1);
}

#[test]
fn who_gets_a_message_past_its_parent_says_who_withheld_it() {
    let mut config = plain();
    config.times.digest = Duration::from_secs(86_400);
    let mut world = World::new(9, &config);
    // It acknowledges and sends nothing on to the two below it.
    world.dead[3] = true;
    world.publish(0);
    let ids = [world.newest_of(0)].into_iter().collect();
    world.hear(0, 3, Frame::Ack { ids });
    world.run(LONG);
    assert_eq!(world.missed(), []);
    let told: Vec<(u32, u32)> = world
        .notices
        .iter()
        .filter_map(|(at, notice)| match notice {
            Notice::Withheld { peer, .. } => Some((*at, number(peer))),
            _ => None,
        })
        .collect();
    assert!(told.contains(&(4, 3)) || told.contains(&(5, 3)), "{told:?}");
    assert!(
        told.iter()
            .all(|(at, peer)| [4, 5].contains(at) && *peer == 3)
    );
}

#[test]
fn an_arc_that_does_not_follow_from_the_origin_is_cut_and_told() {
    let mut world = World::new(27, &bare());
    let mut data = world.data(0, 0, Flags::TREE);
    // The whole ring, for one who is at the bottom of the tree.
    data.limit = Limit::Key(member(1));
    world.hear_data(1, 2, &data);
    assert_eq!(world.got[1], 1);
    assert_eq!(world.payloads, 0);
    assert!(world.blamed(1, 2, Misdeed::Arc));
}

#[test]
fn a_level_above_the_top_is_told_and_costs_nothing() {
    let mut config = bare();
    config.shape = Shape::Legacy;
    let mut world = World::new(27, &config);
    let mut data = world.data(0, 0, Flags::TREE);
    for (seq, level) in [(0, 4), (1, 200), (2, u8::MAX)] {
        data.seq = seq;
        data.limit = Limit::Level(level);
        let id = id::message_id(&data, &Toy(member(0)));
        data.signature = Toy(member(0)).sign(&id::signed_bytes(&id)).unwrap();
        world.hear_data(1, 0, &data);
    }
    assert_eq!(world.got[1], 3);
    assert_eq!(world.payloads, 0);
    assert!(world.blamed(1, 0, Misdeed::Level));
}

#[test]
fn a_copy_that_comes_again_is_sent_on_to_nobody() {
    let mut world = World::new(27, &bare());
    let mut data = world.data(0, 0, Flags::TREE);
    // The child at a third of the ring, and its arc.
    data.limit = Limit::Key(member(18));
    world.hear_data(9, 0, &data);
    let first = world.payloads;
    assert_eq!(first, 4);
    for from in [0, 1, 2, 0, 5] {
        world.hear_data(9, from, &data);
    }
    assert_eq!((world.payloads, world.got[9]), (first, 1));
}

#[test]
fn junk_with_the_number_of_another_message_keeps_nothing_away() {
    let mut world = World::new(3, &plain());
    let mut junk = world.data(0, 0, Flags::TREE);
    junk.payload = Bytes::from_static(b"junk");
    let id = id::message_id(&junk, &Toy(member(1)));
    junk.signature = Toy(member(1)).sign(&id::signed_bytes(&id)).unwrap();
    world.hear_data(2, 1, &junk);
    assert_eq!(world.got[2], 0);
    assert!(world.blamed(2, 1, Misdeed::Invalid));
    world.publish(0);
    world.run(LONG);
    assert_eq!(world.got, [1, 1, 1]);
}

#[test]
fn who_fills_the_memory_of_ids_replays_nothing() {
    let mut config = plain();
    config.limits.seen = 4;
    let mut world = World::new(3, &config);
    let data = world.data(0, 0, Flags::TREE);
    let id = id::message_id(&data, &Toy(member(0)));
    for _ in 0..12 {
        world.publish(0);
        world.run(Duration::from_secs(1));
    }
    world.run(Duration::from_secs(70));
    assert_eq!(world.got, [12, 12, 12]);
    let rain = &world.rains[1];
    assert!(rain.held().next().is_none() && rain.seen.fate(&id).is_none());
    world.hear_data(1, 2, &data);
    assert_eq!(world.got[1], 12, "its number has passed");
    assert_eq!(refusals(&world.between(1, 2), Why::Expired), 1);
}

#[test]
fn nobody_gets_into_the_view_of_a_ledger_by_saying_so() {
    let mut world = World::new(3, &plain());
    let before = world.rains[0].view(&group()).unwrap().digest();
    let mut record = crate::proto::rain_link::Joined {
        member: member(7),
        boot: 1,
        address: Bytes::new(),
        signature: Signature::default(),
    };
    let bytes = id::join_bytes(&group(), &record);
    record.signature = Toy(member(7)).sign(&bytes).unwrap();
    for from in [1, 7] {
        let (group, record) = (group(), record.clone());
        world.hear(0, from, Frame::Join { group, record });
    }
    let view = world.rains[0].view(&group()).unwrap();
    assert_eq!((view.digest(), view.members()), (before, 3));
}

#[test]
fn a_second_view_of_an_epoch_is_ignored() {
    let mut world = World::new(3, &plain());
    let members = [0, 7].map(|n| member(n).into());
    for epoch in [0, 1] {
        let rules = Toy(member(0));
        let view = View::new(group(), epoch, None, members, &rules).unwrap();
        let expires = None;
        world.tell(0, Event::View { view, expires });
        let notice = Notice::OldView {
            group: group(),
            epoch,
        };
        assert!(world.notices.contains(&(0, notice)));
    }
    assert_eq!(world.rains[0].view(&group()).unwrap().members(), 3);
}

/// Views of epochs 2 to 4 of these members, given to one.
fn later_views(world: &mut World, at: u32, members: &[u32]) {
    for epoch in 2..=4 {
        let members = members.iter().map(|n| member(*n).into());
        let view = View::new(group(), epoch, None, members, &Toy(member(0))).unwrap();
        let expires = None;
        world.tell(at, Event::View { view, expires });
    }
}

#[test]
fn what_is_published_in_a_view_that_is_no_longer_kept_goes_no_further() {
    let mut world = World::new(9, &bare());
    let mut data = world.data(0, 0, Flags::TREE);
    data.limit = Limit::Key(member(6));
    later_views(&mut world, 3, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    world.hear_data(3, 0, &data);
    assert_eq!((world.got[3], world.payloads), (1, 0));
}

#[test]
fn who_has_left_publishes_nothing_in_a_view_that_is_no_longer_kept() {
    let mut world = World::new(9, &bare());
    let data = world.data(0, 0, Flags::TREE);
    later_views(&mut world, 3, &[1, 2, 3, 4, 5, 6, 7, 8]);
    world.hear_data(3, 1, &data);
    assert_eq!((world.got[3], world.payloads), (0, 0));
    assert!(world.blamed(3, 1, Misdeed::Invalid));
}

#[test]
fn unknown_ids_leave_promises_up_to_their_maximum_and_nothing_else() {
    let mut config = plain();
    config.limits.promises = 8;
    let mut world = World::new(3, &config);
    for from in [0, 2] {
        world.hear(1, from, igyw(ids_from(1, 100)));
    }
    let rain = &world.rains[1];
    assert_eq!(rain.promises.len(), 8);
    assert_eq!(
        (rain.messages.len(), rain.tally.bytes(), rain.seen.len()),
        (0, 0, 0)
    );
    let known = rain.groups.values().next().unwrap();
    assert_eq!((known.parked.len(), known.frontiers.len()), (0, 0));
    // What was promised ends.
    world.dead = vec![true, false, true];
    world.run(LONG);
    assert_eq!(world.rains[1].promises.len(), 0);
}

#[test]
fn who_asks_too_much_is_told_that_we_are_busy() {
    let mut config = plain();
    config.limits.asked_rate = 250;
    let mut world = World::new(3, &config);
    for _ in 0..4 {
        world.hear(1, 0, igyw(ids_from(1, 100)));
    }
    assert_eq!(refusals(&world.between(1, 0), Why::Busy), 2);
    world.hear(1, 2, igyw(ids_from(1, 100)));
    assert_eq!(refusals(&world.between(1, 2), Why::Busy), 0, "of its own");
}

#[test]
fn one_who_is_no_member_learns_nothing_by_asking() {
    let mut world = World::new(3, &plain());
    world.publish(0);
    world.run(Duration::from_secs(2));
    let id = world.newest_of(1);
    let ids: crate::proto::rain_link::Ids = [id].into_iter().collect();
    let pull = Frame::Pull {
        group: group(),
        origin: member(0),
        boot: 1,
        ranges: [(0, 9)].into_iter().collect(),
    };
    let digest = Frame::Digest {
        group: group(),
        reply: false,
        entries: Vec::new(),
    };
    for frame in [igyw(ids), pull, digest] {
        world.notices.clear();
        world.hear(1, 77, frame);
        assert_eq!(world.between(1, 77), []);
        assert!(world.blamed(1, 77, Misdeed::Outsider));
    }
}

#[test]
fn before_the_verdict_nothing_is_sent_on_and_what_is_rejected_is_told() {
    for (verdict, payloads, refused) in [(Verdict::Accept, 2, 0), (Verdict::Reject, 0, 1)] {
        let mut config = bare();
        config.validation = Validation::Before;
        let mut world = World::new(9, &config);
        let mut data = world.data(0, 0, Flags::TREE);
        data.limit = Limit::Key(member(6));
        world.hear_data(3, 0, &data);
        assert_eq!((world.got[3], world.payloads), (1, 0));
        let id = world.newest_of(3);
        world.tell(3, Event::Verdict { id, verdict });
        assert_eq!(world.payloads, payloads, "{verdict:?}");
        assert_eq!(refusals(&world.between(3, 0), Why::Invalid), refused);
        assert_eq!(world.blamed(3, 0, Misdeed::Invalid), refused > 0);
    }
}

#[test]
fn a_member_that_reads_slowly_is_asked_before_it_is_sent() {
    let mut world = World::new(9, &bare());
    let (peer, bytes) = (member(3), 8 << 20);
    let up = Event::Up {
        peer,
        round_trip: None,
        payload_max: 1 << 20,
        credit: 8 << 20,
    };
    world.tell(0, up);
    world.tell(0, Event::Queued { peer, bytes });
    world.publish(0);
    assert_eq!(world.between(0, 3), [], "no payload");
    assert_eq!(world.between(0, 6).len(), 1);
    world.run(LONG);
    assert_eq!(world.missed(), []);
}

#[test]
fn one_origin_takes_no_more_than_its_share() {
    let mut config = plain();
    (config.limits.messages, config.limits.origin_share) = (16, 8);
    let mut world = World::new(4, &config);
    for seq in 0..5 {
        let data = world.data(0, seq, Flags::CHAIN);
        world.hear_data(1, 0, &data);
    }
    assert_eq!(world.rains[1].held().count(), 2);
    assert_eq!(refusals(&world.between(1, 0), Why::Busy), 3);
    let data = world.data(2, 0, Flags::CHAIN);
    world.hear_data(1, 0, &data);
    assert_eq!(world.rains[1].held().count(), 3, "others have theirs");
}
