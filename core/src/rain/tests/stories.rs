//! What goes wrong without a rule, and does not with it.

use super::*;
use crate::proto::rain_link::{Duty, Limit, Why};

const LONG: Duration = Duration::from_secs(50);

fn chains_alone(n: u32, k: u8) -> Config {
    let mut config = plain();
    config.acks = Acks::Off;
    config.cleanup.custodians = k;
    assert!(n > 1);
    config
}

impl World {
    pub(super) fn data(
        &self,
        origin: u32,
        seq: u64,
        flags: Flags,
    ) -> crate::proto::rain_link::Data {
        let rules = Toy(member(origin));
        let view = self.rains[origin as usize].view(&group()).unwrap();
        let mut data = crate::proto::rain_link::Data {
            group: group(),
            epoch: view.epoch(),
            view: view.digest().0,
            origin: member(origin),
            boot: 1,
            seq,
            limit: Limit::Key(member(0)),
            flags,
            hop: 1,
            signature: Signature::default(),
            terms: crate::proto::rain_link::Terms::default(),
            payload: Bytes::from_static(b"rain"),
        };
        let id = id::message_id(&data, &rules);
        data.signature = rules.sign(&id::signed_bytes(&id)).unwrap();
        data
    }

    fn kill(&mut self, at: u32) {
        self.dead[at as usize] = true;
    }

    /// Kills a member and tells everybody that its connection is gone.
    fn crash(&mut self, at: u32) {
        self.kill(at);
        for other in 0..u32::try_from(self.rains.len()).unwrap() {
            if other != at && !self.dead[other as usize] {
                let peer = member(at);
                self.tell(other, Event::Down { peer });
            }
        }
    }
}

/// A: asking both neighbours once misses members behind two dead ones.
#[test]
fn chains_go_past_the_dead_until_they_find_a_holder() {
    for k in [1, 2] {
        let mut world = World::new(6, &chains_alone(6, k));
        world.kill(2);
        world.kill(4);
        world.publish(0);
        world.run(LONG);
        assert_eq!(world.missed(), []);
    }
}

/// B: a custodian that dies after it answered.
#[test]
fn a_chain_goes_on_when_a_custodian_is_lost() {
    let missed = |rearm: bool| {
        let mut config = chains_alone(4, 1);
        config.cleanup.rearm = rearm;
        // Digests would repair it: not here.
        config.times.digest = Duration::from_secs(3_600);
        let mut world = World::new(4, &config);
        world.run(Duration::from_secs(1));
        world.no_tree = true;
        world.publish(0);
        // Each that takes it dies before it asks anybody, but for the last one.
        for _ in 0..2 {
            let got = |world: &World| {
                (1..4).find(|at| world.got[*at as usize] > 0 && !world.dead[*at as usize])
            };
            let mut steps = 0;
            while got(&world).is_none() && steps < 20_000 {
                world.run(Duration::from_millis(1));
                steps += 1;
            }
            let Some(took) = got(&world) else {
                break;
            };
            // Its acknowledgement is under way and comes.
            world.kill(took);
            world.run(Duration::from_millis(60));
            world.crash(took);
        }
        world.run(LONG);
        world.missed().len()
    };
    assert_eq!(missed(true), 0);
    assert!(missed(false) > 0, "without the rule somebody is left");
}

/// J: custodians that hang and do not close, one for each chain.
#[test]
fn a_custodian_that_says_nothing_is_found_while_the_message_is_kept() {
    let missed = |watch: bool| {
        let mut config = chains_alone(4, 1);
        config.cleanup.watch = watch;
        config.times.digest = Duration::from_secs(3_600);
        let mut world = World::new(4, &config);
        world.run(Duration::from_secs(1));
        world.no_tree = true;
        world.publish(0);
        let mut hung = 0;
        for _ in 0..20_000 {
            world.run(Duration::from_millis(1));
            let took = (1..4).find(|at| world.got[*at as usize] > 0 && !world.dead[*at as usize]);
            if let Some(took) = took.filter(|_| hung < 2) {
                // Its acknowledgement is under way and comes.
                world.kill(took);
                hung += 1;
            }
        }
        world.run(LONG);
        assert_eq!(hung, 2);
        world.missed().len()
    };
    assert_eq!(missed(true), 0);
    assert!(missed(false) > 0, "without the rule somebody is left");
}

/// H: who was silent once and is passed over is asked all the same.
#[test]
fn a_member_that_everybody_suspects_is_asked_in_passing() {
    for (ask_passed, missed) in [(true, 0), (false, 2)] {
        let mut config = chains_alone(3, 1);
        config.cleanup.ask_passed = ask_passed;
        // Digests would repair it: not here.
        config.times.digest = Duration::from_secs(3_600);
        let mut world = World::new(3, &config);
        // Past the first digests, which clear suspicions.
        world.run(Duration::from_secs(1));
        for at in 0..3 {
            for other in (0..3).filter(|other| *other != at) {
                world.rains[at as usize].peers.suspect(
                    world.now,
                    member(other),
                    &Config {
                        times: Times {
                            suspicion: Duration::from_secs(3_600),
                            ..Times::default()
                        },
                        ..config.clone()
                    },
                );
            }
        }
        world.no_tree = true;
        world.publish(0);
        world.run(LONG);
        assert_eq!(
            world.missed().len(),
            missed,
            "asked in passing: {ask_passed}"
        );
    }
}

/// The late Yes.
#[test]
fn who_wants_it_late_is_served() {
    for (serve_late, served) in [(true, true), (false, false)] {
        let mut config = chains_alone(3, 2);
        config.cleanup.serve_late = serve_late;
        config.times.digest = Duration::from_secs(3_600);
        let mut world = World::new(3, &config);
        world.no_tree = true;
        world.publish(0);
        // Nobody answers: both are passed over.
        world.kill(1);
        world.kill(2);
        world.run(Duration::from_secs(10));
        let id = *world.rains[0].held().next().unwrap();
        let before = world.payloads;
        let peer = member(1);
        let ids = [id].into_iter().collect();
        world.tell(
            0,
            Event::Received {
                peer,
                frame: Frame::Yes { ids },
            },
        );
        assert_eq!(world.payloads > before, served);
    }
}

#[test]
fn a_duty_for_an_unknown_message_is_answered_so_and_brings_the_payload() {
    let mut world = World::new(4, &plain());
    world.publish(0);
    let id = *world.rains[0].held().next().unwrap();
    // A child says that it never had it after it was given an arc without the payload.
    let (peer, frame) = (
        member(2),
        Frame::Duty(Duty {
            id: MessageId(Hash32([9; 32])),
            limit: Limit::Key(member(2)),
            flags: Flags::TREE,
            hop: 1,
        }),
    );
    world.controls = 0;
    world.tell(0, Event::Received { peer, frame });
    assert_eq!(world.controls, 1, "one refusal");
    let ids = [id].into_iter().collect();
    let why = Why::Unknown;
    let frame = Frame::Nack { ids, why };
    world.tell(0, Event::Received { peer, frame });
    world.run(LONG);
    assert_eq!(world.missed(), []);
}

/// F: two halves that do not hear each other, then do.
#[test]
fn a_partition_heals_by_digests() {
    let n = 8;
    let mut world = World::new(n, &plain());
    for half in [0..4_u32, 4..8] {
        for at in half.clone() {
            for other in (0..n).filter(|other| !half.contains(other)) {
                let peer = member(other);
                world.tell(at, Event::Down { peer });
            }
        }
    }
    world.publish(1);
    world.run(Duration::from_secs(12));
    let missed = world.missed();
    assert!(
        missed.iter().all(|at| *at >= 4) && missed.len() == 4,
        "{missed:?}"
    );
    for at in 0..n {
        for other in (0..n).filter(|other| (*other < 4) != (at < 4)) {
            let peer = member(other);
            world.tell(
                at,
                Event::Up {
                    peer,
                    round_trip: None,
                    payload_max: 1 << 20,
                    credit: 1 << 20,
                },
            );
        }
    }
    world.run(Duration::from_secs(8));
    assert_eq!(world.missed(), []);
    assert!(world.got.iter().all(|got| *got == 1));
}

#[test]
fn a_message_of_a_view_that_is_not_known_yet_waits_for_it() {
    let mut world = World::new(4, &plain());
    let rules = Toy(member(0));
    let next = world.rains[0].view(&group()).unwrap().clone();
    let next = next.next(2, None, [], [], &rules).unwrap();
    for at in [0, 1, 2] {
        let (view, expires) = (next.clone(), None);
        world.tell(at, Event::View { view, expires });
    }
    world.publish(0);
    world.run(Duration::from_millis(500));
    assert_eq!(world.missed(), [3]);
    let (view, expires) = (next, None);
    world.tell(3, Event::View { view, expires });
    assert_eq!(world.got[3], 1, "what waited is delivered at once");
}

#[test]
fn a_group_that_is_not_ours_is_neither_taken_nor_forwarded() {
    let mut world = World::new(4, &plain());
    let rules = Toy(member(0));
    let other = GroupId::Role(crate::base::Actor::Validator);
    let members = [0, 1].map(|n| member(n).into());
    let view = View::new(other.clone(), 1, None, members, &rules).unwrap();
    for at in [0, 1] {
        let (view, expires) = (view.clone(), None);
        world.tell(at, Event::View { view, expires });
    }
    let event = Event::Publish {
        tag: 1,
        group: other.clone(),
        payload: Bytes::from_static(b"secret"),
        options: Options::default(),
    };
    world.tell(0, event.clone());
    world.tell(2, event);
    world.run(LONG);
    assert_eq!(world.got, [1, 1, 0, 0]);
    let refused = |n: &(u32, Notice)| {
        let why = Refusal::NotMember;
        *n == (2, Notice::Refused { tag: 1, why })
    };
    assert!(world.notices.iter().any(refused));
    // One who is a member sends it to one who is none.
    let mut data = world.data(0, 7, Flags::TREE);
    data.group = other;
    let frame = Frame::Data(alloc::boxed::Box::new(data));
    let peer = member(0);
    world.tell(3, Event::Received { peer, frame });
    assert_eq!(world.got[3], 0);
    assert_eq!(world.rains[3].held().count(), 0);
}

#[test]
fn a_message_that_its_origin_did_not_sign_is_not_taken() {
    let mut world = World::new(3, &plain());
    let mut data = world.data(0, 0, Flags::TREE);
    data.payload = Bytes::from_static(b"other");
    let frame = Frame::Data(alloc::boxed::Box::new(data));
    let peer = member(0);
    world.tell(1, Event::Received { peer, frame });
    assert_eq!(world.got[1], 0);
    let what = Misdeed::Invalid;
    assert!(world.notices.contains(&(1, Notice::Misdeed { peer, what })));
}

#[test]
fn two_messages_with_one_number_are_told() {
    let mut world = World::new(3, &plain());
    let one = world.data(0, 0, Flags::CHAIN);
    let rules = Toy(member(0));
    let mut two = one.clone();
    two.payload = Bytes::from_static(b"other");
    let id = id::message_id(&two, &rules);
    two.signature = rules.sign(&id::signed_bytes(&id)).unwrap();
    for data in [one, two] {
        let frame = Frame::Data(alloc::boxed::Box::new(data));
        let peer = member(0);
        world.tell(1, Event::Received { peer, frame });
    }
    let told = |n: &&(u32, Notice)| matches!(n.1, Notice::Equivocation { .. });
    assert_eq!(world.notices.iter().filter(told).count(), 1);
}

/// Else others would take its new messages for old ones.
#[test]
fn a_group_that_is_forgotten_and_known_again_goes_on_with_its_numbers() {
    let mut world = World::new(3, &plain());
    let view = world.rains[0].view(&group()).unwrap().clone();
    world.publish(0);
    world.run(Duration::from_secs(2));
    world.tell(0, Event::Forget(group()));
    let expires = None;
    world.tell(0, Event::View { view, expires });
    world.publish(0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.got, [2, 2, 2]);
}

#[test]
fn what_has_expired_is_not_taken_again() {
    let mut world = World::new(3, &plain());
    world.publish(0);
    world.run(Duration::from_secs(70));
    assert_eq!(world.got, [1, 1, 1]);
    let data = world.data(0, 0, Flags::TREE);
    let frame = Frame::Data(alloc::boxed::Box::new(data));
    let peer = member(0);
    world.tell(1, Event::Received { peer, frame });
    assert_eq!(world.got[1], 1);
    assert_eq!(world.rains[1].held().count(), 0);
}

/// Members that know only those at their gaps, and may dial nobody.
#[test]
fn a_member_that_cannot_be_dialled_is_reached_through_others() {
    let n = 27;
    let mut config = bare();
    config.reach = Reach::Told;
    config.limits.dials = 0;
    let mut world = World::new(n, &config);
    let up = |peer| Event::Up {
        peer,
        round_trip: None,
        payload_max: 1 << 20,
        credit: 1 << 20,
    };
    // Nobody is connected to the member two thirds of the ring from the publisher but those at
    // smaller gaps before it.
    for at in 0..n {
        for offset in [1, 2, 3, 6, 9, 18] {
            let to = (at + offset) % n;
            let cut = (at, to) == (0, 18);
            if !cut {
                world.tell(at, up(member(to)));
                world.tell(to, up(member(at)));
            }
        }
    }
    world.publish(0);
    world.run(LONG);
    assert_eq!(world.missed(), []);
    let adopted: u32 = world.done.iter().map(|(_, report)| report.adopted).sum();
    assert_eq!(adopted, 0, "the child served its arc itself");
}
