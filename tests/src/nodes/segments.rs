//! What is written on each connection, by mini-protocol.

use std::collections::BTreeMap;

use samanea_core::{
    base::{ProtocolId, Role, Serial},
    wire::{Batch, frame::Deframer},
};

/// A connection: of which host, in which of its lives, by which name.
pub type Conn = (usize, u32, Serial);

/// Counts segments.
#[derive(Debug, Default)]
pub struct Segments {
    streams: BTreeMap<Conn, Deframer>,
    counts: BTreeMap<(Conn, ProtocolId, bool), u64>,
    /// Streams that made no sense.
    pub spoilt: u64,
}

impl Segments {
    pub(super) fn wrote(&mut self, conn: Conn, batch: &Batch) {
        let stream = self.streams.entry(conn).or_default();
        for bytes in batch {
            let mut left = bytes.clone();
            loop {
                match stream.next(&mut left) {
                    Ok(Some(piece)) => {
                        let asks = piece.header.sender == Role::Initiator;
                        let key = (conn, piece.header.protocol, asks);
                        *self.counts.entry(key).or_default() += 1;
                    }
                    Ok(None) => break,
                    Err(_) => {
                        self.spoilt += 1;
                        break;
                    }
                }
            }
        }
    }

    /// Pieces of a mini-protocol that a host wrote as who asks, in all its lives.
    pub fn asked(&self, host: usize, protocol: ProtocolId) -> u64 {
        self.sum(|(at, _, _), of, asks| at == host && of == protocol && asks)
    }

    /// Connections on which this mini-protocol was used.
    pub fn conns(&self, protocol: ProtocolId) -> impl Iterator<Item = Conn> {
        let those = self.counts.keys().filter(move |(_, of, _)| *of == protocol);
        those.map(|(conn, _, _)| *conn)
    }

    fn sum(&self, is: impl Fn(Conn, ProtocolId, bool) -> bool) -> u64 {
        let those = self.counts.iter();
        those
            .filter(|((conn, of, asks), _)| is(*conn, *of, *asks))
            .map(|(_, count)| count)
            .sum()
    }
}
