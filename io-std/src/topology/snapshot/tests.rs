use proptest::prelude::*;
use samanea_core::governor::Kind;

use super::*;

fn parsed(text: &str) -> File {
    parse(Path::new("s.json"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    match parse(Path::new("s.json"), text.as_bytes()) {
        Err(error) => error.to_string(),
        Ok(file) => panic!("accepted: {file:?}"),
    }
}

const POINT: &str = r#""Point": { "blockPointSlot": 7, "blockPointHash":
    "1a7f1af3e52ba8810247f7c82431113a61c2efc5435a8fe6f76c5ae6618cc92a" }"#;
const POOLS: &str = r#""bigLedgerPools": [
    { "accumulatedStake": 0.5, "relativeStake": 0.5,
      "relays": [ { "address": "192.0.2.1", "port": 3001 }, { "address": "pool.example" } ] },
    { "accumulatedStake": 7.5e-1, "relativeStake": 0.25,
      "relays": [ { "address": "r.example.", "port": 6000 } ] } ]"#;

fn current(point: &str, pools: &str) -> String {
    format!(r#"{{ "NetworkMagic": 42, "NodeToClientVersion": 23, {point}, {pools} }}"#)
}

const TERMS: Terms = Terms {
    magic: Some(42),
    consensus: ConsensusMode::Praos,
    use_ledger: UseLedger::Always,
};

#[test]
fn version_23_is_read() {
    let file = parsed(&current(POINT, POOLS));
    assert_eq!((file.version, file.magic, file.relays()), (23, Some(42), 3));
    assert_eq!(file.warnings, []);
    let snapshot = &file.snapshot;
    assert!(snapshot.big_only);
    assert_eq!(
        snapshot.point.to_string(),
        "7.1a7f1af3e52ba8810247f7c82431113a61c2efc5435a8fe6f76c5ae6618cc92a"
    );
    let pools = snapshot.pools.of(Kind::Big);
    let stakes: Vec<_> = pools.iter().map(|pool| pool.stake).collect();
    assert_eq!(stakes, [1 << 63, 1 << 62]);
    let service = "pool.example".into();
    assert_eq!(pools[0].relays[1], Relay::Service { name: service });
    assert_eq!(pools[1].relays[0].to_string(), "r.example:6000");
    assert_eq!(file.check(TERMS), Ok(()));
    let renamed = current(POINT, POOLS).replace("NodeToClientVersion", "version");
    assert_eq!(parsed(&renamed), file);
}

#[test]
fn a_snapshot_of_all_pools_tells_the_big_ones_apart() {
    let pool = |stake: &str| {
        let relays = r#"[ { "address": "relay.example", "port": 3001 } ]"#;
        format!(r#"{{ "relativeStake": {stake}, "relays": {relays} }}"#)
    };
    let pools = [pool("0.5"), pool("0.45"), pool("0.05")].join(",");
    let file = parsed(&current(POINT, &format!(r#""allLedgerPools": [{pools}]"#)));
    assert!(!file.snapshot.big_only);
    assert_eq!(file.snapshot.pools.pools().len(), 3);
    assert_eq!(file.snapshot.pools.of(Kind::Big).len(), 2);
}

#[test]
fn old_versions_have_a_slot_and_no_hash() {
    for version in [1, 2] {
        let text = format!(r#"{{ "version": {version}, "slotNo": 9, {POOLS} }}"#);
        let file = parsed(&text);
        assert_eq!((file.version, file.magic), (version, None));
        assert_eq!(file.snapshot.point.slot(), Some(9));
        assert_eq!(file.snapshot.point.hash(), Some(Hash32::default()));
        assert_eq!(file.warnings.len(), 1);
        assert_eq!(file.check(TERMS), Ok(()));
        let genesis = Terms {
            consensus: ConsensusMode::Genesis,
            ..TERMS
        };
        assert_eq!(file.check(genesis), Err(Unfit::Unverifiable { version }));
        let all = text.replace("bigLedgerPools", "allLedgerPools");
        assert!(refused(&all).ends_with("allowed is an object with `bigLedgerPools`"));
    }
}

#[test]
fn the_origin_is_read_and_never_fits() {
    for origin in [r#""origin""#, r#"{ "tag": "Origin" }"#, r#""GenesisPoint""#] {
        let file = parsed(&current(&format!(r#""Point": {origin}"#), POOLS));
        assert_eq!(file.snapshot.point, Point::Origin);
        assert_eq!(file.check(TERMS), Err(Unfit::Origin));
    }
    let old = parsed(&format!(
        r#"{{ "version": 2, "slotNo": "origin", {POOLS} }}"#
    ));
    assert_eq!(old.check(TERMS), Err(Unfit::Origin));
}

#[test]
fn a_snapshot_must_be_of_the_network_and_reach_the_slot() {
    let file = parsed(&current(POINT, POOLS));
    let other = Terms {
        magic: Some(1),
        ..TERMS
    };
    let (found, expected) = (42, 1);
    assert_eq!(file.check(other), Err(Unfit::Magic { found, expected }));
    let from = |after| Terms {
        use_ledger: UseLedger::After(after),
        ..TERMS
    };
    assert_eq!(file.check(from(7)), Ok(()));
    let (found, after) = (7, 8);
    assert_eq!(file.check(from(8)), Err(Unfit::Early { found, after }));
}

#[test]
fn what_is_wrong_is_named() {
    let stake = |stake: &str| {
        current(
            POINT,
            &POOLS.replacen("Stake\": 0.5,", &format!("Stake\": {stake},"), 2),
        )
    };
    let all = format!(r#"{POOLS}, "allLedgerPools": []"#);
    for (text, end) in [
        (
            "{}".to_owned(),
            "s.json:1: found no version, allowed is an object with `NodeToClientVersion`: 23, or \
             `version`: 1 or 2",
        ),
        (
            current(POINT, POOLS).replace("\": 23", "\": 24"),
            "s.json:1: NodeToClientVersion: found 24, allowed is 23",
        ),
        (
            r#"{ "version": 3 }"#.to_owned(),
            "s.json:1: version: found 3, allowed is 1, 2 or 23",
        ),
        (
            current(POINT, &all),
            "s.json:6: allLedgerPools: found both bigLedgerPools and allLedgerPools, allowed is one \
             of them",
        ),
        (
            current(POINT, r#""x": 0"#),
            "s.json:1: found no key `bigLedgerPools`, allowed is an object with `bigLedgerPools`",
        ),
        (
            current(r#""Point": 7"#, POOLS),
            "s.json:1: Point: found 7, allowed is an object with `blockPointSlot` and \
             `blockPointHash`, or \"origin\"",
        ),
        (
            current(
                r#""Point": { "blockPointSlot": 7, "blockPointHash": "00" }"#,
                POOLS,
            ),
            "s.json:1: Point.blockPointHash: found \"00\", allowed is 64 hexadecimal digits",
        ),
        (
            current(POINT, POOLS).replace("42", "4294967296"),
            "s.json:1: NetworkMagic: found 4294967296, allowed is a whole number from 0 to \
             4294967295",
        ),
        (
            stake("1.5"),
            "s.json:3: bigLedgerPools[0].relativeStake: found 1.5, allowed is a decimal from 0 to 1",
        ),
        (
            stake("-0.5"),
            "s.json:3: bigLedgerPools[0].relativeStake: found -0.5, allowed is a decimal from 0 to 1",
        ),
    ] {
        assert_eq!(refused(&text), end);
    }
}

#[test]
fn what_pools_write_wrongly_is_left_out() {
    let pools = r#""bigLedgerPools": [
        { "accumulatedStake": 0.5, "relativeStake": 0.25, "relays": [
            { "address": "https://relay.example", "port": 3001 },
            { "address": "0.0.0.0", "port": 3001 },
            { "address": "192.0.2.1", "port": 3001 } ] },
        { "accumulatedStake": 0.75, "relativeStake": 0.5, "relays": [] } ]"#;
    let file = parsed(&current(POINT, pools));
    assert_eq!(file.relays(), 1);
    assert_eq!(file.snapshot.pools.pools().len(), 1);
    let paths: Vec<_> = file
        .warnings
        .iter()
        .map(|w| w.place.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "bigLedgerPools[0].accumulatedStake",
            "bigLedgerPools[0].relays[0]",
            "bigLedgerPools[0].relays[1]",
            "bigLedgerPools[1]",
            "bigLedgerPools[1]",
        ]
    );
}

fn relay() -> impl Strategy<Value = Relay> {
    let name = "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}";
    prop_oneof![
        (1_u32.., 1_u16..)
            .prop_map(|(ip, port)| Relay::Addr((std::net::Ipv4Addr::from_bits(ip), port).into())),
        (1_u128 << 64.., 1_u16..)
            .prop_map(|(ip, port)| Relay::Addr((std::net::Ipv6Addr::from_bits(ip), port).into())),
        (name, 1_u16..).prop_map(|(name, port)| Relay::Host {
            name: name.into(),
            port
        }),
        name.prop_map(|name| Relay::Service { name: name.into() }),
    ]
}

fn file() -> impl Strategy<Value = File> {
    let pool = (any::<u64>(), prop::collection::vec(relay(), 1..4));
    let pool = pool.prop_map(|(stake, relays)| Pool { stake, relays });
    let point = prop::option::of((any::<u64>(), any::<[u8; 32]>()));
    let parts = (
        0_u8..3,
        any::<u32>(),
        point,
        prop::collection::vec(pool, 0..6),
    );
    parts.prop_map(|(kind, magic, point, pools)| {
        let point = point.map_or(Point::Origin, |(slot, hash)| Point::Block {
            slot,
            hash: if kind == 0 {
                Hash32::default()
            } else {
                Hash32(hash)
            },
        });
        let big_only = kind < 2;
        File {
            version: if kind == 0 { 2 } else { 23 },
            magic: (kind > 0).then_some(magic),
            snapshot: Snapshot {
                point,
                big_only,
                pools: if big_only {
                    Ledger::new(pools).all_big()
                } else {
                    Ledger::new(pools)
                },
            },
            warnings: vec![],
        }
    })
}

proptest! {
    /// What is written in CBOR is read as it was, and no piece of it is read as a whole.
    #[test]
    fn snapshots_survive_cbor(file in file(), cut in any::<prop::sample::Index>()) {
        let bytes = to_cbor(&file);
        prop_assert_eq!(from_cbor(&bytes), Ok(file));
        let cut = cut.index(bytes.len());
        prop_assert!(from_cbor(&bytes[..cut]).is_err());
    }

    /// What is written in JSON is read as it was.
    #[test]
    fn snapshots_survive_json(file in file()) {
        let mut read = parsed(&to_json(&file));
        read.warnings.clear();
        prop_assert_eq!(read, file);
    }
}

#[test]
fn rationals_are_rounded_down() {
    // [1, [[0], [[[1, 3], [2, 3], [[3, "a"]]]]]], the stakes with and without tag 30
    let bytes = b"\x82\x01\x82\x81\x00\x81\x83\x82\x01\x03\xd8\x1e\x82\x02\x03\x81\x82\x03\x41a";
    let file = from_cbor(bytes).unwrap();
    assert_eq!(file.snapshot.pools.pools()[0].stake, 0xaaaa_aaaa_aaaa_aaaa);
    // The same with the stake and the relays in a list of their own.
    let paired = b"\x82\x01\x82\x81\x00\x81\x82\x82\x01\x03\x82\x82\x02\x03\x81\x82\x03\x41a";
    assert_eq!(from_cbor(paired).as_ref(), Ok(&file));
    let over = b"\x82\x01\x82\x81\x00\x81\x83\x82\x01\x03\x82\x04\x03\x81\x82\x03\x41a";
    assert_eq!(
        from_cbor(over).unwrap_err().expected,
        "a rational from 0 to 1"
    );
}
