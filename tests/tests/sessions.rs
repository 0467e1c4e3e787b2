//! Captured two-way exchanges, replayed through both ends of every table.
//!
//! Each capture is fed in one block and byte by byte. Every message must be legal in its table on
//! both ends, and what our encoder makes of it must be the captured bytes, except where the
//! producer writes another form than the reference does; those messages are counted by name.

use std::{
    collections::{BTreeMap, VecDeque},
    env, fs,
    io::{self, Write as _},
    path::PathBuf,
};

use bytes::Bytes;
use samanea_core::{
    base::{First, Instant, ProtocolId, Role},
    proto::{
        Protocol, block_fetch::BlockFetch, chain_sync::ChainSync, handshake::Handshake,
        keep_alive::KeepAlive, peer_sharing::PeerSharing, session::Session,
        tx_submission::TxSubmission,
    },
    wire::{frame::Deframer, reassembly::Reassembly},
};
use serde_json::Value;

/// Who wrote a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    Dialler,
    Acceptor,
}

struct Frame {
    from: From,
    bytes: Bytes,
}

/// What came of one capture.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Every message in order, as read.
    messages: Vec<String>,
    /// Messages that our encoder writes differently.
    differing: Vec<&'static str>,
}

/// Both ends of one instance of one mini-protocol.
trait Pair {
    /// Bytes of one end; whatever messages they complete go to `out`.
    fn feed(&mut self, from: Role, bytes: Bytes, out: &mut Outcome);
    /// Bytes that were not read.
    fn left(&self) -> usize;
}

struct Both<P: Protocol> {
    client: Session<P>,
    server: Session<P>,
    /// What each end has yet to read: of the client, of the server.
    to: [Reassembly; 2],
}

impl<P: Protocol + 'static> Both<P>
where
    P::Message: core::fmt::Debug + PartialEq,
{
    fn boxed() -> Box<dyn Pair> {
        let mut both = Self {
            client: Session::new(Role::Initiator, 0, 8),
            server: Session::new(Role::Responder, 0, 0),
            to: Default::default(),
        };
        both.client.start(Instant::ZERO, &mut First);
        both.server.start(Instant::ZERO, &mut First);
        Box::new(both)
    }

    /// Lets one end read one message, and the other end say it.
    fn step(&mut self, reader: Role, out: &mut Outcome) -> bool {
        let (hears, says, at) = match reader {
            Role::Initiator => (&mut self.client, &mut self.server, 0),
            Role::Responder => (&mut self.server, &mut self.client, 1),
        };
        let Some(limit) = hears.awaits() else {
            return false;
        };
        let Some(bytes) = self.to[at]
            .next(limit)
            .expect("within the limit and well-formed")
        else {
            return false;
        };
        let message = hears
            .receive(Instant::ZERO, &mut First, &bytes)
            .expect("legal");
        let turn = says.turn().expect("the other end's turn");
        let again = turn
            .send(Instant::ZERO, &mut First, &message)
            .expect("has an edge");
        let again = [&again.head[..], &again.body[..]].concat();
        if again != bytes {
            let kind = P::kind(&message);
            let edge = P::SPEC
                .edges
                .iter()
                .find(|edge| edge.kind == kind)
                .expect("a kind");
            out.differing.push(edge.message);
        }
        out.messages.push(format!("{message:?}"));
        true
    }
}

impl<P: Protocol + 'static> Pair for Both<P>
where
    P::Message: core::fmt::Debug + PartialEq,
{
    fn feed(&mut self, from: Role, bytes: Bytes, out: &mut Outcome) {
        self.to[usize::from(from == Role::Initiator)].push(bytes);
        while self.step(Role::Responder, out) || self.step(Role::Initiator, out) {}
    }

    fn left(&self) -> usize {
        self.to.iter().map(Reassembly::len).sum()
    }
}

fn pair(protocol: ProtocolId) -> Box<dyn Pair> {
    match protocol {
        ProtocolId::HANDSHAKE => Both::<Handshake>::boxed(),
        ProtocolId::CHAIN_SYNC => Both::<ChainSync>::boxed(),
        ProtocolId::BLOCK_FETCH => Both::<BlockFetch>::boxed(),
        ProtocolId::TX_SUBMISSION => Both::<TxSubmission>::boxed(),
        ProtocolId::KEEP_ALIVE => Both::<KeepAlive>::boxed(),
        ProtocolId::PEER_SHARING => Both::<PeerSharing>::boxed(),
        other => panic!("no mini-protocol {other}"),
    }
}

/// Feeds a capture in pieces of at most `cut` bytes. An instance is named by its protocol and
/// which end of the connection runs its client.
fn replay(frames: &[Frame], cut: usize) -> Outcome {
    let mut out = Outcome::default();
    let mut pairs: BTreeMap<(ProtocolId, From), Box<dyn Pair>> = BTreeMap::new();
    let mut deframers = [Deframer::new(), Deframer::new()];
    for frame in frames {
        let mut input: VecDeque<Bytes> = frame
            .bytes
            .chunks(cut)
            .map(Bytes::copy_from_slice)
            .collect();
        let deframer = &mut deframers[usize::from(frame.from == From::Acceptor)];
        while let Some(mut piece) = input.pop_front() {
            while let Some(part) = deframer.next(&mut piece).expect("no empty segment") {
                let header = part.header;
                // A proposal that meets a proposal is read as a reply to one's own.
                let open = (header.protocol == ProtocolId::HANDSHAKE
                    && frame.from == From::Acceptor)
                    .then_some(Role::Responder);
                let sender = open.unwrap_or(header.sender);
                let client = match (frame.from, sender) {
                    (From::Dialler, Role::Initiator) | (From::Acceptor, Role::Responder) => {
                        From::Dialler
                    }
                    (From::Acceptor, Role::Initiator) | (From::Dialler, Role::Responder) => {
                        From::Acceptor
                    }
                };
                let key = (header.protocol, client);
                let pair = pairs.entry(key).or_insert_with(|| pair(header.protocol));
                pair.feed(sender, part.bytes, &mut out);
            }
        }
    }
    let left: usize = pairs.values().map(|pair| pair.left()).sum();
    assert_eq!(left, 0, "bytes that nobody read");
    out
}

fn shared() -> PathBuf {
    env::var_os("SAMANEA_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    )
}

fn captures() -> Option<Vec<(String, Vec<Frame>)>> {
    let text = fs::read_to_string(shared().join("vectors/sessions.json")).ok()?;
    let all: Vec<Value> = serde_json::from_str(&text).expect("a list of captures");
    let frame = |frame: &Value| Frame {
        from: match frame["dir"].as_str().expect("a direction") {
            "i2r" => From::Dialler,
            _ => From::Acceptor,
        },
        bytes: hex(frame["hex"].as_str().expect("bytes")).into(),
    };
    Some(
        all.iter()
            .map(|capture| {
                let name = capture["name"].as_str().expect("a name").to_owned();
                let frames = capture["frames"].as_array().expect("frames");
                (name, frames.iter().map(frame).collect())
            })
            .collect(),
    )
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a hexadecimal digit");
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("a byte");
    text.as_bytes().chunks(2).map(byte).collect()
}

/// Where the captures' producer writes another form than the reference: definite lists of points,
/// old versions in a proposal, a mismatch list in falling order, its own order of octets.
const OTHER_FORMS: &[&str] = &[
    "MsgProposeVersions",
    "MsgFindIntersect",
    "MsgRefuse",
    "MsgSharePeers",
];

#[test]
fn captured_exchanges_replay_on_both_ends_under_every_cut() {
    let mut log = io::stderr();
    let Some(captures) = captures() else {
        writeln!(
            log,
            "SKIPPED: no captured exchanges; set SAMANEA_SHARED to check them"
        )
        .unwrap();
        return;
    };
    let (mut equal, mut messages) = (0, 0);
    for (name, mut frames) in captures
        .iter()
        .map(|(name, frames)| (name, frames.iter().collect::<Vec<_>>()))
    {
        if name == "handshake-simultaneous-open" {
            frames.sort_by_key(|frame| frame.from);
        }
        let frames: Vec<Frame> = frames
            .into_iter()
            .map(|f| Frame {
                from: f.from,
                bytes: f.bytes.clone(),
            })
            .collect();
        let whole = replay(&frames, usize::MAX);
        assert_eq!(replay(&frames, 1), whole, "{name}: byte by byte");
        assert_eq!(replay(&frames, 7), whole, "{name}: in sevens");
        assert!(!whole.messages.is_empty(), "{name}: no message");
        messages += whole.messages.len();
        for message in &whole.differing {
            assert!(
                OTHER_FORMS.contains(message),
                "{name}: {message} is written differently"
            );
        }
        if whole.differing.is_empty() {
            equal += 1;
        } else {
            writeln!(log, "{name}: other form of {:?}", whole.differing).unwrap();
        }
    }
    writeln!(
        log,
        "captured exchanges: {} of {} replayed on both ends under every cut ({messages} messages), \
         {equal} of them byte for byte, the rest but for the forms named above",
        captures.len(),
        captures.len(),
    )
    .unwrap();
    assert_eq!(captures.len(), 14);
    assert!(equal >= 7, "{equal}");
}
