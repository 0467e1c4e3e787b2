//! The bodies of the fuzz targets, as plain functions of bytes.

/// Not there yet.
pub fn frame(_bytes: &[u8]) {}

/// Not there yet.
pub fn reassembly(_bytes: &[u8]) {}

/// Not there yet.
pub fn messages(_bytes: &[u8]) {}

/// Not there yet.
pub fn handshake(_bytes: &[u8]) {}

/// Not there yet.
pub fn session(_bytes: &[u8]) {}

/// Not there yet.
pub fn mux(_bytes: &[u8]) {}

/// Not there yet.
pub fn node(_bytes: &[u8]) {}
