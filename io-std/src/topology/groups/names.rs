//! Groups in words.

use samanea_core::base::{Actor, GroupId, Hash32, MemberKey};

/// What is allowed where a group is named.
pub(super) const ALLOWED: &str = "all-staked, application, archival, gateway, servicer, \
    validator, watcher, session:HEX, custom:HEX, or(A,B) or minus(A,B), at most four deep";

const ROLES: [(Actor, &str); 6] = [
    (Actor::Application, "application"),
    (Actor::Servicer, "servicer"),
    (Actor::Watcher, "watcher"),
    (Actor::Validator, "validator"),
    (Actor::Gateway, "gateway"),
    (Actor::Archival, "archival"),
];

/// What somebody does, by its name.
pub(super) fn role_from_name(name: &str) -> Option<Actor> {
    let found = ROLES.iter().find(|(_, of)| *of == name);
    found.map(|(role, _)| *role)
}

/// The names of what members do.
pub(super) fn roles() -> impl Iterator<Item = &'static str> {
    ROLES.iter().map(|(_, name)| *name)
}

pub(super) fn role_to_name(role: Actor) -> &'static str {
    let found = ROLES.iter().find(|(of, _)| *of == role);
    found.map_or("", |(_, name)| name)
}

/// A group in words, as they are read: `validator`, `minus(all-staked,validator)`.
pub fn to_name(group: &GroupId) -> String {
    match group {
        GroupId::AllStaked => "all-staked".into(),
        GroupId::Role(role) => role_to_name(*role).into(),
        GroupId::Session(hash) => format!("session:{hash}"),
        GroupId::Custom(hash) => format!("custom:{hash}"),
        GroupId::Union(both) => format!("or({},{})", to_name(&both.0), to_name(&both.1)),
        GroupId::Minus(both) => format!("minus({},{})", to_name(&both.0), to_name(&both.1)),
    }
}

/// The group that these words name, spaces aside; `None` when they name none.
pub fn from_name(text: &str) -> Option<GroupId> {
    term(text, GroupId::DEPTH_MAX)
}

/// A term of at most `room` levels.
fn term(text: &str, room: u8) -> Option<GroupId> {
    let (text, room) = (text.trim(), room.checked_sub(1)?);
    if let Some(role) = role_from_name(text) {
        return Some(GroupId::Role(role));
    }
    if let Some(hex) = text.strip_prefix("session:") {
        return hash_from_hex(hex).map(GroupId::Session);
    }
    if let Some(hex) = text.strip_prefix("custom:") {
        return hash_from_hex(hex).map(GroupId::Custom);
    }
    if text == "all-staked" {
        return Some(GroupId::AllStaked);
    }
    let (operator, rest) = text.split_once('(')?;
    let inner = rest.strip_suffix(')')?;
    let comma = middle(inner)?;
    let (one, two) = inner.split_at_checked(comma)?;
    let two = two.strip_prefix(',')?;
    let both = Box::new((term(one, room)?, term(two, room)?));
    match operator.trim() {
        "or" => Some(GroupId::Union(both)),
        "minus" => Some(GroupId::Minus(both)),
        _ => None,
    }
}

/// Where the only comma outside of brackets is.
fn middle(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut found = None;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth = depth.checked_add(1)?,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                if found.is_some() {
                    return None;
                }
                found = Some(at);
            }
            _ => {}
        }
    }
    found
}

/// A key of 64 hexadecimal digits.
pub fn key_from_hex(text: &str) -> Option<MemberKey> {
    hash_from_hex(text).map(|Hash32(bytes)| MemberKey(bytes))
}

pub(super) fn hash_from_hex(text: &str) -> Option<Hash32> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(pairs) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        let [high, low] = digits.map(value);
        *byte = u8::try_from(high? * 16 + low?).ok()?;
    }
    Some(Hash32(bytes))
}
