//! Hashes and signatures against their standards; keys in files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use samanea_core::base::{Hash32, MemberKey, Signature};
use samanea_std::gossip::{FILE_BYTES_MAX, Form, KeyError, SecretKey, Voice, blake2b_256, verify};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn array(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

/// Seed, public key, message, signature. src: RFC 8032, section 7.1
const ED25519: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

#[test]
fn signatures_are_those_of_the_standard() {
    for [seed, public, message, signature] in ED25519 {
        let key = SecretKey::from_seed(array(seed));
        let message = bytes(message);
        let want = Signature::new(&bytes(signature)).unwrap();
        assert_eq!(key.member(), MemberKey(array(public)));
        assert_eq!(key.sign(&message), want);
        assert!(verify(&key.member(), &message, &want));
    }
}

/// src: RFC 7693, appendix A, for the construction; the reference implementation for 32 bytes
#[test]
fn hashes_are_those_of_the_standard() {
    let known = [
        (
            &[][..],
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
        ),
        (
            &[&b"abc"[..]],
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
        ),
        (
            &[b"a", b"", b"bc"],
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
        ),
    ];
    for (parts, want) in known {
        assert_eq!(blake2b_256(parts), Hash32(array(want)));
        assert_eq!(Voice::mute().hash(parts), Hash32(array(want)));
    }
}

/// A key of small order, with which one signature fits every message.
#[test]
fn a_key_that_signs_everything_is_no_key() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let signature = Signature([identity, [0; 32]]);
    for message in [&b"one"[..], b"two"] {
        assert!(!verify(&MemberKey(identity), message, &signature));
    }
}

/// The order of the group added to the second half: the same number, another signature.
#[test]
fn a_signature_has_one_form() {
    let key = SecretKey::from_seed([3; 32]);
    let Signature([left, right]) = key.sign(b"word");
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let mut carry = 0;
    let mut other = right;
    for (byte, add) in other.iter_mut().zip(array(order)) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(verify(&key.member(), b"word", &Signature([left, right])));
    assert!(!verify(&key.member(), b"word", &Signature([left, other])));
}

#[test]
fn without_a_key_nothing_is_signed() {
    assert_eq!(Voice::mute().sign(b"word"), None);
    assert_eq!(Voice::mute().member(), None);
    let voice = Voice::of(SecretKey::from_seed([1; 32]));
    let signature = voice.sign(b"word").unwrap();
    assert!(Voice::mute().verify(&voice.member().unwrap(), b"word", &signature));
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

#[test]
fn a_key_is_saved_and_loaded_in_both_forms_and_never_written_over() {
    let dir = Dir::new();
    let key = SecretKey::generate().unwrap();
    assert_ne!(key.member(), SecretKey::generate().unwrap().member());
    for (form, name) in [(Form::Pem, "key.pem"), (Form::Hex, "key.hex")] {
        let path = dir.0.path().join(name);
        key.save(&path, form).unwrap();
        assert_eq!(SecretKey::load(&path).unwrap().member(), key.member());
        let again = SecretKey::from_seed([0; 32]).save(&path, form);
        assert!(matches!(again, Err(KeyError::Write { .. })), "{again:?}");
        assert_eq!(SecretKey::load(&path).unwrap().member(), key.member());
        assert_private(&path);
    }
}

#[cfg(unix)]
fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[cfg(not(unix))]
fn assert_private(_: &Path) {}

/// src: RFC 8410, section 10.3
#[test]
fn a_key_that_others_wrote_is_read() {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let seed = array("d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842");
    let dir = Dir::new();
    let key = SecretKey::load(&dir.file("key.pem", pem)).unwrap();
    assert_eq!(key.member(), SecretKey::from_seed(seed).member());
    let upper = "  D4EE72DBF913584AD5B6D8F1F769F8AD3AFE7C28CBF1D4FBE097A88F44755842\r\n";
    let key = SecretKey::load(&dir.file("key.hex", upper)).unwrap();
    assert_eq!(key.member(), SecretKey::from_seed(seed).member());
}

#[test]
fn what_is_no_key_is_refused_by_name() {
    let dir = Dir::new();
    let said = |name: &str, content: &str| {
        let error = SecretKey::load(&dir.file(name, content)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        (error.to_string(), error)
    };
    let (_, error) = said("empty", "");
    assert!(matches!(error, KeyError::Neither { found: 0, .. }));
    let (_, error) = said("short.hex", &"ab".repeat(31));
    assert!(matches!(error, KeyError::Neither { found: 62, .. }));
    let (_, error) = said("letters.hex", &"xy".repeat(32));
    assert!(matches!(error, KeyError::Neither { found: 64, .. }));
    let (text, error) = said("long", &"a".repeat(1 << 16));
    assert!(matches!(error, KeyError::TooLong { .. }));
    assert!(text.contains(&FILE_BYTES_MAX.to_string()));
    let public = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let (_, error) = said("public.pem", public);
    assert!(matches!(error, KeyError::Pem { .. }));
    let missing = SecretKey::load(&dir.0.path().join("none"));
    assert!(matches!(missing, Err(KeyError::Read { .. })));
}

#[test]
fn a_secret_key_is_never_shown() {
    let key = SecretKey::from_seed([0xab; 32]);
    let shown = format!("{key:?} {:?}", Voice::of(key.clone()));
    assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    assert!(shown.contains(&key.member().to_string()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Any change to message, signature or member is noticed.
    #[test]
    fn a_signature_holds_for_one_message_of_one_member(
        seed: [u8; 32],
        message in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..64,
        bit in 0_u8..8,
    ) {
        let key = SecretKey::from_seed(seed);
        let (member, signature) = (key.member(), key.sign(&message));
        prop_assert!(verify(&member, &message, &signature));
        let mut changed = signature.to_bytes();
        changed[at] ^= 1 << bit;
        prop_assert!(!verify(&member, &message, &Signature::new(&changed).unwrap()));
        let mut other = member;
        other.0[at % 32] ^= 1 << bit;
        prop_assert!(!verify(&other, &message, &signature));
        let longer = [&message[..], &[0]].concat();
        prop_assert!(!verify(&member, &longer, &signature));
    }
}
