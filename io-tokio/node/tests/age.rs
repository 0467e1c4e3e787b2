//! A node that judges its chain by its age, as a user runs it.
#![cfg(unix)]

mod support;

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use samanea::generate::Recipe;
use samanea_std::clock;
use support::{Node, is, until, write_chunk};

const MAGIC: &str = "77";

/// Writes a chain of 30 blocks: the slot and the hash of its tip.
fn chain(dir: &Path) -> (u64, String) {
    let recipe = Recipe {
        blocks: 30,
        ..Recipe::default()
    };
    let blocks: Vec<_> = recipe.chain().collect();
    write_chunk(dir, 0, 0, &blocks);
    let tip = blocks.last().unwrap().view.point;
    (tip.slot().unwrap(), tip.hash().unwrap().to_string())
}

fn topology(bootstrap: &str, local: &str) -> String {
    let point = |addr: &str| {
        let (host, port) = addr.split_once(':').unwrap();
        format!(r#"{{ "address": "{host}", "port": {port} }}"#)
    };
    format!(
        r#"{{ "bootstrapPeers": [ {} ], "publicRoots": [],
              "localRoots": [ {{ "accessPoints": [ {} ], "valency": 1 }} ] }}"#,
        point(bootstrap),
        point(local)
    )
}

#[test]
fn only_a_chain_that_is_young_is_followed_from_peers_that_are_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (slot, tip) = chain(dir.path());
    let mut source = Node::run(&["--magic", MAGIC, "--chain", dir.path().to_str().unwrap()]);
    source.logs(&tip);
    let other = Node::run(&["--magic", MAGIC]);
    let file = dir.path().join("topology.json");
    fs::write(&file, topology(&source.addr, &other.addr)).unwrap();
    let config = dir.path().join("config.json");
    let text = r#"{ "TestShelleyHardForkAtEpoch": 0, "ShelleyGenesisFile": "shelley.json" }"#;
    fs::write(&config, text).unwrap();
    let socket = dir.path().join("socket");
    let [file, config, socket_arg] = [&file, &config, &socket].map(|path| path.to_str().unwrap());
    let usual = ["--magic", MAGIC, "--topology", file, "--socket", socket_arg];

    // Slots of a minute, as said and as the genesis file has it: the tip is of now, all else old.
    for (driver, by_genesis) in [("tokio", false), ("std", true)] {
        let zero = clock::wall().saturating_sub(Duration::from_secs(60 * slot));
        let start = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + zero);
        let genesis =
            format!(r#"{{ "systemStart": "{start}", "slotLength": 60, "epochLength": 500 }}"#);
        fs::write(dir.path().join("shelley.json"), genesis).unwrap();
        let zero = zero.as_secs().to_string();
        let slots = if by_genesis {
            ["--config", config].to_vec()
        } else {
            ["--slot-zero", &zero, "--slot-length", "60000"].to_vec()
        };
        let mut node = Node::run(&[&usual[..], &["--driver", driver], &slots].concat());
        // Nothing is there yet, so it is old; then it has come, from whom it is trusted to come.
        let line = node.logs("chain judged");
        assert!(line.contains("judgement=TooOld"), "{line}");
        let line = node.logs("chain judged");
        assert!(line.contains("judgement=YoungEnough"), "{line}");
        let other = other.addr.parse().unwrap();
        until("the other is used", &socket, |rows| {
            is(rows.get(&other), "hot")
        });
        assert_eq!(node.stop("-TERM"), 0);
    }
    for node in [source, other] {
        assert_eq!(node.stop("-TERM"), 0);
    }
}

#[test]
fn without_the_times_of_slots_bootstrap_peers_are_used_for_ever_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (slot, tip) = chain(dir.path());
    let mut source = Node::run(&["--magic", MAGIC, "--chain", dir.path().to_str().unwrap()]);
    source.logs(&tip);
    let other = Node::run(&["--magic", MAGIC]);
    let file = dir.path().join("topology.json");
    fs::write(&file, topology(&source.addr, &other.addr)).unwrap();
    let socket = dir.path().join("socket");
    let [file, socket_arg] = [&file, &socket].map(|path| path.to_str().unwrap());
    // Known, and the tip is of long ago; then not known.
    let zero = (clock::wall().as_secs() - slot - 7_200).to_string();
    for slots in [&["--slot-zero", &zero][..], &[]] {
        let usual = ["--magic", MAGIC, "--topology", file, "--socket", socket_arg];
        let mut node = Node::run(&[&usual[..], slots].concat());
        let warned = node.said("when slots begin is not known");
        assert_eq!(warned, slots.is_empty(), "{slots:?}");
        node.logs(&tip);
        let source = source.addr.parse().unwrap();
        let rows = until("the source is used", &socket, |r| is(r.get(&source), "hot"));
        assert_eq!(rows[&source].source.as_deref(), Some("bootstrap"));
        assert_eq!(rows.len(), 1, "{rows:#?}");
        assert_eq!(node.stop("-TERM"), 0);
    }
    for node in [source, other] {
        assert_eq!(node.stop("-TERM"), 0);
    }
}
