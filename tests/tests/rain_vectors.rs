//! The published numbers of the older tree: who reads and who writes how often, whom a member
//! sends to, how many levels there are, what a member's list looks like.
//!
//! Vectors of branches that were never merged are checked with the rule of their branch, written
//! here: the tree of the core knows nothing of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use blake2::{Blake2b, Digest as _, digest::consts::U32};
use bytes::Bytes;
use samanea_core::{
    base::{
        Cx, First, GroupId, Hash32, HeaderFault, HeaderView, Instant, Machine as _, MemberKey,
        NoRules, Rules, Signature, TxId,
    },
    proto::rain_link::Frame,
    rain::{
        Acks, Action, Cleanup, Config, Event, Member, Options, Rain, Reach, Redundancy, Shape,
        View,
        tree::{legacy_targets, levels},
    },
};
use samanea_sim::rain::model::{Forward, Outcome, legacy};
use serde_json::Value;

/// How many vectors of reads and writes there are, of each kind.
const VECTORS: [(&str, usize); 3] = [("upstream", 8), ("derived", 10), ("upstream-unmerged", 6)];

#[test]
fn every_member_reads_and_writes_as_often_as_published() {
    let Some(all) = read() else {
        return;
    };
    let mut checked = BTreeMap::new();
    for vector in list(&all, "vectors") {
        let kind = vector["kind"].as_str().expect("a kind");
        let outcome = match kind {
            "upstream" | "derived" => tree(number(&vector["n"])),
            "upstream-unmerged" => unmerged(vector),
            other => panic!("vectors of kind {other} are not known here"),
        };
        check(vector, &outcome);
        *checked.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(checked, BTreeMap::from(VECTORS));
    say(&format!("reads and writes: checked {checked:?}"));
}

/// The machine, told to be as the older tree was, does the same.
#[test]
fn machines_read_and_write_as_often_as_published() {
    let Some(all) = read() else {
        return;
    };
    let merged = |vector: &&Value| vector["kind"] != "upstream-unmerged";
    let vectors: Vec<&Value> = list(&all, "vectors").iter().filter(merged).collect();
    for vector in &vectors {
        check(vector, &machines(number(&vector["n"])));
    }
    assert_eq!(vectors.len(), 18);
    say(&format!(
        "reads and writes of machines: checked {}",
        vectors.len()
    ));
}

/// Every copy is sent on, as there.
fn tree(n: u32) -> Outcome {
    legacy(&vec![false; n as usize], Forward::Always)
}

/// The same with machines, whose frames arrive in the order in which they are sent.
fn machines(n: u32) -> Outcome {
    let config = Config {
        shape: Shape::LegacyForwardAll,
        acks: Acks::Off,
        cleanup: Cleanup {
            on: false,
            ..Cleanup::default()
        },
        redundancy: Some(Redundancy::None),
        reach: Reach::Assumed,
        ..Config::default()
    };
    let keys: Vec<MemberKey> = (1..=n).map(numbered).collect();
    let members = keys.iter().copied().map(Member::from);
    let view = View::new(GroupId::AllStaked, 1, None, members, &Signing(keys[0])).unwrap();
    let mut outcome = Outcome {
        at_bottom: Vec::new(),
        ..tree(n)
    };
    outcome.reads.fill(0);
    outcome.writes.fill(0);
    let mut rains: Vec<Rain> = Vec::new();
    let mut events = VecDeque::new();
    for (at, key) in keys.iter().enumerate() {
        rains.push(Rain::new(config.clone(), *key, 1));
        let (view, expires) = (view.clone(), None);
        events.push_back((at, Event::View { view, expires }));
    }
    let publish = Event::Publish {
        tag: 1,
        group: GroupId::AllStaked,
        payload: Bytes::from_static(b"rain"),
        options: Options::default(),
    };
    events.push_back((0, publish));
    while let Some((at, event)) = events.pop_front() {
        if matches!(event, Event::Received { .. }) {
            outcome.reads[at] += 1;
        }
        let mut actions = Vec::new();
        let rules = Signing(keys[at]);
        let mut choice = First;
        let mut cx = Cx::new(Instant::ZERO, &mut choice, &rules, &mut actions);
        rains[at].step(&mut cx, event);
        for action in actions {
            let Action::Send { peer, frame, .. } = action else {
                continue;
            };
            assert!(matches!(frame, Frame::Data(_)), "nothing but payloads");
            outcome.writes[at] += 1;
            let to = view.seat(&peer).expect("a member") as usize;
            let peer = keys[at];
            events.push_back((to, Event::Received { peer, frame }));
        }
    }
    outcome
}

/// Keys in the order of numbers.
fn numbered(number: u32) -> MemberKey {
    let mut key = MemberKey::default();
    key.0[..4].copy_from_slice(&number.to_be_bytes());
    key
}

/// The rules of a member whose signature anybody could make.
struct Signing(MemberKey);

impl Rules for Signing {
    fn name(&self) -> &'static str {
        "signing"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let mut hash = Blake2b::<U32>::new();
        for part in parts {
            hash.update(part);
        }
        Hash32(hash.finalize().into())
    }

    fn sign(&self, message: &[u8]) -> Option<Signature> {
        let half = self.hash(&[&self.0.0, message]).0;
        Some(Signature([half, half]))
    }

    fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
        let half = self.hash(&[&member.0, message]).0;
        signature.0 == [half, half]
    }
}

fn check(vector: &Value, outcome: &Outcome) {
    let n = number(&vector["n"]);
    let expected = vector["expected"].as_object().expect("members");
    assert_eq!(vector["originator"], "val_1");
    assert_eq!(expected.len(), n as usize);
    for (name, times) in expected {
        let at = slot(name) as usize;
        let (reads, writes) = (outcome.reads[at], outcome.writes[at]);
        assert_eq!(reads, number(&times["reads"]), "{name} of {n} reads");
        assert_eq!(writes, number(&times["writes"]), "{name} of {n} writes");
    }
    if let Some(unreached) = vector.get("unreached") {
        let unreached = unreached.as_array().expect("names");
        let slots = unreached
            .iter()
            .map(|name| slot(name.as_str().expect("a name")));
        let missed = outcome.missed(&vec![false; n as usize]);
        assert_eq!(missed, slots.collect::<Vec<_>>(), "n = {n}");
    }
}

/// A member's offset from the originator, which is the first.
fn slot(name: &str) -> u32 {
    let number = name.strip_prefix("val_").and_then(|at| at.parse().ok());
    let number: u32 = number.unwrap_or_else(|| panic!("{name} is no member"));
    number - 1
}

/// Every member that has come down to level 0 sends the payload once more: with redundancy to the
/// two that it sends to at the top, with clean-up to the two beside it. Those copies end there.
/// src: pokt-network/pocket, pull request 137, commit 9c445360
fn unmerged(vector: &Value) -> Outcome {
    let n = number(&vector["n"]);
    let source = vector["source"].as_str().expect("a source");
    let on = |what: &str| {
        let [yes, no] = ["True", "False"].map(|flag| source.contains(&format!("{what}={flag}")));
        assert!(yes != no, "{source}");
        yes
    };
    let mut outcome = tree(n);
    // Where a level is handed on to more than one, it is not said how often they would.
    assert!(levels(n) == 1 && outcome.reads.iter().all(|reads| *reads <= 1));
    let mut more = Vec::new();
    if on("redundancy") {
        more.push(legacy_targets(n, levels(n)));
    }
    if on("cleanup") {
        more.push(beside(n));
    }
    for offsets in more {
        let mut offsets = BTreeSet::from(offsets);
        offsets.remove(&0);
        for offset in offsets {
            for own in 0..n {
                outcome.writes[own as usize] += 1;
                outcome.reads[((own + offset) % n) as usize] += 1;
            }
        }
    }
    outcome
}

/// The offsets of the two beside a member, the left one first.
fn beside(n: u32) -> [u32; 2] {
    [n - 1, 1]
}

#[test]
fn targets_are_the_published_ones() {
    let Some(all) = read() else {
        return;
    };
    let mut checked = 0;
    for vector in list(&all, "targets") {
        let letters = vector["list"].as_str().expect("a list").as_bytes();
        let own = vector["self"].as_str().expect("a member").as_bytes()[0];
        let view = View::new(GroupId::AllStaked, 0, None, members(letters), &NoRules).unwrap();
        let n = view.members();
        assert_eq!(n, number(&vector["n"]));
        let seat = view.seat(&key(own)).expect("a seat of its own");
        // The list is the ring from the member itself.
        let ring = (0..n).map(|steps| letter(&view, view.ahead(seat, steps)));
        assert_eq!(ring.collect::<Vec<_>>(), letters);
        let at = |offsets: [u32; 2]| offsets.map(|offset| letter(&view, view.ahead(seat, offset)));
        let named = |value: &Value| -> Vec<u8> {
            let names = value.as_array().expect("two names").iter();
            names
                .map(|name| name.as_str().expect("a name").as_bytes()[0])
                .collect()
        };
        let targets = vector["targets"].as_object().expect("by level");
        assert_eq!(targets.len(), usize::from(levels(n)));
        for (level, names) in targets {
            let level = level.parse().expect("a level");
            assert_eq!(
                at(legacy_targets(n, level)).to_vec(),
                named(names),
                "{level} of {n}"
            );
            checked += 1;
        }
        let redundancy = at(legacy_targets(n, levels(n)));
        assert_eq!(redundancy.to_vec(), named(&vector["redundancy_unmerged"]));
        assert_eq!(at(beside(n)).to_vec(), named(&vector["cleanup_unmerged"]));
    }
    assert_eq!(checked, 7);
    say(&format!("targets: checked {checked} levels of 3 lists"));
}

#[test]
fn levels_are_the_published_ones() {
    let Some(all) = read() else {
        return;
    };
    let pairs = list(&all["levels"], "n_to_levels");
    for pair in pairs {
        assert_eq!(
            u32::from(levels(number(&pair[0]))),
            number(&pair[1]),
            "{pair}"
        );
    }
    assert_eq!(pairs.len(), 12);
    say(&format!("levels: checked {} sizes", pairs.len()));
}

#[test]
fn lists_begin_with_the_member_itself() {
    let Some(all) = read() else {
        return;
    };
    let views = list(&all, "sorted_views");
    for vector in views {
        let text = |name: &str| vector[name].as_str().expect("letters").as_bytes();
        let view = View::new(
            GroupId::AllStaked,
            0,
            None,
            members(text("input")),
            &NoRules,
        );
        let view = view.unwrap();
        let seat = view.seat(&key(text("self")[0])).expect("a seat");
        let ring = (0..view.members()).map(|steps| letter(&view, view.ahead(seat, steps)));
        assert_eq!(ring.collect::<Vec<_>>(), text("view"));
    }
    assert_eq!(views.len(), 1);
    say(&format!("lists: checked {}", views.len()));
}

/// The worked example of the first slides: sizes are not cut, and offsets are rounded to the
/// nearest, other than in any code.
#[test]
fn the_slides_miss_the_three_that_they_say() {
    let Some(all) = read() else {
        return;
    };
    let cases = list(&all, "dead_node_cases");
    for case in cases {
        let numbers = |name: &str| -> Vec<u32> {
            let members = case[name].as_array().expect("members").iter();
            members.map(|member| number(member) - 1).collect()
        };
        let n = number(&case["n"]);
        let dead = numbers("dead");
        assert_eq!(number(&case["originator"]), 1);
        let mut told = vec![false; n as usize];
        let mut open = vec![(0, levels(n))];
        while let Some((at, level)) = open.pop() {
            told[at as usize] = true;
            if level == 0 {
                continue;
            }
            open.push((at, level - 1));
            let below = u32::from(levels(n) - level);
            for thirds in [1, 2] {
                // n · (2/3)^below · thirds/3, to the nearest; never half-way, as 3 is odd.
                let (size, under) = (thirds * n * 2_u32.pow(below), 3_u32.pow(below + 1));
                let to = (at + (2 * size + under) / (2 * under)) % n;
                if !dead.contains(&to) {
                    open.push((to, level - 1));
                }
            }
        }
        let with = |wanted: bool| -> Vec<u32> {
            let slots = (0..n).filter(|at| told[*at as usize] == wanted && !dead.contains(at));
            slots.collect()
        };
        assert_eq!(with(true), numbers("reached_live"));
        assert_eq!(with(false), numbers("missed_live"));
        let live = n as usize - dead.len();
        assert_eq!(live, number(&case["live"]) as usize);
    }
    assert_eq!(cases.len(), 1);
    say(&format!("slides: checked {} example", cases.len()));
}

fn key(letter: u8) -> MemberKey {
    let mut key = MemberKey::default();
    key.0[0] = letter;
    key
}

fn members(letters: &[u8]) -> impl Iterator<Item = Member> {
    letters.iter().map(|letter| key(*letter).into())
}

fn letter(view: &View, seat: u32) -> u8 {
    view.key(seat).expect("a member").0[0]
}

fn number(value: &Value) -> u32 {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.unwrap_or_else(|| panic!("{value} is no number"))
}

fn list<'a>(all: &'a Value, name: &str) -> &'a [Value] {
    let list = all[name].as_array();
    list.unwrap_or_else(|| panic!("no list of {name}"))
}

/// The vectors, or a loud word that they are not here.
fn read() -> Option<Value> {
    let root = env::var_os("SAMANEA_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = root.join("vectors/raintree.json");
    let Ok(text) = fs::read_to_string(&path) else {
        say(&format!(
            "SKIPPED: ALL VECTORS OF THE TREE, no {}",
            path.display()
        ));
        return None;
    };
    Some(serde_json::from_str(&text).expect("an object of vectors"))
}

fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("standard error");
}
