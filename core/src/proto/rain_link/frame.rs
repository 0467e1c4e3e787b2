//! What members say to each other.

use alloc::{boxed::Box, vec::Vec};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    base::{GroupId, Hash32, MemberKey, MessageId, Signature},
    wire::codec::Writer,
};

/// Ids of messages, at most [`IDS_MAX`].
pub type Ids = SmallVec<[MessageId; 2]>;

/// The most ids in one frame, inclusive.
pub const IDS_MAX: usize = 256;
/// The most entries of a digest, inclusive.
pub const ENTRIES_MAX: usize = 64;
/// The most holes of an entry, and ranges of a pull, inclusive.
pub const HOLES_MAX: usize = 16;
/// The most records in one answer about the members of a group, inclusive.
pub const RECORDS_MAX: usize = 256;
/// The longest address of a member, in bytes of text, inclusive.
pub const ADDRESS_BYTES_MAX: usize = 255;
/// The most groups that a message goes on to, inclusive.
pub const ONWARD_MAX: usize = 4;
/// The largest payload of a message, in bytes, inclusive: 4 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// One frame of a link between two members. Each is a CBOR array whose first element is the number
/// given here.
///
/// The sender is who the connection belongs to, never a field.
///
/// src: pokt-network/pocket-network-protocol, peer-to-peer specification, "Messages", from which
/// the exchange of ids before payloads stems
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Frame {
    /// 0: the first frame each way.
    Hello {
        /// Who speaks.
        member: MemberKey,
        /// What the other must sign.
        challenge: [u8; 16],
        /// The largest payload that the speaker takes, in bytes.
        payload_max: u32,
        /// Payload bytes that the other may send before more is granted.
        credit: u32,
    },
    /// 1: a message.
    Data(Box<Data>),
    /// 2: a message without its payload, to one known to hold it: holding it is not the same as
    /// having the arc.
    Duty(Duty),
    /// 3: I hold these and do what I was given to do.
    Ack {
        /// Which.
        ids: Ids,
    },
    /// 4: I do not.
    Nack {
        /// Which.
        ids: Ids,
        /// Why.
        why: Why,
    },
    /// 5: I got you, want? Asks whether these are wanted. (The specification spells it "IGYW".)
    Igyw(Igyw),
    /// 6: I want these.
    Yes {
        /// Which.
        ids: Ids,
    },
    /// 7: I hold these.
    No {
        /// Which.
        ids: Ids,
        /// For each id in order, when challenged: the hash of the challenge and the payload. Else
        /// none.
        proofs: Vec<Hash32>,
    },
    /// 8: somebody else has promised me these.
    Wait {
        /// Which.
        ids: Ids,
    },
    /// 9: what I hold of whom.
    Digest {
        /// Of this group.
        group: GroupId,
        /// Whether it answers one.
        reply: bool,
        /// In rising order of (origin, boot).
        entries: Vec<Entry>,
    },
    /// 10: send me these again.
    Pull {
        /// Of this group.
        group: GroupId,
        /// Who published them.
        origin: MemberKey,
        /// In which life.
        boot: u32,
        /// First and last of each range, inclusive, rising; together at most 64 messages.
        ranges: SmallVec<[(u64, u64); 2]>,
    },
    /// 11: pass this on.
    Relay {
        /// To whom.
        to: MemberKey,
        /// From whom it comes.
        from: MemberKey,
        /// How often it may be passed on.
        ttl: u8,
        /// What; never itself a relay.
        frame: Box<Self>,
    },
    /// 12: you may send so many more bytes of payload.
    Credit {
        /// How many.
        bytes: u32,
    },
    /// 13: a member of a group without a ledger joins.
    Join {
        /// Which group.
        group: GroupId,
        /// Who.
        record: Joined,
    },
    /// 14: a member of a group without a ledger has left.
    Leave {
        /// Which group.
        group: GroupId,
        /// Who.
        record: Left,
    },
    /// 15: are you there?
    Ping {
        /// In this group.
        group: GroupId,
        /// The first eight bytes of the hash of my list of its members.
        view: [u8; 8],
    },
    /// 16: I am.
    Pong {
        /// In this group.
        group: GroupId,
        /// The first eight bytes of the hash of my list of its members.
        view: [u8; 8],
    },
    /// 17: who is in the group, as they said it.
    Members {
        /// Which group.
        group: GroupId,
        /// The last word of each.
        records: Vec<Record>,
    },
    /// 18: the speaker of a [`Hello`](Frame::Hello) is who it says: the other's challenge, signed.
    Proof {
        /// Over [`proof_bytes`](crate::rain::id::proof_bytes).
        signature: Signature,
    },
}

/// A message with its payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Data {
    /// For whom.
    pub group: GroupId,
    /// In which view of it the sender acts.
    pub epoch: u64,
    /// The first eight bytes of the hash of that view.
    pub view: [u8; 8],
    /// Who published it.
    pub origin: MemberKey,
    /// In which life; grows with each restart of the origin.
    pub boot: u32,
    /// Which of its messages to this group in this life, from 0 without gaps.
    pub seq: u64,
    /// How far the receiver is responsible.
    pub limit: Limit,
    /// Why it is sent.
    pub flags: Flags,
    /// Over how many sends it has come, 1 from the origin itself.
    pub hop: u8,
    /// The origin's, over the id.
    pub signature: Signature,
    /// How its origin wants it carried.
    pub terms: Terms,
    /// At most [`PAYLOAD_BYTES_MAX`] bytes; what it means is the application's.
    pub payload: Bytes,
}

/// How the origin of a message wants it carried; a part of what the id is the hash of. Plain ones
/// are `[]` on the wire, others `[urgent, life, [[group, epoch, seq, signature], …]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Terms {
    /// Before other payloads, everywhere.
    pub urgent: bool,
    /// Whoever holds it forgets it after so many milliseconds; 0 = as long as messages are kept.
    pub life_ms: u32,
    /// The groups that it goes on to, at most [`ONWARD_MAX`].
    pub onward: Vec<Onward>,
}

impl Terms {
    /// Whether nothing out of the ordinary is wanted.
    pub fn is_plain(&self) -> bool {
        !self.urgent && self.life_ms == 0 && self.onward.is_empty()
    }
}

/// The same payload as a message to another group: what its origin gives those who hand it in
/// there. The message has the same origin and life, and plain terms but for how long it lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Onward {
    /// For whom.
    pub group: GroupId,
    /// In which view of it.
    pub epoch: u64,
    /// Which of the origin's messages to this group.
    pub seq: u64,
    /// The origin's, over the id that the message has there.
    pub signature: Signature,
}

/// An arc for somebody who holds the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Duty {
    /// Which message.
    pub id: MessageId,
    /// How far the receiver is responsible.
    pub limit: Limit,
    /// Why it is sent.
    pub flags: Flags,
    /// Over how many sends it has come.
    pub hop: u8,
}

/// A question: are these wanted?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Igyw {
    /// For whom they are: who never saw an id cannot know.
    pub group: GroupId,
    /// In which view the sender acts.
    pub epoch: u64,
    /// Which.
    pub ids: Ids,
    /// Who says that it holds one must prove it with this.
    pub nonce: Option<[u8; 16]>,
}

/// How far a receiver is responsible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Limit {
    /// Up to before the member with this key, clockwise on the tree ring; the receiver's own key
    /// means the whole ring.
    Key(MemberKey),
    /// The level of the legacy tree.
    Level(u8),
}

/// Why a message is sent: exactly one of tree, chain, redundant, pulled, and marks beside.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Flags(pub u8);

impl Flags {
    /// As a duty of the tree.
    pub const TREE: Self = Self(1);
    /// By a clean-up chain; never forwarded.
    pub const CHAIN: Self = Self(2);
    /// As a further copy; never forwarded.
    pub const REDUNDANT: Self = Self(4);
    /// By somebody outside of the group, to a member where it enters.
    pub const INJECT: Self = Self(8);
    /// An acknowledgement is wanted.
    pub const WANT_ACK: Self = Self(16);
    /// The arc was given on by one who could not serve it; stays with all that is sent for it.
    pub const DELEGATED: Self = Self(32);
    /// As an answer to a pull; never forwarded.
    pub const PULLED: Self = Self(64);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of these are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is exactly one reason, and nothing unknown.
    pub const fn is_valid(self) -> bool {
        let reasons = self.0 & 0b0100_0111;
        self.0 & 0b1000_0000 == 0 && reasons.is_power_of_two()
    }
}

impl core::fmt::Debug for Flags {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = [
            (Self::TREE, "tree"),
            (Self::CHAIN, "chain"),
            (Self::REDUNDANT, "redundant"),
            (Self::INJECT, "inject"),
            (Self::WANT_ACK, "want ack"),
            (Self::DELEGATED, "delegated"),
            (Self::PULLED, "pulled"),
        ];
        let set = names.into_iter().filter(|(flag, _)| self.has(*flag));
        f.debug_set().entries(set.map(|(_, name)| name)).finish()
    }
}

/// Why a message, or what was asked for it, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Why {
    /// 0: I am not in that group.
    NotMember,
    /// 1: I do not know that view yet.
    UnknownEpoch,
    /// 2: the message is invalid.
    Invalid,
    /// 3: I held it, and hold it no longer.
    Expired,
    /// 4: too much at once.
    Busy,
    /// 5: I never held it.
    Unknown,
    /// 6: the payload is larger than I take.
    TooBig,
}

impl Why {
    /// All, in the order of their numbers on the wire.
    pub const ALL: [Self; 7] = [
        Self::NotMember,
        Self::UnknownEpoch,
        Self::Invalid,
        Self::Expired,
        Self::Busy,
        Self::Unknown,
        Self::TooBig,
    ];
}

/// What a node holds of one origin in one of its lives: `low..=max` without `holes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// Who published.
    pub origin: MemberKey,
    /// In which life.
    pub boot: u32,
    /// The lowest number held.
    pub low: u64,
    /// The highest.
    pub max: u64,
    /// What is missing between them, rising.
    pub holes: SmallVec<[u64; 2]>,
}

/// Somebody is in a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Joined {
    /// Who.
    pub member: MemberKey,
    /// In which life.
    pub boot: u32,
    /// Where it can be dialled: `host:port`, at most [`ADDRESS_BYTES_MAX`] bytes; empty when
    /// nowhere.
    pub address: Bytes,
    /// The member's.
    pub signature: Signature,
}

/// Somebody is in a group no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Left {
    /// Who.
    pub member: MemberKey,
    /// In which life.
    pub boot: u32,
    /// Who says so: the member itself, or one who no longer hears from it.
    pub by: MemberKey,
    /// Of who says so.
    pub signature: Signature,
}

/// The last word about a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Record {
    /// It is in the group.
    Joined(Joined),
    /// It is not.
    Left(Left),
}

/// Writes a group as `[0]`, `[1, actor]`, `[2, hash]`, `[3, hash]`, `[4, a, b]`, `[5, a, b]`.
pub fn write_group(writer: &mut Writer<'_>, group: &GroupId) {
    match group {
        GroupId::AllStaked => writer.array(1).u64(0_u8),
        GroupId::Role(actor) => {
            let number = crate::base::Actor::ALL.iter().position(|of| of == actor);
            let number = number.and_then(|at| u8::try_from(at).ok()).unwrap_or(0);
            writer.array(2).u64(1_u8).u64(number.saturating_add(1))
        }
        GroupId::Session(hash) => writer.array(2).u64(2_u8).hash(hash),
        GroupId::Custom(hash) => writer.array(2).u64(3_u8).hash(hash),
        GroupId::Union(both) | GroupId::Minus(both) => {
            let label = if matches!(group, GroupId::Union(_)) {
                4_u8
            } else {
                5
            };
            writer.array(3).u64(label);
            write_group(writer, &both.0);
            write_group(writer, &both.1);
            writer
        }
    };
}
