use samanea_core::base::{HeaderFault, HeaderView, Signature, TxId};

use super::*;

/// Hashes nothing well; enough to tell lists apart.
struct Toy;

impl Rules for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn header(&self, _: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _: &[u8]) -> Option<TxId> {
        None
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let mut hash = [7_u8; 32];
        for (at, byte) in parts.iter().copied().flatten().enumerate() {
            hash[at % 32] = hash[at % 32].rotate_left(3).wrapping_add(*byte);
        }
        Hash32(hash)
    }

    fn sign(&self, _: &[u8]) -> Option<Signature> {
        None
    }

    fn verify(&self, _: &MemberKey, _: &[u8], _: &Signature) -> bool {
        false
    }
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

fn key(byte: u8) -> MemberKey {
    MemberKey([byte; 32])
}

fn member(byte: u8, more: &str) -> String {
    format!(
        r#"{{ "key": "{}", "address": "192.0.2.{byte}:3001"{more} }}"#,
        hex(byte)
    )
}

fn file(epoch: u64, members: &[String], more: &str) -> String {
    let members = members.join(",\n    ");
    format!("{{\n  \"epoch\": {epoch},\n  \"members\": [\n    {members}\n  ]{more}\n}}")
}

fn society() -> Vec<String> {
    vec![
        member(1, r#", "roles": ["validator", "archival"]"#),
        member(2, r#", "roles": ["validator"]"#),
        member(3, r#", "roles": ["servicer"]"#),
        member(4, r#", "roles": ["archival"]"#),
        member(5, r#", "roles": ["gateway"], "leafOnly": true"#),
    ]
}

fn read(text: &str) -> Groups {
    parse(Path::new("groups.json"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    match parse(Path::new("groups.json"), text.as_bytes()) {
        Err(error) => error.to_string(),
        Ok(read) => panic!("accepted: {read:?}"),
    }
}

fn names(view: &View) -> Vec<u8> {
    let mut names: Vec<u8> = view.keys().map(|key| key.0[0]).collect();
    names.sort_unstable();
    names
}

#[test]
fn groups_follow_from_what_members_do() {
    let groups = format!(
        r#", "groups": [
        {{ "group": "session:{}", "members": ["{}", "{}"] }},
        {{ "group": "or(servicer, session:{})" }}
    ]"#,
        hex(9),
        hex(3),
        hex(5),
        hex(9)
    );
    let read = read(&file(7, &society(), &groups));
    assert_eq!(read.warnings, []);
    let views = read.views(&Toy).unwrap();
    assert!(views.iter().all(|view| view.epoch() == 7));
    let found: Vec<(String, Vec<u8>)> = views
        .iter()
        .map(|view| (to_name(view.group()), names(view)))
        .collect();
    let session = format!("session:{}", hex(9));
    let either = format!("or(servicer,{session})");
    let expected: [(&str, &[u8]); 11] = [
        ("all-staked", &[1, 2, 3]),
        ("application", &[]),
        ("servicer", &[3]),
        ("watcher", &[]),
        ("validator", &[1, 2]),
        ("gateway", &[5]),
        ("archival", &[1, 4]),
        (&session, &[3, 5]),
        (&either, &[3, 5]),
        ("minus(all-staked,validator)", &[3]),
        ("minus(archival,all-staked)", &[4]),
    ];
    for (name, members) in expected {
        let (_, is) = found.iter().find(|(of, _)| of == name).expect(name);
        assert_eq!(is, members, "{name}");
    }
    assert_eq!(found.len(), expected.len());
    let leaf = views.iter().find(|v| to_name(v.group()) == "gateway");
    assert!(leaf.unwrap().is_leaf_only(0));
    assert_eq!(
        read.member(&key(3)).unwrap().address,
        "192.0.2.3:3001".parse().ok()
    );
}

#[test]
fn every_group_is_read_as_it_is_written() {
    let role = GroupId::Role;
    let all = Actor::ALL.map(role).into_iter();
    let more = [
        GroupId::AllStaked,
        GroupId::Session(Hash32([1; 32])),
        GroupId::Custom(Hash32([0xab; 32])),
        audience::others(),
        audience::archive(),
        GroupId::Union(Box::new((audience::others(), audience::archive()))),
    ];
    for group in all.chain(more) {
        let name = to_name(&group);
        assert_eq!(from_name(&name), Some(group), "{name}");
    }
    let spaced = " minus ( all-staked , validator ) ";
    assert_eq!(from_name(spaced), Some(audience::others()));
    let deep = "or(or(or(or(validator,servicer),servicer),servicer),servicer)";
    for wrong in [
        "",
        "validators",
        "or(validator)",
        "or(validator,servicer,watcher)",
        "or(validator,servicer",
        "xor(validator,servicer)",
        "custom:12",
        "custom:ﬀ",
        deep,
        "or)validator,servicer(",
    ] {
        assert_eq!(from_name(wrong), None, "{wrong}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let twice = file(1, &[member(1, ""), member(1, "")], "");
    let role = file(1, &[member(1, r#", "roles": ["validater"]"#)], "");
    let unknown = file(1, &[member(1, r#", "roles": ["king"]"#)], "");
    let short = file(1, &[r#"{ "key": "12" }"#.into()], "");
    let port = file(1, &[member(1, "").replace(":3001", "")], "");
    let session = |members: &str| {
        let groups = format!(
            r#", "groups": [{{ "group": "session:{}"{members} }}]"#,
            hex(9)
        );
        file(1, &society(), &groups)
    };
    let stranger = session(&format!(r#", "members": ["{}"]"#, hex(77)));
    let term = |group: &str| {
        file(
            1,
            &society(),
            &format!(r#", "groups": [{{ "group": "{group}" }}]"#),
        )
    };
    let join = |group: &str| {
        file(
            1,
            &society(),
            &format!(r#", "join": [{{ "group": "{group}" }}]"#),
        )
    };
    let cases = [
        (
            twice,
            "groups.json:5: members[1]: found a member that is there already",
        ),
        (
            role,
            "groups.json:4: members[0].roles[0]: found \"validater\", allowed is a role; is validator meant?",
        ),
        (
            unknown,
            "members[0].roles[0]: found \"king\", allowed is one of application, ",
        ),
        (
            short,
            "groups.json:4: members[0].key: found \"12\", allowed is 64 hexadecimal digits",
        ),
        (
            port,
            "members[0].address: found \"192.0.2.1\", allowed is IP:PORT",
        ),
        (session(""), "groups[0]: found no key `members`"),
        (stranger, "groups[0].members[0]: found "),
        (
            term("validator"),
            "groups[0].group: found a group that is there already",
        ),
        (term("or(validator,session:00)"), "groups[0].group: found "),
        (
            term(&format!("or(validator,session:{})", hex(1))),
            "allowed is a group made of groups that are known",
        ),
        (
            join("validator"),
            "join[0].group: found \"validator\", allowed is custom:HEX",
        ),
        ("{}".into(), "groups.json:1: found no key `epoch`"),
        (
            "{ \"epoch\": -1, \"members\": [] }".into(),
            "groups.json:1: epoch: found -1",
        ),
        ("[".into(), "groups.json: not JSON"),
    ];
    for (text, expected) in cases {
        let error = refused(&text);
        assert!(error.contains(expected), "{error}\nlacks {expected}");
    }
}

#[test]
fn what_is_odd_is_warned_of() {
    let plain = format!(r#"{{ "key": "{}", "Roles": [] }}"#, hex(1));
    let read = read(&file(1, &[plain], ""));
    let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    let has = |what: &str| warnings.iter().any(|warning| warning.contains(what));
    assert!(has("is `roles` meant?"), "{warnings:?}");
    assert!(has("no role"), "{warnings:?}");
    assert!(has("no address"), "{warnings:?}");
    assert_eq!(warnings.len(), 3);
}

#[test]
fn a_difference_tells_members_groups_and_what_needs_a_later_epoch() {
    let told = |old: &Groups, new: &Groups| -> Vec<String> {
        let (before, after) = (old.views(&Toy).unwrap(), new.views(&Toy).unwrap());
        let changes = diff((old, &before), (new, &after));
        changes.iter().map(ToString::to_string).collect()
    };
    let old = read(&file(1, &society(), ""));
    assert_eq!(told(&old, &old), [""; 0]);
    let mut moved = society();
    moved[1] = moved[1].replace("192.0.2.2", "198.51.100.2");
    let moved = read(&file(1, &moved, ""));
    let expected = format!("~ member {} lives at 198.51.100.2:3001", key(2));
    assert_eq!(told(&old, &moved), [expected]);
    let fewer = &society()[1..];
    let stuck = told(&old, &read(&file(1, fewer, "")));
    assert!(stuck.contains(&format!("- member {}", key(1))), "{stuck:?}");
    let raise = "! group validator has other members in the same epoch: not told; raise `epoch`";
    assert!(stuck.iter().any(|line| line == raise), "{stuck:?}");
    let join = format!(r#", "join": [{{ "group": "custom:{}" }}]"#, hex(8));
    let new = read(&file(2, fewer, &join));
    let lines = told(&old, &new);
    for expected in [
        "~ epoch, 1 -> 2".into(),
        format!("- member {}", key(1)),
        "~ group validator, 0 joined, 1 left".into(),
        format!("+ joins custom:{}, 0 contacts", hex(8)),
    ] {
        assert!(lines.contains(&expected), "{lines:#?} lacks {expected}");
    }
    assert!(!lines.iter().any(|line| line.starts_with('!')), "{lines:?}");
    let back = told(&new, &read(&file(3, &society(), "")));
    assert!(
        back.contains(&format!("- leaves custom:{}", hex(8))),
        "{back:?}"
    );
}
