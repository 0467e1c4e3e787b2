//! The usual hash and signatures of structured gossip: Blake2b-256 and Ed25519.
//!
//! The core has no cryptography of its own and asks its [`Rules`](samanea_core::base::Rules); an
//! application passes what it is asked about gossip on to a [`Voice`]:
//!
//! ```
//! use samanea_core::base::{Hash32, HeaderFault, HeaderView, MemberKey, Rules, Signature, TxId};
//! use samanea_std::gossip::{SecretKey, Voice};
//!
//! struct Mine(Voice);
//!
//! impl Rules for Mine {
//!     fn name(&self) -> &str {
//!         "mine-1"
//!     }
//!     fn header(&self, _: &[u8]) -> Result<HeaderView, HeaderFault> {
//!         Err(HeaderFault::Malformed)
//!     }
//!     fn tx_id(&self, _: &[u8]) -> Option<TxId> {
//!         None
//!     }
//!     fn hash(&self, parts: &[&[u8]]) -> Hash32 {
//!         self.0.hash(parts)
//!     }
//!     fn sign(&self, message: &[u8]) -> Option<Signature> {
//!         self.0.sign(message)
//!     }
//!     fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
//!         self.0.verify(member, message, signature)
//!     }
//! }
//!
//! let rules = Mine(Voice::of(SecretKey::from_seed([7; 32])));
//! let (member, signature) = (rules.0.member().unwrap(), rules.sign(b"word").unwrap());
//! assert!(rules.verify(&member, b"word", &signature));
//! assert!(!rules.verify(&member, b"another", &signature));
//! ```
//!
//! src: RFC 7693, "The BLAKE2 Cryptographic Hash"; RFC 8032, "Edwards-Curve Digital Signature
//! Algorithm"

use core::fmt;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use blake2::{Blake2b, Digest as _, digest::consts::U32};
use ed25519_dalek::{
    Signer as _, SigningKey, VerifyingKey,
    pkcs8::{self, DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use samanea_core::base::{Hash32, MemberKey, Signature};
use zeroize::Zeroizing;

/// What a node needs to take part in structured gossip: hashes, checks of signatures, and, with a
/// key, signatures of its own.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    key: Option<SecretKey>,
}

impl Voice {
    /// Without a key: listens and passes on, and signs nothing.
    pub const fn mute() -> Self {
        Self { key: None }
    }

    /// The voice of the member with this key.
    pub const fn of(key: SecretKey) -> Self {
        Self { key: Some(key) }
    }

    /// Who speaks.
    pub fn member(&self) -> Option<MemberKey> {
        self.key.as_ref().map(SecretKey::member)
    }

    /// Blake2b-256 of these bytes one after the other.
    pub fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        blake2b_256(parts)
    }

    /// The Ed25519 signature; the same bytes have the same one each time. `None` without a key.
    pub fn sign(&self, message: &[u8]) -> Option<Signature> {
        self.key.as_ref().map(|key| key.sign(message))
    }

    /// Whether the member signed exactly these bytes.
    pub fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
        verify(member, message, signature)
    }
}

/// Blake2b-256 of these bytes one after the other.
pub fn blake2b_256(parts: &[&[u8]]) -> Hash32 {
    let mut hasher = Blake2b::<U32>::new();
    for part in parts {
        hasher.update(part);
    }
    Hash32(hasher.finalize().into())
}

/// Whether the member signed exactly these bytes with Ed25519. Keys and signatures that are valid
/// only by some readings of the standard are not: all members must judge alike, and a signature
/// that was changed must not pass for another one.
pub fn verify(member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
    VerifyingKey::from_bytes(&member.0)
        .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// The secret key of a member: an Ed25519 seed. Wiped from memory when dropped, and never shown.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.member())
    }
}

/// How a key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    Pem,
    /// The seed as 64 hexadecimal digits on a line.
    Hex,
}

/// Why a key cannot be had or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written, or is there already: keys are never written over.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has more bytes than any key.
    #[error("{}: more than {FILE_BYTES_MAX} bytes, no key", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// The PEM is no private Ed25519 key.
    #[error("{}: no Ed25519 key in PKCS #8: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: pkcs8::Error,
    },
    /// Neither PEM nor a seed.
    #[error("{}: neither PEM nor 64 hexadecimal digits, but {found} characters", path.display())]
    Neither {
        /// Which file.
        path: PathBuf,
        /// Characters without the space around them.
        found: usize,
    },
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Bytes of a key file at most, inclusive.
pub const FILE_BYTES_MAX: u64 = 4096;

impl SecretKey {
    /// The key that follows from these 32 bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// A new one from the system's random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(KeyError::Random)?;
        Ok(Self::from_seed(*seed))
    }

    /// Reads a key in either [form](Form).
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let read = |source| {
            let path = path.into();
            KeyError::Read { path, source }
        };
        let mut text = Zeroizing::new(String::new());
        let file = File::open(path).map_err(read)?;
        let mut file = file.take(FILE_BYTES_MAX + 1);
        file.read_to_string(&mut text).map_err(read)?;
        if u64::try_from(text.len()).is_ok_and(|len| len > FILE_BYTES_MAX) {
            return Err(KeyError::TooLong { path: path.into() });
        }
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            let key = SigningKey::from_pkcs8_pem(text);
            return key.map(Self).map_err(|source| KeyError::Pem {
                path: path.into(),
                source,
            });
        }
        let found = text.chars().count();
        let path = path.into();
        let seed = seed_of(text).ok_or(KeyError::Neither { path, found })?;
        Ok(Self::from_seed(*seed))
    }

    /// Writes the key to a new file that on Unix only its owner can read.
    pub fn save(&self, path: &Path, form: Form) -> Result<(), KeyError> {
        let write = |source| {
            let path = path.into();
            KeyError::Write { path, source }
        };
        let text = match form {
            Form::Pem => self.0.to_pkcs8_pem(LineEnding::LF),
            Form::Hex => Ok(hex_of(self.0.as_bytes())),
        };
        let text = text.map_err(|error| write(io::Error::other(error)))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(write)?;
        file.write_all(text.as_bytes()).map_err(write)?;
        file.sync_all().map_err(write)
    }

    /// The public half, by which groups know the member.
    pub fn member(&self) -> MemberKey {
        MemberKey(self.0.verifying_key().to_bytes())
    }

    /// The Ed25519 signature of these bytes.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let bytes = self.0.sign(message).to_bytes();
        // 64 bytes are always one.
        Signature::new(&bytes).unwrap_or_default()
    }
}

fn seed_of(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(seed)
}

fn hex_of(seed: &[u8; 32]) -> Zeroizing<String> {
    use fmt::Write as _;
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in seed {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}
