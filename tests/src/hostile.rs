//! Bytes of those who break rules: segments and messages that are wrong in one place.

use bytes::{BufMut, Bytes, BytesMut};
use samanea_core::base::Choice;

use crate::tape::site;

/// Mini-protocol numbers that exist, and some that do not.
const PROTOCOLS: &[u16] = &[0, 2, 3, 4, 8, 10, 24_577, 1, 5, 24_576, 32_767];

/// Messages that begin something: a handshake, a keep-alive, requests of each protocol.
const MESSAGES: &[&[u8]] = &[
    // Handshake: version 14 and 15 with magic 42, duplex, no sharing.
    &[
        0x82, 0x00, 0xa2, 0x0e, 0x84, 0x18, 0x2a, 0xf4, 0x00, 0xf4, 0x0f, 0x84, 0x18, 0x2a, 0xf4,
        0x00, 0xf4,
    ],
    // Handshake: accepted version 15.
    &[0x83, 0x01, 0x0f, 0x84, 0x18, 0x2a, 0xf4, 0x00, 0xf4],
    // Handshake: a query.
    &[0x82, 0x00, 0xa1, 0x0e, 0x84, 0x18, 0x2a, 0xf4, 0x00, 0xf5],
    // Keep-alive and its answer.
    &[0x82, 0x00, 0x01],
    &[0x82, 0x01, 0x01],
    // One label alone: next request, done, init.
    &[0x81, 0x00],
    &[0x81, 0x01],
    &[0x81, 0x02],
    &[0x81, 0x06],
    &[0x81, 0x07],
    // Find the intersection with the origin.
    &[0x82, 0x04, 0x81, 0x80],
    // A range from origin to origin.
    &[0x83, 0x00, 0x80, 0x80],
    // Ask for three addresses.
    &[0x82, 0x00, 0x03],
    // Ask for ids, blocking.
    &[0x84, 0x00, 0xf5, 0x00, 0x03],
    // No ids, in the indefinite form.
    &[0x82, 0x01, 0x9f, 0xff],
    // Items that never end, break without a beginning, reserved bytes, a huge length.
    &[0x9f],
    &[0xff],
    &[0x1c],
    &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/// One to four segments, mostly well-formed; `mode` is the mode bit that their sender should set.
pub fn bytes(choice: &mut dyn Choice, mode: u32) -> Bytes {
    let mut out = BytesMut::new();
    for _ in 0..=choice.below(site::SESSION, 0, 4) {
        segment(choice, mode, &mut out);
    }
    out.freeze()
}

fn segment(choice: &mut dyn Choice, mode: u32, out: &mut BytesMut) {
    // The handshake comes first everywhere, so it is what a spent tape says.
    let protocol = pick(choice, 1, PROTOCOLS).copied().unwrap_or(0);
    let message = pick(choice, 2, MESSAGES).copied().unwrap_or_default();
    let wrong = choice.below(site::SESSION, 3, 16);
    let mode = if wrong == 1 { 1 - mode } else { mode };
    let mut payload = BytesMut::from(message);
    if wrong == 2 {
        payload.truncate(message.len() / 2);
    }
    if wrong == 3 {
        let len = usize::try_from(choice.below(site::SESSION, 4, 65_536)).unwrap_or(0);
        payload.resize(len, 0x18);
    }
    if wrong == 4 {
        payload.clear();
    }
    if wrong == 5
        && let Some(byte) = payload.first_mut()
    {
        *byte ^= 1 << choice.below(site::SESSION, 5, 8);
    }
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let length = if wrong == 6 {
        length.saturating_add(1 + u16::try_from(choice.below(site::SESSION, 6, 4_096)).unwrap_or(0))
    } else {
        length
    };
    out.put_u32(choice.below(site::SESSION, 7, u32::MAX));
    out.put_u16(protocol | u16::try_from(mode << 15).unwrap_or(0));
    out.put_u16(length);
    out.extend_from_slice(&payload);
}

/// One message that begins something, whole.
pub fn message(choice: &mut dyn Choice) -> Bytes {
    let message = pick(choice, 2, MESSAGES).copied().unwrap_or_default();
    Bytes::from_static(message)
}

fn pick<'a, T>(choice: &mut dyn Choice, of: u64, from: &'a [T]) -> Option<&'a T> {
    let n = u32::try_from(from.len()).unwrap_or(0);
    from.get(usize::try_from(choice.below(site::SESSION, of, n)).unwrap_or(0))
}
