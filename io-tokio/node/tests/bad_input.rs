//! Bad input ends with exit code 2 and one line that names the option or the file.

mod support;

use std::{fs, net::TcpListener, path::Path};

use samanea::generate::Recipe;
use support::{output, write_chunk};

/// The program refuses these arguments with one line that has `name` in it.
fn refused(args: &[&str], name: &str) {
    let (code, out, err) = output(args);
    assert_eq!(code, 2, "{args:?}: {out}{err}");
    assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    assert!(err.starts_with("samanea: "), "{args:?}: {err}");
    assert!(err.contains(name), "{args:?}: {err} does not name {name}");
    assert_eq!(out, "", "{args:?}");
}

#[test]
fn a_malformed_option_is_named() {
    let run = ["run", "--magic", "1", "--listen", "127.0.0.1:0"];
    refused(&["run", "--magic", "1", "--listen", "nonsense"], "--listen");
    refused(
        &["run", "--magic", "1", "--listen", "127.0.0.1:x"],
        "--listen",
    );
    refused(
        &["run", "--magic", "x", "--listen", "127.0.0.1:0"],
        "--magic",
    );
    refused(
        &["run", "--magic", "4294967296", "--listen", "127.0.0.1:0"],
        "--magic",
    );
    refused(&["run", "--magic", "1"], "--listen");
    refused(&["run", "--listen", "127.0.0.1:0"], "--magic");
    for (option, value) in [
        ("--peer", "nonsense"),
        ("--peer", "::1:3001"),
        ("--peer", "host:0"),
        ("--peer", "no-such-host.invalid:3001"),
        ("--anchor", "nonsense"),
        ("--anchor", "5.abc"),
        ("--driver", "nonsense"),
        ("--seed", "x"),
        ("--nonsense", "x"),
    ] {
        refused(&[&run[..], &[option, value]].concat(), option);
    }
    refused(
        &[&run[..], &["--trust-first", "--anchor", "origin"]].concat(),
        "--anchor",
    );
    refused(&["ping", "nonsense", "--magic", "1"], "HOST:PORT");
    refused(
        &["ping", "no-such-host.invalid:1", "--magic", "1"],
        "no-such-host.invalid:1",
    );
    refused(&["ping", "127.0.0.1:1"], "--magic");
    refused(&["devnet", "--nodes", "0"], "--nodes");
    refused(&["devnet", "--nodes", "x"], "--nodes");
    refused(&["devnet", "--driver", "both"], "--driver");
    refused(&["devnet", "--blocks", "5", "--chain", "x"], "--chain");
    refused(
        &["devnet", "--tape", "x.tape", "--tape-node", "8"],
        "--tape-node 8",
    );
    refused(&["nonsense"], "nonsense");
    refused(&["replay"], "FILE");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for driver in ["tokio", "std"] {
        refused(
            &["run", "--magic", "1", "--driver", driver, "--listen", &addr],
            &format!("--listen {addr}"),
        );
    }
    refused(
        &["run", "--magic", "1", "--listen", "192.0.2.1:3001"],
        "--listen 192.0.2.1:3001",
    );
}

#[test]
fn a_damaged_chain_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    refused(&["devnet", "--chain", &at("nowhere")], &at("nowhere"));
    refused(&["devnet", "--chain", &at("")], "no .chunk file");

    let recipe = Recipe {
        blocks: 10,
        ..Recipe::default()
    };
    write_chunk(dir.path(), 0, 0, &recipe.chain().collect::<Vec<_>>());
    let (chain, tape) = (at(""), at("x.tape"));
    let mut damaged = 0;
    for part in ["chunk", "primary", "secondary"] {
        let name = at(&format!("00000.{part}"));
        let path = Path::new(&name);
        let whole = fs::read(path).unwrap();
        let touched = |byte: usize| {
            let mut bytes = whole.clone();
            bytes[byte] ^= 0x41;
            Some(bytes)
        };
        let contents = [
            None,
            Some(Vec::new()),
            Some(whole[..whole.len() / 2].to_vec()),
            Some(whole[..whole.len() - 1].to_vec()),
            touched(0),
            touched(whole.len() / 2),
        ];
        for content in contents {
            match content {
                None => fs::remove_file(path).unwrap(),
                Some(bytes) => fs::write(path, bytes).unwrap(),
            }
            // A file that disagrees with its sister may be named by that.
            refused(
                &["devnet", "--chain", &chain, "--tape", &tape],
                &at("00000."),
            );
            refused(
                &[
                    "run",
                    "--magic",
                    "1",
                    "--listen",
                    "127.0.0.1:0",
                    "--chain",
                    &chain,
                ],
                "--chain",
            );
            damaged += 1;
        }
        fs::write(path, &whole).unwrap();
    }
    assert_eq!(damaged, 18);
    assert!(!Path::new(&tape).exists(), "nothing half-written");
    let (code, out, err) = output(["devnet", "--nodes", "2", "--chain", &chain]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn an_anchor_that_does_not_fit_the_chain_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = Recipe::default().chain().take(10).collect();
    let first = blocks[2].view.point.slot().unwrap();
    write_chunk(dir.path(), 1, first, &blocks[2..]);
    let chain = dir.path().to_str().unwrap();
    let anchor = blocks[0].view.point.to_string();
    let run = [
        "run",
        "--magic",
        "1",
        "--listen",
        "127.0.0.1:0",
        "--chain",
        chain,
    ];
    refused(&[&run[..], &["--anchor", &anchor]].concat(), "--anchor");
    refused(&[&run[..], &["--anchor", "origin"]].concat(), "--anchor");
}

#[test]
fn a_file_that_is_no_tape_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    refused(&["replay", &at("missing.tape")], "missing.tape");
    refused(&["replay", &at("")], &at(""));
    for (name, content) in [("empty.tape", &b""[..]), ("other.tape", &[7; 4_096])] {
        fs::write(at(name), content).unwrap();
        refused(&["replay", &at(name)], name);
    }
}

#[test]
fn a_tape_that_cannot_be_written_is_named_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    refused(&["devnet", "--tape", &at("no/such/dir.tape")], "dir.tape");
    refused(&["devnet", "--tape", &at("")], "--tape");
    let run = ["run", "--magic", "1", "--listen", "127.0.0.1:0"];
    refused(
        &[&run[..], &["--tape", &at("no/such/dir.tape")]].concat(),
        "dir.tape",
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let run = ["run", "--magic", "1", "--listen", &addr];
    refused(&[&run[..], &["--tape", &at("x.tape")]].concat(), "--listen");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
