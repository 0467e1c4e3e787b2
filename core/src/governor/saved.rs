//! What is kept over a restart.

use alloc::vec::Vec;
use core::{net::SocketAddr, time::Duration};

/// A known peer with what it is held to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SavedPeer {
    /// The peer.
    pub peer: SocketAddr,
    /// Failures that count.
    pub failures: u8,
    /// Whether we were ever connected to it.
    pub reached: bool,
    /// Whether it may be told to others; `None`: not known.
    pub advertise: Option<bool>,
    /// Whether it was warm or hot: tried first.
    pub established: bool,
}

/// An address that is held off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SavedOffender {
    /// The peer.
    pub peer: SocketAddr,
    /// For this long from now on.
    pub left: Duration,
    /// Offences that count.
    pub offences: u8,
    /// One of them is forgotten after this.
    pub forgiven: Duration,
}

/// What is kept over a restart: times are relative, because clocks start anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Saved {
    /// The peers, by address.
    pub peers: Vec<SavedPeer>,
    /// Who is held off, by address.
    pub offenders: Vec<SavedOffender>,
}
