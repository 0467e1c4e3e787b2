//! Distances of made-up networks.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 3001))
}

fn ms(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Peers 0 to 3 with round trips of 100 ms.
fn four() -> Measure {
    let mut measure = Measure::new(100);
    for n in 0..4 {
        measure.round_trip(peer(n), millis(100));
    }
    measure
}

fn hops(measure: &Measure) -> [Option<u8>; 4] {
    [0, 1, 2, 3].map(|n| measure.hops(&peer(n)))
}

#[test]
fn a_hop_is_a_round_trip_of_lag() {
    let mut measure = four();
    for (n, lag) in [(0, 0), (1, 49), (2, 50), (3, 349)] {
        measure.announced(ms(1_000 + lag), peer(n), 77);
    }
    assert_eq!(hops(&measure), [Some(1), Some(1), Some(2), Some(4)]);
    assert_eq!(measure.cost(&peer(3), millis(40)), Some(millis(220)));
    // One who announced nothing is as far as the others on average: 8 / 4.
    measure.round_trip(peer(9), millis(10));
    assert_eq!(measure.cost(&peer(9), millis(40)), Some(millis(50)));
    assert_eq!(measure.cost(&peer(10), millis(40)), None);
}

#[test]
fn a_near_peer_takes_blocks_over_links_like_those_of_others() {
    let mut measure = four();
    for n in 4..8 {
        measure.round_trip(peer(n), millis(100));
    }
    measure.round_trip(peer(8), millis(1));
    measure.announced(ms(0), peer(0), 5);
    // It had it 300 ms after the first: three links of 89 ms on average.
    measure.announced(ms(250), peer(8), 5);
    assert_eq!(measure.hops(&peer(8)), Some(4));
    // A far one had it as soon as the first, and is no further for its own way to us.
    measure.round_trip(peer(9), millis(480));
    measure.announced(ms(190), peer(9), 5);
    assert_eq!(measure.hops(&peer(9)), Some(1));
    measure.announced(ms(4_900), peer(1), 5);
    assert_eq!(measure.hops(&peer(1)), Some(HOPS_MAX));
}

#[test]
fn a_peer_without_round_trip_counts_as_an_average_one() {
    let mut measure = Measure::new(9);
    measure.announced(ms(0), peer(0), 5);
    measure.announced(ms(100), peer(1), 5);
    assert_eq!(hops(&measure), [Some(1), Some(3), None, None]);
    assert_eq!(measure.cost(&peer(0), millis(1)), None);
}

#[test]
fn what_one_peer_alone_announces_is_no_measure_and_makes_nothing_old() {
    let mut measure = four();
    measure.announced(ms(0), peer(3), u64::MAX);
    assert_eq!(hops(&measure), [None; 4]);
    measure.announced(ms(1_000), peer(0), 10);
    measure.announced(ms(1_100), peer(1), 10);
    assert_eq!(hops(&measure), [Some(1), Some(2), None, None]);
}

#[test]
fn who_catches_up_measures_nothing() {
    let mut measure = four();
    for slot in 20..25 {
        measure.announced(ms(slot * 1_000), peer(0), slot);
        measure.announced(ms(slot * 1_000 + 10), peer(1), slot);
    }
    let before = measure.clone();
    // A new hot peer tells the headers since some former intersection, and the latest at last.
    for slot in 1..25 {
        measure.announced(ms(40_000 + slot), peer(2), slot);
    }
    assert_eq!(hops(&measure), hops(&before));
    measure.announced(ms(41_000), peer(1), 41);
    measure.announced(ms(41_010), peer(2), 41);
    assert_eq!(measure.hops(&peer(2)), Some(1));
}

#[test]
fn a_node_that_catches_up_measures_next_to_nothing() {
    let mut measure = four();
    // Two peers race through a thousand slots, one of them 300 ms behind.
    for slot in 0..1_000_u64 {
        measure.announced(ms(slot), peer(0), slot);
        if let Some(behind) = slot.checked_sub(300) {
            measure.announced(ms(slot), peer(1), behind);
        }
    }
    assert_eq!(hops(&measure), [None; 4]);
}

#[test]
fn a_late_announcement_is_no_measure() {
    let mut measure = four();
    measure.announced(ms(0), peer(0), 5);
    measure.announced(ms(10), peer(1), 5);
    measure.announced(ms(5_001), peer(2), 5);
    assert_eq!(hops(&measure), [Some(1), Some(1), None, None]);
}

#[test]
fn the_distance_rises_when_the_near_past_is_gone() {
    let mut measure = four();
    let mut seen = Vec::new();
    for slot in 0..12_u64 {
        let lag = if slot == 2 { 0 } else { 500 };
        measure.announced(ms(slot * 10_000), peer(0), slot);
        measure.announced(ms(slot * 10_000 + lag), peer(1), slot);
        seen.extend(measure.hops(&peer(1)));
    }
    assert_eq!(seen, [6, 6, 1, 1, 1, 1, 1, 1, 1, 1, 6, 6]);
}

#[test]
fn a_slot_from_the_future_blocks_for_ten_minutes_at_most() {
    let mut measure = four();
    measure.announced(ms(0), peer(2), u64::MAX);
    measure.announced(ms(1), peer(3), u64::MAX);
    let tell = |measure: &mut Measure, at: u64| {
        measure.announced(ms(at), peer(0), at);
        measure.announced(ms(at + 1), peer(1), at);
    };
    tell(&mut measure, 300_000);
    assert_eq!(measure.hops(&peer(0)), None);
    tell(&mut measure, 600_002);
    assert_eq!(measure.hops(&peer(0)), Some(1));
}

#[test]
fn who_is_heard_of_keeps_its_place_and_all_others_make_room() {
    let mut measure = Measure::new(10);
    for n in 0..100_u8 {
        for old in 0..5 {
            measure.round_trip(peer(old), millis(7));
        }
        measure.round_trip(peer(100 + n), millis(5));
        assert_eq!(measure.rtt(&peer(100 + n)), Some(millis(5)));
        measure.check_invariants().unwrap();
    }
    let kept = (0..5).filter(|n| measure.rtt(&peer(*n)).is_some());
    assert_eq!((kept.count(), measure.len()), (5, 10));
}

#[test]
fn there_is_room_for_so_many_peers_and_whoever_is_forgotten_leaves_some() {
    let mut measure = Measure::new(2);
    for n in 0..3 {
        measure.round_trip(peer(n), millis(5));
    }
    assert_eq!((measure.len(), measure.rtt(&peer(0))), (2, None));
    measure.round_trip(peer(3), Duration::MAX);
    assert_eq!(measure.rtt(&peer(3)), Some(Duration::from_secs(600)));
    for n in 1..4 {
        measure.forget(&peer(n));
    }
    assert!(measure.is_empty());
}

/// A network as a line of nodes, each `link` from the next; blocks are made at its beginning, and
/// we have peers at some places, each with a distance to us of its own.
#[test]
fn estimates_follow_the_distance_in_a_made_up_network() {
    let link = 120;
    // Place of the peer on the line of 40, and its round trip.
    let places = [(2_u64, 100_u64), (5, 140), (11, 60), (12, 200)];
    let mut measure = Measure::new(9);
    let mut announced = 0;
    for block in 0..40_u64 {
        let mut times: Vec<(u64, u8)> = (0_u8..)
            .zip(places)
            .map(|(n, (place, rtt))| (block * 20_000 + place * link + rtt / 2, n))
            .collect();
        times.sort_unstable();
        for (at, n) in times {
            measure.round_trip(peer(n), millis(places[usize::from(n)].1));
            measure.announced(ms(at), peer(n), block * 20);
            announced += 1;
        }
    }
    assert_eq!(announced, 160);
    let found = hops(&measure).map(|hops| hops.unwrap());
    // The first is taken for one hop; the others are 3, 9 and 10 links of 120 ms further.
    assert_eq!(found, [1, 4, 10, 11]);
}

proptest! {
    /// Whatever is told, the numbers stay within their ranges and what is forgotten is gone; the
    /// round trip is between the least and the greatest that was told.
    #[test]
    fn all_that_is_told_is_borne(
        events in prop::collection::vec((0_u64..2_000, 0_u8..6, 0_u8..12, 0_u64..9, 0_u64..400), 1..300),
    ) {
        let mut measure = Measure::new(5);
        let mut range: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        let (mut now, mut noted) = (0, 0);
        let first = [10, 11].map(|n| (0, 2, n, 0, 0));
        for (step, kind, n, slot, rtt) in first.into_iter().chain(events) {
            now += step / (1 + u64::from(kind) * 10);
            match kind {
                0 if n < 2 => {
                    measure.forget(&peer(n));
                    range.remove(&n);
                }
                0 | 1 => {
                    measure.round_trip(peer(n), millis(rtt));
                    let entry = range.entry(n).or_insert((rtt, rtt));
                    *entry = (entry.0.min(rtt), entry.1.max(rtt));
                }
                _ => measure.announced(ms(now), peer(n), now / 1_000 + slot / 4),
            }
            measure.check_invariants().unwrap();
            for n in 0..12 {
                if let Some(rtt) = measure.rtt(&peer(n)) {
                    let (least, most) = range[&n];
                    prop_assert!(millis(least) <= rtt && rtt <= millis(most) + millis(1));
                    let cost = measure.cost(&peer(n), millis(10)).unwrap();
                    prop_assert!(cost >= rtt && cost <= rtt + millis(150));
                }
                noted += u32::from(measure.hops(&peer(n)).is_some());
            }
        }
        prop_assert!(noted > 0);
    }

    /// A stable round trip is found, from wherever it began.
    #[test]
    fn a_stable_round_trip_is_found(first in 0_u64..5_000_000, then in 0_u64..5_000_000) {
        let mut measure = Measure::new(1);
        measure.round_trip(peer(0), Duration::from_micros(first));
        for _ in 0..200 {
            measure.round_trip(peer(0), Duration::from_micros(then));
        }
        let found = u64::try_from(measure.rtt(&peer(0)).unwrap().as_micros()).unwrap();
        prop_assert!(found.abs_diff(then) <= 4, "{found}");
    }

    /// When announcements come without any lag, everybody is one hop away.
    #[test]
    fn without_lag_all_are_one_hop_away(peers in 2_u8..10, slots in 1_u64..20) {
        let mut measure = Measure::new(10);
        for slot in 0..slots {
            for n in 0..peers {
                measure.round_trip(peer(n), millis(30));
                measure.announced(ms(slot * 1_000), peer(n), slot);
            }
        }
        for n in 0..peers {
            prop_assert_eq!(measure.hops(&peer(n)), Some(1));
        }
    }
}
