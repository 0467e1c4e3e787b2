//! A node that was left with bootstrap peers alone takes others as soon as it may.

use core::time::Duration;

use samanea_core::governor::{Judgement, Ledger, Pool, Relay, Topology, UseLedger};
use samanea_sim::governor::{Doing, Law, address};

use crate::regressions::{AT_ONCE, SOON, play, shows, targets};

/// Two bootstrap peers, and six others that the ledger names by their addresses. The chain is old
/// at first, so that only the two are used, and young later; once, and again.
#[test]
fn once_the_chain_is_young_the_peers_of_the_ledger_are_taken_within_ten_seconds() {
    let relay = |place: usize| Relay::Addr(address(place));
    let topology = Topology {
        bootstrap: Some(vec![relay(0), relay(1)]),
        use_ledger: UseLedger::Always,
        ..Topology::default()
    };
    let pools = (2..8).map(|place| Pool {
        stake: 1 << 40,
        relays: vec![relay(place)],
    });
    let ledger = Ledger::new(pools.collect::<Vec<_>>());
    let seen = play(
        |telling| {
            let peers = (0..8).map(|place| telling.peer(place, &[])).collect();
            let aims = [(targets(6, 8, 4, 2), AT_ONCE)];
            let mut scenario = telling.scenario(peers, topology.clone(), &aims);
            scenario.start.pop();
            scenario
                .start
                .push(Doing::Ledger(100, ledger.pools().to_vec()));
            let mut pause = Duration::from_secs(1_500);
            for _ in 0..2 {
                for (judgement, after) in [
                    (Judgement::YoungEnough, SOON),
                    (Judgement::TooOld, Duration::from_secs(1_500)),
                ] {
                    let before = core::mem::replace(&mut pause, after);
                    scenario.events.push((before, Doing::Judgement(judgement)));
                }
            }
            scenario
        },
        |end| end.counters.bootstrap.known == 2 && end.counters.roots == 2,
    );
    shows(&seen, "only trusted peers are left", 200);
    let cases = seen.cases(Law::LeavesBootstrap);
    assert!(cases >= 200, "{cases} cases only");
}
