//! One connection between two hosts: two lanes of bytes with kernels at both ends.

use std::collections::VecDeque;

use core::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use samanea_core::base::{Instant, Serial};

use super::{attenuation::Attenuation, options::Profile};

/// The name of a link; never used twice.
pub type LinkId = u64;

/// One end of a link: 0 dialled (or is a stranger), 1 was dialled.
pub type Side = usize;

/// Who sits at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// A host of the world, in which of its lives.
    Host {
        /// Its place.
        at: usize,
        /// Ends of earlier lives are dead.
        life: u32,
    },
    /// A stranger without a machine: what it gets is thrown away.
    Stranger,
}

/// One end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Who.
    pub(super) party: Party,
    /// The connection's name there, once it has one.
    pub(super) conn: Option<Serial>,
    /// Its address.
    pub(super) local: SocketAddr,
    /// Whether its driver still holds the socket.
    pub(super) open: bool,
    /// Whether its driver reads.
    pub(super) reading: bool,
    /// Whether it has closed in order before the other end did.
    pub(super) closed_first: bool,
    /// Writes so far.
    pub(super) writes: u32,
}

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes.
    Data(Bytes),
    /// The orderly end.
    Fin,
    /// The other end.
    Reset,
}

/// What is done to bytes on their way, for the next packet only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// One byte is changed by this mask (never 0).
    Flip {
        /// Where, modulo the packet's length.
        at: u32,
        /// The bits.
        mask: u8,
    },
    /// The packet is left out.
    Drop,
    /// The packet comes twice.
    Twice,
    /// Only this many bytes come, at least none.
    Cut {
        /// Bytes that are left.
        keep: u32,
    },
}

/// One direction of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
pub(super) struct Lane {
    /// With the sender's driver: asked for, not yet taken by the kernel.
    queued: VecDeque<Bytes>,
    /// In the sender's kernel.
    unsent: VecDeque<Bytes>,
    /// Bytes in the kernels and on the way.
    held: usize,
    /// In the receiver's kernel.
    inbox: VecDeque<Bytes>,
    /// When the sender's kernel may send again.
    pub(super) busy_until: Instant,
    /// When the last packet arrives: nothing overtakes it.
    pub(super) last_arrival: Instant,
    /// A pump is due.
    pub(super) pumping: bool,
    /// A read is due.
    pub(super) read_due: bool,
    /// The sender has closed in order.
    pub(super) fin_wanted: bool,
    /// The end is on its way.
    pub(super) fin_sent: bool,
    /// The end has arrived; it counts once the inbox is empty.
    pub(super) eof: bool,
    /// What is sent vanishes and nobody is told.
    pub(super) hole: bool,
    /// Something has vanished, and the sender's kernel will give up.
    pub(super) unheard: bool,
    /// What happens to the next packet.
    pub(super) spoil: Option<Spoil>,
    /// Bytes ever written.
    pub(super) written: u64,
    /// Bytes that the kernel has taken.
    pub(super) flushed: u64,
}

impl Lane {
    /// The driver is asked to write.
    pub(super) fn write(&mut self, bytes: Bytes) {
        self.written = self.written.saturating_add(as_u64(bytes.len()));
        self.queued.push_back(bytes);
    }

    /// The kernel takes what fits; how many bytes that is.
    pub(super) fn take_in(&mut self, profile: &Profile) -> u64 {
        let mut taken = 0;
        while let Some(mut bytes) = self.queued.pop_front() {
            let room = profile.kernel_bytes.max(1).saturating_sub(self.held);
            let now = bytes.split_to(room.min(bytes.len()));
            if !bytes.is_empty() {
                self.queued.push_front(bytes);
            }
            if now.is_empty() {
                break;
            }
            taken += now.len();
            self.held += now.len();
            self.unsent.push_back(now);
        }
        self.flushed = self.flushed.saturating_add(as_u64(taken));
        as_u64(taken)
    }

    /// Bytes that the kernel has not sent.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether all that was written is on its way.
    pub(super) fn is_drained(&self) -> bool {
        self.queued.is_empty() && self.unsent.is_empty()
    }

    /// The next packet, at most `max` bytes.
    pub(super) fn packet(&mut self, max: usize) -> Bytes {
        gather(&mut self.unsent, max)
    }

    /// A packet has arrived.
    pub(super) fn arrived(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.inbox.push_back(bytes);
        }
    }

    /// Whether there is anything to read.
    pub(super) fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.eof
    }

    /// Reads at most `max` bytes; empty when there are none.
    pub(super) fn read(&mut self, max: usize) -> Bytes {
        gather(&mut self.inbox, max)
    }

    /// The kernels have room for this many bytes more.
    pub(super) fn free(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// Forgets all bytes.
    pub(super) fn clear(&mut self) {
        self.queued.clear();
        self.unsent.clear();
        self.inbox.clear();
        self.held = 0;
    }
}

/// Both ends and both lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The ends.
    pub(super) ends: [Endpoint; 2],
    /// `lanes[i]` leads from `ends[i]` to the other.
    pub(super) lanes: [Lane; 2],
    /// Somebody who dialled its own address: `ends[0]` alone, and `lanes[0]` leads back to it.
    pub(super) echo: bool,
    /// When it was made.
    pub(super) born: Instant,
    /// What it suffers.
    pub(super) suffers: Attenuation,
}

impl Link {
    /// The end to which `lanes[side]` leads; also the lane that leads to `ends[side]`.
    pub(super) const fn facing(&self, side: Side) -> Side {
        if self.echo { side } else { 1 - side }
    }

    /// The side that has these two addresses in this order, when its kernel still knows them.
    pub(super) fn side_of(&self, local: SocketAddr, remote: SocketAddr) -> Option<Side> {
        (0..2).find(|side| {
            let addresses = (self.ends[*side].local, self.ends[1 - *side].local);
            let known = self.ends[*side].open || self.lanes[*side].fin_wanted;
            known && addresses == (local, remote)
        })
    }

    /// Whether nobody holds it any more and nothing is on its way.
    pub(super) fn is_dead(&self) -> bool {
        self.ends.iter().all(|end| !end.open)
            && self
                .lanes
                .iter()
                .all(|lane| !lane.pumping && lane.is_drained())
    }
}

/// Takes up to `max` bytes from the front, copying only when they lie in several pieces.
fn gather(from: &mut VecDeque<Bytes>, max: usize) -> Bytes {
    let Some(mut first) = from.pop_front() else {
        return Bytes::new();
    };
    if first.len() > max {
        let now = first.split_to(max);
        from.push_front(first);
        return now;
    }
    if first.len() == max || from.is_empty() {
        return first;
    }
    let mut all = BytesMut::from(first);
    while let Some(mut next) = from.pop_front() {
        let room = max - all.len();
        if next.len() > room {
            all.extend_from_slice(&next.split_to(room));
            from.push_front(next);
            break;
        }
        all.extend_from_slice(&next);
    }
    all.freeze()
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
