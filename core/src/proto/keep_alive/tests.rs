use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::{
    CLIENT, Client, KEEP_ALIVE, KeepAlive, Message, RESPONSE, SERVER, Server, client::Fact,
};
use crate::{
    base::Kind,
    proto::{
        Action, Event, Fault, Half, Protocol,
        rig::{Duel, Rig},
        testing::{encode, every_cell},
    },
    wire::Encoded,
};

const SECOND: Duration = Duration::from_secs(1);

fn sample(kind: Kind) -> Message {
    match kind {
        KEEP_ALIVE => Message::KeepAlive(12_345),
        RESPONSE => Message::Response(65_535),
        _ => Message::Done,
    }
}

/// The one message among these actions.
fn sent(actions: &[Action<Fact>]) -> Message {
    let [Action::Send(Encoded { head, .. })] = actions else {
        panic!("not one message: {actions:?}");
    };
    let decoded = [CLIENT, SERVER].map(|state| KeepAlive::decode(state, head));
    decoded.into_iter().find_map(Result::ok).unwrap()
}

fn probing() -> (Rig<Client>, u16) {
    let mut rig = Rig::new(Client::new(1));
    let Message::KeepAlive(cookie) = sent(&rig.step(Event::Start)) else {
        panic!("not a probe");
    };
    (rig, cookie)
}

#[test]
fn every_cell_of_the_table_decodes_exactly_if_it_has_an_edge() {
    assert_eq!(every_cell::<KeepAlive>(sample), 3 * 3);
}

#[test]
fn every_other_message_fails_in_every_state() {
    let (client, _) = probing();
    let server = Rig::started(Server::new(1));
    let refused = client.refuses_the_rest::<KeepAlive>(SERVER, sample)
        + server.refuses_the_rest::<KeepAlive>(CLIENT, sample);
    assert_eq!(refused, 3);
}

#[test]
fn limits_hold_for_both_ends() {
    let (client, _) = probing();
    client.clone().takes_at_most(65_535);
    client.times_out(SERVER, 60 * SECOND);
    let server = Rig::started(Server::new(1));
    server.clone().takes_at_most(65_535);
    server.times_out(CLIENT, 97 * SECOND);
}

#[test]
fn a_probe_goes_out_at_once_and_ten_seconds_after_each_answer() {
    let (mut rig, cookie) = probing();
    rig.wait(3 * SECOND);
    let facts = rig.receive::<KeepAlive>(&Message::Response(cookie));
    assert_eq!(facts, [Action::Fact(Fact::RoundTrip(3 * SECOND))]);
    assert_eq!(rig.half.awaits(), None, "what comes now stays where it is");
    assert_eq!(rig.tick_after(9 * SECOND), []);
    let probe = sent(&rig.tick_after(SECOND));
    assert!(matches!(probe, Message::KeepAlive(_)));
    rig.times_out(SERVER, 60 * SECOND);
}

#[test]
fn a_late_tick_sends_one_probe() {
    let (mut rig, cookie) = probing();
    rig.receive::<KeepAlive>(&Message::Response(cookie));
    let probe = sent(&rig.tick_after(1_000 * SECOND));
    assert!(matches!(probe, Message::KeepAlive(_)));
    assert_eq!(rig.step(Event::Tick), []);
}

#[test]
fn another_cookie_is_a_fault() {
    let (mut rig, sent) = probing();
    let got = sent.wrapping_add(1);
    let out = rig.receive::<KeepAlive>(&Message::Response(got));
    assert_eq!(out, [Action::Failed(Fault::Cookie { sent, got })]);
}

#[test]
fn stop_says_goodbye_at_once_or_after_the_answer_that_is_due() {
    let (mut rig, cookie) = probing();
    let mut resting = rig.clone();
    assert_eq!(rig.step(Event::Stop), []);
    let out = rig.receive::<KeepAlive>(&Message::Response(cookie));
    assert!(matches!(
        out[..],
        [Action::Fact(_), Action::Send(_), Action::Ended]
    ));
    resting.receive::<KeepAlive>(&Message::Response(cookie));
    let out = resting.step(Event::Stop);
    assert!(matches!(out[..], [Action::Send(_), Action::Ended]));
}

#[test]
fn the_server_gives_the_cookie_back_and_waits_anew() {
    let mut rig = Rig::started(Server::new(1));
    for cookie in [0, 23, 24, 255, 256, u16::MAX] {
        rig.wait(96 * SECOND);
        let out = rig.receive::<KeepAlive>(&Message::KeepAlive(cookie));
        let head = encode::<KeepAlive>(&Message::Response(cookie));
        let body = bytes::Bytes::new();
        assert_eq!(out, [Action::Send(Encoded { head, body })]);
    }
    assert_eq!(rig.step(Event::Stop), [], "only the client can end it");
    assert_eq!(rig.receive::<KeepAlive>(&Message::Done), [Action::Ended]);
}

proptest! {
    /// However long messages travel and ticks are late within the limits, no one fails and the
    /// round-trip times are those of the probes.
    #[test]
    fn legal_exchanges_never_fault(spans in proptest::collection::vec((0_u64..29, 0_u64..29, 0_u64..30), 1..50)) {
        let (mut duel, _) = Duel::new(Client::new(7), Server::new(7));
        let mut trips = Vec::new();
        for (up, down, late) in &spans {
            duel.wait(Duration::from_secs(*up));
            prop_assert!(duel.deliver_up().is_empty());
            duel.wait(Duration::from_secs(*down));
            trips.extend(duel.deliver_down());
            duel.wait(Client::PERIOD + Duration::from_secs(*late));
            duel.client_step(Event::Tick);
            duel.server_step(Event::Tick);
        }
        let want: Vec<_> = spans
            .iter()
            .map(|(up, down, _)| Fact::RoundTrip(Duration::from_secs(up + down)))
            .collect();
        prop_assert_eq!(trips, want);
    }

    /// Any bytes but the answer that is due fail the client, and nothing panics.
    #[test]
    fn illegal_bytes_always_fault(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
        let (rig, cookie) = probing();
        prop_assume!(KeepAlive::decode(SERVER, &bytes.clone().into()) != Ok(Message::Response(cookie)));
        let out = rig.clone().step(Event::Received(bytes.into()));
        prop_assert!(matches!(out[..], [Action::Failed(_)]));
    }
}
