//! The protocol tables as a page of documentation.

use core::fmt::Write as _;

use samanea_core::{
    base::Spec,
    proto::{
        block_fetch, chain_sync, handshake, keep_alive, peer_sharing, rain_link, tip_sample,
        tx_submission,
    },
};

/// The tables of all mini-protocols, by number.
pub const ALL: &[&Spec] = &[
    &handshake::SPEC,
    &chain_sync::SPEC,
    &block_fetch::SPEC,
    &tx_submission::SPEC,
    &keep_alive::SPEC,
    &peer_sharing::SPEC,
    &tip_sample::SPEC,
    &rain_link::SPEC,
    &rain_link::BULK_SPEC,
];

/// The page: every table as the code has it.
pub fn page() -> String {
    let mut out = String::from(
        "# Mini-protocols\n\n\
         Written by `cargo run -p samanea-sim --bin sim -- tables` from the constant tables that \
         the code itself\nobeys; do not edit. A row is a message that may be sent in a state. The \
         limits of a state bind the end\nthat waits in it: how long until the next message is \
         complete, and how many bytes it may have.\n",
    );
    for spec in ALL {
        let _ = write!(out, "\n{}", spec.to_markdown());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_sound_and_on_the_page() {
        let page = page();
        for spec in ALL {
            assert_eq!(spec.check(), Ok(()));
            assert!(page.contains(&format!("### {} ({})", spec.name, spec.protocol)));
            for row in spec.states {
                assert!(page.contains(row.name), "{}", row.name);
            }
        }
    }

    #[test]
    fn the_committed_page_is_not_stale() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/docs/protocols.md");
        let committed = std::fs::read_to_string(path).expect("core/docs/protocols.md is there");
        assert_eq!(committed, page(), "run `sim tables`");
    }
}
