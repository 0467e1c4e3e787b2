//! What must hold in every state, and what must be seen.
//!
//! The invariants of the reference are judged by what the governor explains of each peer, not by
//! its own counts.
//! src: ouroboros-network, `assertPeerSelectionState`

use samanea_core::{
    base::Machine as _,
    governor::{Action, Count, Explanation, Governor, Notice, Source, Status, Temperature, Trace},
};

use super::{Fall, LOCAL, Scope, World, world::Stage};
use crate::governor::address;

/// What can be seen, a bit each.
pub(super) const MARKS: [&str; 16] = [
    "made warm",
    "made hot",
    "warm by order",
    "cold by order",
    "failed to connect",
    "forgotten after failures",
    "failed to be demoted",
    "fell to warm",
    "fell, cooling",
    "fell to cold",
    "offence",
    "one too many forgotten",
    "told of and taken",
    "told of in vain",
    "other local roots",
    "other targets",
];

/// Bits from the first to the last, inclusive.
const fn bits(which: &[u32]) -> u128 {
    let mut all = 0;
    let mut rest = which;
    while let [one, after @ ..] = rest {
        all |= 1 << *one;
        rest = after;
    }
    all
}

/// What a scope must show.
pub(super) fn wanted(scope: &Scope) -> u128 {
    let mut all = bits(&[0, 1]);
    if scope.failures > 0 {
        all |= bits(&[4]);
    }
    // Roots that the operator wrote are not forgotten.
    if scope.failures > 1 && scope.sharing {
        all |= bits(&[5]);
    }
    for fall in &scope.falls {
        all |= match fall {
            Fall::Warm => bits(&[7]),
            Fall::Cooling | Fall::Broken => bits(&[8, 9]),
            Fall::Cold => bits(&[9]),
        };
    }
    if scope.lies {
        all |= bits(&[10]);
    }
    if scope.sharing {
        all |= bits(&[12, 13]);
    }
    if scope.topology {
        all |= bits(&[2, 14]);
    }
    if scope.targets.len() > 1 {
        all |= bits(&[2, 3, 11, 15]);
    }
    all
}

/// Which marks an action hits.
pub(super) fn seen(action: &Action) -> u128 {
    let Action::Notice(Notice::Trace(trace)) = action else {
        return 0;
    };
    match trace {
        Trace::PromoteColdDone { .. } => bits(&[0]),
        Trace::PromoteWarmDone { .. } => bits(&[1]),
        Trace::DemoteHotDone { .. } => bits(&[2]),
        Trace::DemoteWarmDone { .. } => bits(&[3]),
        Trace::PromoteColdFailed {
            forgotten: true, ..
        } => bits(&[4, 5]),
        Trace::PromoteColdFailed { .. } => bits(&[4]),
        Trace::DemoteFailed { .. } => bits(&[6]),
        Trace::Asynchronous { to, .. } => match to {
            Temperature::Warm => bits(&[7]),
            Temperature::Cooling => bits(&[8]),
            Temperature::Cold => bits(&[9]),
            Temperature::Hot => 0,
        },
        Trace::Offence { .. } => bits(&[10]),
        Trace::Forgotten { .. } => bits(&[11]),
        Trace::ShareResult { taken: 0, .. } => bits(&[13]),
        Trace::ShareResult { .. } => bits(&[12]),
        Trace::LocalRootsChanged { .. } => bits(&[14]),
        Trace::TargetsChanged { .. } => bits(&[15]),
        _ => 0,
    }
}

type Broken = (&'static str, String);

fn holds(is: bool, property: &'static str, text: impl FnOnce() -> String) -> Result<(), Broken> {
    if is { Ok(()) } else { Err((property, text())) }
}

/// All that must hold after each step.
pub(super) fn judge(world: &World) -> Result<(), Broken> {
    let governor = &world.governor;
    let own = governor.check_invariants();
    holds(own.is_ok(), "the machine's own invariants", || {
        format!("{own:?}")
    })?;
    let all: Vec<Explanation> = governor.explain_all().collect();
    roots(world, &all)?;
    counts(governor, &all)?;
    follows(world)?;
    if let Some(who) = overlooked(governor) {
        return Err(("nobody is overlooked", who));
    }
    waits(governor, &all)
}

/// I1, I3, I4: local roots are those of the topology, known, and no other roots; they fit into the
/// targets, which are sane.
fn roots(world: &World, all: &[Explanation]) -> Result<(), Broken> {
    let governor = &world.governor;
    let targets = governor.targets();
    holds(targets.check().is_ok(), "I4: targets are sane", || {
        format!("{targets:?}")
    })?;
    let local: Vec<_> = governor.local_roots().map(|(peer, _)| peer).collect();
    let wanted: Vec<_> = world
        .has_local()
        .then(|| address(LOCAL))
        .into_iter()
        .collect();
    holds(local == wanted, "I1: local roots are as written", || {
        format!("{local:?} for {wanted:?}")
    })?;
    let known = all.iter().filter(|one| one.source == Source::Local);
    let known: Vec<_> = known.map(|one| one.peer).collect();
    holds(known == local, "I3: local roots are known as such", || {
        format!("{known:?} for {local:?}")
    })?;
    let fits = local.len() <= targets.known as usize;
    holds(fits, "I4: local roots fit", || format!("{}", local.len()))
}

/// I2, I5, I6, I7: the sets lie in each other, who is under way is in the set it leaves, and the
/// counters are what counting gives.
fn counts(governor: &Governor, all: &[Explanation]) -> Result<(), Broken> {
    let of = |is: &dyn Fn(Status) -> bool| {
        let all = all.iter().filter(|one| is(one.status));
        u32::try_from(all.count()).unwrap_or(u32::MAX)
    };
    let is = |status| of(&|s| s == status);
    let counted = Count {
        known: of(&|_| true),
        available: of(&|s| s != Status::ColdWaiting),
        cold_promotions: is(Status::Connecting),
        established: of(&|s| !matches!(s, Status::Cold | Status::ColdWaiting | Status::Connecting)),
        warm_demotions: is(Status::Closing),
        warm_promotions: is(Status::Activating),
        active: of(&|s| matches!(s, Status::Hot | Status::Deactivating)),
        active_demotions: is(Status::Deactivating),
        cooling: is(Status::Cooling),
    };
    let told = governor.counters().ordinary;
    holds(told == counted, "I7: counters are right", || {
        format!("{told:?}, {counted:?} are")
    })?;
    let moving = counted.warm_promotions + counted.warm_demotions + counted.cooling;
    let nested = counted.active <= counted.established
        && counted.established <= counted.available
        && counted.available <= counted.known
        && counted.cold_promotions <= counted.cold()
        && moving <= counted.warm();
    holds(nested, "I2, I5, I6: sets lie in each other", || {
        format!("{counted:?}")
    })
}

/// I5, I6, I8: what is believed of each peer is what its connection is, and who is forgotten is
/// connected no longer, or known to be on its way out.
fn follows(world: &World) -> Result<(), Broken> {
    for (at, line) in world.lines.iter().enumerate() {
        let stage = line.stage;
        let gone = world.governor.is_gone(&address(at));
        let known = world.known(at);
        let fits = match known {
            None => {
                stage == Stage::Cold || gone && matches!(stage, Stage::Cooling | Stage::Closing)
            }
            Some((_, status)) => match status {
                Status::Cold | Status::ColdWaiting => stage == Stage::Cold,
                Status::Connecting => stage == Stage::Connecting,
                Status::Warm | Status::WarmWaiting => stage == Stage::Warm,
                Status::Activating => stage == Stage::Activating,
                Status::Closing => stage == Stage::Closing,
                Status::Hot => stage == Stage::Hot,
                Status::Deactivating => stage == Stage::Deactivating,
                Status::Cooling => matches!(stage, Stage::Cooling | Stage::Closing),
            },
        };
        holds(fits, "peers are what their connections are", || {
            format!("{at} is {known:?} (gone: {gone}), its connection {stage:?}")
        })?;
        let idle = !gone || stage != Stage::Cold;
        holds(idle, "who has gone is not waited for", || format!("{at}"))?;
    }
    Ok(())
}

/// Who waits has a time that comes.
fn waits(governor: &Governor, all: &[Explanation]) -> Result<(), Broken> {
    let due = governor.next_deadline();
    let waits =
        |one: &&Explanation| matches!(one.status, Status::ColdWaiting | Status::WarmWaiting);
    let stuck = all.iter().filter(waits).find(|one| match one.next {
        samanea_core::governor::Next::Retry(at) | samanea_core::governor::Next::Reactivate(at) => {
            due.is_none_or(|due| due > at)
        }
        _ => true,
    });
    holds(stuck.is_none(), "who waits has a time that comes", || {
        format!("{stuck:?}")
    })
}

/// Somebody who should be promoted or demoted now and is not.
pub(super) fn overlooked(governor: &Governor) -> Option<String> {
    let targets = governor.targets();
    let count = governor.counters().ordinary;
    let connected = count.established + count.cold_promotions;
    let used = count.active + count.warm_promotions;
    let staying = count.established - count.warm_demotions - count.cooling;
    let remain = count.active - count.active_demotions;
    let late = |one: &Explanation| {
        let local = one.source == Source::Local;
        match one.status {
            // The one group wants one member warm and one hot, and that is it.
            Status::Cold | Status::Warm if local => true,
            Status::Cold => connected < targets.established,
            Status::Warm => used < targets.active || staying > targets.established,
            Status::WarmWaiting => !local && staying > targets.established,
            Status::Hot => !local && remain > targets.active,
            _ => false,
        }
    };
    let one = governor.explain_all().find(late)?;
    Some(format!("{} {:?}", one.peer, one.status))
}
