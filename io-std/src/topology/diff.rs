//! What changed from one topology to the next, for whoever reloads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use samanea_core::{
    governor::{Relay, Topology, Traits, UseLedger},
    proto::handshake::Mode,
};

/// One thing that changed. Groups are numbered from 0 as they stand in the new file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A local root that was not there.
    LocalAdded {
        /// The root.
        root: Relay,
        /// Its group.
        group: usize,
        /// What is said of it.
        traits: Traits,
    },
    /// A local root that is there no more.
    LocalRemoved {
        /// The root.
        root: Relay,
    },
    /// A local root of which something else is said.
    LocalChanged {
        /// The root.
        root: Relay,
        /// What was said.
        old: Traits,
        /// What is said now.
        new: Traits,
    },
    /// A local root that counts towards another group's valencies.
    LocalMoved {
        /// The root.
        root: Relay,
        /// Its group now.
        group: usize,
    },
    /// A group of which other numbers must be hot and warm.
    Valencies {
        /// The group.
        group: usize,
        /// Hot and warm before.
        old: (u32, u32),
        /// Hot and warm now.
        new: (u32, u32),
    },
    /// A public root that was not there.
    PublicAdded {
        /// The root.
        root: Relay,
        /// Whether it may be told to others.
        advertise: bool,
    },
    /// A public root that is there no more.
    PublicRemoved {
        /// The root.
        root: Relay,
    },
    /// A public root that may, or may no longer, be told to others.
    PublicChanged {
        /// The root.
        root: Relay,
        /// Whether it may be now.
        advertise: bool,
    },
    /// A bootstrap peer that was not there.
    BootstrapAdded {
        /// The peer.
        root: Relay,
    },
    /// A bootstrap peer that is there no more.
    BootstrapRemoved {
        /// The peer.
        root: Relay,
    },
    /// Bootstrap peers are used now, or no longer.
    Bootstrap {
        /// Whether they are now.
        on: bool,
    },
    /// Peers of the ledger are used at another time.
    UseLedger {
        /// When before.
        old: UseLedger,
        /// When now.
        new: UseLedger,
    },
}

/// All that changed: local roots in order of the new file, then those removed, then the others.
pub fn diff(old: &Topology, new: &Topology) -> Vec<Change> {
    let mut changes = local(old, new);
    changes.extend(public(old, new));
    let list = |topology: &Topology| topology.bootstrap.clone().unwrap_or_default();
    let (before, after) = (list(old), list(new));
    for root in after.iter().filter(|root| !before.contains(root)).cloned() {
        changes.push(Change::BootstrapAdded { root });
    }
    for root in before.into_iter().filter(|root| !after.contains(root)) {
        changes.push(Change::BootstrapRemoved { root });
    }
    if old.bootstrap.is_some() != new.bootstrap.is_some() {
        let on = new.bootstrap.is_some();
        changes.push(Change::Bootstrap { on });
    }
    if old.use_ledger != new.use_ledger {
        changes.push(Change::UseLedger {
            old: old.use_ledger,
            new: new.use_ledger,
        });
    }
    changes
}

fn local(old: &Topology, new: &Topology) -> Vec<Change> {
    let before = locals(old);
    let after = locals(new);
    let same = same_groups(&before, new);
    let mut changes = Vec::new();
    for (at, group) in new.local.iter().enumerate() {
        let was = same.get(at).copied().flatten();
        let numbers = |group: &samanea_core::governor::LocalGroup| (group.hot, group.warm);
        if let Some(was) = was.and_then(|was| old.local.get(was))
            && numbers(was) != numbers(group)
        {
            changes.push(Change::Valencies {
                group: at,
                old: numbers(was),
                new: numbers(group),
            });
        }
        for root in &group.access_points {
            if after.get(root).is_none_or(|(first, _)| *first != at) {
                continue;
            }
            let root = root.clone();
            let Some((of, traits)) = before.get(&root) else {
                changes.push(Change::LocalAdded {
                    root,
                    group: at,
                    traits: group.traits,
                });
                continue;
            };
            if Some(*of) != was {
                let root = root.clone();
                changes.push(Change::LocalMoved { root, group: at });
            }
            if *traits != group.traits {
                changes.push(Change::LocalChanged {
                    root,
                    old: *traits,
                    new: group.traits,
                });
            }
        }
    }
    let gone = before.into_keys().filter(|root| !after.contains_key(root));
    changes.extend(gone.map(|root| Change::LocalRemoved { root }));
    changes
}

/// Each local root with the first group that names it.
fn locals(topology: &Topology) -> BTreeMap<Relay, (usize, Traits)> {
    let mut roots = BTreeMap::new();
    for (at, group) in topology.local.iter().enumerate() {
        for root in &group.access_points {
            roots.entry(root.clone()).or_insert((at, group.traits));
        }
    }
    roots
}

/// Which old group each new one was: the one it has most roots of, of those not taken by a group
/// before it. Groups have no names, and their order may change.
fn same_groups(before: &BTreeMap<Relay, (usize, Traits)>, new: &Topology) -> Vec<Option<usize>> {
    let mut taken = BTreeSet::new();
    let mut same = Vec::with_capacity(new.local.len());
    for group in &new.local {
        let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
        for (of, _) in group
            .access_points
            .iter()
            .filter_map(|root| before.get(root))
        {
            *shared.entry(*of).or_default() += 1;
        }
        shared.retain(|of, _| !taken.contains(of));
        // Of equally good ones the first.
        let best = shared.into_iter().rev().max_by_key(|(_, count)| *count);
        let best = best.map(|(of, _)| of);
        taken.extend(best);
        same.push(best);
    }
    same
}

fn public(old: &Topology, new: &Topology) -> Vec<Change> {
    let list = |topology: &Topology| {
        let mut roots: BTreeMap<Relay, bool> = BTreeMap::new();
        for group in &topology.public {
            for root in &group.access_points {
                roots.entry(root.clone()).or_insert(group.advertise);
            }
        }
        roots
    };
    let (before, after) = (list(old), list(new));
    let mut changes = Vec::new();
    for (root, advertise) in &after {
        let (root, advertise) = (root.clone(), *advertise);
        match before.get(&root) {
            None => changes.push(Change::PublicAdded { root, advertise }),
            Some(was) if *was != advertise => {
                changes.push(Change::PublicChanged { root, advertise });
            }
            Some(_) => {}
        }
    }
    let gone = before.into_keys().filter(|root| !after.contains_key(root));
    changes.extend(gone.map(|root| Change::PublicRemoved { root }));
    changes
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalAdded {
                root,
                group,
                traits,
            } => {
                write!(f, "+ local root {root}, group {group}")?;
                let usual = flags(Traits::default());
                let both = usual.into_iter().zip(flags(*traits));
                let unusual = both.filter(|(usual, now)| usual != now);
                unusual
                    .into_iter()
                    .try_for_each(|(_, (what, now))| write!(f, ", {what} {now}"))
            }
            Self::LocalRemoved { root } => write!(f, "- local root {root}"),
            Self::LocalChanged { root, old, new } => {
                write!(f, "~ local root {root}")?;
                let both = flags(*old).into_iter().zip(flags(*new));
                for ((what, was), (_, now)) in both.filter(|(was, now)| was != now) {
                    write!(f, ", {what} {was} -> {now}")?;
                }
                Ok(())
            }
            Self::LocalMoved { root, group } => {
                write!(f, "~ local root {root}, now of group {group}")
            }
            Self::Valencies { group, old, new } => write!(
                f,
                "~ group {group}, hot {} -> {}, warm {} -> {}",
                old.0, new.0, old.1, new.1
            ),
            Self::PublicAdded { root, advertise } => {
                write!(f, "+ public root {root}, advertise {}", yes(*advertise))
            }
            Self::PublicRemoved { root } => write!(f, "- public root {root}"),
            Self::PublicChanged { root, advertise } => {
                let (was, now) = (yes(!*advertise), yes(*advertise));
                write!(f, "~ public root {root}, advertise {was} -> {now}")
            }
            Self::BootstrapAdded { root } => write!(f, "+ bootstrap peer {root}"),
            Self::BootstrapRemoved { root } => write!(f, "- bootstrap peer {root}"),
            Self::Bootstrap { on: true } => f.write_str("~ bootstrap peers are used"),
            Self::Bootstrap { on: false } => f.write_str("~ bootstrap peers are not used"),
            Self::UseLedger { old, new } => {
                write!(f, "~ ledger peers, {} -> {}", when(*old), when(*new))
            }
        }
    }
}

fn flags(traits: Traits) -> [(&'static str, &'static str); 4] {
    let mode = match traits.mode {
        Mode::InitiatorOnly => "InitiatorOnly",
        Mode::InitiatorAndResponder => "InitiatorAndResponder",
    };
    [
        ("advertise", yes(traits.advertise)),
        ("trustable", yes(traits.trustable)),
        ("behindFirewall", yes(traits.behind_firewall)),
        ("diffusionMode", mode),
    ]
}

const fn yes(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

/// When ledger peers are used, in words.
pub fn when(use_ledger: UseLedger) -> String {
    match use_ledger {
        UseLedger::Never => "never".into(),
        UseLedger::Always => "always".into(),
        UseLedger::After(slot) => format!("from slot {slot} on"),
    }
}
