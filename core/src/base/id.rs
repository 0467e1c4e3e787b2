//! Typed ids. Those that come from a [`Supply`] are never used twice.

use core::{fmt, marker::PhantomData};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty) $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

ids! {
    /// A connection, from the moment it is dialled or offered; never used twice in one node.
    Serial(u64) "c";
    /// A question to the application that an event will answer.
    Ticket(u64) "t";
    /// A wish of the peer selection for a connection.
    Request(u64) "r";
    /// A listening socket of the driver.
    ListenerId(u32) "l";
    /// A mini-protocol number, 0..=32767. src: network-spec, "Multiplexing"
    ProtocolId(u16) "p";
}

impl ProtocolId {
    /// Handshake; only before the multiplexer runs.
    pub const HANDSHAKE: Self = Self(0);
    /// chain-sync, node to node (headers).
    pub const CHAIN_SYNC: Self = Self(2);
    /// block-fetch.
    pub const BLOCK_FETCH: Self = Self(3);
    /// tx-submission2.
    pub const TX_SUBMISSION: Self = Self(4);
    /// keep-alive.
    pub const KEEP_ALIVE: Self = Self(8);
    /// peer-sharing.
    pub const PEER_SHARING: Self = Self(10);
    /// The words of our own structured gossip; only on our own versions.
    pub const RAIN_LINK: Self = Self(24_576);
    /// tip-sample; only on our own versions.
    pub const TIP_SAMPLE: Self = Self(24_577);
    /// The payloads of our own structured gossip; only on our own versions.
    pub const RAIN_BULK: Self = Self(24_578);
}

/// Hands out ids of one kind in rising order and never the same twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Supply<T> {
    next: u64,
    kind: PhantomData<T>,
}

impl<T> Default for Supply<T> {
    fn default() -> Self {
        Self {
            next: 1,
            kind: PhantomData,
        }
    }
}

impl Supply<Serial> {
    /// The next serial.
    pub fn take(&mut self) -> Serial {
        Serial(self.bump())
    }
}

impl Supply<Ticket> {
    /// The next ticket.
    pub fn take(&mut self) -> Ticket {
        Ticket(self.bump())
    }
}

impl Supply<Request> {
    /// The next request.
    pub fn take(&mut self) -> Request {
        Request(self.bump())
    }
}

impl<T> Supply<T> {
    /// Ids start at 1; 2^64 of them outlast any node.
    fn bump(&mut self) -> u64 {
        let id = self.next;
        self.next = id.saturating_add(1);
        id
    }

    /// How many were handed out.
    pub const fn taken(&self) -> u64 {
        self.next.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn ids_rise_from_one_and_say_what_they_are() {
        let mut supply: Supply<Serial> = Supply::default();
        assert_eq!(supply.taken(), 0);
        assert_eq!((supply.take(), supply.take()), (Serial(1), Serial(2)));
        assert_eq!(supply.taken(), 2);
        assert_eq!(format!("{:?} {}", Serial(3), Ticket(4)), "c3 4");
    }

    #[cfg(feature = "tape")]
    #[test]
    fn a_supply_goes_on_after_a_snapshot_and_survives_a_wrong_one() {
        let mut supply: Supply<Ticket> = Supply::default();
        supply.take();
        let bytes = postcard::to_allocvec(&supply).unwrap();
        let mut restored: Supply<Ticket> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(restored, supply);
        assert_eq!(restored.take(), Ticket(2));
        let zero: Supply<Ticket> = postcard::from_bytes(&[0]).unwrap();
        assert_eq!(zero.taken(), 0);
    }
}
