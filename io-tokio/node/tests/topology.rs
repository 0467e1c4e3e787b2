//! `samanea run --topology` as a user runs it.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::{output, say, shared};

/// Runs `--dry-run` on a topology file.
fn dry_run(file: &Path, more: &[&str]) -> (i32, String, String) {
    let args = ["run", "--dry-run", "--topology", file.to_str().unwrap()];
    output([&args, more].concat())
}

/// A directory with a topology of these local roots.
fn written(groups: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("topology.json");
    write(&file, groups);
    (dir, file)
}

/// Replaces a topology file at once, as editors do.
fn write(file: &Path, groups: &str) {
    let text = format!(r#"{{ "localRoots": [ {groups} ], "publicRoots": [] }}"#);
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}

fn group(port: u16, more: &str) -> String {
    format!(
        r#"{{ "accessPoints": [ {{ "address": "127.0.0.1", "port": {port} }} ], "valency": 1 {more} }}"#
    )
}

#[test]
fn a_dry_run_tells_what_would_be_done_with_the_files_of_mainnet() {
    let who = "a dry run with the files of mainnet";
    let Some(file) = shared(who, "data/topology/mainnet-topology.json") else {
        return;
    };
    let (code, out, err) = dry_run(&file, &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let plain = out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "version 23, network 764824073, slot 185831188: 470 big pools, 1,020 relays",
        "from slot 185500763 on",
        "backbone.cardano.iog.io:3001",
        "backbone.mainnet.emurgornd.com:3001",
        "relay-trustwallet-5-0.cardano.mainnet.kiln.fi:3001",
        "0.537 %",
        "no warnings",
    ] {
        assert!(plain.contains(words), "no {words:?} in\n{out}");
    }
    let pools = out.lines().filter(|line| line.matches('%').count() == 3);
    assert_eq!(pools.count(), 10, "{out}");
    let (code, out, err) = dry_run(&file, &["--magic", "1"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.ends_with("found the network magic 764824073, allowed is 1, that of this node\n"),
        "{err}"
    );
    say("topology: 470 big pools, 1,020 relays of mainnet");
}

#[test]
fn a_topology_for_a_template_is_planned_without_roots() {
    let who = "a dry run with an empty topology";
    let Some(file) = shared(
        who,
        "data/topology/testnet-template-topology-empty-p2p.json",
    ) else {
        return;
    };
    let (code, out, err) = dry_run(&file, &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("none, so not used") && out.contains("never"),
        "{out}"
    );
}

#[test]
fn a_configuration_of_cardano_node_sets_the_targets() {
    let (dir, file) = written(&group(3001, ""));
    let config = dir.path().join("config.json");
    let text = r#"{ "TargetNumberOfKnownPeers": 177, "ConsensusMode": "GenesisMode",
        "SyncTargetNumberOfKnownBigLedgerPeers": 133, "Protocol": "Cardano",
        "TargetNumberOfActivPeers": 1 }"#;
    fs::write(&config, text).unwrap();
    let (code, out, _) = dry_run(&file, &["--config", config.to_str().unwrap()]);
    assert_eq!(code, 0);
    for words in [
        "177",
        "133",
        "Genesis",
        "is `TargetNumberOfActivePeers` meant?",
    ] {
        assert!(out.contains(words), "no {words:?} in\n{out}");
    }
}

#[test]
fn what_is_wrong_in_a_file_is_one_line_with_the_place() {
    let refused = |(code, out, err): (i32, String, String), words: &str| {
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains(words), "no {words:?} in {err}");
    };
    let (dir, file) = written(&group(0, ""));
    let place = format!(
        "--topology: {}:1: localRoots[0].accessPoints[0].port: found 0",
        file.display()
    );
    refused(dry_run(&file, &[]), &place);
    let missing = dir.path().join("missing.json");
    refused(dry_run(&missing, &[]), "missing.json: No such file");
    write(&file, &group(3001, ""));
    let config = dir.path().join("config.json");
    fs::write(&config, r#"{ "PeerSharing": 7 }"#).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    refused(
        dry_run(&file, &config),
        "config.json:1: PeerSharing: found 7",
    );
    refused(output(["run", "--dry-run"]), "--topology");
}
