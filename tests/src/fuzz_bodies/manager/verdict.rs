//! What must become of an accepted connection, and in which order victims fall.

use core::net::{IpAddr, SocketAddr};

use samanea_core::{
    base::{ListenerId, Serial},
    manager::{Action, Config, Event, Provenance, Refusal, State, Trace, Victims},
};

use super::watch::Watch;

/// What is expected of an accepted connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    listener: ListenerId,
    remote: SocketAddr,
    refusal: Option<Refusal>,
}

/// What must be said to an event, should it be an accepted connection.
pub(super) fn of(watch: &Watch, event: &Event) -> Option<Verdict> {
    let Event::Accepted {
        listener,
        local,
        remote,
    } = *event
    else {
        return None;
    };
    Some(Verdict {
        listener,
        remote,
        refusal: refusal(watch, listener, local, remote),
    })
}

fn refusal(
    watch: &Watch,
    listener: ListenerId,
    local: SocketAddr,
    remote: SocketAddr,
) -> Option<Refusal> {
    if watch.stopping || !watch.doors.is_asked(listener) {
        return Some(Refusal::Unasked);
    }
    let over = |conn: &Serial| watch.conns[conn].state == State::Terminating;
    let dead = watch.with_id(remote, local);
    // The other end of a connection to ourselves lives on.
    let dead = dead.filter(|conn| local != remote || over(conn));
    let others = || watch.conns.iter().filter(|(conn, _)| Some(**conn) != dead);
    let hard = watch.limits.hard;
    let inbound = others().filter(|(_, conn)| conn.state.is_inbound());
    let inbound = inbound.count();
    if inbound >= hard as usize {
        return Some(Refusal::HardLimit(hard));
    }
    let ip = remote.ip().to_canonical();
    let expected = watch.reserved.contains(&ip);
    let wanted = u32::try_from(watch.reserved.len()).expect("few");
    let kept = wanted.min(watch.config.reserved_max).min(hard / 2);
    if !expected && inbound >= (hard - kept) as usize {
        return Some(Refusal::Reserved(kept));
    }
    let max = watch.config.prefixes.max;
    if max > 0 && !ip.is_loopback() && !watch.exempt.contains(&ip) && !expected {
        let near = others().filter(|(_, conn)| {
            let inbound = conn.provenance == Provenance::Inbound && conn.has_socket();
            inbound && same_source(&watch.config, conn.remote.ip(), ip)
        });
        if near.count() >= max as usize {
            return Some(Refusal::Prefix(max));
        }
    }
    let of_remote = || others().filter(|(_, conn)| conn.listed && conn.remote == remote);
    let max = watch.config.locals_max;
    if dead.is_none() && of_remote().count() >= max {
        return Some(Refusal::Locals(u32::try_from(max).expect("few")));
    }
    let max = watch.config.entries_max;
    let full = watch.conns.len() >= max && !watch.conns.keys().any(over);
    full.then(|| Refusal::Table(u32::try_from(max).expect("few")))
}

/// Whether two addresses agree in the leading bits that make a source.
fn same_source(config: &Config, a: IpAddr, b: IpAddr) -> bool {
    let (a, b) = (a.to_canonical(), b.to_canonical());
    let same = |a: &[u8], b: &[u8], bits: u8| {
        (0..usize::from(bits)).all(|at| (a[at / 8] ^ b[at / 8]) & (0x80 >> (at % 8)) == 0)
    };
    let prefixes = &config.prefixes;
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(&a.octets(), &b.octets(), prefixes.v4_bits.min(32)),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(&a.octets(), &b.octets(), prefixes.v6_bits.min(128)),
        _ => false,
    }
}

/// An accepted connection is adopted or reset, once, and for the reason that was expected.
pub(super) fn check(watch: &Watch, expected: Option<Verdict>, said: &[Action]) {
    let mut said = said.iter();
    let Some(Verdict {
        listener,
        remote,
        refusal,
    }) = expected
    else {
        let unasked = said.any(|a| matches!(a, Action::Adopt { .. } | Action::Reset { .. }));
        return assert!(!unasked, "a verdict that nobody waits for");
    };
    let mut verdicts = 0;
    for action in said {
        match action {
            Action::Adopt {
                listener: at,
                remote: of,
                ..
            } => {
                assert!(
                    refusal.is_none(),
                    "{remote} is adopted, not refused: {refusal:?}"
                );
                assert_eq!((*at, *of), (listener, remote));
                verdicts += 1;
            }
            Action::Reset {
                listener: at,
                remote: of,
            } => {
                assert_eq!((*at, *of), (listener, remote));
                verdicts += 1;
            }
            Action::Trace(Trace::Refused { refusal: why, .. }) if refusal.is_none() => {
                // Who waited for the place that was made has taken it.
                let full = watch.conns.len() >= watch.config.entries_max;
                assert!(full && matches!(why, Refusal::Table(_)), "refused: {why}");
            }
            Action::Trace(Trace::Refused { refusal: why, .. }) => {
                assert_eq!(Some(*why), refusal);
            }
            _ => {}
        }
    }
    assert_eq!(verdicts, 1, "one verdict on {remote}");
}

/// In which order inbound connections are reset: the lowest first. Of those with the same rank
/// any may be.
pub(super) fn rank(config: &Config, state: State, provenance: Provenance) -> u8 {
    if config.victims == Victims::Random {
        return u8::from(state == State::Duplex);
    }
    let ours = u8::from(provenance == Provenance::Outbound);
    match state {
        State::UnnegotiatedInbound => 0,
        State::InboundIdleUni => 1,
        State::InboundIdleDup => 2 + ours,
        State::InboundUni => 4,
        State::InboundDup => 5 + ours,
        _ => 7 + ours,
    }
}
