//! The 8-byte segment header and its incremental reader.
