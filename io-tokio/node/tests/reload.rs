//! Roots changed under a running node: what it says, and what becomes of its peers.
#![cfg(unix)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use samanea::peers::{Root, Row};
use support::{Node, is, peers, until};

const MAGIC: &str = "77";

/// A group of local roots as the file has it.
#[derive(Clone, Copy)]
struct Group<'a> {
    members: &'a [&'a str],
    hot: u32,
    warm: u32,
    more: &'a str,
}

const fn group<'a>(members: &'a [&'a str], hot: u32, warm: u32, more: &'a str) -> Group<'a> {
    Group {
        members,
        hot,
        warm,
        more,
    }
}

/// What the node says of a root of which nothing is said.
const PLAIN: Root = Root {
    group: 0,
    hot: 1,
    warm: 1,
    advertise: false,
    trustable: false,
    behind_firewall: false,
    initiator_only: false,
};

/// A topology file that is replaced at once, as editors do.
struct File(PathBuf);

impl File {
    fn write(&self, groups: &[Group<'_>]) {
        let groups = groups.iter().map(|group| {
            let point = |addr: &&str| {
                let (host, port) = addr.split_once(':').unwrap();
                format!(r#"{{ "address": "{host}", "port": {port} }}"#)
            };
            let points: Vec<_> = group.members.iter().map(point).collect();
            format!(
                r#"{{ "accessPoints": [ {} ], "hotValency": {}, "warmValency": {} {} }}"#,
                points.join(", "),
                group.hot,
                group.warm,
                group.more
            )
        });
        let groups: Vec<_> = groups.collect();
        self.put(&format!(
            "{{ \"localRoots\": [\n {} ],\n \"publicRoots\": [] }}",
            groups.join(",\n ")
        ));
    }

    fn put(&self, text: &str) {
        let beside = self.0.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, &self.0).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

/// What stays the same of a peer as long as nothing happens to it or its connection.
fn state(row: &Row) -> (&str, u64, &[u64], Option<&str>) {
    let used = row.direction.as_deref();
    (&row.status, row.since_s, &row.connections, used)
}

/// Nothing has happened to those peers, and nothing else is said of them.
fn untouched(before: &BTreeMap<SocketAddr, Row>, after: &BTreeMap<SocketAddr, Row>, who: &[&str]) {
    for addr in who.iter().map(|addr| addr.parse().unwrap()) {
        let (before, after): (&Row, &Row) = (&before[&addr], &after[&addr]);
        assert_eq!(state(before), state(after), "{addr}");
        let of = |row: &Row| (row.source.clone(), row.root);
        assert_eq!(of(before), of(after), "{addr}");
    }
}

/// A node that aims at nothing but its roots.
struct Rig {
    node: Node,
    file: File,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

fn start(driver: &str, groups: &[Group<'_>]) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let file = File(dir.path().join("topology.json"));
    file.write(groups);
    let config = dir.path().join("config.json");
    let targets = r#"{ "TargetNumberOfRootPeers": 0, "TargetNumberOfKnownPeers": 50,
        "TargetNumberOfEstablishedPeers": 0, "TargetNumberOfActivePeers": 0,
        "TargetNumberOfKnownBigLedgerPeers": 0, "TargetNumberOfEstablishedBigLedgerPeers": 0,
        "TargetNumberOfActiveBigLedgerPeers": 0, "PeerSharing": false }"#;
    fs::write(&config, targets).unwrap();
    let socket = dir.path().join("socket");
    let paths = [&config, &socket].map(|path| path.to_str().unwrap());
    let args = [
        "--magic",
        MAGIC,
        "--driver",
        driver,
        "--topology",
        file.path(),
        "--config",
        paths[0],
        "--socket",
        paths[1],
    ];
    let mut node = Node::run(&args);
    node.logs("control socket");
    Rig {
        node,
        file,
        socket,
        _dir: dir,
    }
}

impl Rig {
    /// Changes the roots, says so, and waits until the node has read them.
    fn change(&mut self, groups: &[Group<'_>]) {
        self.file.write(groups);
        self.node.signal("-HUP");
        self.node.logs("topology read again");
    }
}

#[test]
fn a_reload_changes_those_roots_that_changed_and_no_other_peer() {
    for driver in ["tokio", "std"] {
        one_by_one(driver);
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one story: each change begins where the one before ended"
)]
fn one_by_one(driver: &str) {
    let others = [(); 4].map(|()| Node::run(&["--magic", MAGIC]));
    let [a, b, c, d] = others.each_ref().map(|node| node.addr.as_str());
    let at = |addr: &str| addr.parse::<SocketAddr>().unwrap();
    let (one, two) = (group(&[], 1, 1, ""), group(&[], 2, 2, ""));
    let first = Group {
        members: &[a],
        ..one
    };
    let second = Group {
        members: &[b, c],
        ..two
    };
    let mut rig = start(driver, &[first, second]);
    let hot = |rows: &BTreeMap<_, _>, who: &[&str]| who.iter().all(|w| is(rows.get(&at(w)), "hot"));
    let began = until("all are used", &rig.socket, |rows| hot(rows, &[a, b, c]));
    assert_eq!(began.len(), 3, "{began:#?}");
    assert_eq!(began[&at(a)].root, Some(PLAIN));

    // Other flags: they are said of it, and its connection stays.
    let flags = r#", "advertise": true, "trustable": true, "behindFirewall": true,
        "diffusionMode": "InitiatorOnly""#;
    let flagged = Group {
        more: flags,
        ..first
    };
    rig.change(&[flagged, second]);
    let said = Root {
        advertise: true,
        trustable: true,
        behind_firewall: true,
        initiator_only: true,
        ..PLAIN
    };
    let rows = until("flags", &rig.socket, |r| r[&at(a)].root == Some(said));
    assert_eq!(state(&rows[&at(a)]), state(&began[&at(a)]));
    untouched(&began, &rows, &[b, c]);
    assert_eq!(rows.len(), 3, "{rows:#?}");

    // Two more: one that is used without its using us, one that must never be dialled.
    let hidden = TcpListener::bind("127.0.0.1:0").unwrap();
    hidden.set_nonblocking(true).unwrap();
    let wall = hidden.local_addr().unwrap().to_string();
    let third = Group {
        members: &[d],
        more: r#", "diffusionMode": "InitiatorOnly""#,
        ..one
    };
    let fourth = Group {
        members: &[&wall],
        more: r#", "behindFirewall": true"#,
        ..one
    };
    rig.change(&[flagged, second, third, fourth]);
    let more = until("two more", &rig.socket, |rows| {
        hot(rows, &[d]) && rows.get(&at(&wall)).is_some_and(|row| row.failures > 0)
    });
    untouched(&rows, &more, &[a, b, c]);
    assert_eq!(more.len(), 5, "{more:#?}");
    assert!(is(more.get(&at(&wall)), "cold"), "{more:#?}");
    assert_eq!(more[&at(d)].direction.as_deref(), Some("out"));
    let root = more[&at(d)].root.unwrap();
    assert!(root.initiator_only && root.group == 2, "{root:?}");

    // One hot peer of two is enough: one of them leaves.
    let fewer = Group { hot: 1, ..second };
    rig.change(&[flagged, fewer, third, fourth]);
    let of = |rows: &BTreeMap<SocketAddr, Row>| [b, c].map(|who| rows[&at(who)].clone());
    let rows = until("one of two", &rig.socket, |rows| {
        of(rows).iter().filter(|row| row.status == "hot").count() == 1
    });
    for (row, before) in of(&rows).iter().zip(of(&more)) {
        assert_eq!(row.connections, before.connections, "it is not dropped");
        assert_eq!(row.root.map(|root| (root.hot, root.warm)), Some((1, 2)));
        let stays = row.status == "hot";
        assert_eq!(stays, state(row) == state(&before), "{row:?} {before:?}");
    }
    untouched(&more, &rows, &[a, d]);

    // A file with an error changes nothing, and says where.
    rig.file.put("{ \"localRoots\": [],\n \"publicRoots\": 7 }");
    rig.node.signal("-HUP");
    let line = rig.node.logs("topology not changed: ");
    let place = format!("{}:2: publicRoots: found 7", rig.file.path());
    assert!(line.contains(&place), "{line}");
    let same = peers(&rig.socket);
    untouched(&rows, &same, &[a, d]);
    let roots = |rows: &BTreeMap<SocketAddr, Row>| -> Vec<_> {
        rows.iter().map(|(peer, row)| (*peer, row.root)).collect()
    };
    assert_eq!(roots(&rows), roots(&same));

    // One is removed: it is used no longer, and known as any other.
    rig.change(&[fewer, third, fourth]);
    let rows = until("one less", &rig.socket, |rows| {
        let row = rows.get(&at(a));
        row.is_some_and(|row| row.root.is_none() && row.status != "hot")
    });
    assert_eq!(rows[&at(a)].source.as_deref(), Some("other"));
    assert_eq!(rows.len(), 5, "{rows:#?}");
    let state_of_d = |rows: &BTreeMap<SocketAddr, Row>| {
        let (status, since, conns, used) = state(&rows[&at(d)]);
        (
            status.to_owned(),
            since,
            conns.to_vec(),
            used.map(String::from),
        )
    };
    assert_eq!(state_of_d(&rows), state_of_d(&more));
    assert_eq!(rows[&at(d)].root.map(|root| root.group), Some(1));

    let dialled = hidden.accept().map(|(_, from)| from);
    assert!(dialled.is_err(), "dialled from {dialled:?}");
    assert_eq!(rig.node.stop("-TERM"), 0);
    for node in others {
        assert_eq!(node.stop("-TERM"), 0);
    }
}

#[test]
fn a_topology_is_read_again_on_a_signal_and_when_it_changes() {
    let void = ["127.0.0.1:1", "127.0.0.1:2"];
    let group = |n: usize, more| group(&void[n..=n], 1, 1, more);
    let mut rig = start("tokio", &[group(0, "")]);

    rig.file.write(&[group(1, r#", "trustable": true"#)]);
    rig.node.signal("-HUP");
    rig.node
        .logs("+ local root 127.0.0.1:2, group 0, trustable true");
    rig.node.logs("- local root 127.0.0.1:1");
    rig.node.logs("topology read again");

    // Without a signal; an error too; and the file as it was is no change.
    rig.file.write(&[group(1, "")]);
    rig.node
        .logs("~ local root 127.0.0.1:2, trustable true -> false");
    rig.node.logs("changes=1");
    rig.file.put("{");
    rig.node.logs("topology not changed: ");
    rig.file.write(&[group(1, "")]);
    rig.node.logs("changes=0");

    // In the same place and of the same length, again and again.
    for mark in ["true ", "false", "true "] {
        let groups = format!(
            r#"{{ "localRoots": [ {{ "accessPoints": [ {{ "address": "127.0.0.1", "port": 2 }} ],
               "valency": 1, "advertise": {mark} }} ], "publicRoots": [] }}"#
        );
        fs::write(&rig.file.0, groups).unwrap();
        let line = rig.node.logs("~ local root 127.0.0.1:2, advertise ");
        assert!(line.ends_with(&format!("-> {}", mark.trim())), "{line}");
    }
    assert_eq!(rig.node.stop("-TERM"), 0);
}
