//! What all halves do with their session: speak, listen, give up.

use bytes::Bytes;

use super::{Action, Fault, Protocol, session::Session};
use crate::base::Cx;

/// Sends `message` when it is our turn and the table has it; says whether it went.
pub(super) fn say<P: Protocol, F>(
    session: &mut Session<P>,
    cx: &mut Cx<'_, Action<F>>,
    message: &P::Message,
) -> bool {
    let Some(turn) = session.turn() else {
        return false;
    };
    match turn.send(cx.now, cx.choice, message) {
        Ok(encoded) => {
            cx.act(Action::Send(encoded));
            true
        }
        Err(_) => false,
    }
}

/// Takes a message of the peer; a fault is reported and ends the session.
pub(super) fn hear<P: Protocol, F>(
    session: &mut Session<P>,
    cx: &mut Cx<'_, Action<F>>,
    bytes: &Bytes,
) -> Option<P::Message> {
    match session.receive(cx.now, cx.choice, bytes) {
        Ok(message) => Some(message),
        Err(fault) => {
            cx.act(Action::Failed(fault));
            None
        }
    }
}

/// Ends the session for what the peer did.
pub(super) fn fail<P: Protocol, F>(
    session: &mut Session<P>,
    cx: &mut Cx<'_, Action<F>>,
    fault: Fault,
) {
    cx.act(Action::Failed(session.fail(fault)));
}

/// Ends the session when the peer's time is up.
pub(super) fn tick<P: Protocol, F>(session: &mut Session<P>, cx: &mut Cx<'_, Action<F>>) {
    if let Some(fault) = session.expired(cx.now) {
        cx.act(Action::Failed(fault));
    }
}
