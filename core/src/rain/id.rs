//! What is hashed and signed.
//!
//! Everything is one definite CBOR array with the shortest heads, so that there is one form:
//!
//! | value | bytes |
//! |---|---|
//! | id of a message | H(`[group, epoch, origin, boot, seq, H(payload)]`), with its terms as a seventh item unless they are plain |
//! | signature of its origin | over `"samanea-rain-1"` and the id |
//! | digest of a view | H(`[group, epoch, [[key, leaf only], …]]`), the first eight bytes |
//! | join | `"samanea-join-1"` and `[group, member, boot, address]` |
//! | leave | `"samanea-leave-1"` and `[group, member, boot, by]` |
//! | proof of who a link belongs to | `"samanea-link-1"`, the other's challenge, the other's key, the own key |

use alloc::vec::Vec;

use bytes::BytesMut;

use super::view::Member;
use crate::{
    base::{GroupId, Hash32, MemberKey, MessageId, Rules},
    proto::rain_link::{Data, Joined, Left, Terms, write_group, write_terms},
    wire::codec::Writer,
};

/// The id of a message and what its origin signs.
pub fn message_id(data: &Data, rules: &dyn Rules) -> MessageId {
    let head = Head {
        group: &data.group,
        epoch: data.epoch,
        origin: &data.origin,
        boot: data.boot,
        seq: data.seq,
        terms: &data.terms,
    };
    head.id(&data.payload, rules)
}

/// What an id is made of beside the payload.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// For whom.
    pub group: &'a GroupId,
    /// In which view it is published.
    pub epoch: u64,
    /// By whom.
    pub origin: &'a MemberKey,
    /// In which life.
    pub boot: u32,
    /// Which of its messages to the group.
    pub seq: u64,
    /// How it is to be carried.
    pub terms: &'a Terms,
}

impl Head<'_> {
    /// The id of a message with this payload.
    pub fn id(&self, payload: &[u8], rules: &dyn Rules) -> MessageId {
        self.id_of(&rules.hash(&[payload]), rules)
    }

    /// The id of a message whose payload has this hash.
    pub(super) fn id_of(&self, hash: &Hash32, rules: &dyn Rules) -> MessageId {
        let mut out = BytesMut::with_capacity(160);
        let mut writer = Writer::new(&mut out);
        writer.array(if self.terms.is_plain() { 6 } else { 7 });
        write_group(&mut writer, self.group);
        writer
            .u64(self.epoch)
            .bytes(&self.origin.0)
            .u64(self.boot)
            .u64(self.seq)
            .hash(hash);
        if !self.terms.is_plain() {
            write_terms(&mut writer, self.terms);
        }
        MessageId(rules.hash(&[&out]))
    }
}

/// What the origin of a message signs.
pub fn signed_bytes(id: &MessageId) -> Vec<u8> {
    [b"samanea-rain-1".as_slice(), &id.0.0].concat()
}

/// What a joining member signs.
pub fn join_bytes(group: &GroupId, joined: &Joined) -> Vec<u8> {
    let mut out = BytesMut::from(b"samanea-join-1".as_slice());
    let mut writer = Writer::new(&mut out);
    writer.array(4);
    write_group(&mut writer, group);
    writer
        .bytes(&joined.member.0)
        .u64(joined.boot)
        .bytes(&joined.address);
    out.to_vec()
}

/// What is signed by who says that a member has left.
pub fn leave_bytes(group: &GroupId, left: &Left) -> Vec<u8> {
    let mut out = BytesMut::from(b"samanea-leave-1".as_slice());
    let mut writer = Writer::new(&mut out);
    writer.array(4);
    write_group(&mut writer, group);
    writer
        .bytes(&left.member.0)
        .u64(left.boot)
        .bytes(&left.by.0);
    out.to_vec()
}

/// What the owner of a link signs for the other.
pub fn proof_bytes(challenge: &[u8; 16], other: &MemberKey, own: &MemberKey) -> Vec<u8> {
    [b"samanea-link-1".as_slice(), challenge, &other.0, &own.0].concat()
}

/// What the digest of a view of `count` members is the hash of.
pub(super) fn view_bytes(
    group: &GroupId,
    epoch: u64,
    count: usize,
    members: impl Iterator<Item = Member>,
) -> BytesMut {
    let mut out = BytesMut::with_capacity(count.saturating_mul(MEMBER_BYTES).saturating_add(160));
    let mut writer = Writer::new(&mut out);
    writer.array(3);
    write_group(&mut writer, group);
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    writer.u64(epoch).array(count);
    for Member { key, leaf_only } in members {
        // `[key, leaf only]` without a writer, as there may be millions: an array of two, 32 bytes,
        // true or false.
        out.extend_from_slice(&[0x82, 0x58, 0x20]);
        out.extend_from_slice(&key.0);
        out.extend_from_slice(&[if leaf_only { 0xf5 } else { 0xf4 }]);
    }
    out
}

/// What a member takes of what the digest is made of.
const MEMBER_BYTES: usize = 36;

/// What a member must show who says that it holds a message.
pub fn possession(nonce: &[u8; 16], payload: &[u8], rules: &dyn Rules) -> Hash32 {
    rules.hash(&[nonce, payload])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Actor;

    #[test]
    fn the_members_of_a_digest_are_plain_items() {
        let members = [(1, false), (2, true), (255, false)].map(|(byte, leaf_only)| Member {
            key: MemberKey([byte; 32]),
            leaf_only,
        });
        let group = GroupId::Role(Actor::Validator);
        let bytes = view_bytes(&group, 7, 3, members.into_iter());
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.array(3).array(2).u64(1_u8).u64(4_u8);
        writer.u64(7_u8).array(3);
        for member in members {
            writer.array(2).bytes(&member.key.0).bool(member.leaf_only);
        }
        assert_eq!(bytes, out);
        let head = view_bytes(&group, 7, 0, [].into_iter()).len();
        assert_eq!(bytes.len() - head, 3 * MEMBER_BYTES);
    }
}
