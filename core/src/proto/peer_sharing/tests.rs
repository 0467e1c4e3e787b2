use alloc::{vec, vec::Vec};
use core::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use quickcheck::quickcheck;

use super::{
    ADDRESSES_MAX, BUSY, BYTES_MAX, IDLE, Message, PeerSharing, SPEC,
    client::{Client, Fact, Order},
    server::{self, Server},
};
use crate::{
    proto::{
        Action, Fault, Half as _, Protocol as _,
        testing::{Rig, codec_laws, encode, failed, sent, total},
    },
    wire::codec::DecodeError,
};

fn v4(last: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(1, 2, 3, last).into(), 3001)
}

fn v6(last: u16) -> SocketAddr {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xffff, last);
    SocketAddr::new(ip.into(), 65_535)
}

fn read(bytes: &'static [u8]) -> Result<Message, DecodeError> {
    PeerSharing::decode(BUSY, &Bytes::from_static(bytes))
}

fn asking(amount: u8) -> Rig<Client> {
    let (mut rig, out) = Rig::start(Client::new(7));
    assert_eq!(out, []);
    let out = rig.order(Order::Ask(amount));
    assert_eq!(
        sent::<PeerSharing, _>(IDLE, &out),
        Message::ShareRequest(amount)
    );
    rig
}

fn asked(amount: u8) -> Rig<Server> {
    let (mut rig, _) = Rig::start(Server::new(7));
    let out = rig.receive::<PeerSharing>(&Message::ShareRequest(amount));
    assert_eq!(out, [Action::Fact(server::Fact::Asked(amount))]);
    rig
}

#[test]
fn the_table_makes_sense() {
    assert_eq!(SPEC.check(), Ok(()));
    assert!(SPEC.states.iter().all(|row| row.bytes_max == 5_760));
}

#[test]
fn octets_of_ipv4_are_little_endian_and_words_of_ipv6_big_endian() {
    let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 3001);
    let doc = SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), 3001);
    let message = Message::SharePeers(vec![local, v4(4), doc]);
    let want = [
        &[0x82, 0x01, 0x9f][..],
        &[0x83, 0x00, 0x1a, 0x01, 0x00, 0x00, 0x7f, 0x19, 0x0b, 0xb9],
        &[0x83, 0x00, 0x1a, 0x04, 0x03, 0x02, 0x01, 0x19, 0x0b, 0xb9],
        &[
            0x86, 0x01, 0x1a, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x01, 0x19, 0x0b, 0xb9,
        ],
        &[0xff],
    ];
    assert_eq!(encode::<PeerSharing>(&message), want.concat());
}

#[test]
fn both_list_forms_are_read_and_one_is_written() {
    let none = Message::SharePeers(vec![]);
    assert_eq!(read(&[0x82, 0x01, 0x80]), Ok(none.clone()));
    assert_eq!(read(&[0x82, 0x01, 0x9f, 0xff]), Ok(none.clone()));
    assert_eq!(encode::<PeerSharing>(&none).as_ref(), [0x82, 0x01, 0x80]);
    let one = Message::SharePeers(vec![SocketAddr::new(Ipv4Addr::new(1, 0, 0, 0).into(), 2)]);
    assert_eq!(read(&[0x82, 0x01, 0x81, 0x83, 0x00, 0x01, 0x02]), Ok(one));
}

#[test]
fn an_address_has_exactly_its_items() {
    let items = |want, got| Err(DecodeError::Items { want, got });
    assert_eq!(read(&[0x82, 1, 0x81, 0x84, 0, 1, 2, 3]), items(3, 4));
    assert_eq!(
        read(&[0x82, 1, 0x81, 0x88, 1, 0, 0, 0, 0, 0, 0, 9]),
        items(6, 8)
    );
    assert_eq!(
        read(&[0x82, 1, 0x81, 0x83, 2, 1, 2]),
        Err(DecodeError::Label { label: 2 })
    );
    let broken = Err(DecodeError::ListForm { at: 3 });
    assert_eq!(read(&[0x82, 1, 0x81, 0x9f, 0, 1, 2, 0xff]), broken);
    let port = Err(DecodeError::Range { at: 6 });
    assert_eq!(read(&[0x82, 1, 0x81, 0x83, 0, 1, 0x1a, 0, 1, 0, 0]), port);
}

#[test]
fn an_answer_holds_no_more_than_was_asked_for() {
    let two = vec![v4(1), v6(2)];
    let out = asking(2).receive::<PeerSharing>(&Message::SharePeers(two.clone()));
    assert_eq!(out, [Action::Fact(Fact::Shared(two.clone()))]);
    let out = asking(1).receive::<PeerSharing>(&Message::SharePeers(two));
    assert_eq!(failed(&out), Some(Fault::TooManyPeers { asked: 1, got: 2 }));
}

#[test]
fn one_question_is_asked_at_a_time() {
    let mut rig = asking(3);
    assert_eq!(rig.order(Order::Ask(200)), []);
    let four = Message::SharePeers((0..4).map(v4).collect());
    let fault = Fault::TooManyPeers { asked: 3, got: 4 };
    assert_eq!(failed(&rig.receive::<PeerSharing>(&four)), Some(fault));
    assert_eq!(rig.order(Order::Ask(1)), []);
}

#[test]
fn a_peer_answers_within_a_minute() {
    let mut rig = asking(3);
    assert_eq!(rig.half.awaits(), Some(BYTES_MAX));
    let out = rig.tick_after(Duration::from_secs(60));
    assert_eq!(out, [Action::Failed(Fault::TimedOut { state: BUSY.0 })]);
}

#[test]
fn a_stop_waits_for_the_answer_that_is_due() {
    let mut rig = asking(3);
    assert_eq!(rig.stop(), []);
    let out = rig.receive::<PeerSharing>(&Message::SharePeers(vec![]));
    assert_eq!(out[0], Action::Fact(Fact::Shared(vec![])));
    assert_eq!(sent::<PeerSharing, _>(IDLE, &out), Message::Done);
    assert_eq!(out.last(), Some(&Action::Ended));

    let (mut idle, _) = Rig::start(Client::new(7));
    assert_eq!(idle.stop().last(), Some(&Action::Ended));
    assert_eq!(idle.order(Order::Ask(1)), []);
}

#[test]
fn the_server_cuts_its_answer_to_the_question_and_to_the_limit() {
    let many: Vec<SocketAddr> = (0..300).map(v6).collect();
    for (amount, want) in [(0, 0), (1, 1), (10, 10), (255, ADDRESSES_MAX)] {
        let mut rig = asked(amount);
        let out = rig.order(server::Order::Share(many.clone()));
        let answer = sent::<PeerSharing, _>(BUSY, &out);
        assert!(encode::<PeerSharing>(&answer).len() <= BYTES_MAX);
        assert_eq!(answer, Message::SharePeers(many[..want].to_vec()));
        assert_eq!(rig.order(server::Order::Share(many.clone())), []);
        assert_eq!(rig.stop(), []);
        assert_eq!(rig.receive::<PeerSharing>(&Message::Done), [Action::Ended]);
    }
}

quickcheck! {
    /// Codec laws, for every message.
    fn messages_come_back(amount: u8, v4s: Vec<(u32, u16)>, v6s: Vec<(u128, u16)>) -> bool {
        let v4s = v4s.iter().map(|(ip, port)| SocketAddr::new(Ipv4Addr::from(*ip).into(), *port));
        let v6s = v6s.iter().map(|(ip, port)| SocketAddr::new(Ipv6Addr::from(*ip).into(), *port));
        let addresses = v4s.chain(v6s).collect();
        [Message::ShareRequest(amount), Message::SharePeers(addresses), Message::Done]
            .iter()
            .all(codec_laws::<PeerSharing>)
    }

    /// Decoding is total.
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) -> bool {
        total::<PeerSharing>(&bytes)
    }
}
