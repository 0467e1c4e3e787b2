//! What single steps achieve: opportunities that are taken, addresses that are learned.

use core::net::SocketAddr;
use std::collections::BTreeSet;

use samanea_core::governor::{Action, Event, Notice, Source, Targets, Trace};

use super::{
    laws::Law,
    picture::Picture,
    run::Report,
    world::{Stage, World},
};

/// What a peer tells is known afterwards, as far as it is wanted.
pub(super) fn shared(
    report: &mut Report<'_>,
    world: &World<'_>,
    event: &Event,
    actions: &[Action],
    before: &Picture,
    after: &Picture,
) {
    let Event::Shared { peer, peers } = event else {
        return;
    };
    let result = actions.iter().find_map(|action| match action {
        Action::Notice(Notice::Trace(Trace::ShareResult { taken, .. })) => Some(*taken),
        _ => None,
    });
    let Some(taken) = result else {
        report.seen.mark("an answer comes too late");
        return;
    };
    let fits = |addr: &&SocketAddr| {
        // Who lied, or was let go and is not cold yet, is not taken.
        let line = world.line(addr);
        let free = line
            .is_none_or(|line| line.offences == 0 && !(line.released && line.stage != Stage::Cold));
        world.is_public(addr) && !before.peers.contains_key(*addr) && free
    };
    let fit: BTreeSet<&SocketAddr> = peers.iter().filter(fits).collect();
    let all = fit.iter().all(|addr| after.peers.contains_key(*addr));
    // What was in force when the answer came: the step may change it afterwards.
    let full = after.counters.ordinary.known >= after.targets.known
        || before.counters.ordinary.known >= before.targets.known;
    if !fit.is_empty() {
        report.holds(Law::SharesTaken, all || full, || {
            format!("{peer} told of {fit:?}, {taken} were taken")
        });
    }
}

/// All targets that were in force within a step.
pub(super) fn aims(actions: &[Action], before: &Picture, after: &Picture) -> Vec<Targets> {
    let mut aims = vec![before.targets, after.targets];
    for action in actions {
        if let Action::Notice(Notice::Trace(Trace::TargetsChanged { old, new })) = action {
            aims.extend([*old, *new]);
        }
    }
    aims
}

/// Counts the opportunities that were taken: nobody was overlooked there.
pub(super) fn acted_on(
    report: &mut Report<'_>,
    actions: &[Action],
    before: &Picture,
    after: &Picture,
) {
    let source = |peer: &SocketAddr| {
        let explained = after.peers.get(peer).or_else(|| before.peers.get(peer));
        explained.map(|explained| (explained.source, explained.kept))
    };
    for action in actions {
        let (peer, [local, big, other]) = match action {
            Action::Establish { peer, .. } => (
                peer,
                [
                    Law::GroupWarm,
                    Law::BigEstablishedBelow,
                    Law::EstablishedBelow,
                ],
            ),
            Action::Activate { peer } => {
                (peer, [Law::GroupHot, Law::BigActiveBelow, Law::ActiveBelow])
            }
            Action::Deactivate { peer } => (
                peer,
                [Law::GroupCool, Law::BigActiveAbove, Law::ActiveAbove],
            ),
            Action::Close { peer } => (
                peer,
                [
                    Law::OnlyTrusted,
                    Law::BigEstablishedAbove,
                    Law::EstablishedAbove,
                ],
            ),
            Action::AskPeers { .. } => {
                report.seen.case(Law::Asks, 1);
                continue;
            }
            Action::Resolve { .. } => {
                report.seen.case(Law::Names, 1);
                continue;
            }
            Action::Notice(Notice::Trace(Trace::Forgotten { source, .. })) => {
                let is_big = *source == Source::Big;
                let law = [Law::KnownAbove, Law::BigKnownAbove][usize::from(is_big)];
                report.seen.case(law, 1);
                continue;
            }
            Action::Notice(Notice::Trace(Trace::RootsRequest { big, .. })) => {
                let law = [Law::Roots, Law::BigRoots][usize::from(*big)];
                report.seen.case(law, 1);
                continue;
            }
            _ => continue,
        };
        match source(peer) {
            Some((Source::Local, true)) => report.seen.case(Law::Kept, 1),
            Some((Source::Local, false)) => report.seen.case(local, 1),
            Some((Source::Big, _)) => report.seen.case(big, 1),
            Some(_) => report.seen.case(other, 1),
            None => {}
        }
    }
}

/// Nobody is promoted beyond a target, local roots aside.
pub(super) fn overshoot(
    report: &mut Report<'_>,
    actions: &[Action],
    before: &Picture,
    after: &Picture,
) {
    let aims = aims(actions, before, after);
    let most = |of: fn(&Targets) -> u32| aims.iter().map(of).max().unwrap_or(0);
    for action in actions {
        let (peer, hot) = match action {
            Action::Establish { peer, .. } => (peer, false),
            Action::Activate { peer } => (peer, true),
            _ => continue,
        };
        let Some(explained) = after.peers.get(peer) else {
            continue;
        };
        // It may have become another kind of peer within the step.
        let promoted = actions.iter().any(|action| {
            let Action::Notice(Notice::Trace(
                Trace::PromoteCold { peer: p, source } | Trace::PromoteWarm { peer: p, source },
            )) = action
            else {
                return false;
            };
            p == peer && *source == explained.source
        });
        if !promoted {
            continue;
        }
        let (count, established, active) = match explained.source {
            Source::Local => continue,
            Source::Big => (
                after.counters.big,
                most(|targets| targets.established_big),
                most(|targets| targets.active_big),
            ),
            _ => (
                after.counters.ordinary,
                most(|targets| targets.established),
                most(|targets| targets.active),
            ),
        };
        let (have, want) = if hot {
            (count.active + count.warm_promotions, active)
        } else {
            (count.established + count.cold_promotions, established)
        };
        report.holds(Law::NoOvershoot, have <= want, || {
            format!("{action:?} makes {have} of {want}")
        });
    }
}
