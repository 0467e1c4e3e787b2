//! Transactions by hand.

use alloc::{vec, vec::Vec};

use bytes::Bytes;

use super::world::Bench;
use crate::{
    base::{ProtocolId, Serial, Ticket, TxId},
    chain::{Action, Answer, Event, Order, Question},
    proto::tx_submission::{client, server},
};

fn id(n: u8) -> TxId {
    TxId([n; 36].as_slice().into())
}

pub(super) fn submit(bench: &mut Bench, n: u8) -> Vec<Action> {
    bench.feed(Event::Submit {
        id: id(n),
        bytes: u32::from(n),
    })
}

pub(super) fn want(bench: &mut Bench, conn: u64, blocking: bool, wanted: u16) -> Vec<Vec<u8>> {
    let fact = client::Fact::IdsWanted {
        blocking,
        acked: 0,
        wanted,
    };
    ids(&bench.feed(Event::TxSupply(Serial(conn), fact)), conn)
}

/// The ids that are told to a peer, by their first byte.
fn ids(actions: &[Action], conn: u64) -> Vec<Vec<u8>> {
    let order = |action: &Action| match action {
        Action::Order(to, Order::TxSupply(client::Order::Ids(ids))) if *to == Serial(conn) => {
            Some(ids.iter().map(|(id, _)| id.0[0]).collect())
        }
        _ => None,
    };
    actions.iter().filter_map(order).collect()
}

pub(super) fn announce(bench: &mut Bench, conn: u64, numbers: &[u8]) -> Vec<TxId> {
    let ids = numbers.iter().map(|&n| (id(n), 10)).collect();
    let out = bench.feed(Event::TxPull(Serial(conn), server::Fact::Announced(ids)));
    match out.as_slice() {
        [Action::Order(to, Order::TxPull(server::Order::Wanted(ids)))] if *to == Serial(conn) => {
            ids.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn arrive(bench: &mut Bench, conn: u64, n: u8) -> Vec<Ticket> {
    let txs = vec![(id(n), Bytes::from(vec![n; 10]))];
    let out = bench.feed(Event::TxPull(Serial(conn), server::Fact::Arrived(txs)));
    let offer = |action: &Action| match action {
        Action::Ask(ticket, Question::Offer { .. }) => Some(*ticket),
        _ => None,
    };
    out.iter().filter_map(offer).collect()
}

#[test]
fn ids_are_told_in_order_and_once() {
    let mut bench = Bench::new(|_| {});
    for n in 1..=5 {
        submit(&mut bench, n);
    }
    assert!(submit(&mut bench, 3).is_empty());
    assert_eq!(want(&mut bench, 1, true, 3), [[1, 2, 3]]);
    assert_eq!(want(&mut bench, 1, false, 3), [[4, 5]]);
    assert_eq!(want(&mut bench, 1, false, 3), [[0_u8; 0]]);
    assert_eq!(want(&mut bench, 2, false, 9), [[1, 2, 3, 4, 5]]);
}

#[test]
fn who_waits_for_an_id_is_told_the_next_one() {
    let mut bench = Bench::new(|_| {});
    assert!(want(&mut bench, 1, true, 3).is_empty());
    let out = submit(&mut bench, 1);
    assert_eq!(ids(&out, 1), [[1]]);
    assert!(ids(&submit(&mut bench, 2), 1).is_empty());
}

#[test]
fn an_id_is_pulled_from_two_peers_at_most_and_never_when_known() {
    let mut bench = Bench::new(|_| {});
    submit(&mut bench, 9);
    assert_eq!(announce(&mut bench, 1, &[1, 9, 2, 2]), [id(1), id(2)]);
    assert_eq!(announce(&mut bench, 2, &[1]), [id(1)]);
    assert!(announce(&mut bench, 3, &[1]).is_empty());
    // One of them is gone: another may be asked.
    bench.feed(Event::ServeStopped(Serial(2), ProtocolId::TX_SUBMISSION));
    assert_eq!(announce(&mut bench, 3, &[1]), [id(1)]);
}

#[test]
fn a_taken_transaction_is_passed_on_and_a_refused_one_is_not_asked_for_again() {
    for taken in [true, false] {
        let mut bench = Bench::new(|_| {});
        assert!(want(&mut bench, 8, true, 3).is_empty());
        announce(&mut bench, 1, &[1]);
        let asked = arrive(&mut bench, 1, 1);
        assert_eq!(asked.len(), 1);
        let out = bench.feed(Event::Answer(asked[0], Answer::Taken(taken)));
        assert_eq!(ids(&out, 8).len(), usize::from(taken));
        assert!(announce(&mut bench, 2, &[1]).is_empty());
        // One that nobody asked for is not offered.
        assert!(arrive(&mut bench, 1, 1).is_empty());
        assert!(arrive(&mut bench, 1, 77).is_empty());
    }
}

#[test]
fn bodies_are_taken_from_the_application() {
    let mut bench = Bench::new(|_| {});
    submit(&mut bench, 1);
    want(&mut bench, 1, true, 3);
    let fact = client::Fact::TxsWanted(vec![id(1)]);
    let out = bench.feed(Event::TxSupply(Serial(1), fact.clone()));
    let [Action::Ask(ticket, Question::Take(wanted))] = out.as_slice() else {
        panic!("{out:?}");
    };
    assert_eq!(wanted, &[id(1)]);
    let txs = vec![Bytes::from_static(b"tx")];
    let answer = Event::Answer(*ticket, Answer::Txs(txs.clone()));
    let order = Order::TxSupply(client::Order::Txs(txs));
    assert_eq!(bench.feed(answer), [Action::Order(Serial(1), order)]);
    // Gone before the answer: nothing is told.
    let out = bench.feed(Event::TxSupply(Serial(1), fact));
    let Action::Ask(ticket, _) = out[0] else {
        panic!("{out:?}");
    };
    bench.feed(Event::Unfollow(Serial(1)));
    assert!(
        bench
            .feed(Event::Answer(ticket, Answer::Txs(vec![])))
            .is_empty()
    );
}
