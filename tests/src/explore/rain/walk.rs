//! Random walks through scopes that are too large to be explored to the end.

use std::{collections::BTreeMap, fmt};

use super::{Act, Faults, Mark, Model as _, Scope, World, laws::NAMES};
use crate::rain::toy::Lots;

/// Acts with faults among them; after that there are none.
const FAULTY: usize = 300;
/// Acts after that: more than ever needed.
const PLAIN: usize = 4_000;
/// Machines kept of all scopes together: each is some kilobytes.
const KEPT: usize = 20_000;

/// What walks have seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Scopes by form, with their beginnings.
    scopes: BTreeMap<u16, (Scope, Vec<World>)>,
    /// Walks made.
    pub walks: u64,
    /// Acts in them.
    pub acts: u64,
    /// Members that ended.
    pub ended: u64,
    /// Walks at whose end somebody alive held the message: all alive did.
    pub reached: u64,
    marks: [u64; NAMES.len()],
}

impl Tally {
    /// How often something was seen.
    pub fn seen(&self, mark: Mark) -> u64 {
        self.marks[mark as usize]
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            walks,
            acts,
            ended,
            reached,
            ..
        } = self;
        write!(
            f,
            "{walks} walks, {acts} acts, {ended} members ended, {reached} reached everybody alive;"
        )?;
        for (name, count) in NAMES.iter().zip(self.marks) {
            write!(f, " {name} {count};")?;
        }
        Ok(())
    }
}

/// How one walk goes.
struct Plan {
    scope: Scope,
    begin: World,
    /// How eager each lane is, and each member's clock.
    lanes: [u32; 64],
    /// How likely each fault is beside all else, in a thousand.
    faulty: u32,
}

/// Walks once: four to seven members, one or two holders to find, one chain or two; who crashes or
/// hangs, how many connections break, how often members are hasty and which lanes are slow follows
/// from the seed.
///
/// # Errors
/// The first law that is broken, after the shortest walk that still breaks one.
pub fn walk(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut lots = Lots::of(seed, 1);
    let mut plan = plan(&mut lots, tally);
    let begin = plan.begin.clone();
    let mut world = begin.clone();
    let mut taken = Vec::new();
    let mut acts = Vec::new();
    while taken.len() < FAULTY + PLAIN {
        acts.clear();
        plan.scope.acts(&world, &mut acts);
        if taken.len() >= FAULTY {
            acts.retain(|act| plan.scope.helps(act));
            plan.lanes = [1; 64];
        }
        let Some(act) = plan.pick(&acts, &mut lots) else {
            break;
        };
        taken.push(act);
        let Some(next) = plan.scope.next(&world, &act) else {
            break;
        };
        world = next;
        for (at, count) in tally.marks.iter_mut().enumerate() {
            *count += u64::from(world.marks() >> at & 1);
        }
        if plan.scope.check(&world).is_err() {
            break;
        }
    }
    tally.walks += 1;
    tally.acts += taken.len() as u64;
    tally.ended += u64::from(world.ended());
    tally.reached += u64::from(world.lacking() == 0);
    judge(&plan.scope, &world).map_err(|why| {
        let shortest = shortest(&plan.scope, &begin, taken);
        let Scope {
            members,
            custodians,
            both,
            wary,
            ..
        } = plan.scope;
        let which = format!("{members} members, k = {custodians}, both: {both}, wary: {wary}");
        format!("walk {seed}, {which}: {why}; the shortest: {begin:?}\n{shortest:#?}")
    })
}

fn judge(scope: &Scope, world: &World) -> Result<(), String> {
    scope.check(world).map_err(|broken| broken.to_string())?;
    if scope.goal(world) {
        Ok(())
    } else {
        Err(format!("{} members are left out", world.lacking()))
    }
}

/// What follows from the seed; scopes of the same form share their machines.
fn plan(lots: &mut Lots, tally: &mut Tally) -> Plan {
    let members = 4 + lots.below(4);
    let form = lots.below(64);
    let is = |bit: u32| form >> bit & 1 != 0;
    let ends = lots.below(members.min(5));
    let faults = Faults {
        ends: u8::try_from(ends).unwrap_or(0),
        crash: true,
        hang: is(3) && lots.below(2) > 0,
        breaks: u8::try_from(lots.below(5)).unwrap_or(0) * u8::from(is(4)),
        hasty: u8::try_from(lots.below(5)).unwrap_or(0) * u8::from(is(5)),
    };
    let key = u16::try_from(members * 64 + form % 8 + u32::from(faults.hang) * 8).unwrap_or(0);
    let kept = tally.scopes.values();
    let kept = kept.map(|(scope, _)| scope.table.lock().len());
    if kept.sum::<usize>() > KEPT {
        tally.scopes.clear();
    }
    let fresh = || {
        let members = u8::try_from(members).unwrap_or(7);
        let mut scope = Scope::quiet(members, if is(0) { 2 } else { 1 }).with(faults);
        scope.both = is(1);
        scope.wary = is(2);
        let begins = scope.init();
        (scope, begins)
    };
    let (scope, begins) = tally.scopes.entry(key).or_insert_with(fresh);
    let first = lots.below(u32::try_from(begins.len()).unwrap_or(1));
    let mut begin = begins[first as usize].clone();
    begin.allow(faults);
    let eager = [0, 1, 1, 6, 30];
    let lanes = core::array::from_fn(|_| eager[lots.below(5) as usize]);
    Plan {
        scope: scope.clone(),
        begin,
        lanes,
        faulty: [2, 20, 100, 300][lots.below(4) as usize],
    }
}

impl Plan {
    fn pick(&self, acts: &[Act], lots: &mut Lots) -> Option<Act> {
        let (plain, faults): (Vec<Act>, Vec<Act>) =
            acts.iter().partition(|act| self.scope.helps(act));
        let hit = lots.happens(self.faulty) || plain.is_empty();
        if hit && !faults.is_empty() {
            let at = lots.below(u32::try_from(faults.len()).unwrap_or(u32::MAX));
            return faults.get(at as usize).copied();
        }
        let eager = |act: &Act| match *act {
            Act::Arrive(from, to) => self.lanes[usize::from(from * 8 + to)],
            Act::Tick(place) => self.lanes[usize::from(place * 9)],
            Act::Mend(a, b) => self.lanes[usize::from(b * 8 + a)],
            _ => 0,
        };
        let sum: u32 = plain.iter().map(eager).sum();
        if sum == 0 {
            let at = lots.below(u32::try_from(plain.len()).unwrap_or(u32::MAX));
            return plain.get(at as usize).copied();
        }
        let mut at = lots.below(sum);
        plain.into_iter().find(|act| {
            let weight = eager(act);
            let found = at < weight;
            at = at.saturating_sub(weight);
            found
        })
    }
}

/// The acts of a walk, those that can be taken, and then without faults to its end; where that
/// leads to.
fn again(scope: &Scope, begin: &World, acts: &[Act]) -> World {
    let mut world = begin.clone();
    let mut open = Vec::new();
    let mut enabled = |world: &World| {
        open.clear();
        scope.acts(world, &mut open);
        open.clone()
    };
    for act in acts {
        if scope.check(&world).is_err() {
            return world;
        }
        if enabled(&world).contains(act) {
            world = scope.next(&world, act).unwrap_or(world);
        }
    }
    let mut lots = Lots::new(1);
    for _ in 0..PLAIN {
        let mut open = enabled(&world);
        open.retain(|act| scope.helps(act));
        let at = lots.below(u32::try_from(open.len()).unwrap_or(u32::MAX));
        let next = open.get(at as usize).copied();
        let Some(next) = next.filter(|_| scope.check(&world).is_ok()) else {
            break;
        };
        world = scope.next(&world, &next).unwrap_or(world);
    }
    world
}

/// Leaves out acts as long as a law is broken.
fn shortest(scope: &Scope, begin: &World, mut acts: Vec<Act>) -> Vec<Act> {
    let mut size = acts.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < acts.len() {
            let end = (at + size).min(acts.len());
            let less: Vec<Act> = acts[..at].iter().chain(&acts[end..]).copied().collect();
            if judge(scope, &again(scope, begin, &less)).is_err() {
                acts = less;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    acts
}
