//! What operators see of a running node, and what it remembers: metrics, the control socket, the
//! state directory, as a user meets them.
#![cfg(unix)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use samanea::{
    memory, metrics,
    peers::{Explained, Row},
};
use samanea_core::governor::{Saved, SavedPeer};
use support::{Node, output};

const MAGIC: &str = "77";

/// Starts a node with metrics on a port of its own and a state directory; the node, and where its
/// metrics are.
fn start(dir: &Path, args: &[&str]) -> (Node, String) {
    let dir = dir.to_str().unwrap();
    let own = ["--magic", MAGIC, "--metrics", "127.0.0.1:0", "--state", dir];
    let mut node = Node::run(&[&own[..], args].concat());
    let line = node.logs("metrics address=");
    let (_, addr) = line.split_once("address=").unwrap();
    node.logs("control socket");
    (node, addr.to_owned())
}

/// The answer to a GET of /metrics: names without labels, and their values.
fn scrape(addr: &str) -> BTreeMap<String, f64> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {addr}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    body.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Every name that dashboards and the documentation of the reference know, spelled out apart from
/// the program's own list.
fn documented() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |name: &str, suffixes: &[&str]| {
        for suffix in suffixes {
            names.insert(format!("cardano_node_metrics_{name}{suffix}"));
        }
    };
    for tip in ["blockNum", "slotNum", "slotInEpoch", "epoch"] {
        add(tip, &["_int"]);
    }
    add("density", &["_real"]);
    add("txsInMempool", &["_int"]);
    add("mempoolBytes", &["_int"]);
    add("txsProcessedNum", &["_int", "_counter"]);
    add("forks", &["_int", "_counter"]);
    add("blockfetchclient_blockdelay", &["_s", "_real"]);
    add("blockfetchclient_lateblocks", &["", "_counter"]);
    for share in ["One", "Three", "Five"] {
        let name = format!("blockfetchclient_blockdelay_cdf{share}");
        add(&name, &["", "_real"]);
    }
    add("served_block", &["_counter", "_count_int"]);
    add("served_header", &["_counter"]);
    for use_ in [
        "fullDuplex",
        "duplex",
        "unidirectional",
        "inbound",
        "outbound",
    ] {
        add(&format!("connectionManager_{use_}Conns"), &["", "_int"]);
    }
    for heat in ["idle", "cold", "warm", "hot"] {
        add(&format!("inboundGovernor_{heat}"), &["", "_int"]);
    }
    for heat in ["Cold", "Warm", "Hot"] {
        add(&format!("peerSelection_{heat}"), &["", "_int"]);
        add(&format!("peerSelection_{heat}BigLedgerPeers"), &["_int"]);
    }
    add("peerSelection_WarmLocalRoots", &["_int"]);
    add("peerSelection_HotLocalRoots", &["_int"]);
    add("peerSelection_RootPeers", &["_int"]);
    for kind in [
        "Peers",
        "BigLedgerPeers",
        "LocalRootPeers",
        "NonRootPeers",
        "BootstrapPeers",
    ] {
        let local = kind == "LocalRootPeers";
        for (before, after) in [
            ("Known", ""),
            ("Cold", "Promotions"),
            ("Established", ""),
            ("Warm", "Demotions"),
            ("Warm", "Promotions"),
            ("Active", ""),
            ("Active", "Demotions"),
        ] {
            // The reference does not show these two.
            if !(local && matches!((before, after), ("Cold", _) | ("Warm", "Demotions"))) {
                add(&format!("peerSelection_{before}{kind}{after}"), &["_int"]);
            }
        }
    }
    for way in ["Decreased", "Increased"] {
        for temperature in ["Known", "Established", "Active"] {
            for kind in ["Peers", "BigLedgerPeers"] {
                let name = format!("peerSelection_churn_{way}{temperature}{kind}_duration");
                add(&name, &[""]);
            }
        }
    }
    names.insert("cardano_build_info".into());
    names
}

/// The rows of `samanea peers`.
fn rows(dir: &Path) -> Vec<Row> {
    let (code, out, err) = output(["peers", "--json", "--state", dir.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_documented_name_is_scraped_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (node, metrics) = start(dir.path(), &[]);
    let scraped: BTreeSet<_> = scrape(&metrics).into_keys().collect();
    let documented = documented();
    let missing: Vec<_> = documented.difference(&scraped).collect();
    let unknown: Vec<_> = scraped.difference(&documented).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{missing:?} {unknown:?}"
    );
    assert_eq!(scraped.len(), metrics::ALL.len() + 1);
    assert_eq!(node.stop("-TERM"), 0);
}

#[test]
fn metrics_at_an_address_in_use_are_refused_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let run = ["run", "--listen", "127.0.0.1:0", "--magic", MAGIC];
    let (code, _, err) = output([&run[..], &["--metrics", &addr]].concat());
    assert_eq!(code, 2, "{err}");
    let line = err.lines().last().unwrap();
    assert!(line.contains(&format!("--metrics {addr}: ")), "{line}");
    assert!(line.contains("another node?"), "{line}");
}

#[test]
fn a_state_directory_serves_one_node_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = start(dir.path(), &[]);
    let path = dir.path().to_str().unwrap();
    let run = ["run", "--listen", "127.0.0.1:0", "--magic", MAGIC];
    let (code, _, err) = output([&run[..], &["--state", path, "--metrics", "none"]].concat());
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("another node uses it"), "{err}");
    assert_eq!(node.stop("-TERM"), 0);
    assert!(!dir.path().join("samanea.socket").exists());
}

#[test]
fn nobody_answers_where_no_node_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    for args in [&["peers"][..], &["explain", "127.0.0.1:1"]] {
        let (code, out, err) = output([args, &["--state", path]].concat());
        assert_eq!(
            (code, out.as_str(), err.lines().count()),
            (2, "", 1),
            "{err}"
        );
        assert!(err.contains("samanea.socket: "), "{err}");
    }
}

#[test]
fn peers_are_shown_explained_and_drawn() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut node, metrics) = start(dirs[0].path(), &[]);
    let addr = node.addr.clone();
    let (peer, _) = start(dirs[1].path(), &["--peer", &addr, "--driver", "std"]);
    node.logs("connected");

    let shown = rows(dirs[0].path());
    assert_eq!(shown.len(), 1, "{shown:?}");
    let path = dirs[0].path().to_str().unwrap();
    let map = dirs[0].path().join("map.svg");
    let map_arg = map.to_str().unwrap();
    let (code, out, err) = output(["peers", "--state", path, "--map", map_arg]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for row in &shown {
        let name = row.peer.to_string();
        assert!(out.contains(&name), "{out}");
        assert!(fs::read_to_string(&map).unwrap().contains(&name));
        let (code, out, err) = output(["explain", &name, "--state", path]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        for word in ["why", "promoted by", "waits for", "connection "] {
            assert!(out.contains(word), "{out}");
        }
    }
    let inbound = scrape(&metrics)["cardano_node_metrics_connectionManager_inboundConns_int"];
    assert!((inbound - 1.0).abs() < 1e-9, "{inbound}");

    let (code, out, err) = output(["explain", "192.0.2.1:1", "--state", path]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("192.0.2.1:1: not known"), "{err}");
    for node in [peer, node] {
        assert_eq!(node.stop("-TERM"), 0);
    }
}

/// The rows, and what was scraped both before and after: nothing has changed in between.
fn still(dir: &Path, metrics: &str) -> (Vec<Row>, BTreeMap<String, f64>) {
    let counts = || -> BTreeMap<_, _> {
        let all = scrape(metrics).into_iter();
        all.filter(|(name, _)| name.contains("peerSelection") || name.contains("Conns"))
            .collect()
    };
    for _ in 0..500 {
        let before = counts();
        let rows = rows(dir);
        if before == counts() {
            return (rows, before);
        }
    }
    panic!("never at rest");
}

/// Compares each number that can be counted among the rows; how many were compared.
fn compare(rows: &[Row], scraped: &BTreeMap<String, f64>) -> usize {
    let is = |row: &Row, temperature: &str| row.temperature.as_deref() == Some(temperature);
    let count = |which: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| which(row)).count();
    let known = |row: &Row| row.temperature.is_some();
    let local = |row: &Row| matches!(row.source.as_deref(), Some("local" | "command"));
    let other = |row: &Row| row.source.as_deref() == Some("other");
    let established = |row: &Row| known(row) && !is(row, "cold");
    let inbound = |row: &Row| {
        let used = row.direction.as_deref().unwrap_or_default();
        used.contains("in") || used.contains("duplex")
    };
    let expected = [
        ("peerSelection_Cold_int", count(&|row| is(row, "cold"))),
        (
            "peerSelection_Warm_int",
            count(&|row| is(row, "warm") || is(row, "cooling")),
        ),
        ("peerSelection_Hot_int", count(&|row| is(row, "hot"))),
        ("peerSelection_KnownPeers_int", count(&known)),
        ("peerSelection_EstablishedPeers_int", count(&established)),
        (
            "peerSelection_ActivePeers_int",
            count(&|row| is(row, "hot")),
        ),
        (
            "peerSelection_ColdPeersPromotions_int",
            count(&|row| row.status == "cold to warm"),
        ),
        ("peerSelection_RootPeers_int", count(&local)),
        ("peerSelection_KnownLocalRootPeers_int", count(&local)),
        (
            "peerSelection_HotLocalRoots_int",
            count(&|row| local(row) && is(row, "hot")),
        ),
        (
            "peerSelection_WarmLocalRoots_int",
            count(&|row| local(row) && established(row) && !is(row, "hot")),
        ),
        ("peerSelection_KnownNonRootPeers_int", count(&other)),
        (
            "peerSelection_EstablishedNonRootPeers_int",
            count(&|row| other(row) && established(row)),
        ),
        (
            "peerSelection_ActiveNonRootPeers_int",
            count(&|row| other(row) && is(row, "hot")),
        ),
        ("peerSelection_KnownBigLedgerPeers_int", 0),
        ("connectionManager_inboundConns_int", count(&inbound)),
    ];
    for (name, expected) in expected {
        let got = scraped[&format!("cardano_node_metrics_{name}")];
        let expected = f64::from(u32::try_from(expected).unwrap());
        assert!((got - expected).abs() < 1e-9, "{name}: {got}, {rows:?}");
    }
    expected.len()
}

#[test]
fn the_numbers_are_those_of_all_peers_as_they_are_explained() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (hot, _) = start(dirs[0].path(), &[]);
    // A port that was free a moment ago.
    let void = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = void.local_addr().unwrap().to_string();
    drop(void);
    let (node, metrics) = start(
        dirs[1].path(),
        &["--peer", &hot.addr, "--peer", &dead, "--driver", "std"],
    );
    let inbound = Node::run(&["--magic", MAGIC, "--peer", &node.addr]);
    let mut compared = 0;
    let settled = (0..500).any(|_| {
        let (rows, scraped) = still(dirs[1].path(), &metrics);
        compared += compare(&rows, &scraped);
        let has = |status: &str| rows.iter().any(|row| row.status == status);
        let is_used = |row: &Row| row.direction.as_deref() == Some("in");
        has("hot") && has("cold, left alone") && rows.iter().any(is_used)
    });
    assert!(settled && compared > 0);
    for row in rows(dirs[1].path()) {
        let args = ["explain", &row.peer.to_string(), "--json", "--state"];
        let (code, out, err) = output([&args[..], &[dirs[1].path().to_str().unwrap()]].concat());
        assert_eq!(code, 0, "{err}");
        let told: Explained = serde_json::from_str(&out).unwrap();
        assert_eq!((told.row.peer, &told.row.source), (row.peer, &row.source));
        assert_eq!(told.row.told_by, row.told_by);
    }
    for node in [inbound, node, hot] {
        assert_eq!(node.stop("-TERM"), 0);
    }
}

#[test]
fn peers_are_remembered_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    let targets = r#"{ "TargetNumberOfRootPeers": 0, "TargetNumberOfKnownPeers": 50,
        "TargetNumberOfEstablishedPeers": 0, "TargetNumberOfActivePeers": 0,
        "TargetNumberOfKnownBigLedgerPeers": 0, "TargetNumberOfEstablishedBigLedgerPeers": 0,
        "TargetNumberOfActiveBigLedgerPeers": 0 }"#;
    fs::write(&config, targets).unwrap();
    let peers: Vec<_> = (1..=20)
        .map(|n| SavedPeer {
            peer: ([192, 0, 2, n], 3001).into(),
            failures: n % 3,
            reached: n % 2 == 0,
            advertise: None,
            established: false,
        })
        .collect();
    let saved = Saved {
        peers: peers.clone(),
        offenders: Vec::new(),
    };
    let file = dir.path().join("peers.state");
    fs::write(&file, memory::to_bytes(&saved).unwrap()).unwrap();
    for driver in ["tokio", "std"] {
        let args = ["--config", config.to_str().unwrap(), "--driver", driver];
        let (node, metrics) = start(dir.path(), &args);
        let (rows, scraped) = still(dir.path(), &metrics);
        compare(&rows, &scraped);
        let shown: Vec<_> = rows.iter().map(|row| (row.peer, row.failures)).collect();
        let expected: Vec<_> = peers
            .iter()
            .map(|saved| (saved.peer, saved.failures))
            .collect();
        assert_eq!(shown, expected);
        fs::remove_file(&file).unwrap();
        assert_eq!(node.stop("-TERM"), 0);
        let kept = memory::from_bytes(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(kept, saved);
    }
}

#[test]
fn a_damaged_memory_is_set_aside_and_the_node_starts_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("peers.state");
    for round in 1..=2 {
        fs::write(&file, "garbage").unwrap();
        let dir = dir.path().to_str().unwrap();
        let args = ["--magic", MAGIC, "--state", dir];
        let mut command = support::samanea(["run", "--listen", "127.0.0.1:0"]);
        command.args(args).args(["--metrics", "none"]);
        let mut child = command
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut log, &mut line).unwrap();
        let bad = format!("peers.state.bad-{round}");
        assert!(
            line.contains("not a file of saved peers") && line.contains(&bad),
            "{line}"
        );
        line.clear();
        std::io::BufRead::read_line(&mut log, &mut line).unwrap();
        assert!(line.contains("listening"), "{line}");
        let id = child.id().to_string();
        let kill = std::process::Command::new("kill")
            .arg(&id)
            .status()
            .unwrap();
        assert!(kill.success());
        log.read_to_string(&mut line).unwrap();
        assert!(child.wait().unwrap().success(), "{line}");
        assert_eq!(fs::read(Path::new(dir).join(bad)).unwrap(), b"garbage");
        assert_ne!(fs::read(&file).unwrap(), b"garbage", "saved at the end");
    }
}
