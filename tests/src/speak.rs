//! Messages of every kind of every protocol, drawn from a [`Choice`].
//!
//! With the tables this is the generator of legal sessions: the table says which kinds may be
//! sent in a state, [`Speak`] makes one of that kind.

use core::{fmt::Debug, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::{Choice, Kind, Point, State, Tip, TxId},
    proto::{
        Protocol, block_fetch,
        block_fetch::BlockFetch,
        chain_sync,
        chain_sync::ChainSync,
        handshake,
        handshake::Handshake,
        keep_alive,
        keep_alive::KeepAlive,
        peer_sharing,
        peer_sharing::PeerSharing,
        rain_link::{self, RainBulk, RainLink},
        tip_sample,
        tip_sample::TipSample,
        tx_submission,
        tx_submission::TxSubmission,
    },
};

use crate::{
    frames,
    tape::site,
    toy::{self, Block},
};

/// A protocol whose messages can be drawn.
pub trait Speak: Protocol<Message: Clone + Debug + PartialEq> + Clone + PartialEq {
    /// A message of this kind for this state; its content is well-formed, not always sensible.
    fn speak(state: State, kind: Kind, choice: &mut dyn Choice) -> Self::Message;

    /// The bytes of a message.
    fn bytes(message: &Self::Message) -> Bytes {
        let mut out = BytesMut::new();
        let body = Self::encode(message, &mut out);
        out.extend_from_slice(&body);
        out.freeze()
    }

    /// How many kinds there are.
    fn kinds() -> u8 {
        let kinds = Self::SPEC.edges.iter().map(|edge| edge.kind.0);
        kinds.max().map_or(0, |max| max + 1)
    }
}

/// A number below `n` for the content of messages.
pub fn below(choice: &mut dyn Choice, n: u32) -> u32 {
    choice.below(site::SESSION, 0, n)
}

/// A number of items below `n`.
pub fn some(choice: &mut dyn Choice, n: u32) -> usize {
    usize::try_from(below(choice, n)).unwrap_or(0)
}

/// The origin, or one of a few points of a short toy chain.
pub fn point(choice: &mut dyn Choice) -> Point {
    let slot = u64::from(below(choice, 8));
    if slot == 0 {
        return Point::Origin;
    }
    let hash = toy::hash_of(&slot.to_be_bytes());
    Point::Block { slot, hash }
}

/// A tip at one of those points.
pub fn tip(choice: &mut dyn Choice) -> Tip {
    let point = point(choice);
    let block_no = point.slot().map_or(0, |slot| slot - 1);
    Tip { point, block_no }
}

/// A wrapped header that the toy rules read.
pub fn header(choice: &mut dyn Choice) -> Bytes {
    let prev = tip(choice);
    let slot = prev.point.slot().map_or(0, |slot| slot + 1);
    Block::after(prev, slot, 0, some(choice, 64)).header
}

/// A transaction and its id, one of a few.
pub fn transaction(choice: &mut dyn Choice) -> (TxId, Bytes) {
    toy::transaction(u64::from(below(choice, 16)), 1 + some(choice, 64))
}

fn list<T>(choice: &mut dyn Choice, n: u32, item: impl Fn(&mut dyn Choice) -> T) -> Vec<T> {
    (0..some(choice, n)).map(|_| item(choice)).collect()
}

fn number(choice: &mut dyn Choice, n: u32) -> u16 {
    u16::try_from(below(choice, n)).unwrap_or(u16::MAX)
}

/// An address, of either family.
pub fn address(choice: &mut dyn Choice) -> SocketAddr {
    let port = number(choice, 65_536);
    if below(choice, 2) == 0 {
        SocketAddr::from(([10, 0, 0, 1], port))
    } else {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], port))
    }
}

/// Settings of a handshake: mostly of one network.
pub fn config(choice: &mut dyn Choice) -> handshake::Config {
    let magic = if below(choice, 8) == 7 { 43 } else { 42 };
    let mut config = handshake::Config::new(magic);
    let bits = below(choice, 256);
    if bits & 1 != 0 {
        config.mode = handshake::Mode::InitiatorOnly;
    }
    config.peer_sharing = bits & 2 == 0;
    config.query = bits & 0x84 == 0x84;
    config.own_versions = bits & 8 == 0;
    config.experimental = bits & 16 != 0;
    config
}

/// What follows from drawn settings, now and then with an entry missing or unreadable.
pub fn table(choice: &mut dyn Choice) -> handshake::VersionTable {
    let mut table = config(choice).table();
    let versions: Vec<_> = table.0.keys().copied().collect();
    match below(choice, 8) {
        6 => {
            table.0.remove(&versions[some(choice, 2) % versions.len()]);
        }
        7 => {
            let version = versions[some(choice, 4) % versions.len()];
            table.0.insert(version, Bytes::from_static(&[0x81, 0x00]));
        }
        _ => {}
    }
    table
}

impl Speak for Handshake {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> handshake::Message {
        use handshake::Message as M;
        match kind {
            handshake::ACCEPT_VERSION => {
                let config = config(choice);
                let version = [handshake::V14, handshake::V15][some(choice, 2)];
                M::AcceptVersion {
                    version,
                    data: config.data(version).encode(version),
                }
            }
            handshake::REFUSE => M::Refuse(reason(choice)),
            handshake::QUERY_REPLY => M::QueryReply(table(choice)),
            handshake::REPLY_VERSIONS => M::ReplyVersions(table(choice)),
            _ => M::ProposeVersions(table(choice)),
        }
    }
}

fn reason(choice: &mut dyn Choice) -> handshake::Reason {
    let version = handshake::V14;
    match below(choice, 3) {
        0 => handshake::Reason::VersionMismatch(list(choice, 5, |choice| {
            u64::from(below(choice, 100))
        })),
        1 => handshake::Reason::DecodeError {
            version,
            text: "no".into(),
        },
        _ => handshake::Reason::Refused {
            version,
            text: "not you".into(),
        },
    }
}

impl Speak for ChainSync {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> chain_sync::Message {
        use chain_sync::Message as M;
        match kind {
            chain_sync::FIND_INTERSECT => M::FindIntersect(list(choice, 6, point)),
            chain_sync::MSG_DONE => M::Done,
            chain_sync::AWAIT_REPLY => M::AwaitReply,
            chain_sync::ROLL_FORWARD => M::RollForward {
                header: header(choice),
                tip: tip(choice),
            },
            chain_sync::ROLL_BACKWARD => M::RollBackward {
                point: point(choice),
                tip: tip(choice),
            },
            chain_sync::INTERSECT_FOUND => M::IntersectFound {
                point: point(choice),
                tip: tip(choice),
            },
            chain_sync::INTERSECT_NOT_FOUND => M::IntersectNotFound { tip: tip(choice) },
            _ => M::RequestNext,
        }
    }
}

impl Speak for BlockFetch {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> block_fetch::Message {
        use block_fetch::Message as M;
        match kind {
            block_fetch::CLIENT_DONE => M::ClientDone,
            block_fetch::START_BATCH => M::StartBatch,
            block_fetch::NO_BLOCKS => M::NoBlocks,
            block_fetch::BLOCK => M::Block(transaction(choice).1),
            block_fetch::BATCH_DONE => M::BatchDone,
            _ => M::RequestRange {
                from: point(choice),
                to: point(choice),
            },
        }
    }
}

impl Speak for KeepAlive {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> keep_alive::Message {
        match kind {
            keep_alive::MSG_DONE => keep_alive::Message::Done,
            keep_alive::RESPONSE => keep_alive::Message::Response(number(choice, 4)),
            _ => keep_alive::Message::KeepAlive(number(choice, 65_536)),
        }
    }
}

fn announced(choice: &mut dyn Choice) -> (TxId, u32) {
    let (id, tx) = transaction(choice);
    (id, u32::try_from(tx.len()).unwrap_or(u32::MAX))
}

impl Speak for TxSubmission {
    fn speak(state: State, kind: Kind, choice: &mut dyn Choice) -> tx_submission::Message {
        use tx_submission::Message as M;
        match kind {
            tx_submission::REQUEST_IDS_BLOCKING | tx_submission::REQUEST_IDS_NON_BLOCKING => {
                M::RequestTxIds {
                    blocking: kind == tx_submission::REQUEST_IDS_BLOCKING,
                    acked: number(choice, 4),
                    wanted: number(choice, 12),
                }
            }
            tx_submission::REPLY_IDS => {
                let mut ids = list(choice, 5, announced);
                if ids.is_empty() && state == tx_submission::TX_IDS_BLOCKING {
                    ids.push(announced(choice));
                }
                M::ReplyTxIds(ids)
            }
            tx_submission::REQUEST_TXS => M::RequestTxs(list(choice, 5, |c| transaction(c).0)),
            tx_submission::REPLY_TXS => M::ReplyTxs(list(choice, 5, |c| transaction(c).1)),
            tx_submission::MSG_DONE => M::Done,
            _ => M::Init,
        }
    }
}

impl Speak for PeerSharing {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> peer_sharing::Message {
        use peer_sharing::Message as M;
        match kind {
            peer_sharing::MSG_DONE => M::Done,
            peer_sharing::SHARE_PEERS => M::SharePeers(list(choice, 12, address)),
            _ => M::ShareRequest(u8::try_from(below(choice, 256)).unwrap_or(u8::MAX)),
        }
    }
}

impl Speak for TipSample {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> tip_sample::Message {
        use tip_sample::Message as M;
        match kind {
            tip_sample::MSG_DONE => M::Done,
            tip_sample::NEXT_TIP => M::NextTip(tip(choice)),
            tip_sample::NEXT_TIP_DONE => M::NextTipDone(tip(choice)),
            _ => M::FollowTip {
                count: number(choice, 5),
                slot: u64::from(below(choice, 8)),
            },
        }
    }
}

impl Speak for RainLink {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> rain_link::Message {
        frames::message(kind, choice, false)
    }
}

impl Speak for RainBulk {
    fn speak(_: State, kind: Kind, choice: &mut dyn Choice) -> rain_link::Message {
        frames::message(kind, choice, true)
    }
}
