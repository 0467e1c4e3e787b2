use alloc::{vec, vec::Vec};

use bytes::Bytes;

use super::{INIT, Message, TX_IDS_NON_BLOCKING, TXS, TxSubmission, Violation};
use super::{id, ids, request, sized, tx, violation};
use crate::proto::{
    Action, Event, Half as _,
    testing::{Rig, encode, sent},
    tx_submission::client::{Client, Fact, Order},
};

/// A client that has said hello and announced `unacked` ids, numbered from 0.
fn announced(unacked: u8) -> Rig<Client> {
    let (mut rig, out) = Rig::start(Client::new(7));
    assert_eq!(sent::<TxSubmission, _>(INIT, &out), Message::Init);
    if unacked > 0 {
        let wanted = u16::from(unacked);
        let out = rig.receive::<TxSubmission>(&request(true, 0, wanted));
        assert_eq!(out, asked(true, 0, wanted));
        let numbers: Vec<u8> = (0..unacked).collect();
        let out = rig.order(Order::Ids(sized(&numbers)));
        let reply = Message::ReplyTxIds(sized(&numbers));
        assert_eq!(sent::<TxSubmission, _>(TX_IDS_NON_BLOCKING, &out), reply);
    }
    assert_eq!(rig.half.unacked(), usize::from(unacked));
    rig
}

fn asked(blocking: bool, acked: u16, wanted: u16) -> Vec<Action<Fact>> {
    vec![Action::Fact(Fact::IdsWanted {
        blocking,
        acked,
        wanted,
    })]
}

/// Announced ids, whether the request blocks, what it acknowledges and wants, what it is.
type Check = (u8, (bool, u16, u16), Option<Violation>);

const CHECKS: [Check; 22] = [
    (0, (true, 0, 1), None),
    (0, (true, 0, 10), None),
    (3, (true, 3, 10), None),
    (3, (false, 0, 7), None),
    (3, (false, 2, 9), None),
    (10, (false, 0, 0), Some(Violation::RequestedNothing)),
    (10, (false, 1, 1), None),
    // Nothing new, but something done with and something left.
    (3, (false, 2, 0), None),
    (
        0,
        (true, 1, 1),
        Some(Violation::AckedTooManyTxids {
            acked: 1,
            unacked: 0,
        }),
    ),
    (
        3,
        (false, 4, 1),
        Some(Violation::AckedTooManyTxids {
            acked: 4,
            unacked: 3,
        }),
    ),
    (
        3,
        (false, 65_535, 65_535),
        Some(Violation::AckedTooManyTxids {
            acked: 65_535,
            unacked: 3,
        }),
    ),
    (
        0,
        (true, 0, 11),
        Some(Violation::RequestedTooManyTxids {
            requested: 11,
            unacked: 0,
        }),
    ),
    (
        3,
        (false, 1, 9),
        Some(Violation::RequestedTooManyTxids {
            requested: 9,
            unacked: 2,
        }),
    ),
    (
        3,
        (true, 0, 65_535),
        Some(Violation::RequestedTooManyTxids {
            requested: 65_535,
            unacked: 3,
        }),
    ),
    (0, (true, 0, 0), Some(Violation::RequestedNothing)),
    (3, (true, 1, 0), Some(Violation::RequestedNothing)),
    (3, (true, 3, 0), Some(Violation::RequestedNothing)),
    (3, (true, 0, 1), Some(Violation::RequestBlocking)),
    (3, (true, 2, 1), Some(Violation::RequestBlocking)),
    (0, (false, 0, 0), Some(Violation::RequestedNothing)),
    (0, (false, 0, 1), Some(Violation::RequestNonBlocking)),
    (3, (false, 3, 0), Some(Violation::RequestNonBlocking)),
];

#[test]
fn a_request_for_ids_is_checked_row_by_row_and_in_order() {
    for (unacked, (blocking, acked, wanted), want) in CHECKS {
        let mut rig = announced(unacked);
        let out = rig.receive::<TxSubmission>(&request(blocking, acked, wanted));
        let row = (unacked, blocking, acked, wanted);
        assert_eq!(violation(&out), want, "{row:?}");
        if want.is_none() {
            assert_eq!(out, asked(blocking, acked, wanted), "{row:?}");
            assert_eq!(
                rig.half.unacked(),
                usize::from(unacked) - usize::from(acked),
                "{row:?}"
            );
        } else {
            assert_eq!(out.len(), 1, "{row:?}");
            assert_eq!(rig.half.awaits(), None, "{row:?}");
            assert_eq!(rig.order(Order::Ids(sized(&[1]))), []);
        }
    }
}

#[test]
fn bodies_are_asked_for_while_they_are_announced_and_not_acknowledged() {
    let mut rig = announced(3);
    // The same body may be asked for twice, and twice in one request.
    for wanted in [&[0][..], &[2, 0], &[1, 1], &[]] {
        let out = rig.receive::<TxSubmission>(&Message::RequestTxs(ids(wanted)));
        assert_eq!(out, [Action::Fact(Fact::TxsWanted(ids(wanted)))]);
        let bodies: Vec<Bytes> = wanted.iter().map(|n| tx(*n, 5)).collect();
        let out = rig.order(Order::Txs(bodies.clone()));
        assert_eq!(
            sent::<TxSubmission, _>(TXS, &out),
            Message::ReplyTxs(bodies)
        );
    }
    rig.receive::<TxSubmission>(&request(false, 1, 1));
    rig.order(Order::Ids(vec![]));
    let out = rig.receive::<TxSubmission>(&Message::RequestTxs(ids(&[2, 0])));
    assert_eq!(violation(&out), Some(Violation::RequestedUnavailableTx));

    let out = announced(1).receive::<TxSubmission>(&Message::RequestTxs(ids(&[7])));
    assert_eq!(violation(&out), Some(Violation::RequestedUnavailableTx));
}

#[test]
fn an_order_that_answers_nothing_is_ignored() {
    let mut rig = announced(0);
    assert_eq!(rig.order(Order::Ids(sized(&[1]))), []);
    assert_eq!(rig.order(Order::Txs(vec![])), []);
    rig.receive::<TxSubmission>(&request(true, 0, 2));
    assert_eq!(rig.order(Order::Txs(vec![])), []);
    assert_eq!(
        rig.order(Order::Ids(vec![])),
        [],
        "a blocking question waits"
    );
    let out = rig.order(Order::Ids(sized(&[1, 2, 3])));
    let cut = Message::ReplyTxIds(sized(&[1, 2]));
    assert_eq!(sent::<TxSubmission, _>(TX_IDS_NON_BLOCKING, &out), cut);
    assert_eq!(rig.order(Order::Ids(sized(&[4]))), []);
    rig.receive::<TxSubmission>(&Message::RequestTxs(ids(&[1])));
    assert_eq!(rig.order(Order::Ids(sized(&[4]))), []);
}

#[test]
fn goodbye_is_the_answer_to_a_blocking_question_only() {
    // The question is there already.
    let mut rig = announced(0);
    rig.receive::<TxSubmission>(&request(true, 0, 2));
    let out = rig.stop();
    assert_eq!(out.last(), Some(&Action::Ended));
    assert_eq!(out.len(), 2);
    assert_eq!(rig.order(Order::Ids(sized(&[1]))), []);

    // The question comes later, after others that are answered with nothing.
    let mut rig = announced(2);
    assert_eq!(rig.stop(), []);
    let out = rig.receive::<TxSubmission>(&Message::RequestTxs(ids(&[1])));
    assert_eq!(
        sent::<TxSubmission, _>(TXS, &out),
        Message::ReplyTxs(vec![])
    );
    let out = rig.receive::<TxSubmission>(&request(false, 1, 3));
    assert_eq!(
        sent::<TxSubmission, _>(TX_IDS_NON_BLOCKING, &out),
        Message::ReplyTxIds(vec![])
    );
    let out = rig.receive::<TxSubmission>(&request(true, 1, 3));
    assert_eq!(out.last(), Some(&Action::Ended));

    // A stopping half still checks.
    let mut rig = announced(2);
    rig.stop();
    let out = rig.receive::<TxSubmission>(&request(true, 1, 3));
    assert_eq!(violation(&out), Some(Violation::RequestBlocking));

    // The question that is open at the time is answered at once.
    let mut rig = announced(2);
    rig.receive::<TxSubmission>(&Message::RequestTxs(ids(&[1])));
    let out = rig.stop();
    assert_eq!(
        sent::<TxSubmission, _>(TXS, &out),
        Message::ReplyTxs(vec![])
    );
    assert_eq!(rig.order(Order::Txs(vec![tx(1, 0)])), []);
}

#[test]
fn an_answer_never_breaks_the_limit_of_its_state() {
    let mut rig = announced(3);
    rig.receive::<TxSubmission>(&Message::RequestTxs(ids(&[0, 1, 2])));
    // Two bodies that fill the answer to its last byte, and one more.
    let first = tx(0, 1_000_000);
    let second = tx(
        1,
        2_500_000 - 4 - first.len() - (tx(1, 70_000).len() - 70_000),
    );
    let out = rig.order(Order::Txs(vec![first.clone(), second.clone(), tx(2, 0)]));
    let answer = sent::<TxSubmission, _>(TXS, &out);
    assert_eq!(answer, Message::ReplyTxs(vec![first, second]));
    assert_eq!(encode::<TxSubmission>(&answer).len(), 2_500_000);
}

#[test]
fn the_byte_limit_of_a_question_is_inclusive() {
    let mut rig = announced(1);
    assert_eq!(rig.half.awaits(), Some(65_535));
    // As many ids as fit, then one too many; the first is refused for its ids.
    let many = |count| Message::RequestTxs(vec![id(9); count]);
    let around = encode::<TxSubmission>(&many(0)).len();
    let count = (65_535 - around) / id(9).0.len();
    let out = rig.step(Event::Received(encode::<TxSubmission>(&many(count))));
    assert_eq!(violation(&out), Some(Violation::RequestedUnavailableTx));
    let mut rig = announced(1);
    let out = rig.step(Event::Received(encode::<TxSubmission>(&many(count + 1))));
    let too_large = crate::proto::Fault::TooLarge { max: 65_535 };
    assert_eq!(out, [Action::Failed(too_large)]);
}
