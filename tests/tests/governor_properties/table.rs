//! The table of properties names tests that there are.

#[path = "../support/functions.rs"]
mod functions;

use std::{collections::BTreeSet, fs};

use functions::{functions, root};

#[test]
fn every_property_is_shown_by_a_test_that_there_is() {
    let functions = functions();
    let table = fs::read_to_string(root().join("core/docs/governor-laws.md")).unwrap();
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
