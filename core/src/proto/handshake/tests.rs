use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    ACCEPT_VERSION, Agreed, CONFIRM, Client, Config, Failure, Handshake, Message, Mode, OURS,
    PROPOSE, PROPOSE_VERSIONS, QUERY_REPLY, REFUSE, REPLY_VERSIONS, Reason, Refusal, Server, V14,
    V15, V16, Version, VersionData, VersionTable, client, negotiate, server,
};
use crate::{
    base::Kind,
    proto::{
        Action, Event, Protocol,
        rig::{Duel, Rig},
        testing::{encode, every_cell},
    },
    wire::codec::DecodeError,
};

const MAGIC: u32 = 764_824_073;

fn config() -> Config {
    Config::new(MAGIC)
}

fn sample(kind: Kind) -> Message {
    match kind {
        PROPOSE_VERSIONS => Message::ProposeVersions(config().table()),
        REPLY_VERSIONS => Message::ReplyVersions(config().table()),
        ACCEPT_VERSION => Message::AcceptVersion {
            version: V15,
            data: config().data(V15).encode(V15),
        },
        REFUSE => Message::Refuse(Reason::VersionMismatch(vec![14, 15, 99])),
        QUERY_REPLY => Message::QueryReply(config().table()),
        other => panic!("{other:?}"),
    }
}

fn hex(text: &str) -> Bytes {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn proposed(config: &Config) -> Rig<Client> {
    Rig::started(Client::new(1, config))
}

/// The only fact of a client that meets this message, after which the protocol ends.
fn verdict(rig: &Rig<Client>, message: &Message) -> client::Fact {
    let out = rig.clone().receive::<Handshake>(message);
    let [Action::Fact(fact), Action::Ended] = &out[..] else {
        panic!("{out:?}");
    };
    fact.clone()
}

fn accept(version: Version, data: VersionData) -> Message {
    Message::AcceptVersion {
        version,
        data: data.encode(version),
    }
}

#[test]
fn every_cell_of_the_table_decodes_exactly_if_it_has_an_edge() {
    // A proposal and a reply are the same bytes; which one it is follows from the state.
    assert_eq!(every_cell::<Handshake>(sample), 3 * 5);
}

#[test]
fn every_other_message_fails_in_every_state() {
    let server = Rig::started(Server::new(1, &config()));
    let refused = [
        proposed(&config()).refuses_the_rest::<Handshake>(CONFIRM, sample),
        server.refuses_the_rest::<Handshake>(PROPOSE, sample),
    ];
    assert_eq!(refused, [0, 3]);
    let unknown = Bytes::from_static(&[0x82, 4, 0]);
    let out = proposed(&config()).step(Event::Received(unknown));
    assert!(matches!(out[..], [Action::Failed(_)]));
}

#[test]
fn limits_hold_for_both_ends() {
    let ten = Duration::from_secs(10);
    proposed(&config()).takes_at_most(5_760);
    proposed(&config()).times_out(CONFIRM, ten);
    let server = Rig::started(Server::new(1, &config()));
    server.clone().takes_at_most(5_760);
    server.times_out(PROPOSE, ten);
}

#[test]
fn the_offer_is_standard_versions_then_ours() {
    let keys = |config: Config| config.table().0.keys().copied().collect::<Vec<_>>();
    assert_eq!(keys(config()), [14, 15, 8_207]);
    let plain = Config {
        own_versions: false,
        ..config()
    };
    assert_eq!(keys(plain), [14, 15]);
    let trial = Config {
        experimental: true,
        ..plain
    };
    assert_eq!(keys(trial), [14, 15, 16]);
    let dialler = Config {
        mode: Mode::InitiatorOnly,
        ..config()
    };
    assert!(!dialler.data(V15).peer_sharing, "nobody could ask it");
}

/// A reader that knows every version as an array of exactly four items reads our whole offer,
/// and ends where the message ends.
#[test]
fn a_reader_of_four_fields_reads_every_entry_of_our_offer() {
    let bytes = encode::<Handshake>(&Message::ProposeVersions(config().table()));
    let mut tokens = minicbor::Decoder::new(&bytes);
    let head = (tokens.array().unwrap(), tokens.u8().unwrap());
    assert_eq!(head, (Some(2), 0));
    let pairs = tokens.map().unwrap().unwrap();
    let mut versions = Vec::new();
    for _ in 0..pairs {
        versions.push(tokens.u16().unwrap());
        assert_eq!(tokens.array().unwrap(), Some(4));
        assert_eq!(tokens.u32().unwrap(), MAGIC);
        assert!(!tokens.bool().unwrap(), "initiator and responder");
        assert_eq!(tokens.u8().unwrap(), 1, "shares peers");
        assert!(!tokens.bool().unwrap(), "no query");
    }
    assert_eq!(versions, [14, 15, 8_207]);
    assert_eq!(tokens.position(), bytes.len());
}

#[test]
fn settings_have_four_fields_and_from_16_on_five() {
    let data = |text: &str, version| VersionData::decode(version, &hex(text));
    let plain = VersionData {
        magic: 2,
        mode: Mode::InitiatorOnly,
        peer_sharing: true,
        query: false,
        peras: false,
    };
    for version in [V14, V15, OURS | V14, OURS | V15] {
        assert_eq!(data("8402f501f4", version), Ok(plain));
        assert_eq!(&plain.encode(version)[..], &hex("8402f501f4")[..]);
        assert!(data("8502f501f4f4", version).is_err());
    }
    let peras = VersionData {
        peras: true,
        ..plain
    };
    assert_eq!(data("8502f501f4f5", V16), Ok(peras));
    assert_eq!(&peras.encode(V16)[..], &hex("8502f501f4f5")[..]);
    assert!(data("8402f501f4", V16).is_err());
    for bad in [
        "9f02f501f4ff",
        "8402f502f4",
        "841b0000000100000000f501f4",
        "84020101f4",
        "8402f501f400",
        "02",
        "8402f5f5f4",
    ] {
        assert!(data(bad, V14).is_err(), "{bad}");
    }
}

#[test]
fn known_versions_must_rise_and_unknown_ones_are_passed_over() {
    let keys = |text: &str| match Handshake::decode(PROPOSE, &hex(text))? {
        Message::ProposeVersions(table) => Ok(table.0.into_keys().collect::<Vec<_>>()),
        other => panic!("{other:?}"),
    };
    let rows = [
        ("8200a0", Ok(vec![])),
        ("8200a20e010f01", Ok(vec![14, 15])),
        ("8200a20f010e01", Err(DecodeError::VersionOrder)),
        ("8200a20e010e01", Err(DecodeError::VersionOrder)),
        // Unknown: out of order, twice, not a number, of a negative one, too large.
        ("8200a5186301070107010e0107a0", Ok(vec![14])),
        ("8200a461610120010e011b00000001000000008100", Ok(vec![14])),
        // Whatever a value is, it stays unread.
        ("8200a20e9f0102ff0f7f6161ff", Ok(vec![14, 15])),
    ];
    for (text, want) in rows {
        assert_eq!(keys(text), want, "{text}");
    }
    assert!(keys("8200bf0e01ff").is_err(), "an indefinite map");
    assert!(keys("8200a20e01").is_err(), "a pair short");
    assert!(
        keys("8200bb7fffffffffffffff").is_err(),
        "no bytes for so many"
    );
    let deep = ["8200a10e", &"9f".repeat(2_500), &"ff".repeat(2_500)].concat();
    assert_eq!(keys(&deep), Err(DecodeError::Depth));
}

#[test]
fn refusals_are_read_with_exact_lengths_and_known_versions() {
    let read = |text: &str| Handshake::decode(CONFIRM, &hex(text));
    let rows = [
        ("82028200820e0f", Reason::VersionMismatch(vec![14, 15])),
        ("8202820080", Reason::VersionMismatch(vec![])),
        (
            "820282008207191234",
            Reason::VersionMismatch(vec![7, 0x1234]),
        ),
        (
            "820283010e6161",
            Reason::DecodeError {
                version: V14,
                text: String::from("a"),
            },
        ),
        (
            "820283020f6161",
            Reason::Refused {
                version: V15,
                text: String::from("a"),
            },
        ),
    ];
    for (text, reason) in rows {
        let message = Message::Refuse(reason);
        assert_eq!(read(text).as_ref(), Ok(&message));
        assert_eq!(encode::<Handshake>(&message), hex(text));
    }
    for bad in [
        "820282009f0eff", // an indefinite list
        "8202830e0f00",   // no such reason
        "820283010163666f6f",
        "820283020163666f6f", // unknown versions
        "820282020f",
        "8202840e",
        "820283020f4161", // bytes for text
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    assert!(read("83010a821a2d964a09f4").is_err(), "accepts version 10");
}

/// Every record that a node can have, by its switches.
fn records() -> Vec<Config> {
    let switch = [false, true];
    let mut all = Vec::new();
    for magic in [1, 2] {
        for mode in [Mode::InitiatorOnly, Mode::InitiatorAndResponder] {
            for bits in 0..16_usize {
                let on = |bit: usize| switch[bits >> bit & 1];
                all.push(Config {
                    magic,
                    mode,
                    peer_sharing: on(0),
                    query: on(1),
                    own_versions: on(2),
                    experimental: on(3),
                });
            }
        }
    }
    all
}

#[test]
fn negotiation_is_symmetric_and_follows_its_rules_over_all_pairs_of_records() {
    let records = records();
    let (mut agreed, mut refused) = (0, 0);
    for a in &records {
        for b in &records {
            let ab = negotiate(&a.table(), &b.table());
            let ba = negotiate(&b.table(), &a.table());
            match (ab, ba) {
                (Ok(one), Ok(other)) => {
                    assert_eq!(one, other);
                    follows(one, *a, *b);
                    agreed += 1;
                }
                (Err(one), Err(other)) => {
                    let Refusal::Magic { version, want, got } = one else {
                        panic!("{one}");
                    };
                    let mirrored = Refusal::Magic {
                        version,
                        want: got,
                        got: want,
                    };
                    assert_eq!((a.magic, b.magic, other), (want, got, mirrored));
                    refused += 1;
                }
                (one, other) => panic!("{one:?} against {other:?}"),
            }
        }
    }
    assert_eq!((agreed, refused), (32 * 32 * 2, 32 * 32 * 2));
}

fn follows(agreed: Agreed, a: Config, b: Config) {
    let version = match (
        a.own_versions && b.own_versions,
        a.experimental && b.experimental,
    ) {
        (true, _) => OURS | V15,
        (false, true) => V16,
        (false, false) => V15,
    };
    let initiator = a.mode == Mode::InitiatorOnly || b.mode == Mode::InitiatorOnly;
    let want = VersionData {
        magic: a.magic,
        mode: if initiator {
            Mode::InitiatorOnly
        } else {
            Mode::InitiatorAndResponder
        },
        peer_sharing: a.peer_sharing && b.peer_sharing && !initiator,
        query: a.query || b.query,
        peras: version == V16,
    };
    assert_eq!(
        agreed,
        Agreed {
            version,
            data: want
        }
    );
}

#[test]
fn no_common_version_and_unreadable_settings_are_refused_from_both_sides() {
    let table = |version, text| VersionTable([(version, hex(text))].into());
    let ours = table(V14, "8402f401f4");
    let other = table(V15, "8402f401f4");
    let broken = table(V14, "9f02f401f4ff");
    for (a, b, want) in [
        (&ours, &other, Refusal::VersionMismatch),
        (&ours, &broken, Refusal::DecodeError(V14)),
        (&broken, &broken, Refusal::DecodeError(V14)),
    ] {
        assert_eq!(negotiate(a, b), Err(want));
        assert_eq!(negotiate(b, a), Err(want));
    }
}

#[test]
fn client_and_server_agree_over_all_pairs_of_records() {
    let records = records();
    let (mut agreed, mut refused, mut queried) = (0, 0, 0);
    for a in &records {
        for b in &records {
            let (mut duel, _) = Duel::new(Client::new(1, a), Server::new(2, b));
            let server = duel.deliver_up();
            let client = duel.deliver_down();
            assert_eq!(duel.ended, (true, true));
            match (&server[..], &client[..]) {
                ([server::Fact::Agreed(one)], [client::Fact::Agreed(other)]) => {
                    assert_eq!(one, other);
                    agreed += 1;
                }
                ([server::Fact::Refusing(one)], [client::Fact::Refused(other)]) => {
                    let magic = Failure::Magic {
                        want: b.magic,
                        got: a.magic,
                    };
                    assert_eq!(*one, magic);
                    assert!(matches!(other, Failure::Refused(_)));
                    refused += 1;
                }
                ([server::Fact::Queried], [client::Fact::Queried(table)]) => {
                    let plain = Config { query: false, ..*b };
                    assert!(a.query && *table == plain.table());
                    queried += 1;
                }
                both => panic!("{both:?}"),
            }
        }
    }
    assert_eq!((agreed, refused, queried), (1_024, 2_048, 1_024));
}

#[test]
fn both_ends_that_dialled_agree_from_the_proposals_alone() {
    let records = records();
    let (mut agreed, mut refused) = (0, 0);
    for a in &records {
        for b in &records {
            let facts = [(a, b), (b, a)].map(|(own, other)| {
                let reply = Message::ReplyVersions(other.table());
                verdict(&proposed(own), &reply)
            });
            match facts {
                [client::Fact::Agreed(one), client::Fact::Agreed(other)] => {
                    assert_eq!(one, other);
                    agreed += 1;
                }
                [
                    client::Fact::Refused(Failure::Magic { want, got }),
                    client::Fact::Refused(_),
                ] => {
                    assert_eq!((want, got), (a.magic, b.magic));
                    refused += 1;
                }
                both => panic!("{both:?}"),
            }
        }
    }
    assert_eq!((agreed, refused), (32 * 32 * 2, 32 * 32 * 2));
}

#[test]
fn a_proposal_goes_out_at_once_and_only_then_an_answer_is_awaited() {
    let mut rig = Rig::new(Client::new(1, &config()));
    let out = rig.step(Event::Start);
    let want = encode::<Handshake>(&Message::ProposeVersions(config().table()));
    assert!(matches!(&out[..], [Action::Send(sent)] if sent.head == want && sent.body.is_empty()));
    assert_eq!(rig.step(Event::Stop), []);
}

#[test]
fn an_accepted_version_must_be_offered_readable_and_of_our_network() {
    let plain = Config {
        own_versions: false,
        ..config()
    };
    let rig = proposed(&plain);
    let fact = |message| verdict(&rig, &message);
    let data = config().data(V15);
    let agreed = Agreed { version: V15, data };
    assert_eq!(fact(accept(V15, data)), client::Fact::Agreed(agreed));
    assert_eq!(
        fact(accept(V16, data)),
        client::Fact::Refused(Failure::NotRecognised(V16))
    );
    let elsewhere = VersionData { magic: 2, ..data };
    assert_eq!(
        fact(accept(V15, elsewhere)),
        client::Fact::Refused(Failure::InvalidSelection(V15))
    );
    let broken = Message::AcceptVersion {
        version: V14,
        data: hex("01"),
    };
    assert_eq!(
        fact(broken),
        client::Fact::Refused(Failure::DecodeError(V14))
    );
}

#[test]
fn a_server_that_answers_with_its_own_record_does_no_harm() {
    let dialler = Config {
        mode: Mode::InitiatorOnly,
        ..config()
    };
    let own = config().data(V14);
    let fact = verdict(&proposed(&dialler), &accept(V14, own));
    let client::Fact::Agreed(agreed) = fact else {
        panic!("{fact:?}");
    };
    assert_eq!(agreed.data.mode, Mode::InitiatorOnly);
    assert!(!agreed.data.peer_sharing);
}

#[test]
fn the_server_refuses_with_the_three_reasons() {
    let rows = [
        (
            "8200a0",
            Reason::VersionMismatch(vec![14, 15, 8_207]),
            Failure::VersionMismatch,
        ),
        (
            "8200a10e9f02f401f4ff",
            Reason::DecodeError {
                version: V14,
                text: String::from("unknown encoding of version data"),
            },
            Failure::DecodeError(V14),
        ),
        (
            "8200a10e8402f401f4",
            Reason::Refused {
                version: V14,
                text: String::from("version data mismatch: network magic 764824073 /= 2"),
            },
            Failure::Magic {
                want: MAGIC,
                got: 2,
            },
        ),
    ];
    for (proposal, reason, failure) in rows {
        let mut rig = Rig::started(Server::new(1, &config()));
        let out = rig.step(Event::Received(hex(proposal)));
        let [Action::Send(sent), Action::Fact(fact), Action::Ended] = &out[..] else {
            panic!("{out:?}");
        };
        assert_eq!(
            sent.head,
            encode::<Handshake>(&Message::Refuse(reason.clone()))
        );
        assert_eq!(*fact, server::Fact::Refusing(failure));
        let heard = verdict(&proposed(&config()), &Message::Refuse(reason));
        assert!(matches!(heard, client::Fact::Refused(_)));
    }
}

proptest! {
    /// No bytes make either end panic; bytes that do not decode fail it.
    #[test]
    fn illegal_bytes_always_fault(
        label in 0_u8..5,
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let bytes = Bytes::from([&[0x82 | label & 1, label], &bytes[..]].concat());
        let mut server = Rig::started(Server::new(1, &config()));
        let illegal = Handshake::decode(PROPOSE, &bytes).is_err();
        let out = server.step(Event::Received(bytes.clone()));
        prop_assert_eq!(matches!(out[..], [Action::Failed(_)]), illegal);
        let illegal = Handshake::decode(CONFIRM, &bytes).is_err();
        let out = proposed(&config()).step(Event::Received(bytes));
        prop_assert_eq!(matches!(out[..], [Action::Failed(_)]), illegal);
    }
}
