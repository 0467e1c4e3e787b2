//! `samanea devnet` and `samanea replay` as a user runs them.

mod support;

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};

use samanea::{generate::Recipe, rules::Eras};
use samanea_core::{
    node::Engine,
    tape::{self, Ending},
};
use support::{output, samanea, say, shared};

#[test]
fn every_node_gets_the_generated_chain_on_every_driver() {
    let recipe = Recipe {
        seed: 5,
        blocks: 60,
        ..Recipe::default()
    };
    let tip = recipe.chain().last().unwrap().view.point.hash().unwrap();
    for driver in ["tokio", "std", "mixed"] {
        let (code, out, err) = output([
            "devnet", "--nodes", "3", "--blocks", "60", "--seed", "5", "--driver", driver,
        ]);
        assert_eq!((code, err.as_str()), (0, ""), "{driver}\n{out}");
        // Once for each node and once in the line below the table.
        assert_eq!(out.matches(&tip.to_string()).count(), 4, "{driver}\n{out}");
        assert!(
            out.contains("all 3 nodes have 60 blocks"),
            "{driver}\n{out}"
        );
    }
}

#[test]
fn eight_nodes_get_the_real_chain() {
    let Some(dir) = shared("the devnet on the real chain", "data/chain") else {
        return;
    };
    for driver in ["tokio", "std", "mixed"] {
        let dir = dir.to_str().unwrap();
        let (code, out, err) =
            output(["devnet", "--nodes", "8", "--chain", dir, "--driver", driver]);
        assert_eq!((code, err.as_str()), (0, ""), "{driver}\n{out}");
        let line = "all 8 nodes have 913 blocks, tip \
            53af88680ff3380814fdddc148caa1c6dbb89e5a30a5f6a439ee313424a14c55 at slot 39679163";
        assert!(out.contains(line), "{driver}\n{out}");
        say(&format!("{driver}: {line}"));
    }
}

#[test]
fn time_that_is_up_is_a_bad_end_in_one_line() {
    let (code, out, err) = output(["devnet", "--nodes", "3", "--blocks", "60", "--timeout", "0"]);
    assert_eq!(code, 1, "{out}{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(
        err.contains("of 3 nodes do not have the chain after 0 s"),
        "{err}"
    );
    assert!(
        out.contains("tip hash"),
        "the table is shown all the same: {out}"
    );
}

#[test]
fn one_node_alone_has_its_own_chain() {
    let (code, out, err) = output(["devnet", "--nodes", "1", "--blocks", "5"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
}

#[test]
fn a_tape_leads_to_the_same_actions_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.tape");
    let name = file.to_str().unwrap();
    let (code, out, err) = output([
        "devnet", "--nodes", "3", "--blocks", "40", "--driver", "mixed", "--tape", name,
    ]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let digest = between(&out, "digest ", ",");
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing but the tape"
    );

    let (code, out, err) = output(["replay", name, "--check"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(between(&out, "digest ", "\n"), digest);

    let bytes = fs::read(&file).unwrap();
    let again = |options| tape::replay::<Engine>(&bytes, &Eras, options).unwrap();
    let first = again(tape::Options::default());
    assert_eq!(first.ending, Ending::Complete);
    assert!(first.events > 50, "{first:?}");
    assert_eq!(again(tape::Options::default()), first);
    let restored = again(tape::Options {
        restore_after: Some(first.events / 2),
        ..tape::Options::default()
    });
    assert!(restored.restored);
    assert_eq!(
        (restored.digest, first.digest.to_string()),
        (first.digest, digest)
    );

    // Damaged tapes: each one line, and a code that says whose fault it is.
    let damaged = dir.path().join("damaged.tape");
    let name = damaged.to_str().unwrap();
    for len in [0, 9, 40, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&damaged, &bytes[..len]).unwrap();
        refused(name, &[2]);
    }
    let mut touched = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 20) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        fs::write(&damaged, &bytes).unwrap();
        // A byte inside of a block's body may change nothing that is done.
        let (code, _, err) = output(["replay", name]);
        assert!((0..=2).contains(&code), "byte {at}: {code} {err}");
        touched += u32::from(code != 0);
    }
    assert!(touched > 5, "{touched}");
}

#[test]
fn an_interrupted_devnet_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("run.tape");
    // Far more blocks than can travel before the signal comes.
    let mut devnet = samanea(["devnet", "--blocks", "4000", "--nodes", "40", "--tape"])
        .arg(&name)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The tape is begun once the signals are listened for.
    while fs::read_dir(dir.path()).unwrap().count() == 0 {
        assert_eq!(devnet.try_wait().unwrap(), None);
        std::thread::yield_now();
    }
    let pid = devnet.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut err = String::new();
    devnet
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert_eq!(devnet.wait().unwrap().code(), Some(1), "{err}");
    assert_eq!(err, "samanea: interrupted\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The tape is refused with one line that names it and one of these codes.
fn refused(name: &str, codes: &[i32]) {
    let (code, _, err) = output(["replay", name]);
    assert!(codes.contains(&code), "{code}: {err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains(name), "{err}");
}

fn between(text: &str, before: &str, after: &str) -> String {
    let from = text.find(before).unwrap() + before.len();
    let text = &text[from..];
    text[..text.find(after).unwrap_or(text.len())].to_owned()
}
