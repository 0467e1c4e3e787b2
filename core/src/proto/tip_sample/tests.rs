use alloc::{vec, vec::Vec};

use bytes::{Bytes, BytesMut};
use quickcheck::quickcheck;

use super::{
    FOLLOW_TIP, IDLE, Message, SPEC, TipSample,
    client::{Client, Fact, Order},
    read_historical, server, write_historical,
};
use crate::{
    base::{Hash32, Point, Slot, Tip},
    proto::{
        Action, Event, Fault, Half as _, Protocol as _,
        testing::{Rig, codec_laws, encode, failed, sent, total},
    },
    wire::codec::DecodeError,
};

fn tip(slot: Slot) -> Tip {
    let hash = Hash32([slot.to_le_bytes()[0]; 32]);
    Tip {
        point: Point::Block { slot, hash },
        block_no: slot / 2,
    }
}

fn sampled(slot: Slot, left: u16) -> Vec<Action<Fact>> {
    let tip = tip(slot);
    vec![Action::Fact(Fact::Sampled { tip, left })]
}

fn asking(count: u16, slot: Slot) -> Rig<Client> {
    let (mut rig, out) = Rig::start(Client::new(7));
    assert_eq!(out, []);
    let out = rig.order(Order::Follow { count, slot });
    let asked = Message::FollowTip { count, slot };
    assert_eq!(sent::<TipSample, _>(IDLE, &out), asked);
    rig
}

fn asked(count: u16, slot: Slot) -> Rig<server::Server> {
    let (mut rig, out) = Rig::start(server::Server::new(7));
    assert_eq!(out, []);
    let out = rig.receive::<TipSample>(&Message::FollowTip { count, slot });
    assert_eq!(out, [Action::Fact(server::Fact::Asked { count, slot })]);
    rig
}

#[test]
fn the_table_makes_sense() {
    assert_eq!(SPEC.check(), Ok(()));
    assert!(
        SPEC.states
            .iter()
            .take(2)
            .all(|row| row.bytes_max == 65_535)
    );
}

#[test]
fn as_many_tips_come_as_were_asked_for() {
    let mut rig = asking(3, 100);
    assert_eq!(rig.half.awaits(), Some(65_535));
    assert_eq!(rig.order(Order::Follow { count: 1, slot: 0 }), []);
    assert_eq!(
        rig.receive::<TipSample>(&Message::NextTip(tip(100))),
        sampled(100, 2)
    );
    assert_eq!(
        rig.receive::<TipSample>(&Message::NextTip(tip(90))),
        sampled(90, 1)
    );
    assert_eq!(
        rig.receive::<TipSample>(&Message::NextTipDone(tip(91))),
        sampled(91, 0)
    );
    assert_eq!(rig.half.awaits(), None);
    let out = rig.order(Order::Follow { count: 1, slot: 92 });
    assert_eq!(out.len(), 1);
}

#[test]
fn a_tip_that_counts_wrong_or_comes_from_before_is_a_fault() {
    for (count, message) in [
        (1, Message::NextTip(tip(100))),
        (2, Message::NextTipDone(tip(100))),
        (2, Message::NextTip(tip(99))),
        (1, Message::NextTipDone(Tip::ORIGIN)),
    ] {
        let out = asking(count, 100).receive::<TipSample>(&message);
        assert_eq!(
            out,
            [Action::Failed(Fault::TipSample)],
            "{count} {message:?}"
        );
    }
}

#[test]
fn nothing_is_asked_for_without_a_count_or_after_a_stop() {
    let (mut rig, _) = Rig::start(Client::new(7));
    assert_eq!(rig.order(Order::Follow { count: 0, slot: 1 }), []);
    let out = rig.stop();
    assert_eq!(sent::<TipSample, _>(IDLE, &out), Message::Done);
    assert_eq!(out.last(), Some(&Action::Ended));
    assert_eq!(rig.order(Order::Follow { count: 1, slot: 1 }), []);
    assert_eq!(rig.step(Event::Received(Bytes::from_static(b"x"))), []);
}

#[test]
fn a_stop_waits_for_the_tips_that_are_due() {
    let mut rig = asking(1, 0);
    assert_eq!(rig.stop(), []);
    let out = rig.receive::<TipSample>(&Message::NextTipDone(tip(5)));
    assert_eq!(out[..1], sampled(5, 0));
    assert_eq!(sent::<TipSample, _>(IDLE, &out), Message::Done);
    assert_eq!(out.last(), Some(&Action::Ended));
}

#[test]
fn the_server_sends_each_tip_from_the_wanted_slot_on() {
    let mut rig = asked(2, 100);
    assert_eq!(rig.order(server::Order::Tip(tip(99))), []);
    assert_eq!(rig.order(server::Order::Tip(Tip::ORIGIN)), []);
    let out = rig.order(server::Order::Tip(tip(100)));
    assert_eq!(
        sent::<TipSample, _>(FOLLOW_TIP, &out),
        Message::NextTip(tip(100))
    );
    let out = rig.order(server::Order::Tip(tip(42)));
    assert_eq!(
        sent::<TipSample, _>(FOLLOW_TIP, &out),
        Message::NextTipDone(tip(42))
    );
    assert_eq!(rig.order(server::Order::Tip(tip(101))), []);
    assert_eq!(rig.stop(), []);
    assert_eq!(rig.receive::<TipSample>(&Message::Done), [Action::Ended]);
}

#[test]
fn a_question_for_nothing_is_a_fault() {
    let (mut rig, _) = Rig::start(server::Server::new(7));
    let out = rig.receive::<TipSample>(&Message::FollowTip { count: 0, slot: 1 });
    assert_eq!(failed(&out), Some(Fault::TipSample));
    assert_eq!(rig.order(server::Order::Tip(tip(1))), []);
}

#[test]
fn the_historical_head_announces_two_items_for_three() {
    let mut out = BytesMut::new();
    write_historical(1, 100, &mut out);
    assert_eq!(out.as_ref(), [0x82, 0x00, 0x01, 0x18, 0x64]);
    let out = out.freeze();
    assert_eq!(read_historical(&out), Ok((1, 100)));
    let refused = DecodeError::Items { want: 3, got: 2 };
    assert_eq!(TipSample::decode(IDLE, &out), Err(refused));
    let ours = encode::<TipSample>(&Message::FollowTip {
        count: 1,
        slot: 100,
    });
    assert_eq!(ours.as_ref(), [0x83, 0x00, 0x01, 0x18, 0x64]);
    let refused = DecodeError::Items { want: 2, got: 3 };
    assert_eq!(read_historical(&ours), Err(refused));
}

quickcheck! {
    /// Codec laws, for every message.
    fn messages_come_back(count: u16, slot: Slot, origin: bool) -> bool {
        let tip = if origin { Tip::ORIGIN } else { tip(slot) };
        [
            Message::FollowTip { count, slot },
            Message::NextTip(tip),
            Message::NextTipDone(tip),
            Message::Done,
        ]
        .iter()
        .all(codec_laws::<TipSample>)
    }

    /// Decoding is total.
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) -> bool {
        total::<TipSample>(&bytes)
    }

    /// Client and server agree on every series of tips.
    fn a_series_of_tips_arrives_whole(count: u8, slots: Vec<u16>) -> bool {
        let count = u16::from(count).max(1);
        let (mut client, mut server) = (asking(count, 0), asked(count, 0));
        let mut got = Vec::new();
        for slot in slots.iter().map(|slot| u64::from(*slot)) {
            for action in server.order(server::Order::Tip(tip(slot))) {
                let Action::Send(encoded) = action else { return false };
                let out = client.step(Event::Received(encoded.head));
                let [Action::Fact(Fact::Sampled { tip, .. })] = out.as_slice() else { return false };
                got.push(tip.point.slot().unwrap());
            }
        }
        let want: Vec<Slot> = slots.iter().map(|slot| u64::from(*slot)).collect();
        got == want[..want.len().min(usize::from(count))]
    }
}
