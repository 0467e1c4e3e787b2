//! Makes a failing script shorter while it still fails.

use super::Script;

/// A script on its way to the shortest that still fails: runs of events are dropped, long ones
/// first, and before that all that connections suffer.
///
/// After each [`current`](Self::current), say [`simplify`](Self::simplify) when it fails still, else
/// [`complicate`](Self::complicate); either is `false` when there is nothing left to try.
#[derive(Clone, Debug)]
pub struct Shrink {
    kept: Script,
    tried: Option<Script>,
    chunk: usize,
    at: usize,
    /// Whether the script without sufferings was tried, and whether it is what is tried now.
    calmed: bool,
    calming: bool,
}

impl Shrink {
    /// Begins with a script that fails.
    pub fn new(failing: Script) -> Self {
        Self {
            chunk: failing.events.len().div_ceil(2),
            at: 0,
            tried: None,
            calmed: false,
            calming: false,
            kept: failing,
        }
    }

    /// The script to try now.
    pub fn current(&self) -> &Script {
        self.tried.as_ref().unwrap_or(&self.kept)
    }

    /// The current one fails: a shorter one is next.
    pub fn simplify(&mut self) -> bool {
        if let Some(tried) = self.tried.take() {
            self.kept = tried;
            self.calming = false;
        }
        self.advance()
    }

    /// The current one does not fail: what was dropped last matters and stays.
    pub fn complicate(&mut self) -> bool {
        if self.tried.take().is_some() && !core::mem::take(&mut self.calming) {
            self.at += self.chunk;
        }
        self.advance()
    }

    fn advance(&mut self) -> bool {
        if !core::mem::replace(&mut self.calmed, true) {
            let harmless = self.kept.harmless();
            if harmless != self.kept {
                self.calming = true;
                self.tried = Some(harmless);
                return true;
            }
        }
        while self.chunk > 0 {
            if self.at < self.kept.events.len() {
                let shorter = self.kept.without(self.at..self.at + self.chunk);
                self.tried = Some(shorter);
                return true;
            }
            self.at = 0;
            self.chunk /= 2;
        }
        false
    }
}

/// The shortest script that still fails, and how many were tried.
pub fn shortest(failing: Script, mut fails: impl FnMut(&Script) -> bool) -> (Script, u32) {
    let mut shrink = Shrink::new(failing);
    let mut tries = 0;
    let mut more = shrink.simplify();
    while more {
        tries += 1;
        more = if fails(shrink.current()) {
            shrink.simplify()
        } else {
            shrink.complicate()
        };
    }
    (shrink.kept, tries)
}

#[cfg(test)]
mod tests {
    use samanea_core::base::Seeded;

    use super::*;
    use crate::scripts::{Doing, Flavour};

    #[test]
    fn a_script_shrinks_to_what_matters() {
        let mut shrunk = 0;
        for seed in 0..20 {
            let script = Script::draw(&mut Seeded::new(seed), Flavour::Normal, 6, 60);
            let works = |script: &Script| {
                let works = |doing| matches!(doing, Doing::WorkInbound(_));
                script.events.iter().any(|event| works(event.doing))
            };
            if !works(&script) {
                continue;
            }
            shrunk += 1;
            let (smallest, tries) = shortest(script, works);
            assert!(smallest.is_well_formed() && tries < 1_000);
            assert_eq!(smallest.events.len(), 3, "start, connect, work");
            assert!(smallest.suffers.iter().all(Vec::is_empty));
        }
        assert!(shrunk > 10);
    }

    #[test]
    fn what_connections_suffer_stays_when_it_matters() {
        let script = (0..100)
            .map(|seed| Script::draw(&mut Seeded::new(seed), Flavour::Normal, 6, 20))
            .find(|script| script.harmless() != *script)
            .unwrap();
        let suffers = |script: &Script| script.harmless() != *script;
        let (smallest, _) = shortest(script, suffers);
        assert!(smallest.events.is_empty() && suffers(&smallest));
    }
}
