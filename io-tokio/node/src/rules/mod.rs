//! What the stack asks about headers and transactions, answered for every era that is known here.
//!
//! ```text
//!  wrapped header  [era, 24(bytes)]                    Shelley to Conway, and the built-in chain
//!                  [0, [[kind, size], 24(bytes)]]      Byron; kind 0: epoch boundary, 1: main
//!  block           [tag, [header, …]]                  tag 0 and 1: Byron, era + 1 after it
//! ```
//! The real eras are read with `pallas-traverse`; the built-in chain of [`crate::generate`] has
//! an era number of its own, [`local::ERA`]. Nothing here trusts its input, and nothing recurses
//! on it: transactions and bodies are cut into items, never decoded whole.
//!
//! src: Ouroboros network specification, chapter "Mini protocols"; Cardano ledger, CDDL of each
//! era

mod block;
mod cardano;
pub mod local;

use minicbor::{Decoder, data::Tag};
use pallas_crypto::hash::Hasher;
use samanea_core::base::{Hash32, HeaderFault, HeaderView, MemberKey, Rules, Signature, TxId};
use samanea_std::gossip::Voice;

pub use block::{BlockFault, check_block, wrapped_header};

/// The rules of all eras known here: the real ones and the built-in chain's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eras;

impl Rules for Eras {
    fn name(&self) -> &'static str {
        "eras-1"
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        match Wrapped::read(wrapped).ok_or(HeaderFault::Malformed)? {
            Wrapped::Byron { kind, size, bytes } => cardano::byron(kind, size, bytes),
            Wrapped::Era { era, bytes } if era == local::ERA => local::header(bytes),
            Wrapped::Era { era, bytes } => cardano::shelley_on(era, bytes),
        }
    }

    fn tx_id(&self, wrapped: &[u8]) -> Option<TxId> {
        cardano::tx_id(wrapped)
    }
}

/// The same rules, with a voice in structured gossip.
#[derive(Clone, Debug)]
pub struct MemberEras(pub Voice);

impl Rules for MemberEras {
    fn name(&self) -> &'static str {
        "eras-1 with gossip-1"
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Eras.header(wrapped)
    }

    fn tx_id(&self, wrapped: &[u8]) -> Option<TxId> {
        Eras.tx_id(wrapped)
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        self.0.hash(parts)
    }

    fn sign(&self, message: &[u8]) -> Option<Signature> {
        self.0.sign(message)
    }

    fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
        self.0.verify(member, message, signature)
    }
}

/// Blake2b-256, the hash of everything here.
pub(crate) fn blake2b(parts: &[&[u8]]) -> Hash32 {
    let mut hasher = Hasher::<256>::new();
    for part in parts {
        hasher.input(part);
    }
    Hash32(*hasher.finalize())
}

/// Reads one definite byte string under tag 24.
pub(crate) fn embedded<'b>(d: &mut Decoder<'b>) -> Option<&'b [u8]> {
    (d.tag().ok()? == Tag::new(24)).then_some(())?;
    d.bytes().ok()
}

/// Reads the head of a definite array of exactly `n` items.
pub(crate) fn array_of(d: &mut Decoder<'_>, n: u64) -> Option<()> {
    (d.array().ok()? == Some(n)).then_some(())
}

/// Cuts out the bytes of the next item, whatever it is.
pub(crate) fn item<'b>(d: &mut Decoder<'b>) -> Option<&'b [u8]> {
    let from = d.position();
    d.skip().ok()?;
    d.input().get(from..d.position())
}

/// Whether all input was read.
pub(crate) fn at_end(d: &Decoder<'_>) -> bool {
    d.position() == d.input().len()
}

/// A header's envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapped<'b> {
    Byron {
        kind: u8,
        size: u32,
        bytes: &'b [u8],
    },
    Era {
        era: u8,
        bytes: &'b [u8],
    },
}

impl<'b> Wrapped<'b> {
    fn read(wrapped: &'b [u8]) -> Option<Self> {
        let mut d = Decoder::new(wrapped);
        array_of(&mut d, 2)?;
        let header = match d.u8().ok()? {
            0 => {
                array_of(&mut d, 2)?;
                array_of(&mut d, 2)?;
                Self::Byron {
                    kind: d.u8().ok()?,
                    size: d.u32().ok()?,
                    bytes: embedded(&mut d)?,
                }
            }
            era => Self::Era {
                era,
                bytes: embedded(&mut d)?,
            },
        };
        at_end(&d).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use samanea_std::gossip::SecretKey;

    use super::*;

    #[test]
    fn an_envelope_is_taken_exactly() {
        let stub: &[u8] = &[0x82, 0x06, 0xd8, 0x18, 0x41, 0x00];
        assert!(matches!(
            Wrapped::read(stub),
            Some(Wrapped::Era {
                era: 6,
                bytes: &[0]
            })
        ));
        let not_exact: [&[u8]; 7] = [
            &[],
            &[0x82, 0x06, 0xd8, 0x18, 0x41],
            &[0x82, 0x06, 0xd8, 0x18, 0x41, 0x00, 0x00],
            &[0x9f, 0x06, 0xd8, 0x18, 0x41, 0x00, 0xff],
            &[0x82, 0x06, 0xd8, 0x19, 0x41, 0x00],
            &[0x82, 0x06, 0x41, 0x00],
            &[0x82, 0x00, 0x82, 0x00, 0xd8, 0x18, 0x41, 0x00],
        ];
        for wrapped in not_exact {
            assert_eq!(Wrapped::read(wrapped), None, "{wrapped:02x?}");
            assert_eq!(Eras.header(wrapped), Err(HeaderFault::Malformed));
        }
    }

    #[test]
    fn a_member_reads_headers_as_all_do_and_speaks_with_its_own_voice() {
        let header = local::wrap_as(99, &[0]);
        let rules = MemberEras(Voice::of(SecretKey::from_seed([1; 32])));
        assert_eq!(rules.header(&header), Err(HeaderFault::UnknownEra(99)));
        assert_ne!(rules.name(), Eras.name());
        let (member, signature) = (rules.0.member().unwrap(), rules.sign(b"word").unwrap());
        assert!(rules.verify(&member, b"word", &signature));
        assert_eq!(rules.hash(&[b"a", b"b"]), blake2b(&[b"ab"]));
        assert_eq!(Eras.sign(b"word"), None);
        assert!(!Eras.verify(&member, b"word", &signature));
    }

    #[test]
    fn an_unknown_era_is_named() {
        for era in [7_u8, 99, 255] {
            let wrapped = local::wrap_as(era, &[0]);
            assert_eq!(Eras.header(&wrapped), Err(HeaderFault::UnknownEra(era)));
            assert_eq!(wrapped_header(&wrapped), None);
        }
    }

    #[test]
    fn no_deep_nesting_harms() {
        let mut tx = vec![0x83];
        tx.extend(vec![0x81; 1 << 20]);
        assert_eq!(Eras.tx_id(&local::wrap_as(6, &tx)), None);
        tx.extend([0, 0, 0]);
        assert!(Eras.tx_id(&local::wrap_as(6, &tx)).is_some());
        assert_eq!(
            Eras.header(&local::wrap_as(6, &tx)),
            Err(HeaderFault::Malformed)
        );
    }
}
