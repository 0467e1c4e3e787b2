//! Families of scopes, and what each must show.

use super::{Faults, Mark, Scope, Table, locals::Locals};

/// No faults.
const NONE: Faults = Faults {
    ends: 0,
    crash: false,
    hang: false,
    breaks: 0,
    hasty: 0,
};

/// So many members crash, and are reported.
const fn crashes(ends: u8) -> Faults {
    let crash = true;
    Faults {
        ends,
        crash,
        ..NONE
    }
}

impl Scope {
    /// The families of these scopes; a scope is called after its family, how many members it has
    /// and how many holders a chain finds, with dashes between: `crashes-4-2`.
    pub const NAMES: [&'static str; 10] = [
        "batches",
        "both",
        "breaks",
        "crash",
        "crashes",
        "everything",
        "hangs",
        "hasty",
        "publishes",
        "unwary",
    ];

    /// One of these scopes, by its name.
    pub fn named(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let family = parts.next()?;
        let mut number = || parts.next()?.parse::<u8>().ok();
        let (members, custodians) = (number()?, number()?);
        if !(2..=7).contains(&members) || custodians == 0 || parts.next().is_some() {
            return None;
        }
        Self::of(family, members, custodians)
    }

    /// A scope of a family.
    pub fn of(family: &str, members: u8, custodians: u8) -> Option<Self> {
        let quiet = Self::quiet(members, custodians);
        Some(match family {
            // One member crashes, or two.
            "crash" => quiet.with(crashes(1)),
            "crashes" => quiet.with(crashes(2)),
            // Two members crash or hang.
            "hangs" => quiet.with(Faults {
                hang: true,
                ..crashes(2)
            }),
            // Two connections break, and a member crashes.
            "breaks" => quiet.with(Faults {
                breaks: 2,
                ..crashes(1)
            }),
            // Twice somebody is hasty, and two members crash.
            "hasty" => quiet.with(Faults {
                hasty: 2,
                ..crashes(2)
            }),
            // A member crashes or hangs, a connection breaks, and somebody is hasty.
            "everything" => quiet.with(Faults {
                hang: true,
                breaks: 1,
                hasty: 1,
                ..crashes(1)
            }),
            // Both chains, and two members crash.
            "both" => Self {
                both: true,
                ..quiet.with(crashes(2))
            },
            // Questions are collected; a connection breaks, and a member crashes.
            "batches" => Self {
                batches: true,
                ..quiet.with(Faults {
                    breaks: 1,
                    ..crashes(1)
                })
            },
            // One member publishes; a connection breaks, and two members crash.
            "publishes" => Self {
                published: true,
                ..quiet.with(Faults {
                    breaks: 1,
                    ..crashes(2)
                })
            },
            // Silence is soon forgotten, and who is down is dialled; a connection breaks, and a
            // member crashes.
            "unwary" => Self {
                wary: false,
                ..quiet.with(Faults {
                    breaks: 1,
                    ..crashes(1)
                })
            },
            _ => return None,
        })
    }

    /// So many members whose chains find so many holders, without any fault.
    pub fn quiet(members: u8, custodians: u8) -> Self {
        let members = members.clamp(2, 7);
        Self {
            members,
            custodians,
            both: false,
            published: false,
            batches: false,
            wary: true,
            faults: NONE,
            beyond: false,
            without: None,
            wanted: vec![Mark::ByChain],
            table: Table::new(Locals::new(members, false)),
        }
    }

    /// The same with faults.
    #[must_use]
    pub fn with(mut self, faults: Faults) -> Self {
        let all = members_that(faults);
        self.wanted.extend(all);
        self.faults = faults;
        self.table = Table::new(Locals::new(self.members, faults.hang));
        self
    }

    /// The same without a rule, and without anything that must be seen.
    #[must_use]
    pub fn without(mut self, rule: super::Rule) -> Self {
        self.without = Some(rule);
        self.wanted = Vec::new();
        self.table = Table::new(Locals::new(self.members, self.faults.hang));
        self
    }
}

/// What must be seen with such faults.
fn members_that(faults: Faults) -> Vec<Mark> {
    let mut all = Vec::new();
    if faults.crash && faults.ends > 0 {
        all.extend([Mark::ReArmed, Mark::Waits, Mark::AskedInTurn, Mark::ToldNo]);
    }
    if faults.hang {
        all.push(Mark::GivenUp);
    }
    if faults.breaks > 0 {
        all.push(Mark::AskedPassed);
    }
    if faults.breaks > 0 || faults.hasty > 0 {
        all.push(Mark::ServedLate);
    }
    all
}
