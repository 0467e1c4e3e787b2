//! What always holds of the machine.

use super::{
    Rain, Side,
    machine::{Timer, holds},
    message::{ChainState, Stage},
    tally::Tally,
};
use crate::base::Violated;

/// Invariants:
/// 1. No container holds more than its maximum.
/// 2. The sums over messages are theirs.
/// 3. An open duty that is sent has a timer; a settled one has none.
/// 4. A chain that waits has a timer; one that is done has none.
/// 5. A chain counts no more holders than it is to find, in rising order, none behind its cursor.
/// 6. This node is never its own child, nor asked.
/// 7. Each member is counted as often as chains count it.
/// 8. Dials that are counted are those under way.
/// 9. A message that has not expired has a timer.
pub(super) fn check(rain: &Rain) -> Result<(), Violated> {
    bounds(rain)?;
    let mut tally = Tally::default();
    for (id, message) in &rain.messages {
        tally.add(*id, message);
        for (seat, work) in &message.duties {
            let timed = rain.timers.of(&Timer::Duty(*id, *seat)).is_some();
            let awaited =
                work.stage == Stage::Unsent && message.verdict == super::message::Judged::Awaited;
            holds(
                timed == (work.stage.is_open() && !awaited),
                3,
                "an open duty has a timer, a settled one has none",
            )?;
            holds(
                Some(*seat) != message.seat,
                6,
                "a node is not its own child",
            )?;
        }
        for side in Side::BOTH {
            let chain = message.chain(side);
            let timed = rain.timers.of(&Timer::Chain(*id, side)).is_some();
            let waits = chain.waits_for().is_some() || chain.state == ChainState::Pausing;
            holds(timed == waits, 4, "a chain that waits has a timer")?;
            let idle = matches!(chain.state, ChainState::Idle { .. });
            holds(
                !idle || chain.found() == 0,
                5,
                "a chain at rest counts nobody",
            )?;
            let rising = chain.custodians.is_sorted_by(|(a, _), (b, _)| a < b);
            let behind = chain.custodians.iter().all(|(at, _)| *at <= chain.cursor);
            let few = chain.found() <= usize::from(message.custodians);
            holds(
                rising && behind && few,
                5,
                "a chain counts in order, and not too many",
            )?;
            holds(
                chain
                    .waits_for()
                    .is_none_or(|seat| Some(seat) != message.seat),
                6,
                "a node does not ask itself",
            )?;
        }
        let ends = rain.timers.of(&Timer::Expire(*id)).is_some();
        holds(ends, 9, "every message ends")?;
    }
    holds(tally == rain.tally, 2, "the sums over messages are theirs")?;
    counted(rain)
}

fn bounds(rain: &Rain) -> Result<(), Violated> {
    let limits = &rain.config.limits;
    let groups = rain.groups.values();
    let small = rain.messages.len() <= limits.messages.max(1)
        && rain.tally.bytes() <= limits.bytes.max(limits.payload.into())
        && rain.seen.len() <= limits.seen.saturating_add(1)
        && rain.groups.len() <= limits.groups
        && rain.forgotten.len() <= limits.groups
        && rain.promises.len() <= limits.promises
        && rain.promises.waiters() <= limits.waiters;
    holds(small, 1, "no container holds more than its maximum")?;
    for group in groups {
        let small = group.views.len() <= limits.views.max(1)
            && group.parked.len() <= limits.parked
            && group
                .membership
                .as_ref()
                .is_none_or(|of| of.len() <= limits.peers.max(1))
            && group.frontiers.len() <= limits.origins.saturating_add(1)
            && !group.views.is_empty();
        holds(small, 1, "a group holds no more than its maximum")?;
        let known = rain.numbers.get(&group.no);
        holds(known.is_some(), 1, "every group has a number")?;
    }
    for message in rain.messages.values() {
        let few = message.passed.len() <= limits.passed;
        holds(few, 1, "no more are passed over than are remembered")?;
    }
    Ok(())
}

fn counted(rain: &Rain) -> Result<(), Violated> {
    let mut counts = alloc::collections::BTreeMap::new();
    for message in rain.messages.values() {
        for seat in message.counted() {
            let count = counts.entry(message.key(seat)).or_insert(0_u32);
            *count = count.saturating_add(1);
        }
    }
    let all = counts.iter().all(|(key, count)| {
        rain.peers
            .get(key)
            .is_some_and(|known| known.counted == *count)
    });
    let sum: u64 = counts.values().map(|count| u64::from(*count)).sum();
    let told: u64 = rain.peers.counted();
    holds(
        all && sum == told,
        7,
        "each member is counted as often as chains count it",
    )?;
    let (dials, dialling) = rain.peers.dials();
    holds(
        usize::try_from(dials) == Ok(dialling),
        8,
        "dials that are counted are under way",
    )?;
    Ok(())
}
