//! What is seen on the way through a scope, and what must not be.

use samanea_core::{
    proto::rain_link::Frame,
    rain::{Action, Misdeed, Notice, Rain},
};

/// Something that can be seen sometimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A chain went on past a custodian that was lost.
    ReArmed,
    /// A custodian was silent for long and given up.
    GivenUp,
    /// A late answer was served.
    ServedLate,
    /// Somebody passed over was asked.
    AskedPassed,
    /// Somebody told another to wait.
    Waits,
    /// Who was told to wait was asked in its turn.
    AskedInTurn,
    /// Who was told to wait was told that it came from elsewhere.
    ToldNo,
    /// A copy came for nothing.
    Twice,
    /// A member dialled another.
    Dialled,
    /// A payload came by a chain.
    ByChain,
}

/// The names of the marks, in order.
pub(super) const NAMES: [&str; 10] = [
    "a chain goes on past a lost holder",
    "a silent holder is given up",
    "a late answer is served",
    "somebody passed over is asked",
    "somebody is told to wait",
    "who waits is asked in turn",
    "who waits is told no",
    "a copy comes for nothing",
    "a member dials",
    "a chain brings the message",
];

impl Mark {
    const fn bit(self) -> u16 {
        1 << self as u16
    }

    pub(super) const fn bit128(self) -> u128 {
        1 << self as u16
    }
}

/// What a member was before a step, as far as it matters to what is seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    rearmed: u64,
    duplicates: u64,
    by_chain: u64,
}

impl Before {
    pub(super) fn of(rain: &Rain) -> Self {
        let stats = rain.stats();
        Self {
            rearmed: stats.rearmed,
            duplicates: stats.duplicates,
            by_chain: stats.by_chain,
        }
    }

    /// What a step shows: after it, what it was about (`None` for ticks), and what it asks for.
    pub(super) fn marks(self, rain: &Rain, heard: Option<&Frame>, out: &[Action]) -> u16 {
        let stats = rain.stats();
        let mut marks = 0;
        let mut see = |mark: Mark, seen: bool| {
            if seen {
                marks |= mark.bit();
            }
        };
        let rearmed = stats.rearmed > self.rearmed;
        see(Mark::ReArmed, rearmed);
        let suspects = |action: &Action| matches!(action, Action::Notice(Notice::Suspected { .. }));
        let ticks = heard.is_none();
        see(Mark::GivenUp, rearmed && ticks && out.iter().any(suspects));
        see(Mark::Twice, stats.duplicates > self.duplicates);
        see(Mark::ByChain, stats.by_chain > self.by_chain);
        for action in out {
            let Action::Send { peer, frame, .. } = action else {
                see(Mark::Dialled, matches!(action, Action::Dial { .. }));
                continue;
            };
            let passed = || is_passed(rain, peer);
            match (heard, frame) {
                (Some(Frame::Yes { .. }), Frame::Data(_)) => see(Mark::ServedLate, passed()),
                (_, Frame::Igyw(_)) => see(Mark::AskedPassed, passed()),
                (_, Frame::Wait { .. }) => see(Mark::Waits, true),
                (Some(Frame::Igyw(_)), Frame::Yes { .. } | Frame::No { .. }) => {}
                (_, Frame::Yes { .. }) => see(Mark::AskedInTurn, true),
                (_, Frame::No { .. }) => see(Mark::ToldNo, true),
                _ => {}
            }
        }
        marks
    }
}

fn is_passed(rain: &Rain, peer: &samanea_core::base::MemberKey) -> bool {
    let group = super::locals::group();
    let seat = rain.view(&group).and_then(|view| view.seat(peer));
    let mut looks = rain.held().filter_map(|id| rain.look(id));
    seat.is_some_and(|seat| looks.any(|look| look.passed.contains(&seat)))
}

/// What an honest member among honest ones must not ask for.
pub(super) fn wrong(action: &Action) -> Option<String> {
    match action {
        // Who wanted a payload and ended before it took it.
        Action::Notice(Notice::Misdeed {
            what: Misdeed::Unreliable,
            ..
        }) => None,
        Action::Notice(Notice::Misdeed { .. } | Notice::Equivocation { .. }) => {
            Some(format!("{action:?}"))
        }
        _ => None,
    }
}
