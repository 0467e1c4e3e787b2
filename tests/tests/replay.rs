//! Replays every committed input of every fuzz target.

use std::{
    fs,
    io::{self, Write as _},
    panic,
    path::{Path, PathBuf},
};

use samanea_sim::{corpus, fuzz_bodies};

#[test]
fn every_committed_input_of_every_target_passes() {
    for (target, body) in fuzz_bodies::ALL {
        let files = inputs(target);
        for file in &files {
            let bytes = fs::read(file).unwrap();
            let done = panic::catch_unwind(|| body(&bytes));
            assert!(done.is_ok(), "input {} fails", file.display());
        }
        let _ = writeln!(io::stderr(), "replay: {} inputs of {target}", files.len());
        assert!(files.len() >= 5, "only {} inputs of {target}", files.len());
    }
}

#[test]
fn the_hand_made_inputs_are_committed_as_they_are_made() {
    let all = corpus::inputs();
    for input in &all {
        let file = corpus_dir().join(input.target).join(&input.name);
        let committed = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert_eq!(
            committed,
            input.bytes,
            "{}: run `sim corpus`",
            file.display()
        );
    }
    assert!(all.len() >= 100, "only {} inputs", all.len());
}

fn corpus_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

/// The files of a target in order of their names.
fn inputs(target: &str) -> Vec<PathBuf> {
    let dir = corpus_dir().join(target);
    let list = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = list.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
