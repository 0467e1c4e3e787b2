//! Members that are not as they should be.

use samanea_core::{
    proto::rain_link::{Flags, Frame},
    rain::{Action, Event, Priority},
};

/// How a member behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Sound,
    /// Not at all, from the start.
    Dead,
    /// It dies right after it has acknowledged its first payload.
    Dying,
    /// It acknowledges everything, says that it holds everything, and sends nothing on.
    Liar,
}

/// Whether an acknowledgement is among these.
pub(super) fn acknowledges(actions: &[Action]) -> bool {
    let ack = |action: &Action| {
        let Action::Send { frame, .. } = action else {
            return false;
        };
        matches!(frame, Frame::Ack { .. })
    };
    actions.iter().any(ack)
}

/// What is left of them when a member dies just after it: acknowledgements.
pub(super) fn last_words(actions: &mut Vec<Action>) {
    actions.retain(|action| acknowledges(core::slice::from_ref(action)));
}

/// What a liar answers.
pub(super) fn lie(event: Event, out: &mut Vec<Action>) {
    let Event::Received { peer, frame } = event else {
        return;
    };
    let frame = match frame {
        Frame::Data(data) if data.flags.has(Flags::WANT_ACK) => {
            let rules = super::Keyed(peer);
            let id = samanea_core::rain::id::message_id(&data, &rules);
            let ids = [id].into_iter().collect();
            Frame::Ack { ids }
        }
        Frame::Duty(duty) => {
            let ids = [duty.id].into_iter().collect();
            Frame::Ack { ids }
        }
        Frame::Igyw(igyw) => Frame::No {
            ids: igyw.ids,
            proofs: Vec::new(),
        },
        Frame::Digest {
            group,
            reply: false,
            ..
        } => Frame::Digest {
            group,
            reply: true,
            entries: Vec::new(),
        },
        _ => return,
    };
    out.push(Action::Send {
        peer,
        frame,
        priority: Priority::Control,
    });
}
