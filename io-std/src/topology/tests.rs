use std::net::SocketAddr;

use proptest::prelude::*;
use samanea_core::{
    governor::{LocalGroup, PublicGroup, Relay, Traits, UseLedger},
    proto::handshake::Mode,
};

use super::*;

fn parsed(text: &str) -> File {
    parse(Path::new("t.json"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    match parse(Path::new("t.json"), text.as_bytes()) {
        Err(error) => error.to_string(),
        Ok(file) => panic!("accepted: {file:?}"),
    }
}

fn warnings(file: &File) -> Vec<String> {
    file.warnings.iter().map(ToString::to_string).collect()
}

fn host(name: &str, port: u16) -> Relay {
    Relay::Host {
        name: name.into(),
        port,
    }
}

fn addr(text: &str) -> Relay {
    Relay::Addr(text.parse().unwrap())
}

/// A topology with these members of the top object and the two that must be there.
fn with(more: &str) -> String {
    format!(r#"{{ "localRoots": [], "publicRoots": []{more} }}"#)
}

/// A topology with one local root group of these members.
fn group(members: &str) -> String {
    format!(r#"{{ "localRoots": [ {{ {members} }} ], "publicRoots": [] }}"#)
}

const FULL: &str = r#"{
  "bootstrapPeers": [ { "address": "boot.example.net", "port": 3001 } ],
  "localRoots": [
    { "accessPoints": [ { "address": "192.0.2.10", "port": 3001 },
                        { "address": "bp.example.org.", "port": 3001 } ],
      "hotValency": 1, "warmValency": 2, "advertise": false, "trustable": true,
      "diffusionMode": "InitiatorOnly" },
    { "accessPoints": [ { "address": "2001:db8::7", "port": 6000 } ],
      "valency": 1, "behindFirewall": true }
  ],
  "publicRoots": [ { "accessPoints": [ { "address": "_cardano._tcp.pool.example.com" } ],
                     "advertise": true } ],
  "useLedgerAfterSlot": 171244716,
  "peerSnapshotFile": "peer-snapshot.json"
}"#;

#[test]
fn every_key_of_the_current_format_is_read() {
    let file = parsed(FULL);
    assert_eq!(file.format, Format::Current);
    assert_eq!(file.warnings, []);
    let service = "_cardano._tcp.pool.example.com".into();
    let expected = Topology {
        local: vec![
            LocalGroup {
                hot: 1,
                warm: 2,
                traits: Traits {
                    trustable: true,
                    mode: Mode::InitiatorOnly,
                    ..Traits::default()
                },
                access_points: vec![addr("192.0.2.10:3001"), host("bp.example.org", 3001)],
            },
            LocalGroup {
                hot: 1,
                warm: 1,
                traits: Traits {
                    behind_firewall: true,
                    ..Traits::default()
                },
                access_points: vec![addr("[2001:db8::7]:6000")],
            },
        ],
        public: vec![PublicGroup {
            advertise: true,
            access_points: vec![Relay::Service { name: service }],
        }],
        bootstrap: Some(vec![host("boot.example.net", 3001)]),
        use_ledger: UseLedger::After(171_244_716),
    };
    assert_eq!(file.topology, expected);
    let beside = file.snapshot_path(Path::new("etc/topology.json"));
    assert_eq!(beside.as_deref(), Some(Path::new("etc/peer-snapshot.json")));
}

#[test]
fn the_first_format_of_p2p_nodes_is_read() {
    let file = parsed(
        r#"{ "LocalRoots": { "groups": [ { "localRoots": { "accessPoints":
                 [ { "address": "192.0.2.1", "port": 3001 } ], "advertise": true }, "valency": 1 } ] },
             "PublicRoots": [ { "publicRoots": { "accessPoints":
                 [ { "address": "relay.example", "port": 3002 } ], "advertise": false } } ],
             "useLedgerAfterSlot": 0 }"#,
    );
    assert_eq!(file.format, Format::First);
    assert_eq!(file.warnings, []);
    let [local] = &file.topology.local[..] else {
        panic!("{file:?}");
    };
    assert_eq!(
        (local.hot, local.warm, local.traits.advertise),
        (1, 1, true)
    );
    assert_eq!(local.access_points, [addr("192.0.2.1:3001")]);
    assert_eq!(
        file.topology.public[0].access_points,
        [host("relay.example", 3002)]
    );
    assert_eq!(file.topology.use_ledger, UseLedger::Always);
}

#[test]
fn producers_of_the_format_before_p2p_become_local_roots() {
    let file = parsed(
        r#"{ "Producers": [
             { "addr": "relays.example", "port": 3001, "valency": 3 },
             { "addr": "192.0.2.1", "port": 3001, "valency": 2, "continent": "EU" },
             { "addr": "192.0.2.2", "port": 3001, "valency": 0 } ] }"#,
    );
    assert_eq!(file.format, Format::Legacy);
    let valencies: Vec<_> = file
        .topology
        .local
        .iter()
        .map(|g| (g.hot, g.warm))
        .collect();
    assert_eq!(valencies, [(3, 3), (1, 1)]);
    assert_eq!(
        file.topology.local[1].access_points,
        [addr("192.0.2.1:3001")]
    );
    assert_eq!(file.topology.use_ledger, UseLedger::Never);
    let warnings = warnings(&file);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warnings[1], "t.json:4: Producers[2]: valency 0: not used");
}

#[test]
fn what_is_absent_has_its_default() {
    let file = parsed(&with(""));
    assert_eq!(file.topology, Topology::default());
    assert_eq!(file.snapshot, None);
    let nulls = r#", "bootstrapPeers": null, "peerSnapshotFile": null, "useLedgerAfterSlot": null"#;
    assert_eq!(parsed(&with(nulls)), file);
    let never = parsed(&with(r#", "useLedgerAfterSlot": -9223372036854775808"#));
    assert_eq!(never.topology.use_ledger, UseLedger::Never);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of texts and errors")]
fn what_is_wrong_is_named_by_line_and_path() {
    let port = "t.json:4: localRoots[0].accessPoints[1].port: found 70000, \
                allowed is a whole number from 1 to 65535";
    let text = FULL.replacen(
        r#"bp.example.org.", "port": 3001"#,
        r#"x.org", "port": 70000"#,
        1,
    );
    assert_eq!(refused(&text).replace("json:5", "json:4"), port);

    let point = |inside: &str| {
        group(&format!(
            r#""accessPoints": [ {{ {inside} }} ], "valency": 1"#
        ))
    };
    for (text, end) in [
        ("[]".into(), ": found a list, allowed is an object, { … }"),
        (
            "{}".into(),
            ": found no key `localRoots`, allowed is an object with `localRoots`",
        ),
        (
            r#"{ "localRoot": [], "publicRoots": [] }"#.into(),
            ": found no key `localRoots` (but `localRoot`), allowed is an object with `localRoots`",
        ),
        (
            r#"{ "localRoots": [] }"#.into(),
            ": found no key `publicRoots`, allowed is an object with `publicRoots`",
        ),
        (
            with(r#", "publicRoots": []"#),
            ": publicRoots: found the key a second time, allowed is each key once",
        ),
        (
            with(r#", "useLedgerAfterSlot": 1.5"#),
            ": useLedgerAfterSlot: found 1.5, allowed is a whole number from \
             -18446744073709551616 to 18446744073709551615",
        ),
        (
            with(r#", "peerSnapshotFile": 7"#),
            ": peerSnapshotFile: found 7, allowed is the path of a file",
        ),
        (
            with(r#", "bootstrapPeers": []"#),
            ": bootstrapPeers: found an empty list and no local root that is trustable, allowed is \
             null, a list of access points, or [] beside a group of localRoots with \
             `\"trustable\": true` and access points",
        ),
        (
            group(r#""accessPoints": []"#),
            ": localRoots[0]: found no key `hotValency`, allowed is an object with `hotValency`",
        ),
        (
            group(r#""accessPoints": [], "valency": -1"#),
            ": localRoots[0].valency: found -1, allowed is a whole number from 0 to 10000",
        ),
        (
            group(r#""accessPoints": [], "hotValency": 2, "warmValency": 1"#),
            ": localRoots[0].warmValency: found 1, allowed is at least 2, the hot valency",
        ),
        (
            group(r#""accessPoints": [], "valency": 1, "advertise": "yes""#),
            ": localRoots[0].advertise: found \"yes\", allowed is true or false",
        ),
        (
            group(r#""accessPoints": [], "valency": 1, "diffusionMode": "Both""#),
            ": localRoots[0].diffusionMode: found \"Both\", allowed is \"InitiatorOnly\" or \
             \"InitiatorAndResponder\"",
        ),
        (
            point(r#""address": "192.0.2.1""#),
            ": localRoots[0].accessPoints[0].address: found the address 192.0.2.1 and no `port`, \
             allowed is an address with a `port`, or the name of a service without one",
        ),
        (
            point(r#""address": "300.0.2.1", "port": 1"#),
            ": localRoots[0].accessPoints[0].address: found \"300.0.2.1\", allowed is four numbers \
             up to 255, or a name",
        ),
        (
            point(r#""address": "x", "port": "3001""#),
            ": localRoots[0].accessPoints[0].port: found \"3001\", allowed is a whole number from \
             1 to 65535",
        ),
        (
            point(r#""address": "x", "port": 0"#),
            ": localRoots[0].accessPoints[0].port: found 0, allowed is a whole number from 1 to \
             65535",
        ),
    ] {
        assert_eq!(refused(&text), format!("t.json:1{end}"), "{text}");
    }
    for unspecified in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
        let text = point(&format!(r#""address": "{unspecified}", "port": 3001"#));
        assert!(
            refused(&text).contains("which 0.0.0.0 and :: are not"),
            "{unspecified}"
        );
    }
    let long = "a".repeat(64);
    for name in [
        "",
        ".",
        "a..b",
        "a b",
        "müller.example",
        "192.0.2.1:3001",
        "http://x",
        &long,
    ] {
        let text = point(&format!(r#""address": "{name}", "port": 3001"#));
        assert!(
            refused(&text).contains("DNS name"),
            "{name}: {}",
            refused(&text)
        );
    }
}

#[test]
fn what_is_no_json_is_named_by_line_and_column() {
    let error = refused("{\n  \"localRoots\": [],\n}");
    assert_eq!(
        error,
        "t.json: not JSON: key must be a string at line 3 column 1"
    );
    assert!(
        parse(Path::new("t"), b"\xff")
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
    let deep = "[".repeat(1 << 20);
    assert!(refused(&deep).contains("not JSON"));
    let missing = read(Path::new("no/such/file.json")).unwrap_err();
    assert!(
        missing.to_string().starts_with("no/such/file.json: "),
        "{missing}"
    );
}

#[test]
fn what_is_odd_is_warned_of() {
    let file = parsed(
        r#"{ "localRoots": [
             { "accessPoints": [ { "address": "192.0.2.1", "port": 3001, "name": "mine" } ],
               "valency": 2, "hotValency": 3, "trustible": true },
             { "accessPoints": [ { "address": "192.0.2.1", "port": 3001 },
                                 { "address": "pool.example" } ], "valency": 0 } ],
           "publicRoots": [], "Producers": [], "comment": "ours" }"#,
    );
    assert_eq!(file.topology.local[0].hot, 2);
    assert!(!file.topology.local[0].traits.trustable);
    let service = "pool.example".into();
    assert_eq!(
        file.topology.local[1].access_points,
        [Relay::Service { name: service }]
    );
    let path = "localRoots[0]";
    assert_eq!(
        warnings(&file),
        [
            "t.json:6: Producers: unknown key, ignored".to_owned(),
            "t.json:6: comment: unknown key, ignored".to_owned(),
            format!("t.json:3: {path}.trustible: unknown key, ignored; is `trustable` meant?"),
            format!("t.json:2: {path}.accessPoints[0].name: unknown key, ignored"),
            format!("t.json:3: {path}.hotValency: differs from `valency`, which counts"),
            format!(
                "t.json:3: {path}.valency: more than the 1 access points of this group; 1 is used"
            ),
            "t.json:4: localRoots[1].accessPoints[0]: 192.0.2.1:3001 is at \
             localRoots[0].accessPoints[0] already, which counts"
                .to_owned(),
            "t.json:5: localRoots[1].accessPoints[1]: no port, so `pool.example` is looked up as a \
             service exactly as written; is `port` missing, or `_cardano._tcp.` in front?"
                .to_owned(),
            "t.json:5: localRoots[1].valency: nobody of this group is wanted, so none is used"
                .to_owned(),
        ]
    );
    assert!(parsed(&format!("\u{feff}{}", with(""))).warnings.is_empty());
    let nobody = group(r#""accessPoints": [], "valency": 1"#);
    assert!(
        parsed(&nobody).warnings.is_empty(),
        "as shipped, to be filled in"
    );
}

#[test]
fn an_empty_list_of_bootstrap_peers_needs_somebody_to_trust() {
    let local = |trustable: bool, points: &str| {
        format!(
            r#"{{ "localRoots": [ {{ "accessPoints": [ {points} ], "valency": 1,
                "trustable": {trustable} }} ], "publicRoots": [], "bootstrapPeers": [] }}"#
        )
    };
    let point = r#"{ "address": "192.0.2.1", "port": 3001 }"#;
    assert_eq!(parsed(&local(true, point)).topology.bootstrap, Some(vec![]));
    refused(&local(false, point));
    refused(&local(true, ""));
}

#[test]
fn there_are_limits() {
    let points = |n: usize| {
        let point = |at: usize| format!(r#"{{ "address": "h{at}", "port": 1 }}"#);
        let points: Vec<_> = (0..n).map(point).collect();
        format!(r#", "bootstrapPeers": [{}]"#, points.join(","))
    };
    let max = Topology::ACCESS_POINTS_MAX;
    assert!(parsed(&with(&points(max))).warnings.is_empty());
    let error = refused(&with(&points(max + 1)));
    assert_eq!(
        error,
        "t.json:1: found 10001 access points in all, allowed is at most 10000"
    );
    let groups = vec![r#"{ "accessPoints": [], "valency": 1 }"#; max + 1];
    let error = refused(&format!(
        r#"{{ "localRoots": [{}], "publicRoots": [] }}"#,
        groups.join(",")
    ));
    assert_eq!(
        error,
        "t.json:1: found 10001 groups in all, allowed is at most 10000"
    );
    let long = with(&" ".repeat(BYTES_MAX.try_into().unwrap()));
    let error = refused(&long);
    assert_eq!(
        error,
        "t.json: found more than 16777216 bytes, allowed are 16777216"
    );
    let odd: Vec<_> = (0..60).map(|at| format!(r#""odd{at}": 0"#)).collect();
    let file = parsed(&with(&format!(", {}", odd.join(","))));
    assert_eq!(file.warnings.len(), WARNINGS_MAX + 1);
    assert_eq!(
        warnings(&file)[WARNINGS_MAX],
        "t.json: and 10 more warnings"
    );
}

fn relay() -> impl Strategy<Value = Relay> {
    let name = "[a-z][a-z0-9-]{0,8}(\\.[a-z_][a-z0-9-]{0,8}){0,3}";
    prop_oneof![
        any::<SocketAddr>()
            .prop_filter("a peer", |addr| {
                let ip = addr.ip();
                addr.port() > 0 && !ip.is_unspecified() && ip == ip.to_canonical()
            })
            // Files have no flow label and no scope.
            .prop_map(|addr| Relay::Addr((addr.ip(), addr.port()).into())),
        (name, 1_u16..).prop_map(|(name, port)| host(&name, port)),
        name.prop_map(|name| Relay::Service { name: name.into() }),
    ]
}

fn relays() -> impl Strategy<Value = Vec<Relay>> {
    prop::collection::btree_set(relay(), 0..5).prop_map(|set| set.into_iter().collect())
}

fn traits() -> impl Strategy<Value = Traits> {
    any::<[bool; 4]>().prop_map(
        |[advertise, trustable, behind_firewall, dials_only]| Traits {
            advertise,
            trustable,
            behind_firewall,
            mode: if dials_only {
                Mode::InitiatorOnly
            } else {
                Mode::InitiatorAndResponder
            },
        },
    )
}

fn topology() -> impl Strategy<Value = Topology> {
    let local = (0_u32..20, 0_u32..20, traits(), relays());
    let local = local.prop_map(|(hot, more, traits, access_points)| LocalGroup {
        hot,
        warm: hot + more,
        traits,
        access_points,
    });
    let public = (any::<bool>(), relays()).prop_map(|(advertise, access_points)| PublicGroup {
        advertise,
        access_points,
    });
    let use_ledger = prop_oneof![
        Just(UseLedger::Never),
        Just(UseLedger::Always),
        (1_u64..).prop_map(UseLedger::After),
    ];
    let parts = (
        prop::collection::vec(local, 0..4),
        prop::collection::vec(public, 0..3),
        prop::option::of(relays()),
        use_ledger,
    );
    parts.prop_map(|(mut local, mut public, mut bootstrap, use_ledger)| {
        // Each root is kept where it is named first.
        let mut seen = std::collections::BTreeSet::new();
        for group in &mut local {
            group.access_points.retain(|root| seen.insert(root.clone()));
        }
        seen.clear();
        for group in &mut public {
            group.access_points.retain(|root| seen.insert(root.clone()));
        }
        let trusts = |g: &LocalGroup| g.traits.trustable && !g.access_points.is_empty();
        if bootstrap.as_ref().is_some_and(Vec::is_empty) && !local.iter().any(trusts) {
            bootstrap = None;
        }
        Topology {
            local,
            public,
            bootstrap,
            use_ledger,
        }
    })
}

proptest! {
    /// What is written is read as it was.
    #[test]
    fn topologies_survive_being_written(topology in topology(), snapshot in prop::option::of("[a-z/.\"]{1,9}")) {
        let snapshot = snapshot.map(PathBuf::from);
        let text = to_json(&topology, snapshot.as_deref());
        let file = parsed(&text);
        prop_assert_eq!(&file.topology, &topology);
        prop_assert_eq!(file.snapshot, snapshot);
        prop_assert_eq!(file.format, Format::Current);
    }

    /// No difference means the same roots under the same rules, and the reverse.
    #[test]
    fn only_equal_topologies_have_no_difference(old in topology(), new in topology()) {
        prop_assert_eq!(diff(&old, &old), []);
        let changes = diff(&old, &new);
        let added = changes.iter().filter(|change| matches!(change, Change::LocalAdded { .. }));
        let removed = changes.iter().filter(|change| matches!(change, Change::LocalRemoved { .. }));
        let count = |topology: &Topology| topology.local.iter().map(|g| g.access_points.len()).sum::<usize>();
        prop_assert_eq!(count(&old) + added.count(), count(&new) + removed.count());
    }
}

#[test]
fn a_difference_names_each_root_and_what_is_said_of_it_now() {
    let old = parsed(FULL).topology;
    let mut new = old.clone();
    new.local[0].hot = 2;
    new.local[0].access_points[0] = addr("192.0.2.11:3001");
    new.local[1].traits.advertise = true;
    new.local[1].traits.behind_firewall = false;
    new.local.swap(0, 1);
    new.public[0].advertise = false;
    new.bootstrap = None;
    new.use_ledger = UseLedger::Always;
    let lines: Vec<_> = diff(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "~ local root [2001:db8::7]:6000, advertise false -> true, behindFirewall true -> false",
            "~ group 1, hot 1 -> 2, warm 2 -> 2",
            "+ local root 192.0.2.11:3001, group 1, trustable true, diffusionMode InitiatorOnly",
            "- local root 192.0.2.10:3001",
            "~ public root _cardano._tcp.pool.example.com, advertise true -> false",
            "- bootstrap peer boot.example.net:3001",
            "~ bootstrap peers are not used",
            "~ ledger peers, from slot 171244716 on -> always",
        ]
    );
}
