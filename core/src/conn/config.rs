//! Settings of one connection.

/// Settings of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// Bytes handed to the driver and not yet taken by the kernel, at most. Default 512 KiB.
    pub window_bytes: usize,
    /// Payload of one segment that we produce, at most; 1..=65,535. Default 12,288.
    /// src: Ouroboros network specification, "Multiplexing", SDU sizes
    pub segment_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_bytes: 512 << 10,
            segment_bytes_max: 12_288,
        }
    }
}
