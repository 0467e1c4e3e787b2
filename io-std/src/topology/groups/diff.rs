//! What changed from one file of groups to the next, for whoever reloads.

use std::{collections::BTreeSet, fmt, net::SocketAddr};

use samanea_core::{
    base::{Actor, GroupId, MemberKey},
    rain::View,
};

use super::{Groups, Join, Listed, names::role_to_name, to_name};

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Another epoch.
    Epoch {
        /// Before.
        old: u64,
        /// Now.
        new: u64,
    },
    /// A member that was not there.
    MemberAdded(Listed),
    /// A member that is there no more.
    MemberRemoved(MemberKey),
    /// A member that lives elsewhere.
    MemberMoved {
        /// Who.
        key: MemberKey,
        /// Where it lives now.
        address: Option<SocketAddr>,
    },
    /// A member that does other things.
    MemberChanged(Listed),
    /// A group that was not there.
    GroupAdded(GroupId),
    /// A group that is there no more.
    GroupRemoved(GroupId),
    /// A group of which others are members now, that has not a later epoch: no view of it can be
    /// told.
    GroupStuck(GroupId),
    /// A group that has other members now.
    GroupChanged {
        /// Which.
        group: GroupId,
        /// How many have joined.
        joined: usize,
        /// How many have left.
        left: usize,
    },
    /// A group without a ledger that is joined, or joined otherwise.
    Joined(Join),
    /// A group without a ledger that is left.
    Left(GroupId),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch { old, new } => write!(f, "~ epoch, {old} -> {new}"),
            Self::MemberAdded(listed) => write!(f, "+ {}", Shown(listed)),
            Self::MemberRemoved(key) => write!(f, "- member {key}"),
            Self::MemberMoved { key, address } => match address {
                Some(address) => write!(f, "~ member {key} lives at {address}"),
                None => write!(f, "~ member {key} has no address"),
            },
            Self::MemberChanged(listed) => write!(f, "~ {}", Shown(listed)),
            Self::GroupAdded(group) => write!(f, "+ group {}", to_name(group)),
            Self::GroupRemoved(group) => write!(f, "- group {}", to_name(group)),
            Self::GroupStuck(group) => write!(
                f,
                "! group {} has other members in the same epoch: not told; raise `epoch`",
                to_name(group)
            ),
            Self::GroupChanged {
                group,
                joined,
                left,
            } => write!(
                f,
                "~ group {}, {joined} joined, {left} left",
                to_name(group)
            ),
            Self::Joined(join) => {
                let contacts = join.contacts.len();
                write!(f, "+ joins {}, {contacts} contacts", to_name(&join.group))
            }
            Self::Left(group) => write!(f, "- leaves {}", to_name(group)),
        }
    }
}

struct Shown<'a>(&'a Listed);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listed {
            key,
            address,
            roles,
            leaf_only,
        } = self.0;
        write!(f, "member {key}")?;
        if let Some(address) = address {
            write!(f, " at {address}")?;
        }
        let roles: Vec<&str> = roles.iter().copied().map(name).collect();
        if !roles.is_empty() {
            write!(f, ", {}", roles.join(", "))?;
        }
        if *leaf_only {
            write!(f, ", leaf only")?;
        }
        Ok(())
    }
}

fn name(role: Actor) -> &'static str {
    role_to_name(role)
}

/// What changed, members first. The views are those of the two.
pub fn diff((old, before): (&Groups, &[View]), (new, after): (&Groups, &[View])) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.epoch != new.epoch {
        let (old, new) = (old.epoch, new.epoch);
        changes.push(Change::Epoch { old, new });
    }
    for listed in &old.members {
        if new.member(&listed.key).is_none() {
            changes.push(Change::MemberRemoved(listed.key));
        }
    }
    for listed in &new.members {
        let Some(was) = old.member(&listed.key) else {
            changes.push(Change::MemberAdded(listed.clone()));
            continue;
        };
        if was.roles != listed.roles || was.leaf_only != listed.leaf_only {
            changes.push(Change::MemberChanged(listed.clone()));
        }
        if was.address != listed.address {
            let (key, address) = (listed.key, listed.address);
            changes.push(Change::MemberMoved { key, address });
        }
    }
    views(before, after, &mut changes);
    for join in &old.join {
        if new.join.iter().all(|now| now.group != join.group) {
            changes.push(Change::Left(join.group.clone()));
        }
    }
    for join in &new.join {
        if !old.join.contains(join) {
            changes.push(Change::Joined(join.clone()));
        }
    }
    changes
}

fn views(before: &[View], after: &[View], changes: &mut Vec<Change>) {
    let of = |views: &[View], group: &GroupId| views.iter().find(|v| v.group() == group).cloned();
    for view in before {
        if of(after, view.group()).is_none() {
            changes.push(Change::GroupRemoved(view.group().clone()));
        }
    }
    for view in after {
        let group = view.group().clone();
        let Some(was) = of(before, &group) else {
            changes.push(Change::GroupAdded(group));
            continue;
        };
        let (old, new) = (members(&was), members(view));
        if was.epoch() >= view.epoch() {
            if was.digest() != view.digest() || was.seed() != view.seed() {
                changes.push(Change::GroupStuck(group));
            }
        } else if old != new {
            changes.push(Change::GroupChanged {
                group,
                joined: new.difference(&old).count(),
                left: old.difference(&new).count(),
            });
        }
    }
}

fn members(view: &View) -> BTreeSet<MemberKey> {
    view.keys().copied().collect()
}
