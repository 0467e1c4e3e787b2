use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use quickcheck::{TestResult, quickcheck};

use super::{IDLE, Message, Pipe, TXS, TxRules, TxSubmission, Violation};
use super::{id, ids, request, sized, tx, violation};
use crate::{
    base::{Instant, Machine as _, TxId},
    proto::{
        Action, Event, Fault, Half as _, Protocol as _,
        testing::{Rig, failed, flat, sent},
        tx_submission::{
            WINDOW, client,
            server::{FIRST_REQUEST_DELAY, Fact, Order, Server},
        },
    },
};

/// A server that has been greeted and has sent its first question.
fn asking() -> Rig<Server> {
    let (mut rig, out) = Rig::with_rules(Server::new(7, Duration::ZERO), &TxRules);
    assert_eq!(out, []);
    let out = rig.receive::<TxSubmission>(&Message::Init);
    assert_eq!(questions(&out), [request(true, 0, 3)]);
    rig
}

/// All that the server asks in `actions`.
fn questions(actions: &[Action<Fact>]) -> Vec<Message> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(encoded) => TxSubmission::decode(IDLE, &flat(encoded)).ok(),
            _ => None,
        })
        .collect()
}

/// Announces `numbers` in answer to the oldest question; the owner wants `wanted` of them.
fn announce(rig: &mut Rig<Server>, numbers: &[u8], wanted: &[u8]) -> Vec<Message> {
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxIds(sized(numbers)));
    assert_eq!(out, [Action::Fact(Fact::Announced(sized(numbers)))]);
    questions(&rig.order(Order::Wanted(ids(wanted))))
}

fn arrived(numbers: &[u8], more: usize) -> Action<Fact> {
    let bodies = numbers.iter().map(|n| (id(*n), tx(*n, more)));
    Action::Fact(Fact::Arrived(bodies.collect()))
}

#[test]
fn the_first_question_waits_for_the_hello_and_a_minute() {
    let (mut rig, out) = Rig::start(Server::new(7, FIRST_REQUEST_DELAY));
    assert_eq!(out, []);
    assert_eq!(rig.half.next_deadline(), None);
    assert_eq!(rig.half.awaits(), Some(65_535));
    assert_eq!(rig.receive::<TxSubmission>(&Message::Init), []);
    assert_eq!(rig.half.next_deadline(), Some(Instant::from_secs(61)));
    assert_eq!(rig.half.awaits(), None);
    let out = rig.tick_after(Duration::from_secs(60));
    assert_eq!(sent::<TxSubmission, _>(IDLE, &out), request(true, 0, 3));
    assert_eq!(
        rig.half.next_deadline(),
        None,
        "a blocking question waits for ever"
    );
}

#[test]
fn bodies_are_pulled_two_by_two_with_more_ids_beside_them() {
    let mut rig = asking();
    let asked = announce(&mut rig, &[1, 2, 3], &[1, 2, 3]);
    let want = [
        Message::RequestTxs(ids(&[1, 2])),
        request(false, 0, 3),
        Message::RequestTxs(ids(&[3])),
        request(false, 0, 3),
    ];
    assert_eq!(asked, want);
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(1, 0), tx(2, 0)]));
    assert_eq!(out, [arrived(&[1, 2], 0)]);
    let asked = announce(&mut rig, &[4, 5, 6], &[5]);
    // The window holds 3, 4, 5, 6, and 3 more were asked for: room for 3. Two are acknowledged.
    assert_eq!(
        asked,
        [Message::RequestTxs(ids(&[5])), request(false, 2, 3)]
    );
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(3, 0)]));
    assert_eq!(out, [arrived(&[3], 0)]);
    assert_eq!(
        rig.receive::<TxSubmission>(&Message::ReplyTxIds(vec![])),
        []
    );
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(5, 0)]));
    assert_eq!(out, [arrived(&[5], 0)]);
    // The last question is answered with nothing: now there is nothing left to do but wait.
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxIds(vec![]));
    assert_eq!(questions(&out), [request(true, 4, 3)]);
}

#[test]
fn what_is_no_news_is_acknowledged_at_once() {
    let mut rig = asking();
    assert_eq!(announce(&mut rig, &[1, 2], &[]), [request(true, 2, 3)]);
    assert_eq!(rig.half.unsettled(), 0);
}

#[test]
fn only_the_longest_settled_prefix_is_acknowledged() {
    let mut rig = asking();
    let asked = announce(&mut rig, &[1, 2, 3], &[2]);
    assert_eq!(
        asked,
        [Message::RequestTxs(ids(&[2])), request(false, 1, 3)]
    );
    assert_eq!(rig.half.unsettled(), 2);
    rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(2, 0)]));
    assert_eq!(rig.half.unsettled(), 0);
}

#[test]
fn an_id_repeated_inside_the_window_is_acknowledged_twice() {
    let mut rig = asking();
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxIds(sized(&[1, 1, 2])));
    assert_eq!(out, [Action::Fact(Fact::Announced(sized(&[1, 2])))]);
    let asked = questions(&rig.order(Order::Wanted(ids(&[1, 2]))));
    assert_eq!(asked[0], Message::RequestTxs(ids(&[1, 2])));
    assert_eq!(asked[1], request(false, 0, 3));
    rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(1, 0), tx(2, 0)]));
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxIds(vec![]));
    assert_eq!(questions(&out), [request(true, 3, 3)]);
    // Once acknowledged it is news again.
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxIds(sized(&[1])));
    assert_eq!(out, [Action::Fact(Fact::Announced(sized(&[1])))]);
}

#[test]
fn more_ids_than_were_asked_for_are_a_violation() {
    let out = asking().receive::<TxSubmission>(&Message::ReplyTxIds(sized(&[1, 2, 3, 4])));
    assert_eq!(
        violation(&out),
        Some(Violation::TooManyIds { wanted: 3, got: 4 })
    );
    assert_eq!(out.len(), 1);
}

#[test]
fn bodies_must_be_those_that_were_requested_each_once() {
    let twice = vec![tx(1, 0), tx(1, 0)];
    for bodies in [
        vec![tx(3, 0)],
        vec![tx(9, 0)],
        vec![Bytes::from_static(&[0x05])],
        twice,
    ] {
        let mut rig = asking();
        announce(&mut rig, &[1, 2, 3], &[1, 2, 3]);
        let out = rig.receive::<TxSubmission>(&Message::ReplyTxs(bodies));
        assert_eq!(violation(&out), Some(Violation::UnrequestedTx));
        assert_eq!(out.len(), 1);
        assert_eq!(rig.half.next_deadline(), None);
        assert_eq!(rig.order(Order::Wanted(vec![])), []);
    }
}

#[test]
fn bodies_in_another_order_arrive_in_that_of_the_announcements() {
    let mut rig = asking();
    announce(&mut rig, &[1, 2], &[2, 1]);
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(2, 0), tx(1, 0)]));
    assert_eq!(out, [arrived(&[1, 2], 0)]);
}

#[test]
fn bodies_that_are_gone_are_settled_without_a_word() {
    let mut rig = asking();
    announce(&mut rig, &[1, 2], &[1, 2]);
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![]));
    assert_eq!(out, []);
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxIds(vec![]));
    assert_eq!(questions(&out), [request(true, 2, 3)]);
}

#[test]
fn a_size_may_be_off_by_its_tolerance_and_no_more() {
    for (announced, legal) in [
        (0, true),
        (32, true),
        (-32, true),
        (33, false),
        (-33, false),
    ] {
        let mut rig = asking();
        let got = u32::try_from(tx(1, 100).len()).unwrap();
        let announced = got.checked_add_signed(announced).unwrap();
        let reply = Message::ReplyTxIds(vec![(id(1), announced)]);
        rig.receive::<TxSubmission>(&reply);
        rig.order(Order::Wanted(ids(&[1])));
        let out = rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(1, 100)]));
        let want = (!legal).then_some(Violation::WrongSize { announced, got });
        assert_eq!(violation(&out), want);
        assert_eq!(legal, out.contains(&arrived(&[1], 100)));
    }
}

#[test]
fn answers_that_are_asked_for_at_once_come_within_ten_seconds() {
    let mut rig = asking();
    assert_eq!(rig.half.awaits(), Some(2_500_000));
    announce(&mut rig, &[1], &[1]);
    let out = rig.tick_after(Duration::from_secs(10));
    assert_eq!(failed(&out), Some(Fault::TimedOut { state: TXS.0 }));
}

#[test]
fn an_owner_that_has_not_judged_holds_nothing_up_but_its_own_ids() {
    let mut rig = asking();
    announce(&mut rig, &[1, 2], &[1, 2]);
    // Ids come while bodies are under way; the owner has not said a word about them yet.
    rig.receive::<TxSubmission>(&Message::ReplyTxs(vec![tx(1, 0), tx(2, 0)]));
    let out = rig.receive::<TxSubmission>(&Message::ReplyTxIds(sized(&[3])));
    assert_eq!(out, [Action::Fact(Fact::Announced(sized(&[3])))]);
    assert_eq!(
        rig.half.awaits(),
        None,
        "nothing is asked, nothing can come"
    );
    let out = rig.order(Order::Wanted(ids(&[3, 9])));
    let want = [Message::RequestTxs(ids(&[3])), request(false, 2, 3)];
    assert_eq!(questions(&out), want);
    assert_eq!(rig.order(Order::Wanted(ids(&[3]))), []);
}

#[test]
fn goodbye_ends_the_protocol() {
    let mut rig = asking();
    assert_eq!(rig.stop(), []);
    assert_eq!(rig.receive::<TxSubmission>(&Message::Done), [Action::Ended]);
    assert_eq!(rig.step(Event::Tick), []);
}

/// Transactions in the client's pool, and what is left of them to announce.
struct Pool {
    numbers: Vec<u8>,
    announced: usize,
    gone: Vec<u8>,
}

impl Pool {
    /// Answers what can be answered now.
    fn answer(&mut self, fact: client::Fact) -> Option<client::Order> {
        match fact {
            client::Fact::IdsWanted {
                blocking, wanted, ..
            } => {
                let left = self.numbers.get(self.announced..)?;
                let next = &left[..left.len().min(usize::from(wanted))];
                if blocking && next.is_empty() {
                    return None;
                }
                self.announced += next.len();
                Some(client::Order::Ids(sized(next)))
            }
            client::Fact::TxsWanted(wanted) => {
                let here = self.numbers.iter().filter(|n| !self.gone.contains(n));
                let mut bodies: Vec<(usize, Bytes)> = Vec::new();
                for n in here {
                    let at = wanted.iter().position(|want| *want == id(*n));
                    let again = bodies.iter().any(|(have, _)| Some(*have) == at);
                    if let (Some(at), false) = (at, again) {
                        bodies.push((at, tx(*n, 0)));
                    }
                }
                bodies.sort();
                Some(client::Order::Txs(
                    bodies.into_iter().map(|(_, body)| body).collect(),
                ))
            }
        }
    }
}

/// What the two halves did with a pool: bodies that arrived, and whether the client said goodbye.
fn exchange(numbers: Vec<u8>, gone: Vec<u8>, known: &[u8], mut turns: u64) -> (Vec<TxId>, bool) {
    let mut pool = Pool {
        numbers,
        announced: 0,
        gone,
    };
    let (mut client, hello) = Rig::start(client::Client::new(1));
    let (mut server, _) = Rig::with_rules(Server::new(2, Duration::ZERO), &TxRules);
    let (mut up, mut down, mut judged) = (Pipe::new(), Pipe::new(), Vec::new());
    let mut got = Vec::new();
    let mut said = hello;
    let mut heard = Vec::new();
    loop {
        for action in core::mem::take(&mut said) {
            match action {
                Action::Send(encoded) => up.push_back(flat(&encoded)),
                Action::Fact(fact) => match pool.answer(fact) {
                    Some(order) => said.extend(client.order(order)),
                    // Blocked with nothing left to announce: the end.
                    None => said.extend(client.stop()),
                },
                Action::Ended => {}
                Action::Failed(fault) => panic!("the client: {fault}"),
            }
        }
        for action in core::mem::take(&mut heard) {
            match action {
                Action::Send(encoded) => down.push_back(flat(&encoded)),
                Action::Fact(Fact::Announced(news)) => judged.push(news),
                Action::Fact(Fact::Arrived(bodies)) => {
                    got.extend(bodies.into_iter().map(|(id, _)| id));
                }
                Action::Ended => return (got, true),
                Action::Failed(fault) => panic!("the server: {fault}"),
            }
        }
        assert!(server.half.unsettled() <= usize::from(WINDOW));
        // Any of the three may be late.
        turns = turns.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let order = [turns % 3, (turns + 1) % 3, (turns + 2) % 3];
        let moved = order.iter().any(|who| match who {
            0 if !judged.is_empty() => {
                let news: Vec<TxId> = judged.remove(0).into_iter().map(|(id, _)| id).collect();
                let fresh = |id: &TxId| known.iter().all(|n| super::id(*n) != *id);
                let wanted = news.into_iter().filter(fresh).collect();
                heard.extend(server.order(Order::Wanted(wanted)));
                true
            }
            1 if !up.is_empty() && server.half.awaits().is_some() => {
                heard.extend(server.step(Event::Received(up.pop_front().unwrap())));
                true
            }
            2 if !down.is_empty() && client.half.awaits().is_some() => {
                said.extend(client.step(Event::Received(down.pop_front().unwrap())));
                true
            }
            _ => false,
        });
        if !moved && said.is_empty() && heard.is_empty() {
            return (got, false);
        }
    }
}

quickcheck! {
    /// Both halves together bring over all that is wanted and still there, in the order of the
    /// pool and each once, without a violation, however late each of them is; then they end.
    fn a_pool_is_brought_over_whole(pool: Vec<u8>, gone: Vec<u8>, known: Vec<u8>, turns: u64) -> TestResult {
        let mut numbers: Vec<u8> = Vec::new();
        for n in pool {
            if !numbers.contains(&n) {
                numbers.push(n);
            }
        }
        let here = numbers.iter().filter(|n| !gone.contains(n) && !known.contains(n));
        let want: Vec<TxId> = here.map(|n| id(*n)).collect();
        let (got, ended) = exchange(numbers, gone, &known, turns | 1);
        TestResult::from_bool(ended && got == want)
    }

    /// Whatever a peer that has been asked for ids says next, the invariants hold.
    fn any_series_of_events_keeps_the_invariants(events: Vec<(u8, Vec<u8>)>) -> bool {
        let mut rig = asking();
        for (what, mut numbers) in events {
            for n in &mut numbers {
                *n %= 8;
            }
            numbers.truncate(4);
            let message = match what % 4 {
                0 => Message::ReplyTxIds(sized(&numbers)),
                1 => Message::ReplyTxs(numbers.iter().map(|n| tx(*n, 0)).collect()),
                2 => Message::ReplyTxs(vec![]),
                _ => {
                    rig.order(Order::Wanted(ids(&numbers)));
                    continue;
                }
            };
            if rig.half.awaits().is_some() {
                rig.receive::<TxSubmission>(&message);
            }
        }
        rig.tick_after(Duration::from_secs(3600));
        rig.half.check_invariants().is_ok()
    }
}
