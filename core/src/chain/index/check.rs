//! The invariants of the tree.

use super::{Index, Ix, State};
use crate::base::{Violated, violated};

impl Index {
    /// Checks invariants 1 to 5.
    pub(in crate::chain) fn check_invariants(&self) -> Result<(), Violated> {
        let name = "chain index";
        let mut before = None;
        let mut dense = true;
        for (height, &ix) in (self.anchor.height + 1..).zip(&self.main) {
            let entry = self.entry(ix);
            dense &= entry.is_some_and(|e| e.parent == before && e.height == height);
            before = Some(ix);
        }
        violated(dense, name, 1, "main is dense")?;
        let joined = |ix: &Ix| self.entry(*ix).is_some_and(|e| e.state == State::Joined);
        violated(
            self.main.iter().all(joined),
            name,
            2,
            "all of main is joined",
        )?;
        for (hash, entry) in self.entries.iter() {
            let ix = self.find(hash);
            let leaf = entry.refs == 0 && entry.child.is_none();
            let main = self.main_at(entry.height) == ix;
            let idle = ix.is_some_and(|ix| self.idle.contains(&(entry.height, ix)));
            violated(
                (leaf && !main) == idle,
                name,
                3,
                "idle is what nobody needs",
            )?;
            let parent = entry.parent.is_none_or(|ix| joined(&ix));
            let after = entry.state != State::Joined || parent;
            violated(after, name, 4, "joined after the parent")?;
            let known = match entry.left {
                Some(left) => self.entry(left).is_some_and(|e| e.right == ix),
                None => self.children(entry.parent).next() == ix,
            };
            violated(known, name, 5, "a parent knows its children")?;
        }
        violated(
            self.idle.len() <= self.entries.len(),
            name,
            3,
            "idle is what nobody needs",
        )?;
        self.entries.check_invariants()
    }
}
