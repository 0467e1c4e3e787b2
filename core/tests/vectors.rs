//! The codecs against vectors of messages that other implementations wrote and read.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    path::PathBuf,
};

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::State,
    proto::{
        Protocol,
        block_fetch::BlockFetch,
        chain_sync::ChainSync,
        handshake::{Config, Handshake, Message, Refusal, negotiate},
        keep_alive::KeepAlive,
        peer_sharing::PeerSharing,
        tx_submission::TxSubmission,
    },
};
use serde_json::Value;

/// What became of the vectors of one protocol.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    valid: usize,
    rejected: usize,
    other: usize,
    /// Those that are read and that we write in another form, by name.
    rewritten: Vec<String>,
}

/// Valid vectors decode and come back from our own encoding; those in another form than ours are
/// known. Vectors to reject decode in no state. The others are not judged here.
#[test]
fn vectors_are_read_or_refused_as_a_strict_node_does() {
    let Some(vectors) = vectors() else {
        return;
    };
    let mut tallies = BTreeMap::new();
    for vector in &vectors {
        let protocol = text(vector, "protocol");
        let judged = match protocol {
            "handshake" => judge::<Handshake>(vector),
            "chain-sync" => judge::<ChainSync>(vector),
            "block-fetch" => judge::<BlockFetch>(vector),
            "keep-alive" => judge::<KeepAlive>(vector),
            "tx-submission2" => judge::<TxSubmission>(vector),
            "peer-sharing" => judge::<PeerSharing>(vector),
            _ => continue,
        };
        let tally: &mut Tally = tallies.entry(protocol).or_default();
        match text(vector, "expect") {
            "valid" => tally.valid += 1,
            "reject" => tally.rejected += 1,
            _ => tally.other += 1,
        }
        if judged == Form::Other {
            tally.rewritten.push(text(vector, "message").to_owned());
        }
    }
    say(&format!("vectors of messages: {tallies:#?}"));
    let counts: Vec<_> = tallies
        .iter()
        .map(|(protocol, tally)| {
            let rewritten = tally.rewritten.len();
            (
                *protocol,
                tally.valid,
                tally.rejected,
                tally.other,
                rewritten,
            )
        })
        .collect();
    let want = [
        ("block-fetch", 16, 2, 1, 0),
        // Definite lists of points, and a label in two bytes.
        ("chain-sync", 29, 3, 0, 5),
        // Versions that are passed over.
        ("handshake", 24, 8, 2, 8),
        ("keep-alive", 20, 2, 0, 0),
        // Lists of addresses in the other form.
        ("peer-sharing", 15, 1, 2, 3),
        ("tx-submission2", 19, 3, 0, 0),
    ];
    assert_eq!(counts, want);
}

#[test]
fn settings_that_cannot_be_read_are_refused_when_their_version_is_chosen() {
    let Some(vectors) = vectors() else {
        return;
    };
    let mut seen = 0;
    for vector in &vectors {
        if text(vector, "expect") != "refuse-HandshakeDecodeError" {
            continue;
        }
        let read = Handshake::decode(State(0), &bytes(vector));
        let Ok(Message::ProposeVersions(theirs)) = read else {
            panic!("{vector}: {read:?}");
        };
        let ours = Config::new(2).table();
        let refusal = negotiate(&ours, &theirs);
        assert!(matches!(refusal, Err(Refusal::DecodeError(14))), "{vector}");
        seen += 1;
    }
    say(&format!("settings that cannot be read: {seen} vectors"));
    assert_eq!(seen, 2);
}

/// How a vector relates to our own encoding.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Ours,
    Other,
    Unread,
}

fn judge<P: Protocol>(vector: &Value) -> Form
where
    P::Message: PartialEq + std::fmt::Debug,
{
    let bytes = bytes(vector);
    let states = (0_u8..).zip(P::SPEC.states).map(|(state, _)| State(state));
    let read: Vec<_> = states
        .filter_map(|state| Some((state, P::decode(state, &bytes).ok()?)))
        .collect();
    match text(vector, "expect") {
        "valid" => assert!(!read.is_empty(), "{vector}"),
        "reject" => assert!(read.is_empty(), "{vector}: {read:?}"),
        _ => {}
    }
    let mut form = Form::Unread;
    for (state, message) in read {
        let mut out = BytesMut::new();
        let body = P::encode(&message, &mut out);
        out.extend_from_slice(&body);
        let again = out.freeze();
        assert_eq!(P::decode(state, &again), Ok(message), "{vector}");
        form = if again == bytes {
            Form::Ours
        } else {
            Form::Other
        };
    }
    form
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

fn bytes(vector: &Value) -> Bytes {
    let hex = text(vector, "hex");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The vectors, in `$SAMANEA_SHARED` or beside the workspace.
fn vectors() -> Option<Vec<Value>> {
    let shared = env::var_os("SAMANEA_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let file = shared.join("vectors/wire.json");
    match fs::read(&file) {
        Ok(json) => Some(serde_json::from_slice(&json).unwrap()),
        Err(error) => {
            say(&format!(
                "SKIPPED: no vectors in {}: {error}",
                file.display()
            ));
            None
        }
    }
}

fn say(text: &str) {
    writeln!(io::stderr(), "{text}").unwrap();
}
