//! The page about structured gossip names tests that there are.

#[path = "support/functions.rs"]
mod functions;

use std::fs;

use functions::{functions, root};

/// The rows of the table below a heading, without its head.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, below) = page.split_once(heading).expect(heading);
    let table = below.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

#[test]
fn every_threat_and_every_counterexample_is_shown_by_a_test_that_there_is() {
    let page = fs::read_to_string(root().join("core/docs/rain.md")).unwrap();
    let functions = functions();
    for (heading, least) in [("\n## Threats\n", 20), ("\n## Counterexamples\n", 12)] {
        let rows = rows(&page, heading);
        let mut shown = 0;
        for row in &rows {
            let names = row.last().expect("a cell");
            // A threat that nothing is done about says so instead.
            for name in names.split(", ").filter(|name| name.starts_with('`')) {
                let name = name.trim_matches('`');
                assert!(functions.contains(name), "there is no test {name}");
                shown += 1;
            }
        }
        assert!(rows.len() >= least, "{heading}: {} rows", rows.len());
        assert!(shown + 2 >= rows.len(), "{heading}: {shown} names");
    }
}
