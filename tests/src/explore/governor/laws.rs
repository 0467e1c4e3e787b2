//! What must hold in every state, and what must be seen.
//!
//! The invariants of the reference are judged by what the governor explains of each peer, not by
//! its own counts.
//! src: ouroboros-network, `assertPeerSelectionState`

use samanea_core::{
    base::Machine as _,
    governor::{
        Action, ConsensusMode, Explanation, Governor, Next, Notice, Source, Status, Temperature,
        Trace, Trust, UseLedger,
    },
};

use super::{Fall, LOCAL, Scope, World, world::Stage};
use crate::governor::{Able, Law, Overlookable, Picture, address};

/// What can be seen, a bit each.
pub(super) const MARKS: [&str; 23] = [
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
    "the chain became old or young",
    "only trusted ones are left",
    "stuck among others",
    "trusted",
    "a bootstrap peer is hot",
    "a big ledger peer is hot",
    "a snapshot to be verified",
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
    if scope.judgement {
        all |= bits(&[16]);
    }
    if scope.bootstrap {
        all |= bits(&[17, 18, 19, 20]);
    }
    if scope.uses_ledger() {
        all |= bits(&[21]);
    }
    if scope.consensus == ConsensusMode::Genesis {
        all |= bits(&[19, 22]);
    }
    all
}

/// Which marks an action hits.
pub(super) fn seen(action: &Action) -> u128 {
    let trace = match action {
        Action::Notice(Notice::Trace(trace)) => trace,
        Action::Notice(Notice::Stuck) => return bits(&[18]),
        Action::Notice(Notice::VerifySnapshot(_)) => return bits(&[22]),
        _ => return 0,
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
        Trace::JudgementChanged(_) => bits(&[16]),
        Trace::OnlyTrusted => bits(&[17]),
        _ => 0,
    }
}

/// Which marks a state hits.
pub(super) fn seen_in(world: &World) -> u128 {
    let counters = world.governor.counters();
    let mark = |is: bool, which: u32| if is { bits(&[which]) } else { 0 };
    mark(world.governor.trust() == Trust::Trusted, 19)
        | mark(counters.bootstrap.active > 0, 20)
        | mark(counters.big.active > 0, 21)
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
    let picture = Picture::of(governor);
    roots(world, &picture)?;
    counts(&picture)?;
    follows(world)?;
    if let Some(who) = overlooked(world) {
        return Err(("nobody is overlooked", who));
    }
    trust(world, &picture)?;
    waits(governor, &picture)
}

/// I1, I3, I4: local roots are those of the topology, known, and no other roots; they fit into the
/// targets, which are sane.
fn roots(world: &World, picture: &Picture) -> Result<(), Broken> {
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
    // While only trusted peers may be used there are none, or, once all others have gone, those
    // that may be trusted.
    let without = world.is_sensitive();
    let fits = match (without, world.is_trustable()) {
        (false, _) => local == wanted,
        (true, true) => local.is_empty() || local == wanted,
        (true, false) => local.is_empty(),
    };
    holds(fits, "I1: local roots are as written", || {
        format!("{local:?} for {wanted:?}")
    })?;
    let known = picture.those(|one| one.source == Source::Local);
    let known: Vec<_> = known.map(|one| one.peer).collect();
    holds(known == local, "I3: local roots are known as such", || {
        format!("{known:?} for {local:?}")
    })?;
    let fits = local.len() <= targets.known as usize;
    holds(fits, "I4: local roots fit", || format!("{}", local.len()))
}

/// I2, I5, I6, I7: the sets lie in each other, who is under way is in the set it leaves, and the
/// counters are what counting gives.
fn counts(picture: &Picture) -> Result<(), Broken> {
    let (told, counted) = (picture.counters, picture.recount());
    holds(told == counted, "I7: counters are right", || {
        format!("{told:?}, {counted:?} are")
    })?;
    for count in [counted.ordinary, counted.big] {
        let moving = count.warm_promotions + count.warm_demotions + count.cooling;
        let nested = count.active <= count.established
            && count.established <= count.available
            && count.available <= count.known
            && count.cold_promotions <= count.cold()
            && moving <= count.warm();
        holds(nested, "I2, I5, I6: sets lie in each other", || {
            format!("{count:?}")
        })?;
    }
    Ok(())
}

/// What consensus is told is what its table says.
fn trust(world: &World, picture: &Picture) -> Result<(), Broken> {
    let governor = &world.governor;
    let config = governor.config();
    let trusted_local = |one: &Explanation| one.source == Source::Local && world.is_trustable();
    let trusted = if governor.topology().bootstrap.is_some() {
        let strangers = picture.count(|one| {
            one.status.is_established()
                && !matches!(one.source, Source::Bootstrap | Source::Big)
                && !trusted_local(one)
        });
        let hot = |one: &Explanation| one.source == Source::Bootstrap && one.status.is_active();
        strangers == 0 && picture.count(hot) > 0
    } else if governor.topology().use_ledger == UseLedger::Never && !config.sharing {
        picture.count(|one| one.status.is_established() && !trusted_local(one)) == 0
    } else {
        let hot = |one: &Explanation| one.source == Source::Big && one.status.is_active();
        config.consensus == ConsensusMode::Genesis && picture.count(hot) >= config.big_for_trust
    };
    let told = picture.trust == Trust::Trusted;
    holds(told == trusted, "trust is as its table says", || {
        format!("told {told}, counted {trusted}")
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
fn waits(governor: &Governor, picture: &Picture) -> Result<(), Broken> {
    let due = governor.next_deadline();
    let waits =
        |one: &&Explanation| matches!(one.status, Status::ColdWaiting | Status::WarmWaiting);
    let stuck = picture
        .peers
        .values()
        .filter(waits)
        .find(|one| match one.next {
            Next::Retry(at) | Next::Reactivate(at) => due.is_none_or(|due| due > at),
            _ => true,
        });
    holds(stuck.is_none(), "who waits has a time that comes", || {
        format!("{stuck:?}")
    })
}

/// Somebody who should be promoted, demoted or forgotten now and is not.
pub(super) fn overlooked(world: &World) -> Option<String> {
    let governor = &world.governor;
    let picture = Picture::of(governor);
    let finder = Able {
        picture: &picture,
        due: &|one| one.status == Status::Cold,
        ready: &|one| one.status == Status::Warm,
    };
    let sensitive = world.is_sensitive();
    let mut able = Overlookable::new();
    finder.established(!sensitive, &mut able);
    finder.active(&mut able);
    // The one group wants one member warm and one hot, and that is it.
    finder.group(1, 1, |one| one.source == Source::Local, &mut able);
    let is_trusted = |one: &Explanation| match one.source {
        Source::Bootstrap => true,
        Source::Local => world.is_trustable(),
        _ => false,
    };
    let stays = |one: &&Explanation| {
        let still = matches!(
            one.status,
            Status::Cold | Status::ColdWaiting | Status::Warm | Status::WarmWaiting | Status::Hot
        );
        sensitive && still && !is_trusted(one)
    };
    let stays = picture.peers.values().find(stays);
    able.extend(stays.map(|one| (Law::OnlyTrusted, one.peer)));
    let (law, peer) = able.first()?;
    Some(format!("{law:?}: {}", governor.explain(peer)?))
}
