//! The table of properties names tests that there are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// All files of Rust below a directory, but for what was built.
fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_property_is_shown_by_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for package in ["core", "io-std", "io-tokio", "tests"] {
        sources(&root.join(package), &mut files);
    }
    let mut functions = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for rest in text.split("fn ").skip(1) {
            let name = rest.split(|c: char| c != '_' && !c.is_ascii_alphanumeric());
            functions.extend(name.into_iter().next().map(str::to_owned));
        }
    }
    let table = fs::read_to_string(root.join("core/docs/governor-laws.md")).unwrap();
    let mut numbers = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, number, _, shown, _] = cells[..] else {
            panic!("{row}");
        };
        for part in number.split(", ").filter(|part| *part != "more") {
            let (from, to) = part.split_once('–').unwrap_or((part, part));
            let (from, to): (u8, u8) = (from.parse().unwrap(), to.parse().unwrap());
            numbers.extend(from..=to);
        }
        for name in shown.split(", ") {
            let name = name.trim_matches('`');
            assert!(functions.contains(name), "there is no test {name}");
        }
    }
    assert_eq!(numbers, (1..=72).collect());
}
