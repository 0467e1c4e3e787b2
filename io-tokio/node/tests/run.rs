//! `samanea run` and `samanea ping` as a user runs them.

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use samanea::generate::Recipe;
use support::{Node, output, write_chunk};

const MAGIC: &str = "77";

/// A directory with a generated chain, and its tip as it is printed.
fn chain(blocks: u64) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        blocks,
        ..Recipe::default()
    };
    let blocks: Vec<_> = recipe.chain().collect();
    write_chunk(dir.path(), 0, 0, &blocks);
    let tip = blocks.last().unwrap().view.point.hash().unwrap();
    (dir, tip.to_string())
}

#[test]
fn a_chain_travels_over_nodes_that_run_by_themselves() {
    let (dir, tip) = chain(30);
    let chain = dir.path().to_str().unwrap();
    let mut source = Node::run(&["--magic", MAGIC, "--chain", chain]);
    let mut relay = Node::run(&["--magic", MAGIC, "--peer", &source.addr, "--driver", "std"]);
    let mut leaf = Node::run(&["--magic", MAGIC, "--peer", &relay.addr, "--trust-first"]);
    for node in [&mut source, &mut relay, &mut leaf] {
        node.logs(&tip);
    }
    for (node, signal) in [(relay, "-TERM"), (source, "-INT"), (leaf, "-TERM")] {
        assert_eq!(node.stop(signal), 0);
    }
}

#[test]
fn a_node_tells_about_its_connections_when_asked() {
    for driver in ["tokio", "std"] {
        let mut node = Node::run(&["--magic", MAGIC, "--driver", driver]);
        node.signal("-USR1");
        node.logs("connections=0");
        let peer = Node::run(&["--magic", MAGIC, "--driver", driver, "--peer", &node.addr]);
        node.logs("connected");
        node.signal("-USR1");
        node.logs("peer 127.0.0.1:");
        let line = node.logs("connection ");
        assert!(line.contains(" from 127.0.0.1:"), "{line}");
        node.logs("connections=1");
        assert_eq!(peer.stop("-TERM"), 0);
        assert_eq!(node.stop("-TERM"), 0);
    }
}

#[test]
fn a_node_without_descriptors_takes_fewer_connections_and_says_so() {
    let mut command = Command::new("sh");
    let listen = "run --listen 127.0.0.1:0 --magic 77 --metrics none";
    command
        .args(["-c", &format!("ulimit -n 400 && exec \"$0\" {listen}")])
        .arg(env!("CARGO_BIN_EXE_samanea"));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = log.next().unwrap().unwrap();
    assert!(line.contains("the process may have 400"), "{line}");
    assert!(line.contains("no more than 272 inbound"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_ping_tells_versions_round_trips_and_the_tip() {
    let (dir, tip) = chain(12);
    let chain = dir.path().to_str().unwrap();
    for driver in ["tokio", "std"] {
        let mut node = Node::run(&["--magic", MAGIC, "--chain", chain, "--driver", driver]);
        node.logs(&tip);
        let (code, out, err) = output(["ping", &node.addr, "--magic", MAGIC, "--count", "4"]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert_eq!(out.matches("round trip ").count(), 4, "{out}");
        assert!(
            out.contains("version 8207 (15 with our own protocols)"),
            "{out}"
        );
        assert!(out.contains("tip: block 11 at slot "), "{out}");
        assert!(out.contains(&tip), "{out}");

        let (code, out, err) = output(["ping", &node.addr, "--magic", MAGIC, "--query"]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        for version in ["version 14", "version 15", "magic 77"] {
            assert!(out.contains(version), "{out}");
        }

        let (code, out, err) = output(["ping", &node.addr, "--magic", "78"]);
        assert_eq!((code, err.lines().count()), (1, 1), "{out}{err}");
        assert!(err.contains("refused"), "{err}");
        assert_eq!(node.stop("-TERM"), 0);
    }
}

#[test]
fn a_ping_into_the_void_is_a_bad_end_in_one_line() {
    // A port that was free a moment ago.
    let addr = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let (code, out, err) = output(["ping", &addr, "--magic", MAGIC]);
    assert_eq!((code, err.lines().count()), (1, 1), "{out}{err}");
    assert!(err.contains(&addr), "{err}");
}

#[test]
fn a_silent_peer_is_not_waited_for_longer_than_said() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let (code, out, err) = output(["ping", &addr, "--magic", MAGIC, "--timeout", "1"]);
    assert_eq!((code, err.lines().count()), (1, 1), "{out}{err}");
    assert!(err.contains("no answer within 1 s"), "{err}");
}

#[test]
fn garbage_costs_its_own_connection_only() {
    // Random words, a segment of nothing, another mini-protocol, a handshake that never ends.
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n",
        &[0; 64],
        &[0, 0, 0, 0, 0x7f, 0xff, 0, 1, 0],
        &[0, 0, 0, 0, 0, 0, 0, 4, 0x82, 0x00, 0xa1, 0xff],
        &[0xff; 4_096],
    ];
    for driver in ["tokio", "std"] {
        let mut node = Node::run(&["--magic", MAGIC, "--driver", driver]);
        let mut open = Vec::new();
        for bytes in garbage {
            let mut peer = TcpStream::connect(&node.addr).unwrap();
            // A reset that comes while we still write is as good an end as any.
            let _ = peer.write_all(bytes);
            open.push(peer);
        }
        for _ in &open {
            node.logs("connection ended");
        }
        let (code, out, err) = output(["ping", &node.addr, "--magic", MAGIC]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert_eq!(node.stop("-TERM"), 0);
    }
}

#[test]
fn a_tape_of_a_node_is_there_once_it_has_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.tape");
    let name = file.to_str().unwrap();
    let node = Node::run(&["--magic", MAGIC, "--tape", name]);
    let (code, _, _) = output(["ping", &node.addr, "--magic", MAGIC]);
    assert_eq!(code, 0);
    assert!(!file.exists(), "not before it is whole");
    assert_eq!(node.stop("-TERM"), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let (code, out, err) = output(["replay", name, "--check"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
}

#[test]
fn a_soft_limit_beyond_the_hard_one_is_refused_in_one_line() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samanea"));
    let args = "run --listen 127.0.0.1:0 --magic 77 --soft-limit 9 --hard-limit 5";
    let out = command.args(args.split(' ')).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let line = String::from_utf8(out.stderr).unwrap();
    assert!(
        line.contains("--soft-limit 9: more than --hard-limit 5"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1, "{line}");
}
