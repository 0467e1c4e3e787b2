//! The lists of legal transitions against a second transcription, and which of them our table
//! can show at all.

use alloc::{collections::BTreeSet, vec::Vec};

use super::super::{
    Heat::{self, Cold, Hot, Idle, Warm},
    REMOTE_TRANSITIONS,
    State::{self, *},
    TRANSITIONS, is_legal, is_legal_remote,
};

/// The checker's rows by its own numbers, but for "any to Terminated" (40) and "any to Unknown"
/// (41). src: ouroboros-network, `verifyAbstractTransition`
const ROWS: &[(&str, State, &[State])] = &[
    ("1", Terminated, &[ReservedOutbound]),
    ("2", Unknown, &[ReservedOutbound]),
    ("3", ReservedOutbound, &[UnnegotiatedOutbound]),
    (
        "4, 5",
        UnnegotiatedOutbound,
        &[OutboundUni, OutboundDupTicking],
    ),
    ("5b", UnnegotiatedOutbound, &[Terminating]),
    ("5b", UnnegotiatedInbound, &[Terminating]),
    ("6", OutboundUni, &[OutboundIdleUni]),
    ("7", OutboundDupTicking, &[OutboundDupExpired]),
    ("8", OutboundDupExpired, &[OutboundIdleDup]),
    ("9", OutboundIdleUni, &[OutboundIdleUni]),
    ("9", OutboundIdleDup, &[OutboundIdleDup]),
    ("10", OutboundDupTicking, &[InboundIdleDup]),
    ("11", InboundIdleDup, &[OutboundDupTicking]),
    ("12", OutboundDupTicking, &[Duplex]),
    ("13", OutboundDupExpired, &[Duplex]),
    ("14", OutboundDupTicking, &[OutboundDupTicking]),
    ("14", OutboundDupExpired, &[OutboundDupExpired]),
    ("15", InboundDup, &[Duplex]),
    ("16, 17", Duplex, &[OutboundDupTicking, InboundDup]),
    ("18", Terminated, &[UnnegotiatedInbound]),
    ("19", Unknown, &[UnnegotiatedInbound]),
    ("20", ReservedOutbound, &[UnnegotiatedInbound]),
    (
        "21, 22",
        UnnegotiatedInbound,
        &[InboundIdleDup, InboundIdleUni],
    ),
    (
        "23, 24, 25",
        InboundIdleDup,
        &[InboundIdleDup, InboundDup, Terminating],
    ),
    ("26", InboundDup, &[InboundIdleDup]),
    ("27, 28", InboundIdleUni, &[InboundUni, Terminating]),
    ("29", InboundUni, &[InboundIdleUni]),
    ("30", OutboundIdleDup, &[InboundDup]),
    ("36", UnnegotiatedOutbound, &[UnnegotiatedInbound]),
    ("37", UnnegotiatedInbound, &[UnnegotiatedOutbound]),
    ("38", OutboundIdleUni, &[Terminating]),
    ("38", OutboundIdleDup, &[Terminating]),
    ("39", Terminating, &[Terminated]),
    ("42", Terminating, &[UnnegotiatedInbound]),
    (
        "43, 44",
        UnnegotiatedOutbound,
        &[InboundIdleDup, InboundIdleUni],
    ),
    ("45", InboundIdleUni, &[OutboundUni]),
];

/// The checker's rows for a peer's use.
/// src: ouroboros-network, `verifyRemoteTransition`
const REMOTE_ROWS: &[(Option<Heat>, &[Option<Heat>])] = &[
    (None, &[Some(Idle), None]),
    (
        Some(Idle),
        &[Some(Warm), Some(Hot), Some(Cold), None, Some(Idle)],
    ),
    (Some(Cold), &[Some(Warm), Some(Hot), None, Some(Cold)]),
    (Some(Warm), &[Some(Hot), Some(Idle), None, Some(Warm)]),
    (Some(Hot), &[Some(Warm), Some(Idle), None]),
];

/// What the reference's tests must reach and ours too.
/// src: ouroboros-network, coverage of connection manager transitions
pub(super) const COVERED: &[(State, State)] = &[
    (Unknown, ReservedOutbound),
    (ReservedOutbound, UnnegotiatedOutbound),
    (UnnegotiatedOutbound, OutboundUni),
    (UnnegotiatedOutbound, OutboundDupTicking),
    (OutboundUni, OutboundIdleUni),
    (OutboundDupTicking, OutboundDupExpired),
    (OutboundDupTicking, InboundIdleDup),
    (InboundIdleDup, OutboundDupTicking),
    (OutboundDupTicking, Duplex),
    (InboundDup, Duplex),
    (Duplex, OutboundDupTicking),
    (Duplex, InboundDup),
    (Unknown, UnnegotiatedInbound),
    (UnnegotiatedInbound, InboundIdleDup),
    (UnnegotiatedInbound, InboundIdleUni),
    (InboundIdleDup, InboundDup),
    (Terminating, Terminated),
];

/// What else our table shows: the rows that the reference does not demand, and every state to
/// its end.
pub(super) const ALSO: &[(State, State)] = &[
    (UnnegotiatedInbound, Terminating),
    (OutboundDupExpired, OutboundIdleDup),
    (OutboundDupExpired, Duplex),
    (InboundIdleDup, Terminating),
    (InboundDup, InboundIdleDup),
    (InboundIdleUni, InboundUni),
    (InboundIdleUni, Terminating),
    (InboundUni, InboundIdleUni),
    (OutboundIdleDup, InboundDup),
    (OutboundIdleUni, Terminating),
    (OutboundIdleDup, Terminating),
    (ReservedOutbound, Terminated),
    (UnnegotiatedOutbound, Terminated),
    (UnnegotiatedInbound, Terminated),
    (OutboundUni, Terminated),
    (OutboundDupTicking, Terminated),
    (OutboundDupExpired, Terminated),
    (OutboundIdleUni, Terminated),
    (OutboundIdleDup, Terminated),
    (InboundIdleUni, Terminated),
    (InboundIdleDup, Terminated),
    (InboundUni, Terminated),
    (InboundDup, Terminated),
    (Duplex, Terminated),
    (Terminated, Unknown),
];

/// Legal, and never seen here: a serial names one socket for life, so an accepted one takes
/// nothing over from a dial (20, 36) or from what is remembered (1, 18, 42), a dial nothing from
/// an accepted one (37, 43, 44, 45); a refused client is gone at once (5b); and what stays the
/// same is not told (9, 14, 23).
/// deviates: both ends of a connection to ourselves live under serials of their own.
pub(super) const NEVER: &[(State, State)] = &[
    (Terminated, ReservedOutbound),
    (Terminated, UnnegotiatedInbound),
    (ReservedOutbound, UnnegotiatedInbound),
    (UnnegotiatedOutbound, UnnegotiatedInbound),
    (UnnegotiatedInbound, UnnegotiatedOutbound),
    (Terminating, UnnegotiatedInbound),
    (UnnegotiatedOutbound, InboundIdleDup),
    (UnnegotiatedOutbound, InboundIdleUni),
    (InboundIdleUni, OutboundUni),
    (UnnegotiatedOutbound, Terminating),
    (OutboundIdleUni, OutboundIdleUni),
    (OutboundIdleDup, OutboundIdleDup),
    (OutboundDupTicking, OutboundDupTicking),
    (OutboundDupExpired, OutboundDupExpired),
    (InboundIdleDup, InboundIdleDup),
];

/// The reference's coverage list for a peer's use, and what else ours shows.
pub(super) const REMOTE_COVERED: &[(Option<Heat>, Option<Heat>)] = &[
    (None, Some(Idle)),
    (Some(Idle), Some(Warm)),
    (Some(Warm), Some(Hot)),
    (Some(Hot), Some(Warm)),
    (Some(Warm), Some(Idle)),
    (Some(Idle), Some(Cold)),
    (Some(Idle), None),
    (Some(Cold), None),
    (Some(Warm), None),
    (Some(Hot), None),
    (Some(Cold), Some(Warm)),
];

/// Legal and never seen: a first hot responder passes through warm and a last one too; who is
/// not tracked is not told of; and what stays the same is not told.
pub(super) const REMOTE_NEVER: &[(Option<Heat>, Option<Heat>)] = &[
    (None, None),
    (Some(Idle), Some(Hot)),
    (Some(Cold), Some(Hot)),
    (Some(Hot), Some(Idle)),
    (Some(Idle), Some(Idle)),
    (Some(Cold), Some(Cold)),
    (Some(Warm), Some(Warm)),
];

#[test]
fn the_transitions_are_those_of_the_reference_row_by_row() {
    let rows: BTreeSet<(State, State)> = ROWS
        .iter()
        .flat_map(|(_, from, tos)| tos.iter().map(|to| (*from, *to)))
        .collect();
    let ours: BTreeSet<(State, State)> = TRANSITIONS.into_iter().collect();
    assert_eq!(ours.len(), TRANSITIONS.len(), "no row twice");
    assert_eq!(ours, rows);
    assert_eq!(rows.len(), 43);
}

#[test]
fn every_pair_of_states_is_legal_or_not_as_the_rows_say() {
    let mut legal = 0;
    for from in State::ALL {
        for to in State::ALL {
            let expected = match to {
                Terminated => from != Terminated,
                Unknown => from != Unknown,
                _ => ROWS
                    .iter()
                    .any(|(_, f, tos)| *f == from && tos.contains(&to)),
            };
            assert_eq!(is_legal(from, to), expected, "{from:?} to {to:?}");
            legal += u32::from(expected);
        }
    }
    // One of the rows leads to Terminated itself.
    assert_eq!(legal, 43 - 1 + 15 + 15);
    let distinct: BTreeSet<State> = State::ALL.into_iter().collect();
    assert_eq!(distinct.len(), State::ALL.len());
}

#[test]
fn the_changes_of_a_peers_use_are_those_of_the_reference_row_by_row() {
    let every = [None, Some(Idle), Some(Cold), Some(Warm), Some(Hot)];
    let mut legal = 0;
    for from in every {
        for to in every {
            let expected = REMOTE_ROWS
                .iter()
                .any(|(f, tos)| *f == from && tos.contains(&to));
            assert_eq!(is_legal_remote(from, to), expected, "{from:?} to {to:?}");
            legal += usize::from(expected);
        }
    }
    assert_eq!(legal, REMOTE_TRANSITIONS.len());
    assert!(!is_legal_remote(Some(Warm), Some(Cold)) && !is_legal_remote(Some(Hot), Some(Cold)));
}

#[test]
fn every_legal_transition_is_either_shown_or_said_never_to_come() {
    let shown: Vec<(State, State)> = [COVERED, ALSO].concat();
    for pair in TRANSITIONS {
        let (shown, never) = (shown.contains(&pair), NEVER.contains(&pair));
        assert!(shown != never, "{pair:?}: shown {shown}, never {never}");
    }
    assert!(
        shown
            .iter()
            .chain(NEVER)
            .all(|(from, to)| is_legal(*from, *to))
    );
    for pair in REMOTE_TRANSITIONS {
        let (shown, never) = (REMOTE_COVERED.contains(&pair), REMOTE_NEVER.contains(&pair));
        assert!(shown != never, "{pair:?}: shown {shown}, never {never}");
    }
}

/// Each state counts where the reference counts it.
/// src: ouroboros-network, `connectionStateToCounters`
#[test]
fn each_state_counts_where_the_reference_counts_it() {
    // State, inbound, outbound, duplex, one way.
    let rows: [(State, bool, bool, bool, bool); 16] = [
        (Unknown, false, false, false, false),
        (ReservedOutbound, false, false, false, false),
        (UnnegotiatedOutbound, false, true, false, false),
        (UnnegotiatedInbound, true, false, false, false),
        (OutboundUni, false, true, false, true),
        (OutboundDupTicking, false, true, true, false),
        (OutboundDupExpired, false, true, true, false),
        (OutboundIdleUni, false, true, false, true),
        (OutboundIdleDup, false, true, true, false),
        (InboundIdleUni, true, false, false, true),
        (InboundIdleDup, true, false, true, false),
        (InboundUni, true, false, false, true),
        (InboundDup, true, false, true, false),
        (Duplex, true, true, true, false),
        (Terminating, false, false, false, false),
        (Terminated, false, false, false, false),
    ];
    for ((state, inbound, outbound, duplex, one_way), expected) in rows.into_iter().zip(State::ALL)
    {
        assert_eq!(state, expected);
        assert_eq!(state.is_inbound(), inbound, "{state:?}");
        assert_eq!(state.is_outbound(), outbound, "{state:?}");
        assert_eq!(state.is_duplex(), duplex, "{state:?}");
        assert_eq!(state.is_unidirectional(), one_way, "{state:?}");
    }
}
