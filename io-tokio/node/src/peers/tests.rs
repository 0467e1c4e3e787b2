use samanea_core::governor::Score;

use super::*;

fn addr(n: u8) -> SocketAddr {
    ([192, 0, 2, n], 3001).into()
}

fn known(n: u8, status: Status, next: Next) -> governor::Explanation {
    governor::Explanation {
        peer: addr(n),
        source: Source::Ledger,
        status,
        since: Instant::from_secs(10),
        group: None,
        valencies: None,
        traits: None,
        kept: false,
        told_by: (n > 1).then(|| addr(1)),
        failures: 2,
        reached: true,
        tepid: true,
        advertise: true,
        sharing: Some(true),
        score: Score::whole(3),
        round_trip: Some(Duration::from_micros(1_500)),
        hops: Some(2),
        next,
    }
}

#[test]
fn a_row_says_what_the_selection_holds_of_a_peer() {
    let now = Instant::from_secs(60);
    let next = Next::Retry(Instant::from_secs(75));
    let rows = rows(now, [known(2, Status::ColdWaiting, next)], []);
    let expected = Row {
        peer: addr(2),
        source: Some("ledger".into()),
        temperature: Some("cold".into()),
        status: "cold, left alone".into(),
        score: 3.0,
        rtt_us: Some(1_500),
        hops: Some(2),
        direction: None,
        connections: Vec::new(),
        since_ms: 50_000,
        since_s: 10,
        next: "made warm again".into(),
        next_ms: Some(15_000),
        told_by: Some(addr(1)),
        failures: 2,
        root: None,
    };
    assert_eq!(rows, [expected]);
}

#[test]
fn a_row_says_what_the_topology_says_of_a_root() {
    let mut known = known(2, Status::Hot, Next::Stays);
    known.group = Some(3);
    known.valencies = Some((1, 2));
    known.traits = Some(governor::Traits {
        trustable: true,
        mode: Mode::InitiatorOnly,
        ..governor::Traits::default()
    });
    let told = facts(&known);
    let rows = rows(Instant::from_secs(60), [known], []);
    let expected = Root {
        group: 3,
        hot: 1,
        warm: 2,
        advertise: false,
        trustable: true,
        behind_firewall: false,
        initiator_only: true,
    };
    assert_eq!(rows[0].root, Some(expected));
    for fact in [
        "group 3 of the local roots, of which 1 hot and 2 warm",
        "trustable",
        "InitiatorOnly",
    ] {
        assert!(told.iter().any(|told| told == fact), "{told:?}");
    }
}

#[test]
fn rows_are_in_the_order_of_addresses_and_survive_json() {
    let peers = [9, 3, 200, 1].map(|n| known(n, Status::Hot, Next::Churn(None)));
    let rows = rows(Instant::ZERO, peers, []);
    let order: Vec<_> = rows.iter().map(|row| row.peer).collect();
    assert_eq!(order, [1, 3, 9, 200].map(addr));
    let json = serde_json::to_string(&rows).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Row>>(&json).unwrap(), rows);
}

#[test]
fn every_status_and_every_next_is_explained() {
    let at = Instant::from_secs(70);
    let nexts = [
        Next::Retry(at),
        Next::Reactivate(at),
        Next::EstablishedFull { have: 3, want: 4 },
        Next::ActiveFull { have: 5, want: 6 },
        Next::Diversity,
        Next::Untrusted,
        Next::Answer,
        Next::Churn(Some(at)),
        Next::Churn(None),
        Next::Stays,
        Next::Nothing,
    ];
    let engine = node::Engine::new(node::Config::new(1));
    let mut node = engine.explain(addr(2));
    let mut seen = std::collections::BTreeSet::new();
    for status in Status::ALL {
        for next in nexts {
            node.selected = Some(known(2, status, next));
            let told = explained(Instant::from_secs(60), &node).unwrap();
            assert!(!told.why.is_empty() && !told.promotion.is_empty() && !told.waits.is_empty());
            assert_eq!(
                told.row.next_ms.is_some(),
                told.waits.contains("10s"),
                "{told:?}"
            );
            seen.insert((told.why.into_owned(), told.waits.into_owned()));
        }
    }
    assert_eq!(seen.len(), Status::ALL.len() * nexts.len());
}

#[test]
fn facts_are_told_as_they_are() {
    let mut known = known(2, Status::Warm, Next::Answer);
    known.group = Some(1);
    let engine = node::Engine::new(node::Config::new(1));
    let mut node = engine.explain(addr(2));
    node.selected = Some(known);
    let told = explained(Instant::ZERO, &node).unwrap();
    assert_eq!(
        told.facts,
        [
            "group 1 of the local roots",
            "told by 192.0.2.1:3001",
            "failures that count: 2",
            "was connected before",
            "was hot since it was last cold",
            "may be told to others",
            "shares peers",
            "score 3.000",
            "round trip 1.5ms",
            "2 hops to the producers of blocks"
        ]
    );
    let [line] = told.connections.as_slice() else {
        panic!("one line: {told:?}");
    };
    assert!(line.starts_with("peer 192.0.2.2:3001: "), "{line}");
}

#[test]
fn a_stranger_is_not_explained() {
    let engine = node::Engine::new(node::Config::new(1));
    assert_eq!(explained(Instant::ZERO, &engine.explain(addr(2))), None);
}
