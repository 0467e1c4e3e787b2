use std::vec::Vec;

use super::*;
use crate::base::{First, NoRules};

const CLIENT: HalfId = HalfId {
    protocol: ProtocolId(2),
    role: Role::Initiator,
};
const SERVER: HalfId = HalfId {
    protocol: ProtocolId(2),
    role: Role::Responder,
};

fn step(mux: &mut Mux, now: Instant, event: Event) -> Vec<Action> {
    let mut out = Vec::new();
    mux.step(&mut Cx::new(now, &mut First, &NoRules, &mut out), event);
    mux.check_invariants().unwrap();
    out
}

#[test]
fn a_message_arrives_at_the_other_half() {
    let (mut a, mut b) = (Mux::new(&Config::default()), Mux::new(&Config::default()));
    a.register(CLIENT, 1_000);
    b.register(SERVER, 1_000);
    let message = Encoded {
        head: Bytes::from_static(b"\x81\x00"),
        body: Bytes::new(),
    };
    let sent = step(
        &mut a,
        Instant::ZERO,
        Event::Send {
            half: CLIENT,
            message,
        },
    );
    assert_eq!(sent, []);
    let turn = step(&mut a, Instant::from_micros(7), Event::Turn);
    let [Action::Write(batch)] = &turn[..] else {
        panic!("{turn:?}");
    };
    assert_eq!(
        &batch[..],
        [Bytes::from_static(b"\0\0\0\x07\0\x02\0\x02\x81\x00")]
    );
    let got = step(&mut b, Instant::ZERO, Event::Received(batch[0].clone()));
    assert_eq!(got, [Action::Ready(SERVER)]);
    assert_eq!(b.take(SERVER).collect::<Vec<_>>(), [&b"\x81\x00"[..]]);
    assert_eq!(b.waiting(SERVER), 0);
}
