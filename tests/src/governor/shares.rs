//! Which part of those who could be used are used: counted over whole runs, because no single
//! moment can break it.

use core::net::SocketAddr;
use std::collections::BTreeSet;

use samanea_core::governor::{Explanation, Source};

use super::{laws::Seen, picture::Picture};

/// Peers of a kind, and what they could become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Roots of operator and ledger become established.
    PublicEstablished,
    /// They become active.
    PublicActive,
    /// Big ledger peers become established.
    BigEstablished,
    /// They become active.
    BigActive,
}

impl Share {
    /// All.
    pub const ALL: [Self; 4] = [
        Self::PublicEstablished,
        Self::PublicActive,
        Self::BigEstablished,
        Self::BigActive,
    ];

    fn is_of(self, source: Source) -> bool {
        match self {
            Self::PublicEstablished | Self::PublicActive => {
                matches!(source, Source::Config | Source::Ledger | Source::Bootstrap)
            }
            Self::BigEstablished | Self::BigActive => source == Source::Big,
        }
    }

    /// Whether the targets have a place for such a peer, besides those of local roots.
    fn is_wanted(self, picture: &Picture) -> bool {
        let (targets, local) = (picture.targets, picture.counters.local);
        match self {
            Self::PublicEstablished => targets.established > local.established,
            Self::PublicActive => targets.active > local.active,
            Self::BigEstablished => targets.established_big > 0,
            Self::BigActive => targets.active_big > 0,
        }
    }

    /// What a peer must be for that: known for the first step, established for the second.
    fn is_near(self, peer: &Explanation) -> bool {
        match self {
            Self::PublicEstablished | Self::BigEstablished => true,
            Self::PublicActive | Self::BigActive => peer.status.is_established(),
        }
    }

    fn is_there(self, peer: &Explanation) -> bool {
        match self {
            Self::PublicEstablished | Self::BigEstablished => peer.status.is_established(),
            Self::PublicActive | Self::BigActive => peer.status.is_active(),
        }
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Runs in which there was such a peer.
    pub runs: u64,
    /// Runs in which one of them got there.
    pub runs_there: u64,
    /// Such peers, of all runs.
    pub peers: u64,
    /// Those of them that got there.
    pub peers_there: u64,
}

impl Part {
    /// Adds what other runs have counted.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.runs_there += other.runs_there;
        self.peers += other.peers;
        self.peers_there += other.peers_there;
    }
}

/// Who could have become something in this run, and who has.
#[derive(Default)]
pub(super) struct Shares {
    wanted: BTreeSet<(Share, SocketAddr)>,
    there: BTreeSet<(Share, SocketAddr)>,
}

impl Shares {
    /// Looks at the end of an instant.
    pub(super) fn settle(&mut self, picture: &Picture) {
        for share in Share::ALL {
            let wanted = share.is_wanted(picture);
            for peer in picture.those(|peer| share.is_of(peer.source)) {
                if wanted && share.is_near(peer) {
                    self.wanted.insert((share, peer.peer));
                }
                if share.is_there(peer) {
                    self.there.insert((share, peer.peer));
                }
            }
        }
    }

    /// Counts a run.
    pub(super) fn finish(&self, seen: &mut Seen) {
        for share in Share::ALL {
            let wanted = self.wanted.iter().filter(|(of, _)| *of == share);
            let (peers, there) = wanted.fold((0_u64, 0_u64), |(all, there), key| {
                (all + 1, there + u64::from(self.there.contains(key)))
            });
            seen.shares.entry(share).or_default().add(&Part {
                runs: u64::from(peers > 0),
                runs_there: u64::from(there > 0),
                peers,
                peers_there: there,
            });
        }
    }
}
