//! Codecs of all protocols: what is read is written and read again as the same.

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::State,
    proto::{
        block_fetch::BlockFetch, chain_sync::ChainSync, handshake::Handshake,
        keep_alive::KeepAlive, peer_sharing::PeerSharing, tip_sample::TipSample,
        tx_submission::TxSubmission,
    },
    wire::{reassembly::Reassembly, scan::Scan},
};

use crate::{speak::Speak, tape::ByteTape};

/// The first byte names the protocol and whether the rest is a message as it travels (after one
/// byte that names the state) or a tape from which messages are drawn.
///
/// # Panics
/// When a law is broken.
pub fn messages(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let body = match first % 7 {
        0 => either::<Handshake>,
        1 => either::<ChainSync>,
        2 => either::<BlockFetch>,
        3 => either::<TxSubmission>,
        4 => either::<KeepAlive>,
        5 => either::<PeerSharing>,
        _ => either::<TipSample>,
    };
    body(first & 0x80 != 0, rest);
}

fn either<P: Speak>(drawn: bool, rest: &[u8]) {
    if drawn {
        all_drawn::<P>(&mut ByteTape::new(rest));
    } else if let Some((&state, message)) = rest.split_first() {
        let states = u8::try_from(P::SPEC.states.len()).unwrap_or(u8::MAX);
        read::<P>(State(state % states.max(1)), message);
    }
}

/// A message that can be read at all reads as the same again, and is one whole item.
fn read<P: Speak>(state: State, bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let whole = Scan::new().feed(&bytes);
    let Ok(message) = P::decode(state, &bytes) else {
        return;
    };
    // Only whole items ever come here: the scanner has found their end before.
    if whole != Ok(Some(bytes.len())) {
        return;
    }
    let kind = P::kind(&message);
    assert!(
        P::SPEC.edge(state, kind).is_some(),
        "read {message:?} in a state without it"
    );
    again::<P>(state, &message);
}

/// Every message that the table has, drawn, reads as itself where the table has it; read in any
/// other state it is refused or is a message of that state.
fn all_drawn<P: Speak>(tape: &mut ByteTape) {
    for edge in P::SPEC.edges {
        let message = P::speak(edge.from, edge.kind, tape);
        if P::kind(&message) == edge.kind {
            again::<P>(edge.from, &message);
        }
        for state in (0..).map(State).take(P::SPEC.states.len()) {
            if let Ok(read) = P::decode(state, &P::bytes(&message)) {
                let edge = P::SPEC.edge(state, P::kind(&read));
                assert!(edge.is_some(), "{read:?} in {state:?}");
            }
        }
    }
}

fn again<P: Speak>(state: State, message: &P::Message) {
    let bytes = P::bytes(message);
    let read = P::decode(state, &bytes);
    assert_eq!(read.as_ref(), Ok(message), "in {state:?}");
    assert_eq!(
        P::bytes(message),
        bytes,
        "written differently the second time"
    );
    // Its end is found where it is, with and without bytes behind it.
    let mut behind = BytesMut::from(&bytes[..]);
    behind.extend_from_slice(&[0x80]);
    let mut reassembly = Reassembly::new();
    reassembly.push(behind.freeze());
    assert_eq!(reassembly.next(usize::MAX), Ok(Some(bytes)));
}
