//! Nodes of several groups, as processes: views from a file, messages to audiences, and who gets
//! them.

#![cfg(unix)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use samanea::groups::GroupRow;
use samanea_core::base::Instant;
use samanea_std::clock::Clock;
use support::{Node, output};
use tempfile::TempDir;

/// The longest that anything may take: far longer than it does.
const PATIENCE: Instant = Instant::from_secs(60);

/// A node with a key, and what it does.
struct Member {
    node: Node,
    key: String,
    roles: &'static str,
    socket: PathBuf,
}

impl Member {
    fn start(dir: &Path, number: usize, roles: &'static str, file: &Path) -> Self {
        let path = |name: &str| dir.join(format!("{number}.{name}"));
        let pem = path("pem");
        let (code, key, err) = output(["gossip-key", pem.to_str().unwrap()]);
        assert_eq!((code, err.as_str()), (0, ""));
        let socket = path("socket");
        let driver = if number.is_multiple_of(2) {
            "tokio"
        } else {
            "std"
        };
        let node = Node::run(&[
            "--magic",
            "77",
            "--driver",
            driver,
            "--gossip-key",
            pem.to_str().unwrap(),
            "--groups",
            file.to_str().unwrap(),
            "--socket",
            socket.to_str().unwrap(),
        ]);
        Self {
            node,
            key: key.trim().into(),
            roles,
            socket,
        }
    }

    fn listed(&self) -> String {
        format!(
            r#"{{ "key": "{}", "address": "{}", "roles": [{}] }}"#,
            self.key, self.node.addr, self.roles
        )
    }

    fn groups(&self) -> Vec<GroupRow> {
        let args = [
            "groups",
            "--json",
            "--socket",
            self.socket.to_str().unwrap(),
        ];
        let (code, out, err) = output(args);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let rows = out.lines().map(|line| serde_json::from_str(line).unwrap());
        rows.collect()
    }

    fn group(&self, name: &str) -> Option<GroupRow> {
        self.groups().into_iter().find(|row| row.group == name)
    }

    fn held(&self, group: &str) -> u32 {
        self.group(group).map_or(0, |row| row.held)
    }

    fn publish(&self, to: &str, text: &str) -> (i32, String, String) {
        let socket = self.socket.to_str().unwrap();
        output(["publish", text, "--to", to, "--socket", socket])
    }
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let clock = Clock::starting_at(Instant::ZERO);
    while !reached() {
        assert!(clock.now() < PATIENCE, "{what}");
    }
}

fn write(file: &Path, epoch: u64, members: &[&Member]) {
    let members: Vec<String> = members.iter().map(|member| member.listed()).collect();
    let text = format!(
        r#"{{ "epoch": {epoch}, "members": [ {} ] }}"#,
        members.join(", ")
    );
    // In one go: a node may be reading.
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

const VALIDATOR: &str = r#""validator""#;
const SERVICER: &str = r#""servicer""#;
const ARCHIVAL: &str = r#""archival""#;
const OTHERS: &str = "minus(all-staked,validator)";
const ARCHIVE: &str = "minus(archival,all-staked)";

/// Five nodes that learn of each other from a file that is written when all listen.
fn society() -> (TempDir, PathBuf, Vec<Member>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("groups.json");
    write(&file, 1, &[]);
    let roles = [VALIDATOR, VALIDATOR, SERVICER, SERVICER, ARCHIVAL];
    let start = |(number, roles)| Member::start(dir.path(), number, roles, &file);
    let members: Vec<Member> = (0..).zip(roles).map(start).collect();
    let all: Vec<&Member> = members.iter().collect();
    write(&file, 2, &all);
    for member in &members {
        member.node.signal("-HUP");
    }
    until("all know all groups", || {
        members.iter().all(|member| {
            let rows = member.groups();
            let told = |name, members| {
                let row = rows.iter().find(|row| row.group == name);
                row.is_some_and(|row| (row.epoch, row.members) == (2, members))
            };
            told("validator", 2) && told("all-staked", 4) && told(OTHERS, 2) && told(ARCHIVE, 1)
        })
    });
    until("members are linked", || {
        members.iter().all(|member| {
            let wants = |row: &GroupRow| row.member && row.linked < row.wanted;
            !member.groups().iter().any(wants)
        })
    });
    (dir, file, members)
}

#[test]
fn operators_publish_to_audiences_and_only_those_get_it() {
    let (_dir, _file, mut members) = society();
    // Transactions, from a servicer to the validators.
    let (code, id, err) = members[2].publish("transactions", "pay somebody");
    assert_eq!((code, err.as_str(), id.trim().len()), (0, "", 64), "{id}");
    until("validators hold the transaction", || {
        members[..2]
            .iter()
            .all(|member| member.held("validator") == 1)
    });
    assert_eq!(
        members[3].held("validator") + members[4].held("validator"),
        0
    );

    // A block, from a validator to everybody.
    let (code, _, err) = members[0].publish("block-to-archive", "a block of ours");
    assert_eq!((code, err.as_str()), (0, ""));
    until("all hold the block", || {
        members[1].held("validator") == 2
            && members[2..4].iter().all(|member| member.held(OTHERS) == 1)
            && members[4].held(ARCHIVE) == 1
    });

    // A vote stays among validators.
    let (code, _, err) = members[1].publish("consensus", "a vote");
    assert_eq!((code, err.as_str()), (0, ""));
    until("the other validator holds the vote", || {
        members[0].held("validator") == 3
    });
    for member in &members[2..] {
        let (code, out, err) = member.publish("consensus", "a vote of nobody");
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.contains("not a member of the group"), "{err}");
    }

    for (at, texts) in [
        (0, vec!["pay somebody", "a vote"]),
        (2, vec!["a block of ours"]),
        (4, vec!["a block of ours"]),
    ] {
        for text in texts {
            let line = members[at].node.logs(text);
            assert!(line.contains("delivered"), "{line}");
        }
    }
    let (code, table, _) = output(["groups", "--socket", members[0].socket.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(
        table.contains("validator") && table.contains("member"),
        "{table}"
    );
    for member in members {
        assert_eq!(member.node.stop("-TERM"), 0);
    }
}

#[test]
fn a_file_that_changes_is_read_on_a_signal_and_told_line_by_line() {
    let (_dir, file, mut members) = society();
    // Another epoch, without the last servicer and the archival node.
    let some: Vec<&Member> = members[..3].iter().collect();
    write(&file, 3, &some);
    let key = members[3].key.clone();
    let node = &mut members[0].node;
    node.signal("-HUP");
    for words in [
        "~ epoch, 2 -> 3".into(),
        format!("- member {key}"),
        "~ group servicer, 0 joined, 1 left".into(),
        "groups read again".into(),
    ] {
        node.logs(&words);
    }
    until("the group is smaller", || {
        let row = members[0].group("servicer");
        row.is_some_and(|row| (row.epoch, row.members) == (3, 1))
    });
    // Other members in the same epoch are not told.
    let some: Vec<&Member> = members[..2].iter().collect();
    write(&file, 3, &some);
    let node = &mut members[0].node;
    node.signal("-HUP");
    node.logs("! group servicer has other members in the same epoch");
    node.logs("groups read again");
    // A file with errors changes nothing.
    fs::write(&file, r#"{ "epoch": "four" }"#).unwrap();
    node.signal("-HUP");
    let line = node.logs("groups not changed");
    assert!(line.contains("epoch: found \"four\""), "{line}");
    let row = members[0].group("servicer").unwrap();
    assert_eq!((row.epoch, row.members), (3, 1));
}

#[test]
fn a_dry_run_prints_groups_and_members() {
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("key.pem");
    let (_, key, _) = output(["gossip-key", pem.to_str().unwrap()]);
    let key = key.trim();
    let other = "ab".repeat(32);
    let file = dir.path().join("groups.json");
    let text = format!(
        r#"{{
  "epoch": 9,
  "members": [
    {{ "key": "{key}", "address": "192.0.2.1:3001", "roles": ["validator"] }},
    {{ "key": "{other}", "roles": ["servicer"], "leafOnly": true }}
  ],
  "join": [ {{ "group": "custom:{other}", "contacts": ["{other}"] }} ]
}}"#
    );
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let args = ["run", "--dry-run", "--groups", name, "--gossip-key"];
    let (code, out, err) = output(args.into_iter().chain([pem.to_str().unwrap()]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for words in [
        "minus(all-staked,validator)",
        "joins",
        key,
        &other,
        "192.0.2.1:3001",
        "servicer, leaf only",
        "validator, this node",
    ] {
        assert!(out.contains(words), "{words} is not in\n{out}");
    }
    fs::write(&file, r#"{ "epoch": 9, "members": [ { "key": "12" } ] }"#).unwrap();
    let (code, out, err) = output(["run", "--dry-run", "--groups", name]);
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1));
    let place = "groups.json:1: members[0].key: found \"12\"";
    assert!(
        err.starts_with("samanea: --groups: ") && err.contains(place),
        "{err}"
    );
}

#[test]
fn groups_need_a_key_and_a_dry_run_needs_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("groups.json");
    write(&file, 1, &[]);
    let run = [
        "run",
        "--magic",
        "77",
        "--listen",
        "127.0.0.1:0",
        "--groups",
    ];
    let (code, _, err) = output(run.into_iter().chain([file.to_str().unwrap()]));
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("--gossip-key"), "{err}");
    let (code, _, err) = output(["run", "--dry-run"]);
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(
        err.contains("--topology") && err.contains("--groups"),
        "{err}"
    );
    let (code, _, err) = output(["publish", "text", "--to", "nobody"]);
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("--to nobody: no audience"), "{err}");
}

/// A node without a part in gossip says so.
#[test]
fn a_node_without_a_key_publishes_nothing_and_knows_no_groups() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let socket = socket.to_str().unwrap();
    let node = Node::run(&["--magic", "77", "--socket", socket]);
    let (code, out, _) = output(["groups", "--json", "--socket", socket]);
    assert_eq!((code, out.as_str()), (0, ""));
    let (code, _, err) = output(["publish", "text", "--to", "block", "--socket", socket]);
    assert_eq!(code, 1);
    assert!(err.contains("no part in structured gossip"), "{err}");
    assert_eq!(node.stop("-TERM"), 0);
}
