//! All that a node can ask for.

use alloc::{boxed::Box, vec::Vec};
use core::net::SocketAddr;

use crate::{
    base::{ListenerId, MemberKey, MessageId, Serial, Ticket, Tip},
    chain::{self, Question},
    conn::Fault,
    governor,
    manager::{Counters, Trace},
    peer_actions,
    proto::handshake::{Agreed, VersionTable},
    rain,
    wire::Batch,
};

/// All that a node can ask for. Each is carried out in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Accept one connection on this socket when one is there; not before, not twice.
    AcceptOne {
        /// The listening socket.
        listener: ListenerId,
    },
    /// The connection just offered on this socket is ours under this serial: start reading.
    Adopt {
        /// The listening socket.
        listener: ListenerId,
        /// Its other end.
        remote: SocketAddr,
        /// Its name from now on.
        conn: Serial,
    },
    /// The connection just offered on this socket is not wanted: reset it.
    Reset {
        /// The listening socket.
        listener: ListenerId,
        /// Its other end.
        remote: SocketAddr,
    },
    /// Open a connection; answered by `Connected` or `ConnectFailed`.
    Dial {
        /// Its name.
        conn: Serial,
        /// Where to.
        remote: SocketAddr,
        /// The local address to bind, else an ephemeral one.
        bind: Option<SocketAddr>,
    },
    /// Write these bytes, after those asked for before.
    Write {
        /// The connection.
        conn: Serial,
        /// What to write.
        batch: Batch,
    },
    /// Read (`on`) or let the kernel's buffer fill up.
    Reading {
        /// The connection.
        conn: Serial,
        /// Whether to read.
        on: bool,
    },
    /// Close the socket; no event of it is wanted any more. With `reset`, unsent bytes are
    /// dropped and the peer sees a reset; else what was asked for before is written first.
    Close {
        /// The connection.
        conn: Serial,
        /// Whether to reset.
        reset: bool,
    },
    /// A question to the application; answered by `Answered` with the same ticket, exactly once.
    Ask {
        /// Its name.
        ticket: Ticket,
        /// The question.
        question: Question,
    },
    /// Look a name up; answered by `Resolved` with the same ticket, exactly once.
    Resolve {
        /// Its name.
        ticket: Ticket,
        /// What to look up.
        question: governor::Question,
    },
    /// For whoever watches; may be ignored.
    Notify(Notice),
}

/// For whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Notice {
    /// A handshake succeeded.
    Up {
        /// The connection.
        conn: Serial,
        /// The other end.
        remote: SocketAddr,
        /// Whether we dialled.
        dialled: bool,
        /// What was agreed.
        agreed: Agreed,
    },
    /// A peer answered our query with its versions.
    Versions {
        /// The connection.
        conn: Serial,
        /// The peer's table.
        table: VersionTable,
    },
    /// A dial failed or a connection ended.
    Down {
        /// The connection.
        conn: Serial,
        /// The other end.
        remote: SocketAddr,
        /// Why.
        fault: Fault,
    },
    /// A keep-alive probe came back.
    RoundTrip {
        /// The connection.
        conn: Serial,
        /// How long it took.
        took: core::time::Duration,
    },
    /// A peer's tip as its chain-sync tells it.
    PeerTip {
        /// The connection.
        conn: Serial,
        /// The tip.
        tip: Tip,
    },
    /// From the chain.
    Chain(chain::Notice),
    /// A peer answered our question for addresses.
    Shared {
        /// The connection.
        conn: Serial,
        /// The addresses, at most as many as asked for.
        peers: Vec<SocketAddr>,
    },
    /// How many connections there are, by use; when that has changed.
    Connections(Counters),
    /// What happened in the table of connections; only with its
    /// [`trace`](crate::manager::Config::trace) on.
    Trace(Trace),
    /// The set of peers whose duplex connections are mature has changed.
    Mature,
    /// What becomes of a peer.
    Peer(peer_actions::Fact),
    /// From the selection of peers.
    Governor(governor::Notice),
    /// The peers of the application's ledger state are wanted, by
    /// [`Command::Ledger`](super::Command::Ledger); who has none stays silent.
    WantLedger,
    /// A message of structured gossip for the application, each id once.
    Delivered(Box<rain::Delivery>),
    /// Is this message good? Answered by [`Command::Verdict`](super::Command::Verdict). Only where
    /// [`validation`](rain::Config::validation) says so.
    Validate(MessageId),
    /// From structured gossip.
    Gossip(rain::Notice),
    /// A member of groups can be reached, or no longer.
    Member {
        /// Who.
        key: MemberKey,
        /// Over which connection; `None` = over none.
        conn: Option<Serial>,
    },
    /// There is no room to keep this peer.
    PeerRefused(SocketAddr),
    /// A listening socket is lost.
    ListenerLost(ListenerId),
    /// After `Shutdown`: no connection is left.
    Stopped,
}
