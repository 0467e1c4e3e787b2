//! Every message vector of the shared data ends here as it ends at a running node.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use minicbor::{Decoder, Encoder, data::Token, decode::Tokenizer};
use samanea_core::{
    base::{Cx, First, Hash32, Instant, Machine as _, NoRules, ProtocolId, Role, State, Tip},
    mux::{self, HalfId, Mux},
    proto::{
        Action, Event, Protocol,
        block_fetch::{self, BlockFetch},
        chain_sync::{self, ChainSync},
        handshake::{self, Failure, Handshake, Reason},
        keep_alive::KeepAlive,
        peer_sharing::PeerSharing,
        tip_sample::TipSample,
        tx_submission::{self, TxSubmission},
    },
    wire::{
        codec::{DecodeError, Writer},
        frame::{HEADER_BYTES, Header},
        reassembly::Reassembly,
    },
};
use serde_json::Value;

/// As many as the shared data has.
const VECTORS: usize = 238;

/// What is not built here, and why.
const OUTSIDE: &[(&str, &str)] = &[
    ("chain-sync-n2c", "node to client is not spoken"),
    ("object-diffusion", "Peras is not spoken"),
    ("tip-sample-draft", "a first draft that nobody kept"),
];

struct Vector {
    protocol: String,
    message: String,
    bytes: Bytes,
    expect: String,
}

/// How a vector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// Read, and written again as the same bytes.
    Same,
    /// Read, and written again in the form of the reference, which these bytes have not.
    Rewritten,
    /// Refused with a typed error.
    Refused,
    /// Neither way is promised.
    Survived,
    /// Not built, for this reason.
    Outside(&'static str),
}

#[test]
fn every_vector_ends_as_it_does_at_a_running_node() {
    let Some(vectors) = read() else {
        return;
    };
    assert_eq!(
        vectors.len(),
        VECTORS,
        "the shared data has another number of vectors"
    );
    let mut ends: BTreeMap<End, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for vector in &vectors {
        match judge(vector) {
            Ok(end) => *ends.entry(end).or_default() += 1,
            Err(why) => wrong.push(format!("{}, {}: {why}", vector.protocol, vector.message)),
        }
    }
    let outside = |end: &End| matches!(end, End::Outside(_));
    let right: usize = ends
        .iter()
        .filter(|(end, _)| !outside(end))
        .map(|(_, n)| n)
        .sum();
    say(&format!("vectors: {right} of {VECTORS} ended as expected"));
    for (end, count) in &ends {
        say(&format!("vectors: {count:4} {end:?}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(ends.values().sum::<usize>(), VECTORS);
    assert!(
        ends.get(&End::Same).is_some_and(|same| *same > 100),
        "hardly any was written again"
    );
}

fn judge(vector: &Vector) -> Result<End, String> {
    let bytes = &vector.bytes;
    match vector.protocol.as_str() {
        "handshake" if vector.expect.starts_with("refuse-") => refused(bytes),
        "handshake" => message::<Handshake>(vector),
        "chain-sync" => message::<ChainSync>(vector),
        "block-fetch" => message::<BlockFetch>(vector),
        "tx-submission2" => message::<TxSubmission>(vector),
        "keep-alive" => message::<KeepAlive>(vector),
        "peer-sharing" => message::<PeerSharing>(vector),
        "tip-sample" => message::<TipSample>(vector),
        "mux" => segment(vector),
        "peer-sharing-address" => {
            let inside = wrap(&[0x82, 0x01, 0x9f], bytes, &[0xff]);
            message::<PeerSharing>(&around(vector, inside))
        }
        "block-payload" | "serialised-block-payload" => block(vector),
        "header-payload" | "serialised-header-payload" => header(vector),
        "tx-payload" => tx(vector),
        "txid-payload" => tx_id(vector),
        other => OUTSIDE
            .iter()
            .find(|(protocol, _)| *protocol == other)
            .map(|(_, why)| End::Outside(why))
            .ok_or_else(|| format!("nothing reads {other}")),
    }
}

/// Reads a message in all states in which its label is legal, and in all states when there is
/// none or no label.
fn message<P: Protocol>(vector: &Vector) -> Result<End, String>
where
    P::Message: PartialEq,
{
    let bytes = &vector.bytes;
    let read: Vec<_> = states::<P>(bytes)
        .into_iter()
        .map(|state| P::decode(state, bytes))
        .collect();
    match vector.expect.as_str() {
        "nonstandard" => {
            whole(bytes).ok();
            Ok(End::Survived)
        }
        "reject" => match read.iter().find(|read| read.is_ok()) {
            None if !read.is_empty() => Ok(End::Refused),
            _ => Err("was read and must not be".into()),
        },
        "valid" => {
            whole(bytes)?;
            let mut end = None;
            for read in read {
                match read {
                    Ok(message) => end = Some(written_again::<P>(&message, vector)?),
                    // Legal in the state of the same label that does not block.
                    Err(DecodeError::Empty) if P::SPEC.name == tx_submission::SPEC.name => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            end.ok_or_else(|| "is legal in no state".into())
        }
        other => Err(format!("nobody knows what {other} means")),
    }
}

/// Writes a message again: the same bytes if these have the form of the reference, and that form
/// in any case.
fn written_again<P: Protocol>(message: &P::Message, vector: &Vector) -> Result<End, String> {
    let again = encode::<P>(message);
    let form = |bytes| in_reference_form(&vector.protocol, bytes);
    match (again == vector.bytes, form(&vector.bytes)) {
        (true, _) => Ok(End::Same),
        (false, false) if form(&again) => Ok(End::Rewritten),
        (false, false) => Err(format!(
            "{} is not the reference's form",
            hex::encode(&again)
        )),
        (false, true) => Err(format!("written again as {}", hex::encode(&again))),
    }
}

/// Whether bytes are what the reference would write: shortest heads; lists of points and of
/// addresses indefinite unless they are empty; no versions that it does not know.
fn in_reference_form(protocol: &str, bytes: &Bytes) -> bool {
    let mut shortest = Encoder::new(Vec::new());
    for token in Tokenizer::new(bytes) {
        let token: Token<'_> = token.expect("valid vectors are well-formed");
        shortest.encode(token).expect("a vector takes all");
    }
    let list = matches!(bytes.get(2..), Some([0x80] | [0x9f, 0x00..=0xfe, ..]));
    let form = match (protocol, bytes.get(1)) {
        ("chain-sync", Some(4)) | ("peer-sharing", Some(1)) => list,
        ("handshake", Some(0 | 3)) => versions(bytes).iter().all(|v| (14..=16).contains(v)),
        _ => true,
    };
    form && shortest.into_writer() == *bytes
}

/// The keys of a table of versions.
fn versions(bytes: &[u8]) -> Vec<u64> {
    let mut tokens = Decoder::new(bytes);
    tokens.array().expect("an array");
    tokens.u64().expect("a label");
    let pairs = tokens.map().expect("a map").expect("definite");
    let key = |_| {
        let key = tokens.u64().expect("a version");
        tokens.skip().expect("its settings");
        key
    };
    (0..pairs).map(key).collect()
}

/// The states in which the label of `bytes` is legal, else all.
fn states<P: Protocol>(bytes: &[u8]) -> Vec<State> {
    let mut tokens = Decoder::new(bytes);
    let label = tokens.array().and_then(|_| tokens.u64()).ok();
    let edges = P::SPEC.edges.iter();
    let mut states: Vec<State> = edges
        .filter(|edge| Some(u64::from(edge.label)) == label)
        .map(|edge| edge.from)
        .collect();
    if states.is_empty() {
        states = (0..)
            .zip(P::SPEC.states)
            .map(|(state, _)| State(state))
            .collect();
    }
    states.dedup();
    states
}

/// The end of a message is found in the stream, in one piece and byte by byte.
fn whole(bytes: &Bytes) -> Result<(), String> {
    for cut in [bytes.len(), 1] {
        let mut stream = Reassembly::new();
        for piece in bytes.chunks(cut) {
            stream.push(Bytes::copy_from_slice(piece));
        }
        stream.push(Bytes::from_static(&[0x81]));
        match stream.next(2_500_000) {
            Ok(Some(message)) if message == bytes => {}
            other => return Err(format!("in pieces of {cut}: {other:?}")),
        }
    }
    Ok(())
}

/// A handshake server with the table {14, 15} refuses these settings.
fn refused(bytes: &Bytes) -> Result<End, String> {
    whole(bytes)?;
    let config = handshake::Config {
        own_versions: false,
        ..handshake::Config::new(2)
    };
    let mut server = handshake::Server::new(1, &config);
    let (mut out, mut choice) = (Vec::new(), First);
    let mut cx = Cx::new(Instant::ZERO, &mut choice, &NoRules, &mut out);
    server.step(&mut cx, Event::Start);
    server.step(&mut cx, Event::Received(bytes.clone()));
    let [Action::Send(answer), Action::Fact(fact), Action::Ended] = out.as_slice() else {
        return Err(format!("{out:?}"));
    };
    let refusing = handshake::server::Fact::Refusing(Failure::DecodeError(handshake::V14));
    let answer = [answer.head.as_ref(), answer.body.as_ref()].concat().into();
    match Handshake::decode(handshake::CONFIRM, &answer) {
        Ok(handshake::Message::Refuse(Reason::DecodeError { version, .. }))
            if version == handshake::V14 && *fact == refusing =>
        {
            Ok(End::Refused)
        }
        other => Err(format!("{other:?}")),
    }
}

/// A segment goes through a multiplexer that runs both halves of all mini-protocols.
fn segment(vector: &Vector) -> Result<End, String> {
    let bytes = &vector.bytes;
    let (head, payload) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or("no header")?;
    let header = Header::decode(*head);
    if header.encode() != *head {
        return Err("the header is written as something else".into());
    }
    let mut mux = Mux::new(&mux::Config::default());
    for protocol in (0..=10).map(ProtocolId) {
        for role in [Role::Initiator, Role::Responder] {
            if let Some(max) = mux::ingress_bytes_max(protocol) {
                mux.register(HalfId { protocol, role }, max);
            }
        }
    }
    let (mut out, mut choice) = (Vec::new(), First);
    let mut cx = Cx::new(Instant::ZERO, &mut choice, &NoRules, &mut out);
    mux.step(&mut cx, mux::Event::Received(bytes.clone()));
    let half = HalfId {
        protocol: header.protocol,
        role: header.sender.flip(),
    };
    let got: Vec<u8> = mux.take(half).flatten().collect();
    match (vector.expect.as_str(), out.as_slice()) {
        ("valid", [mux::Action::Ready(ready)]) if *ready == half && got == payload => {
            messages(payload).map(|()| End::Same)
        }
        ("reject", [mux::Action::Failed(mux::Error::SduDecodeError)]) => Ok(End::Refused),
        ("unknown-protocol", [mux::Action::Failed(mux::Error::UnknownMiniProtocol(protocol))])
            if *protocol == header.protocol =>
        {
            Ok(End::Refused)
        }
        _ => Err(format!("{out:?}")),
    }
}

/// The payload of a captured segment is whole messages.
fn messages(payload: &[u8]) -> Result<(), String> {
    let mut stream = Reassembly::new();
    stream.push(Bytes::copy_from_slice(payload));
    let mut count = 0;
    while stream
        .next(65_535)
        .map_err(|error| error.to_string())?
        .is_some()
    {
        count += 1;
    }
    if count > 0 && stream.is_empty() {
        return Ok(());
    }
    Err("is not whole messages".into())
}

/// A block as block-fetch carries it: tag 24 is framing, the bytes inside are the block.
fn block(vector: &Vector) -> Result<End, String> {
    let inside = around(vector, wrap(&[0x82, 0x04], &vector.bytes, &[]));
    let mut tokens = Decoder::new(&vector.bytes);
    let content = tokens
        .tag()
        .and_then(|_| tokens.bytes())
        .map_err(|e| e.to_string())?;
    match BlockFetch::decode(block_fetch::STREAMING, &inside.bytes) {
        Ok(block_fetch::Message::Block(block)) if block == content => {
            message::<BlockFetch>(&inside)
        }
        other => Err(format!("{other:?}")),
    }
}

/// A header as chain-sync carries it, verbatim, and beside a tip.
fn header(vector: &Vector) -> Result<End, String> {
    let tip = Tip {
        point: samanea_core::base::Point::Block {
            slot: 7,
            hash: Hash32([7; 32]),
        },
        block_no: 7,
    };
    let mut bytes = BytesMut::new();
    Writer::new(&mut bytes)
        .array(3)
        .u64(2_u8)
        .raw(&vector.bytes)
        .tip(&tip);
    let inside = around(vector, bytes.freeze());
    let want = chain_sync::Message::RollForward {
        header: vector.bytes.clone(),
        tip,
    };
    for state in [chain_sync::CAN_AWAIT, chain_sync::MUST_REPLY] {
        let read = ChainSync::decode(state, &inside.bytes);
        if read.as_ref() != Ok(&want) {
            return Err(format!("{read:?}"));
        }
    }
    message::<ChainSync>(&inside)
}

/// A transaction as tx-submission carries it, verbatim.
fn tx(vector: &Vector) -> Result<End, String> {
    let inside = around(vector, wrap(&[0x82, 0x03, 0x9f], &vector.bytes, &[0xff]));
    let want = tx_submission::Message::ReplyTxs(vec![vector.bytes.clone()]);
    match TxSubmission::decode(tx_submission::TXS, &inside.bytes) {
        Ok(read) if read == want => message::<TxSubmission>(&inside),
        other => Err(format!("{other:?}")),
    }
}

/// An id as tx-submission carries it, verbatim, asked for and announced.
fn tx_id(vector: &Vector) -> Result<End, String> {
    let asked = around(vector, wrap(&[0x82, 0x02, 0x9f], &vector.bytes, &[0xff]));
    let told = around(
        vector,
        wrap(
            &[0x82, 0x01, 0x9f, 0x82],
            &vector.bytes,
            &[0x18, 0x64, 0xff],
        ),
    );
    message::<TxSubmission>(&asked)?;
    match TxSubmission::decode(tx_submission::TX_IDS_BLOCKING, &told.bytes) {
        Ok(tx_submission::Message::ReplyTxIds(ids)) => match ids.as_slice() {
            [(id, 100)] if *id.0 == *vector.bytes => message::<TxSubmission>(&told),
            _ => Err(format!("{ids:?}")),
        },
        other => Err(format!("{other:?}")),
    }
}

fn wrap(before: &[u8], payload: &[u8], behind: &[u8]) -> Bytes {
    [before, payload, behind].concat().into()
}

/// The message around the payload of `vector`.
fn around(vector: &Vector, bytes: Bytes) -> Vector {
    Vector {
        protocol: vector.protocol.clone(),
        message: vector.message.clone(),
        bytes,
        expect: vector.expect.clone(),
    }
}

fn encode<P: Protocol>(message: &P::Message) -> Bytes {
    let mut head = BytesMut::new();
    let body = P::encode(message, &mut head);
    wrap(&head, &body, &[])
}

/// The vectors, or a loud word that they are not here.
fn read() -> Option<Vec<Vector>> {
    let root = env::var_os("SAMANEA_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = root.join("vectors/wire.json");
    let Ok(text) = fs::read_to_string(&path) else {
        say(&format!(
            "SKIPPED: ALL {VECTORS} MESSAGE VECTORS, no {}",
            path.display()
        ));
        return None;
    };
    let all: Vec<Value> = serde_json::from_str(&text).expect("an array of vectors");
    let field = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("a vector without {name}"))
            .to_owned()
    };
    let vectors = all.iter().map(|value| Vector {
        protocol: field(value, "protocol"),
        message: field(value, "message"),
        bytes: hex::decode(field(value, "hex"))
            .expect("hexadecimal")
            .into(),
        expect: field(value, "expect"),
    });
    Some(vectors.collect())
}

fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("standard error");
}
