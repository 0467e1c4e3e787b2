//! Settings of a multiplexer and the limits of the known mini-protocols.

use core::time::Duration;

use crate::base::ProtocolId;

/// Settings of one multiplexer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// Bytes handed out in batches and not yet flushed, at most (inclusive). Raised to one whole
    /// segment where it is less. Default 128 KiB, one batch: together with as little in the
    /// kernel, a short message waits 14 ms beside a bulk transfer into a reader of 20 MB/s, where
    /// it waited 52 ms with four times as much, and bulk was not slower (measured, bench
    /// `loopback` of samanea-sim).
    pub window_bytes: usize,
    /// Payload of one segment that we produce, at most (inclusive); cut to 1..=65,535. Default
    /// 12,288. src: Ouroboros network specification, "Multiplexing", SDU sizes
    pub segment_bytes_max: usize,
    /// From the first byte of a segment until it is whole. Default 30 s.
    /// src: ouroboros-network, network-mux, SDU timeouts
    pub read_timeout: Duration,
    /// While bytes are handed out, how long no byte may be flushed. Default 30 s.
    /// src: ouroboros-network, network-mux, SDU timeouts
    pub write_timeout: Duration,
    /// After the peer's end of stream at a segment border, how long the halves may finish. Default
    /// 1 s. src: ouroboros-network, network-mux, bearer closed grace
    pub eof_grace: Duration,
    /// After a stop, how long queued bytes may take to leave. Default 2 s.
    /// src: ouroboros-network, network-mux, egress drain
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_bytes: 128 << 10,
            segment_bytes_max: 12_288,
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            eof_grace: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(2),
        }
    }
}

/// A message is taken whole while fewer bytes than this plus one are queued for its half.
/// src: ouroboros-network, network-mux, egress soft buffer limit
pub const EGRESS_BYTES_SOFT: usize = 0x3_ffff;

/// Bytes of one batch, headers included (inclusive).
/// src: ouroboros-network, network-mux, socket bearer batch size
pub const BATCH_BYTES_MAX: usize = 131_072;

/// Segments of one batch (inclusive). src: ouroboros-network, network-mux, egress queue
pub const BATCH_SEGMENTS_MAX: usize = 100;

/// Halves of one multiplexer (inclusive).
pub const HALVES_MAX: usize = 64;

/// Bytes that may wait for a half of `protocol` to take them (inclusive); the same in both
/// directions. `None` for a mini-protocol that is not known here.
///
/// src: ouroboros-network, node-to-node mini-protocol limits (a tenth over each base)
pub const fn ingress_bytes_max(protocol: ProtocolId) -> Option<u32> {
    match protocol {
        // 300 headers of 1,400 bytes.
        ProtocolId::CHAIN_SYNC => Some(462_000),
        // 10 blocks of 2,097,154 bytes.
        ProtocolId::BLOCK_FETCH => Some(23_068_694),
        // 10 transactions of 65,540 bytes and their ids.
        ProtocolId::TX_SUBMISSION => Some(721_424),
        ProtocolId::KEEP_ALIVE => Some(1_408),
        // Four segments of 1,440 bytes, no margin; the handshake says less.
        ProtocolId::PEER_SHARING | ProtocolId::HANDSHAKE => Some(5_760),
        // Peras certificates and votes.
        ProtocolId(16) => Some(220_000),
        ProtocolId(17) => Some(55_000),
        // Our own: 100 tips of 128 bytes; four of the largest frames; two of the largest payloads.
        ProtocolId::TIP_SAMPLE => Some(14_080),
        ProtocolId::RAIN_LINK => Some(576_716),
        ProtocolId::RAIN_BULK => Some(9_229_721),
        _ => None,
    }
}
