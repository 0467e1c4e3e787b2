//! Groups of structured gossip as an operator writes them down.
//!
//! ```json
//! {
//!   "epoch": 7,
//!   "seed": "64 hexadecimal digits, or absent",
//!   "members": [
//!     { "key": "64 hexadecimal digits", "address": "192.0.2.1:3001", "roles": ["validator"] },
//!     { "key": "…", "roles": ["servicer", "archival"], "leafOnly": true }
//!   ],
//!   "groups": [
//!     { "group": "session:…", "members": ["…", "…"] },
//!     { "group": "or(servicer, watcher)" }
//!   ],
//!   "join": [ { "group": "custom:…", "contacts": ["…"], "address": "192.0.2.1:3001" } ]
//! }
//! ```
//!
//! `members` are all that are known, each with what it does: from them follow the group of each
//! role, everybody with a stake (validators, servicers, watchers and applications), and those
//! where blocks go on to. `groups` are more of them: sessions and custom groups with their members,
//! unions and differences of others without. `join` are groups without a ledger that this node
//! joins. In which of all groups the node is follows from its key.
//!
//! All nodes of a group must have the same members of it in one epoch: whoever changes members
//! raises the epoch. Addresses may change without.
//!
//! # What is refused and what is warned of
//!
//! *Refused*, with file, line, path, what was found and what is allowed: anything of a wrong kind
//! or out of range; a key twice; a member twice; unknown roles and groups; a session or custom
//! group without members, another with; a group made of groups that are not known; more than
//! [`MEMBERS_MAX`] members, [`GROUPS_MAX`] groups, or [`BYTES_MAX`] bytes.
//!
//! *Warned of*: unknown keys; a member without an address that may be given an arc; one without a
//! role that no group lists.

mod diff;
mod names;
mod read;

use std::{collections::BTreeSet, net::SocketAddr, path::Path};

use samanea_core::{
    base::{Actor, GroupId, Hash32, MemberKey, Rules},
    rain::{Member, View, ViewError, audience},
};

pub use diff::{Change, diff};
pub use names::{from_name, key_from_hex, to_name};

use super::{
    Error, Warning,
    json::{self, Document},
};

/// Members of a file at most, inclusive: as many as the node knows addresses of.
pub const MEMBERS_MAX: usize = 65_536;
/// Groups listed in a file at most, inclusive; with those of roles, fewer than a node knows.
pub const GROUPS_MAX: usize = 128;
/// Contacts of a group that is joined at most, inclusive.
pub const CONTACTS_MAX: usize = 16;
/// Bytes of a file at most, inclusive: as many members as are allowed fit.
pub const BYTES_MAX: u64 = 32 << 20;

/// What a file of groups says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The epoch of all views.
    pub epoch: u64,
    /// What salts their rings, if anything but the epoch does.
    pub seed: Option<Hash32>,
    /// Everybody, by key.
    pub members: Vec<Listed>,
    /// Groups beside those of roles.
    pub groups: Vec<Group>,
    /// Groups without a ledger that are joined.
    pub join: Vec<Join>,
    /// What is probably not meant.
    pub warnings: Vec<Warning>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: MemberKey,
    /// Where it can be dialled.
    pub address: Option<SocketAddr>,
    /// What it does.
    pub roles: BTreeSet<Actor>,
    /// Whether it is never given an arc.
    pub leaf_only: bool,
}

/// A group beside those of roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub group: GroupId,
    /// Its members; `None` for a union or difference of others.
    pub members: Option<BTreeSet<MemberKey>>,
}

/// A group without a ledger that is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Which.
    pub group: GroupId,
    /// Members to begin with, at most [`CONTACTS_MAX`].
    pub contacts: Vec<MemberKey>,
    /// Where this node can be dialled, if not where it listens.
    pub address: Option<SocketAddr>,
}

/// Reads a file of groups.
///
/// # Errors
/// What the operator must change, and where.
pub fn load(file: &Path) -> Result<Groups, Error> {
    parse(file, &json::load(file, BYTES_MAX)?)
}

/// Reads the bytes of a file of groups, whose name is for messages only.
///
/// # Errors
/// What the operator must change, and where.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Groups, Error> {
    json::fits(file, bytes, BYTES_MAX)?;
    let document = Document::new(file, bytes)?;
    let mut groups = read::groups(&document.top()?)?;
    groups.warnings = document.into_warnings();
    Ok(groups)
}

/// Those who have a stake.
const STAKED: [Actor; 4] = [
    Actor::Validator,
    Actor::Servicer,
    Actor::Watcher,
    Actor::Application,
];

impl Groups {
    /// The view of each group that is known, in the order of groups: those of roles and of
    /// everybody with a stake, those where blocks go on to, and those that are listed.
    ///
    /// # Errors
    /// Never in practice: a file has fewer members than a view.
    pub fn views(&self, rules: &dyn Rules) -> Result<Vec<View>, ViewError> {
        let mut views: Vec<View> = Vec::new();
        for role in Actor::ALL {
            let of = |listed: &Listed| listed.roles.contains(&role);
            views.push(self.view(GroupId::Role(role), of, rules)?);
        }
        let staked = |listed: &Listed| STAKED.iter().any(|role| listed.roles.contains(role));
        views.push(self.view(GroupId::AllStaked, staked, rules)?);
        for group in &self.groups {
            if let Some(members) = &group.members {
                let of = |listed: &Listed| members.contains(&listed.key);
                views.push(self.view(group.group.clone(), of, rules)?);
            }
        }
        let terms = [audience::others(), audience::archive()];
        let listed = self.groups.iter().filter(|group| group.members.is_none());
        for term in terms.iter().chain(listed.map(|group| &group.group)) {
            let known = |group: &GroupId| views.iter().find(|v| v.group() == group).cloned();
            if known(term).is_none()
                && let Some(view) = View::of_term(term, &known, rules)?
            {
                views.push(view);
            }
        }
        views.sort_by(|a, b| a.group().cmp(b.group()));
        Ok(views)
    }

    fn view(
        &self,
        group: GroupId,
        of: impl Fn(&Listed) -> bool,
        rules: &dyn Rules,
    ) -> Result<View, ViewError> {
        let members = self.members.iter().filter(|listed| of(listed));
        let members = members.map(|listed| Member {
            key: listed.key,
            leaf_only: listed.leaf_only,
        });
        View::new(group, self.epoch, self.seed, members, rules)
    }

    /// The member with this key.
    pub fn member(&self, key: &MemberKey) -> Option<&Listed> {
        let at = self.members.binary_search_by(|listed| listed.key.cmp(key));
        at.ok().and_then(|at| self.members.get(at))
    }
}

#[cfg(test)]
mod tests;
