//! All that a node can be told.

use alloc::{boxed::Box, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use bytes::Bytes;

use crate::{
    base::{GroupId, ListenerId, MemberKey, MessageId, Serial, Slot, Ticket, TxId},
    chain::Answer,
    conn::Cause,
    governor::{self, FetchMode, Judgement, LedgerState, Saved, Snapshot, Targets, Topology},
    manager::Limits,
    rain::{Audience, Options, Verdict, View},
};

/// All that a node can be told. Facts of sockets come from the driver, answers and commands from
/// the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// The driver listens; accepting waits for [`Action::AcceptOne`](super::Action::AcceptOne).
    Listening {
        /// The driver's name for the socket.
        listener: ListenerId,
        /// Where.
        local: SocketAddr,
    },
    /// A connection was accepted and waits for
    /// [`Action::Adopt`](super::Action::Adopt) or [`Action::Reset`](super::Action::Reset).
    Offered {
        /// The listening socket.
        listener: ListenerId,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Accepting failed; `fatal` when the listening socket is lost.
    AcceptFailed {
        /// The listening socket.
        listener: ListenerId,
        /// Why.
        cause: Cause,
        /// Whether the socket is lost.
        fatal: bool,
    },
    /// A dial succeeded.
    Connected {
        /// As in [`Action::Dial`](super::Action::Dial).
        conn: Serial,
        /// Our end.
        local: SocketAddr,
    },
    /// A dial failed.
    ConnectFailed {
        /// As in [`Action::Dial`](super::Action::Dial).
        conn: Serial,
        /// Why.
        cause: Cause,
    },
    /// Bytes came in. They are sliced, never copied, so hand over buffers of moderate size.
    Received {
        /// The connection.
        conn: Serial,
        /// At least one byte.
        bytes: Bytes,
    },
    /// The kernel has taken this many bytes of earlier writes.
    Flushed {
        /// The connection.
        conn: Serial,
        /// Bytes taken since the last such event.
        bytes: u64,
    },
    /// The socket ended or failed; nothing more comes from it.
    Closed {
        /// The connection.
        conn: Serial,
        /// Why.
        cause: Cause,
    },
    /// The application answers a question.
    Answered {
        /// As in [`Action::Ask`](super::Action::Ask).
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// The answer to [`Action::Resolve`](super::Action::Resolve), exactly one each.
    Resolved {
        /// As asked.
        ticket: Ticket,
        /// What the name stands for.
        answer: Result<governor::Answer, governor::NotFound>,
    },
    /// The application gives an order.
    Command(Command),
    /// All that was readable has been fed: cut segments and write them.
    Turn,
    /// Time has passed.
    Tick,
}

/// An order of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Command {
    /// Keep a connection to this peer and follow its chain, as to a trustable local root of which
    /// all members are hot. It may be told to others; its address is exempt from limits per prefix.
    AddPeer(SocketAddr),
    /// Keep it no longer: what runs towards it is stopped and its connection released. That ends
    /// unless the peer uses it.
    RemovePeer(SocketAddr),
    /// Other targets: near the tip, and in Genesis mode while the chain is old. Insane ones are
    /// refused with a notice and change nothing.
    Targets {
        /// Near the tip, and always in Praos mode.
        deadline: Targets,
        /// In Genesis mode while the chain is old.
        sync: Targets,
    },
    /// Other roots.
    Topology(Box<Topology>),
    /// Another snapshot of the ledger's peers, or none.
    Snapshot(Option<Box<Snapshot>>),
    /// The peers of the application's ledger state.
    Ledger(Box<LedgerState>),
    /// What was known before a restart.
    Restore(Box<Saved>),
    /// Whether the chain is young.
    Judgement(Judgement),
    /// How blocks are fetched.
    FetchMode(FetchMode),
    /// An address of our own: never a peer. Listening addresses are known.
    OwnAddress(SocketAddr),
    /// Other limits on inbound connections from now on.
    Limit(Limits),
    /// The application has this block: put it on our chain when its parent is there.
    Extend {
        /// The wrapped header.
        header: Bytes,
    },
    /// The application has this transaction to give away.
    Submit {
        /// Its id in wrapped form.
        id: TxId,
        /// Its size as announced.
        bytes: u32,
    },
    /// Ask every peer that shares addresses for up to this many; answered by
    /// [`Notice::Shared`](super::Notice::Shared).
    AskPeers {
        /// Addresses wanted of each.
        amount: u8,
    },
    /// Ask every peer that speaks one of our own versions for its next tips; answered by
    /// a notice of the chain.
    SampleTips {
        /// Tips wanted of each, at least 1.
        count: u16,
        /// The first tip has this slot or a later one.
        slot: Slot,
    },
    /// Who is in a group of structured gossip. This and the next eight do nothing in a node that
    /// has no part in it.
    View {
        /// The members.
        view: View,
        /// Forget the group after this.
        expires: Option<Duration>,
    },
    /// A group of structured gossip is no longer ours to know.
    Forget(GroupId),
    /// Join a group that has no ledger.
    JoinGroup {
        /// Which.
        group: GroupId,
        /// Where this node can be dialled, as others are to be told.
        address: Bytes,
        /// Members to begin with; their addresses are told by `Member`.
        contacts: Vec<MemberKey>,
    },
    /// Leave such a group.
    LeaveGroup(GroupId),
    /// Where a member of groups can be dialled; `None` = nowhere.
    Member {
        /// Who.
        key: MemberKey,
        /// Where.
        addr: Option<SocketAddr>,
    },
    /// Broadcast to a group; answered by a notice of structured gossip.
    Publish {
        /// The caller's name for it.
        tag: u64,
        /// For whom.
        group: GroupId,
        /// What.
        payload: Bytes,
        /// How.
        options: Options,
    },
    /// Broadcast to an audience; answered by a notice of structured gossip.
    PublishTo {
        /// The caller's name for it.
        tag: u64,
        /// For whom.
        audience: Audience,
        /// What.
        payload: Bytes,
    },
    /// What the application thinks of a message.
    Verdict {
        /// Which.
        id: MessageId,
        /// What.
        verdict: Verdict,
    },
    /// End everything in order; [`Notice::Stopped`](super::Notice::Stopped) follows.
    Shutdown,
}
