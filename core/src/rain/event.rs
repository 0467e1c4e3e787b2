//! What structured gossip is told, and what it asks for.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Audience, Redundancy, Seat, View};
use crate::{
    base::{GroupId, MemberKey, MessageId},
    proto::rain_link::Frame,
};

/// All that the machine can be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle all")]
pub enum Event {
    /// Who is in a group from now on. A view of an epoch that is known, or older than the newest,
    /// is ignored and counted.
    View {
        /// The members.
        view: View,
        /// Forget the group after this; for sessions.
        expires: Option<Duration>,
    },
    /// The group is no longer ours to know.
    Forget(GroupId),
    /// Join a group that has no ledger: its members say themselves who they are. One that is known
    /// already is left alone.
    Join {
        /// Which.
        group: GroupId,
        /// Where this node can be dialled, as others are to be told: `host:port`, at most 255
        /// bytes; empty when nowhere.
        address: Bytes,
        /// Members to begin with, at most 16.
        contacts: Vec<MemberKey>,
    },
    /// Leave such a group.
    Leave(GroupId),
    /// Broadcast. Answered by [`Notice::Published`] or [`Notice::Refused`].
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
    /// Broadcast to an audience. Answered as [`Publish`](Event::Publish) is.
    PublishTo {
        /// The caller's name for it.
        tag: u64,
        /// For whom.
        audience: Audience,
        /// What.
        payload: Bytes,
    },
    /// A frame came from a member whose key is proved.
    Received {
        /// From whom.
        peer: MemberKey,
        /// What.
        frame: Frame,
    },
    /// A member can be sent to.
    Up {
        /// Who.
        peer: MemberKey,
        /// The round trip, if measured.
        round_trip: Option<Duration>,
        /// The largest payload it takes, in bytes.
        payload_max: u32,
        /// Payload bytes it takes before it grants more.
        credit: u32,
    },
    /// It can no longer be sent to; what was under way is lost.
    Down {
        /// Who.
        peer: MemberKey,
    },
    /// A dial that was asked for failed, or is not to be made.
    NotDialled {
        /// Who.
        peer: MemberKey,
    },
    /// The level of payload bytes that wait on the way to a member; said when it changes much.
    Queued {
        /// Who.
        peer: MemberKey,
        /// Bytes.
        bytes: u32,
    },
    /// What the application thinks of a message.
    Verdict {
        /// Which.
        id: MessageId,
        /// What.
        verdict: Verdict,
    },
    /// Time has passed.
    Tick,
}

/// All that the machine can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle all")]
pub enum Action {
    /// Send a frame to a member that is up.
    Send {
        /// To whom.
        peer: MemberKey,
        /// What.
        frame: Frame,
        /// Before what else.
        priority: Priority,
    },
    /// Drop the payloads of this message that wait for this member, if any.
    Cancel {
        /// Whose.
        peer: MemberKey,
        /// Which message.
        id: MessageId,
    },
    /// Connect to a member: answered by [`Event::Up`] or [`Event::NotDialled`].
    Dial {
        /// Who.
        peer: MemberKey,
    },
    /// A member of a group without a ledger has said where it can be dialled.
    Address {
        /// Who.
        peer: MemberKey,
        /// As it said: at most 255 bytes that need not mean anything.
        address: Bytes,
    },
    /// Whom a group wants connections to; replaces what was said of the group before.
    Interest(Interest),
    /// A message for the application, each id once.
    Deliver(Delivery),
    /// Is this message good? Answered by [`Event::Verdict`].
    Validate {
        /// Which; delivered just before.
        id: MessageId,
    },
    /// Something that the application may want to know.
    Notice(Notice),
}

/// Which frames go first on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle all")]
pub enum Priority {
    /// No payload.
    Control,
    /// Payload of consensus messages.
    Urgent,
    /// Other payload.
    Bulk,
}

/// Members to be connected to because of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interest {
    /// The group.
    pub group: GroupId,
    /// Used for every message: forward targets of the top two levels, clean-up neighbours.
    pub hot: Vec<MemberKey>,
    /// The other forward targets.
    pub warm: Vec<MemberKey>,
    /// Those who will connect to us: inbound slots are to be kept for them.
    pub accept: Vec<MemberKey>,
}

/// A message as it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Delivery {
    /// Which.
    pub id: MessageId,
    /// For whom it is.
    pub group: GroupId,
    /// In which view it was published.
    pub epoch: u64,
    /// Who published it.
    pub origin: MemberKey,
    /// In which life.
    pub boot: u32,
    /// Which of its messages to the group in that life. Messages come in any order.
    pub seq: u64,
    /// Over how many sends it came; 0 for one's own.
    pub hop: u8,
    /// From whom.
    pub via: MemberKey,
    /// How.
    pub way: Way,
    /// What.
    pub payload: Bytes,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Way {
    /// It is one's own.
    Own,
    /// Over the tree.
    Tree,
    /// By a clean-up chain.
    Chain,
    /// As a further copy.
    Redundant,
    /// It was pulled.
    Pulled,
    /// Its origin is not a member in the view here, and as many members as a chain counts act on a
    /// view in which it is.
    Vouched,
}

/// How a message is broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Options {
    /// What kind of message it is.
    pub class: MessageClass,
    /// What is sent beside the tree; `None` = as configured.
    pub redundancy: Option<Redundancy>,
    /// Whether everybody is asked, however large the group.
    pub critical: bool,
    /// Whether members may lie: chains look for more holders.
    pub byzantine: bool,
    /// Whoever holds it forgets it after this, a whole number of milliseconds of at most seven
    /// weeks; `None` = as long as messages are kept. Chains and digests repair nothing that is
    /// forgotten before they begin.
    pub life: Option<Duration>,
}

/// What kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MessageClass {
    /// Any.
    #[default]
    Ordinary,
    /// Between those who agree on blocks: before all others, directly in small groups.
    Consensus,
}

/// What the application thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "there are three")]
pub enum Verdict {
    /// Good.
    Accept,
    /// Bad: dropped, and who sent it is told and scored.
    Reject,
    /// Dropped without blame.
    Ignore,
}

/// What happened; may be ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Notice {
    /// A broadcast has begun.
    Published {
        /// The caller's name for it.
        tag: u64,
        /// Its id.
        id: MessageId,
    },
    /// A broadcast was not begun; nothing has changed.
    Refused {
        /// The caller's name for it.
        tag: u64,
        /// Why.
        why: Refusal,
    },
    /// This node hands a message on to the next group, as one of those who do.
    Bridged {
        /// Which.
        id: MessageId,
        /// To whom.
        group: GroupId,
        /// Its id there.
        onward: MessageId,
    },
    /// This node has done its part for a message.
    Done {
        /// Which.
        id: MessageId,
        /// What it did.
        report: Report,
    },
    /// A member did not answer in time.
    Suspected {
        /// Who.
        peer: MemberKey,
    },
    /// A member broke a rule.
    Misdeed {
        /// Who.
        peer: MemberKey,
        /// Which.
        what: Misdeed,
    },
    /// A message came by a chain, or was pulled, although this member was to bring it over the
    /// tree and is up. It did not have it itself, or it withheld it: once says little, again and
    /// again says that it drops what it acknowledges.
    Withheld {
        /// Who.
        peer: MemberKey,
        /// Which message.
        id: MessageId,
    },
    /// Two messages of one origin with the same number: both signed.
    Equivocation {
        /// Whose.
        origin: MemberKey,
        /// The first that came.
        first: MessageId,
        /// The other.
        second: MessageId,
    },
    /// A view was ignored: its epoch is known, or older than the newest.
    OldView {
        /// Of which group.
        group: GroupId,
        /// Of which epoch.
        epoch: u64,
    },
    /// The members of a group without a ledger have changed.
    Members {
        /// Of which group.
        group: GroupId,
        /// How many there are now.
        members: u32,
    },
}

/// Why a broadcast is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refusal {
    /// No view of the group, or this node is neither in it nor may it hand messages in.
    #[error("not a member of the group")]
    NotMember,
    /// The group has no members.
    #[error("the group is empty")]
    EmptyGroup,
    /// No view of a group that it would go on to.
    #[error("nothing is known of a group that it would go on to")]
    UnknownGroup,
    /// This node has no key to sign with.
    #[error("no key to sign with")]
    NoKey,
    /// The payload is too large.
    #[error("{bytes} bytes are more than {max}")]
    TooBig {
        /// The payload.
        bytes: usize,
        /// The maximum.
        max: u32,
    },
    /// Too many messages are kept.
    #[error("too many messages are under way")]
    QueueFull,
}

/// What this node did for a message: its own doings, not the truth about the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// Members of the view.
    pub members: u32,
    /// Duties acknowledged.
    pub acked: u32,
    /// Duties of silent members that were served by this node.
    pub adopted: u32,
    /// Duties of silent members that were given on.
    pub delegated: u32,
    /// Members that wanted it when a chain asked them.
    pub served_by_chain: u32,
    /// Members that pulled it.
    pub served_by_pull: u32,
    /// Members that could not be asked, or did not answer.
    pub passed: u32,
    /// How often a chain went on because one it counted was lost.
    pub rearmed: u32,
    /// Payloads sent.
    pub payloads: u32,
    /// Copies that came for nothing.
    pub duplicates: u32,
}

/// How a member broke a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Misdeed {
    /// A payload that its origin did not sign, or of a member that is none.
    Invalid,
    /// An arc that is not its to give.
    Arc,
    /// A message for a group that is not ours, or from one who is not in it.
    Outsider,
    /// More than was granted, or than we take.
    Flood,
    /// It said that it wants a message and did not take it, again and again.
    Unreliable,
    /// A proof of possession that is none.
    FalseProof,
    /// A level above the top of the tree.
    Level,
}

/// What a node knows of one message; for tests and for people who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Over how many sends it came.
    pub hop: u8,
    /// Members known to hold it.
    pub holders: Vec<Seat>,
    /// Members passed over.
    pub passed: Vec<Seat>,
    /// Duties without an answer.
    pub open: usize,
    /// Whether both chains have ended.
    pub clean: bool,
    /// What it did so far.
    pub report: Report,
}
