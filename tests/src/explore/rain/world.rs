//! A state of a scope, and what can happen in it.

use std::sync::Arc;

use super::{
    Act, Faults, Scope, Violation,
    locals::{self, DOWN, Due, Locals, NOT_DIALLED, Outside, Said, Step, UP},
    parking::Table,
};

/// Something on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    from: u8,
    to: u8,
    what: u16,
}

impl Item {
    /// What a connection says of itself: it is not lost with the rest.
    const fn is_word(self) -> bool {
        matches!(self.what, UP | DOWN | NOT_DIALLED)
    }
}

/// A few members and what is on the way between them.
#[derive(Clone, Debug)]
pub struct World {
    members: Vec<Outside>,
    /// Bits of members that have crashed or hang.
    ended: u8,
    /// Bits of pairs whose connection is broken, by [`pair`].
    broken: u32,
    /// In order of lane, and on each lane in the order sent.
    way: Vec<Item>,
    /// Faults that may still happen.
    left: Faults,
    marks: u16,
    wrong: Option<Violation>,
}

/// The number of a pair of places.
fn pair(a: u8, b: u8) -> u32 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    u32::from(high) * u32::from(high.saturating_sub(1)) / 2 + u32::from(low)
}

/// Sets of places, one of those that are turns of each other; not the empty one.
fn sets(members: u8) -> Vec<u8> {
    let all = (1_u16 << members) - 1;
    let turned = |set: u16, by: u8| (set << by | set >> (members - by)) & all;
    let first = |set: &u16| (0..members).all(|by| *set <= turned(*set, by));
    (1..=all)
        .filter(first)
        .filter_map(|set| u8::try_from(set).ok())
        .collect()
}

impl World {
    /// All beginnings of a scope.
    pub(super) fn all(scope: &Scope) -> Vec<Self> {
        let mut table = scope.table.lock();
        let config = locals::config(scope);
        let sets = if scope.published {
            vec![0]
        } else {
            sets(scope.members)
        };
        let mut all = Vec::new();
        for set in sets {
            let holds = |place: u8| set >> place & 1 != 0;
            let members = 0..scope.members;
            let members = members.map(|place| table.first(&config, place, holds(place)));
            let mut world = Self {
                members: members.collect(),
                ended: 0,
                broken: 0,
                way: Vec::new(),
                left: scope.faults,
                marks: 0,
                wrong: None,
            };
            if scope.published {
                let step = table.publish(&config, 0);
                world.take(0, &step);
            }
            all.push(world);
        }
        all
    }

    /// Faults that may happen from here on.
    pub(super) fn allow(&mut self, faults: Faults) {
        self.left = faults;
    }

    pub(super) const fn marks(&self) -> u16 {
        self.marks
    }

    pub(super) fn canonical(&self, out: &mut Vec<u8>) {
        for (place, member) in (0..).zip(&self.members) {
            let local = if self.lives(place) {
                member.local
            } else {
                u32::MAX
            };
            out.extend(local.to_be_bytes());
        }
        out.extend([self.left.ends, self.left.breaks, self.left.hasty]);
        out.extend(self.broken.to_be_bytes());
        for item in &self.way {
            out.extend([item.from, item.to]);
            out.extend(item.what.to_be_bytes());
        }
    }

    fn places(&self) -> impl Iterator<Item = u8> + use<> {
        0..u8::try_from(self.members.len()).unwrap_or(u8::MAX)
    }

    fn lives(&self, place: u8) -> bool {
        self.ended >> place & 1 == 0
    }

    fn is_broken(&self, a: u8, b: u8) -> bool {
        self.broken >> pair(a, b) & 1 != 0
    }

    fn member(&self, place: u8) -> Outside {
        self.members[usize::from(place)]
    }

    /// Nothing is on the way to a member or from it.
    fn is_calm(&self, place: u8) -> bool {
        let mut way = self.way.iter();
        !way.any(|item| item.from == place || item.to == place)
    }

    /// Whether two could be connected again: they are not, and both know.
    fn mends(&self, a: u8, b: u8) -> bool {
        let between = |item: &Item| pair(item.from, item.to) == pair(a, b);
        self.is_broken(a, b) && !self.way.iter().any(between)
    }

    /// Everybody alive holds the message, or nobody who could hand it on.
    pub(super) fn is_decided(&self, table: &Table) -> bool {
        let lives = self.places().filter(|place| self.lives(*place));
        let (mut lacking, mut holding) = (false, false);
        for place in lives {
            let holds = self.member(place).holds;
            lacking |= !holds;
            holding |= holds;
        }
        let table = (lacking && !holding).then(|| table.lock());
        let coming = |table: &Locals| self.way.iter().any(|item| table.is_data(item.what));
        !lacking || table.is_some_and(|table| !coming(&table))
    }

    /// How many members have crashed or hang.
    pub(super) const fn ended(&self) -> u32 {
        self.ended.count_ones()
    }

    /// How many live members lack the message.
    pub(super) fn lacking(&self) -> usize {
        let lacks = |place: &u8| self.lives(*place) && !self.member(*place).holds;
        self.places().filter(lacks).count()
    }

    /// What is wrong with the way here, or with resting here.
    pub(super) fn verdict(&self, table: &Table) -> Result<(), Violation> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        let rests = |place: u8| !self.lives(place) || self.member(place).due == Due::Never;
        if !self.way.is_empty() || !self.places().all(rests) || self.is_decided(table) {
            return Ok(());
        }
        let mut pairs = self.places().flat_map(|a| (0..a).map(move |b| (a, b)));
        if pairs.any(|(a, b)| self.mends(a, b)) {
            return Ok(());
        }
        let text = format!("{} members are left out", self.lacking());
        Err(Violation::new("everybody alive gets it", text))
    }

    // What can happen.

    pub(super) fn acts(&self, out: &mut Vec<Act>) {
        self.arrivals(out);
        for place in self.places().filter(|place| self.lives(*place)) {
            let calm = self.is_calm(place);
            match self.member(place).due {
                Due::Soon => out.push(Act::Tick(place)),
                Due::Late if calm => out.push(Act::Tick(place)),
                Due::Late if self.left.hasty > 0 => out.push(Act::Hasty(place)),
                Due::Late | Due::Never => {}
            }
            if self.left.ends > 0 && self.left.crash {
                out.push(Act::Crash(place));
            }
            if self.left.ends > 0 && self.left.hang {
                out.push(Act::Hang(place));
            }
            for other in (0..place).filter(|other| self.lives(*other)) {
                if self.mends(place, other) {
                    out.push(Act::Mend(place, other));
                } else if self.left.breaks > 0 && !self.is_broken(place, other) {
                    out.push(Act::Break(place, other));
                }
            }
        }
    }

    fn arrivals(&self, out: &mut Vec<Act>) {
        for lane in self.way.chunk_by(|a, b| (a.from, a.to) == (b.from, b.to)) {
            let Some(Item { from, to, .. }) = lane.first().copied() else {
                continue;
            };
            out.push(Act::Arrive(from, to));
            if !self.lives(from) && !lane.iter().all(|item| item.is_word()) {
                out.push(Act::Lose(from, to));
            }
        }
    }

    pub(super) fn next(&self, table: &Table, act: Act) -> Option<Self> {
        let mut world = self.clone();
        world.marks = 0;
        match act {
            Act::Arrive(from, to) => {
                let lane = |item: &Item| (item.from, item.to) == (from, to);
                let at = world.way.iter().position(lane)?;
                let item = world.way.remove(at);
                world.tell(table, to, Said::Came(from, item.what));
            }
            Act::Lose(from, to) => {
                let kept = |item: &Item| (item.from, item.to) != (from, to) || item.is_word();
                world.way.retain(kept);
            }
            Act::Tick(place) => world.tell(table, place, Said::Tick),
            Act::Hasty(place) => {
                world.left.hasty = world.left.hasty.checked_sub(1)?;
                world.tell(table, place, Said::Tick);
            }
            Act::Crash(place) => world.end(place, true)?,
            Act::Hang(place) => world.end(place, false)?,
            Act::Break(a, b) => {
                world.left.breaks = world.left.breaks.checked_sub(1)?;
                let other = |item: &Item| pair(item.from, item.to) != pair(a, b);
                world.way.retain(|item| other(item) || item.is_word());
                world.broken |= 1 << pair(a, b);
                world.send(a, b, DOWN);
                world.send(b, a, DOWN);
            }
            Act::Mend(a, b) => {
                world.broken &= !(1 << pair(a, b));
                world.send(a, b, UP);
                world.send(b, a, UP);
            }
        }
        Some(world)
    }

    /// A member crashes, as the others are told, or hangs.
    fn end(&mut self, place: u8, told: bool) -> Option<()> {
        self.left.ends = self.left.ends.checked_sub(1)?;
        self.ended |= 1 << place;
        self.way.retain(|item| item.to != place);
        for other in self.places().filter(|other| *other != place) {
            if !self.lives(other) {
                continue;
            }
            if told && !self.is_broken(place, other) {
                self.send(place, other, DOWN);
            }
            self.broken &= !(1 << pair(place, other));
        }
        Some(())
    }

    fn tell(&mut self, table: &Table, place: u8, said: Said) {
        let local = self.member(place).local;
        let step: Arc<Step> = table.lock().step(local, said);
        self.take(place, &step);
    }

    fn take(&mut self, place: u8, step: &Step) {
        self.members[usize::from(place)] = step.after;
        self.marks |= step.marks;
        if self.wrong.is_none() {
            self.wrong.clone_from(&step.wrong);
        }
        for (to, what) in &step.sends {
            if self.lives(*to) && !self.is_broken(place, *to) {
                self.send(place, *to, *what);
            }
        }
        for to in &step.dials {
            if !self.lives(*to) {
                self.send(*to, place, NOT_DIALLED);
            }
        }
    }

    /// Puts something on a lane, behind what is there.
    fn send(&mut self, from: u8, to: u8, what: u16) {
        let at = self
            .way
            .partition_point(|item| (item.from, item.to) <= (from, to));
        self.way.insert(at, Item { from, to, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_that_are_turns_of_each_other_are_one() {
        assert_eq!(sets(2), [0b1, 0b11]);
        assert_eq!(sets(3), [0b1, 0b11, 0b111]);
        assert_eq!(sets(4), [0b1, 0b11, 0b101, 0b111, 0b1111]);
        assert_eq!(sets(7).len(), 19);
    }

    #[test]
    fn pairs_have_numbers_of_their_own() {
        let mut pairs: Vec<u32> = (0..7)
            .flat_map(|a| (0..a).map(move |b| pair(a, b)))
            .collect();
        pairs.sort_unstable();
        assert!(pairs.into_iter().eq(0..21));
    }
}
