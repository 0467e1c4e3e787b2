//! Which connection belongs to which member: each end of a link says who it is and signs what the
//! other gave it to sign.
//!
//! ```text
//!  opened ─▶ Hello{member, challenge} ─▶      ◀─ Hello{member, challenge}
//!            Proof{signature of theirs} ─▶    ◀─ Proof{signature of ours}     ─▶ up
//! ```
//!
//! Frames before the proof are a misdeed. A member may have several connections; the oldest is
//! used. The proof ties a link to a key, not to the bytes under it: on a network where others can
//! change bytes on their way, run links over an encrypted transport.
//!
//! Limits: one entry for each connection with a link.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Action, Config, id::proof_bytes};
use crate::{
    base::{Choice, Cx, MemberKey, Serial, Site},
    proto::rain_link::Frame,
};

/// The links of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Links {
    me: MemberKey,
    by: BTreeMap<Serial, Link>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Link {
    challenge: [u8; 16],
    hello: Option<Peer>,
    proved: bool,
}

/// Who is at the other end, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Peer {
    /// Its key.
    pub member: MemberKey,
    /// The largest payload it takes, in bytes.
    pub payload_max: u32,
    /// Payload bytes it takes before it grants more.
    pub credit: u32,
}

/// What a frame means to the links.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the engine must handle all")]
pub enum Heard {
    /// Nothing more.
    Nothing,
    /// Answer this on the same connection.
    Say(Frame),
    /// The member is at the other end, and had no connection before.
    Up(Peer),
    /// For the machine.
    Frame(MemberKey, Frame),
    /// The other end is not who it says, or speaks out of turn: close the connection.
    Misdeed,
}

impl Links {
    /// Of a node with this key.
    pub const fn new(me: MemberKey) -> Self {
        let by = BTreeMap::new();
        Self { me, by }
    }

    /// A link was opened on a connection: what to say first.
    pub fn opened(&mut self, conn: Serial, config: &Config, choice: &mut dyn Choice) -> Frame {
        let mut challenge = [0; 16];
        for part in challenge.chunks_mut(4) {
            let word = choice.below(Site::RAIN_CHALLENGE, conn.0, u32::MAX);
            for (to, from) in part.iter_mut().zip(word.to_be_bytes()) {
                *to = from;
            }
        }
        let link = Link {
            challenge,
            hello: None,
            proved: false,
        };
        self.by.insert(conn, link);
        Frame::Hello {
            member: self.me,
            challenge,
            payload_max: config.limits.payload,
            credit: config.limits.credit,
        }
    }

    /// A link or its connection has ended: the member that can be reached no longer, if that is
    /// so, or the link that is used instead.
    pub fn closed(&mut self, conn: Serial) -> Option<(MemberKey, Option<Peer>)> {
        let link = self.by.remove(&conn)?;
        let peer = link.hello.filter(|_| link.proved)?;
        let before = self.by.range(..conn).any(|(_, of)| of.is_of(&peer.member));
        if before {
            return None;
        }
        let mut others = self.by.values().filter(|of| of.is_of(&peer.member));
        Some((peer.member, others.next().and_then(|of| of.hello)))
    }

    /// The connection of a member.
    pub fn conn(&self, member: &MemberKey) -> Option<Serial> {
        let mut those = self.by.iter().filter(|(_, link)| link.is_of(member));
        those.next().map(|(conn, _)| *conn)
    }

    /// All members that can be reached, in order, each once.
    pub fn members(&self) -> BTreeSet<MemberKey> {
        let proved = self.by.values().filter(|link| link.proved);
        proved.filter_map(|link| Some(link.hello?.member)).collect()
    }

    /// The member at the other end of a connection.
    pub fn member(&self, conn: Serial) -> Option<MemberKey> {
        let link = self.by.get(&conn).filter(|link| link.proved)?;
        link.hello.map(|peer| peer.member)
    }

    /// Whether a link is open on this connection.
    pub fn is_open(&self, conn: Serial) -> bool {
        self.by.contains_key(&conn)
    }

    /// A frame came.
    pub fn heard(&mut self, cx: &Cx<'_, Action>, conn: Serial, frame: Frame) -> Heard {
        let me = self.me;
        let Some(link) = self.by.get_mut(&conn) else {
            return Heard::Misdeed;
        };
        match frame {
            Frame::Hello {
                member,
                challenge,
                payload_max,
                credit,
            } => {
                if link.hello.is_some() || member == me {
                    return Heard::Misdeed;
                }
                link.hello = Some(Peer {
                    member,
                    payload_max,
                    credit,
                });
                let bytes = proof_bytes(&challenge, &member, &me);
                match cx.rules.sign(&bytes) {
                    Some(signature) => Heard::Say(Frame::Proof { signature }),
                    // Without a key nobody is a member of anything.
                    None => Heard::Misdeed,
                }
            }
            Frame::Proof { signature } => {
                let Some(peer) = link.hello.filter(|_| !link.proved) else {
                    return Heard::Misdeed;
                };
                let bytes = proof_bytes(&link.challenge, &me, &peer.member);
                if !cx.rules.verify(&peer.member, &bytes, &signature) {
                    return Heard::Misdeed;
                }
                let before = self.conn(&peer.member).is_some();
                if let Some(link) = self.by.get_mut(&conn) {
                    link.proved = true;
                }
                if before {
                    Heard::Nothing
                } else {
                    Heard::Up(peer)
                }
            }
            frame => match link.hello.filter(|_| link.proved) {
                Some(peer) => Heard::Frame(peer.member, frame),
                None => Heard::Misdeed,
            },
        }
    }
}

impl Link {
    fn is_of(&self, member: &MemberKey) -> bool {
        self.proved && self.hello.is_some_and(|peer| peer.member == *member)
    }
}
