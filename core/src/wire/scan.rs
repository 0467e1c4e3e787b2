//! Finds the end of one CBOR item, resumable and linear.
