//! Laws that are held after every step.

use core::{net::SocketAddr, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use samanea_core::{
    base::{Class, Instant},
    governor::{Action, Config, Event, Explanation, Notice, Source, Status, Trace},
    proto::handshake::Mode,
};

use super::{
    aims::Aims,
    laws::Law,
    picture::Picture,
    run::Report,
    scenario::{Extras, Flavour, Scenario},
    settled::base_is_zero,
    taken::{acted_on, aims, overshoot, shared},
    trusted::is_sensitive,
    world::World,
};

/// Watches single steps.
pub(super) struct Safety {
    config: Config,
    flavour: Flavour,
    extras: Extras,
    /// Who was asked for addresses and has neither answered nor been given up.
    asked: Vec<(SocketAddr, Instant)>,
    told: Option<(Instant, Vec<SocketAddr>)>,
    churn: Aims,
    locals: BTreeSet<SocketAddr>,
    /// Who broke rules: how often, and until when it is left alone.
    held: BTreeMap<SocketAddr, (u32, Instant)>,
}

impl Safety {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            config: super::run::config(scenario),
            flavour: scenario.flavour,
            extras: scenario.extras,
            asked: Vec::new(),
            told: None,
            churn: Aims::default(),
            locals: BTreeSet::new(),
            held: BTreeMap::new(),
        }
    }

    /// After a restart: only what is held against peers goes on.
    pub(super) fn again(&mut self, scenario: &Scenario) {
        let held = core::mem::take(&mut self.held);
        *self = Self {
            held,
            ..Self::new(scenario)
        };
    }

    pub(super) fn stepped(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        event: &Event,
        actions: &[Action],
        before: &Picture,
        after: &Picture,
    ) {
        if let Event::Shared { peer, .. } | Event::Cooling { peer, .. } | Event::Cold { peer, .. } =
            event
        {
            self.asked.retain(|(asked, _)| asked != peer);
        }
        if !matches!(event, Event::Asked { .. }) {
            self.told = None;
        }
        left(report, event, before);
        self.churn.stepped(&self.config, world, event);
        sane(report, &self.config, world, after);
        self.known(report, world, event, before, after);
        self.forgotten(report, event, actions, before, after);
        shared(report, world, event, actions, before, after);
        self.failed(report, event, actions, before, after);
        overshoot(report, actions, before, after);
        acted_on(report, actions, before, after);
        for action in actions {
            report.seen.case(Law::Output, 1);
            match action {
                Action::Establish { peer, mode, dial } => {
                    Self::establish(report, world, after, peer, *mode, *dial);
                    self.held_off(report, after, peer);
                }
                Action::AskPeers { peer, amount } => {
                    self.ask(report, world, before, after, peer, *amount);
                }
                Action::TellPeers { peers, .. } => {
                    self.tell(report, event, before, peers);
                }
                Action::Notice(Notice::Trace(trace)) => {
                    self.trace(report, world, event, trace, before);
                }
                Action::Close { peer } => self.asked.retain(|(asked, _)| asked != peer),
                Action::Activate { .. }
                | Action::Deactivate { .. }
                | Action::Sample { .. }
                | Action::Resolve { .. }
                | Action::WantLedger
                | Action::Notice(_) => {}
            }
        }
    }

    /// Who is known was told of, and as what.
    fn known(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        event: &Event,
        before: &Picture,
        after: &Picture,
    ) {
        let sensitive = is_sensitive(&self.config, world);
        if sensitive {
            self.churn.interrupted();
        }
        for (addr, peer) in &after.peers {
            if peer.source == Source::Local {
                self.locals.insert(*addr);
            }
            let old = before.peers.get(addr);
            if old.is_some_and(|old| old.source == peer.source) {
                continue;
            }
            let is_revealed = world.revealed.contains(addr);
            report.holds(Law::Revealed, is_revealed, || {
                format!("{addr} is known as {:?} by {event:?}", peer.source)
            });
            match peer.source {
                Source::Big => report.holds(Law::BigRevealed, world.big.contains(addr), || {
                    format!("{addr} was never a big ledger peer")
                }),
                Source::Bootstrap => {
                    let named = world.bootstrap.contains(addr);
                    report.holds(Law::NoBootstrap, sensitive && named, || {
                        format!("{addr} becomes a bootstrap peer at {event:?}")
                    });
                }
                Source::NonRoot if self.flavour == Flavour::Local => {
                    let was = self.locals.contains(addr) || world.said.kept.contains(addr);
                    report.holds(Law::LocalOnly, was || restored(event), || {
                        format!("{addr} is known by {event:?}")
                    });
                }
                Source::Local
                | Source::Config
                | Source::Ledger
                | Source::NonRoot
                | Source::Member => {}
            }
            if self.flavour == Flavour::Local {
                let local = matches!(peer.source, Source::Local | Source::NonRoot);
                report.holds(Law::LocalOnly, local, || {
                    format!("{addr} is known as {:?}", peer.source)
                });
            }
        }
    }

    /// Nobody is forgotten below the target, roots never for their failures.
    fn forgotten(
        &self,
        report: &mut Report<'_>,
        event: &Event,
        actions: &[Action],
        before: &Picture,
        after: &Picture,
    ) {
        let aims = aims(actions, before, after);
        for action in actions {
            let Action::Notice(Notice::Trace(Trace::Forgotten { peer, source })) = action else {
                continue;
            };
            let (law, have, want) = if *source == Source::Big {
                let want = aims.iter().map(|targets| targets.known_big).min();
                (Law::BigNotBelow, after.counters.big.known, want)
            } else {
                let want = aims.iter().map(|targets| targets.known).min();
                (Law::NotBelow, after.counters.ordinary.known, want)
            };
            let want = want.unwrap_or(0);
            let again = after.peers.contains_key(peer);
            report.holds(law, have >= want || again, || {
                format!("{peer} ({source:?}) is forgotten: {have} of {want} are left")
            });
        }
        let failure = match event {
            Event::NotEstablished { peer, failure } => Some((peer, *failure)),
            Event::Cold { peer, failure } | Event::Cooling { peer, failure } => {
                failure.map(|failure| (peer, failure))
            }
            _ => None,
        };
        let Some((peer, failure)) = failure else {
            return;
        };
        let Some(old) = before.peers.get(peer) else {
            return;
        };
        let gone = !after.peers.contains_key(peer);
        let is_forgotten_as_surplus = actions.iter().any(|action| {
            matches!(action, Action::Notice(Notice::Trace(Trace::Forgotten { peer: p, .. })) if p == peer)
        });
        let root = matches!(
            old.source,
            Source::Local | Source::Config | Source::Bootstrap
        );
        match failure.class {
            Class::Adversarial => {
                report.seen.mark("offence");
                let local = |peer: &Explanation| peer.source == Source::Local;
                if !local(old) && !after.peers.get(peer).is_some_and(local) {
                    report.holds(Law::Forgetting, gone, || {
                        format!(
                            "{peer} broke a rule and is {:?} still",
                            after.peers.get(peer)
                        )
                    });
                }
            }
            Class::Network | Class::Internal => {
                let over = old.failures >= self.config.back_off.failures_max;
                let fair = !gone || is_forgotten_as_surplus || (over && !root);
                report.holds(Law::Forgetting, fair, || {
                    format!(
                        "{peer} is forgotten after {} failures: {old:?}",
                        old.failures
                    )
                });
                if gone && !is_forgotten_as_surplus {
                    report.seen.mark("forgotten after too many failures");
                }
            }
        }
    }

    /// What failures cost.
    fn failed(
        &self,
        report: &mut Report<'_>,
        event: &Event,
        actions: &[Action],
        before: &Picture,
        after: &Picture,
    ) {
        let Event::NotEstablished { peer, failure } = event else {
            return;
        };
        let (Some(old), Some(new)) = (before.peers.get(peer), after.peers.get(peer)) else {
            return;
        };
        if failure.class == Class::Internal {
            report.holds(Law::Forgetting, new.failures <= old.failures, || {
                format!("{peer} is blamed for a fault of our own")
            });
        }
        if failure.class != Class::Network || old.kept || self.extras == Extras::On {
            return;
        }
        let told = actions.iter().find_map(|action| match action {
            Action::Notice(Notice::Trace(Trace::PromoteColdFailed {
                peer: p,
                delay,
                forgotten,
                ..
            })) if p == peer => Some((*delay, *forgotten)),
            _ => None,
        });
        let surplus = actions.iter().any(|action| {
            let Action::Notice(Notice::Trace(Trace::Forgotten { peer: p, .. })) = action else {
                return false;
            };
            p == peer
        });
        if surplus || told.is_some_and(|(_, forgotten)| forgotten) {
            report.seen.mark("a forgotten peer is back at once");
            return;
        }
        let delay = told.map(|(delay, _)| delay);
        report.holds(
            Law::BackOff,
            new.failures == old.failures.saturating_add(1) || old.failures == u8::MAX,
            || {
                format!(
                    "{peer} had {} failures and has {}",
                    old.failures, new.failures
                )
            },
        );
        let config = &self.config.back_off;
        let doublings = new.failures.saturating_sub(1).min(config.doublings_max);
        let mean = config.base * (1 << doublings);
        let fits = delay.is_some_and(|delay| {
            let asked = failure.delay.unwrap_or_default();
            let fuzz = config.fuzz + Duration::from_millis(1);
            delay.abs_diff(mean) <= fuzz || (asked > mean && delay >= asked)
        });
        report.holds(Law::BackOff, fits, || {
            format!("{peer} waits {delay:?} after {} failures", new.failures)
        });
    }

    fn establish(
        report: &mut Report<'_>,
        world: &World<'_>,
        after: &Picture,
        peer: &SocketAddr,
        mode: Mode,
        dial: bool,
    ) {
        let Some(explained) = after.peers.get(peer) else {
            report.breach(Law::Orders, format!("{peer} is unknown and established"));
            return;
        };
        report.holds(Law::Orders, explained.status == Status::Connecting, || {
            format!("{peer} is being established and {:?}", explained.status)
        });
        let traits: Vec<_> = world
            .said
            .topology
            .local
            .iter()
            .filter(|group| {
                let mut points = group.access_points.iter();
                points.any(|relay| world.behind(relay).contains(peer))
            })
            .map(|group| group.traits)
            .collect();
        if explained.source != Source::Local || explained.kept || traits.is_empty() {
            let plain = dial && mode == Mode::InitiatorAndResponder;
            report.holds(
                Law::Mode,
                plain || explained.kept || !traits.is_empty(),
                || format!("{peer} is offered {mode:?}, dialled: {dial}"),
            );
            return;
        }
        if traits.iter().all(|traits| traits.behind_firewall) {
            report.holds(Law::Firewall, !dial, || {
                format!("{peer} is behind a firewall and dialled")
            });
        } else if traits.iter().all(|traits| !traits.behind_firewall) {
            report.holds(Law::Mode, dial, || format!("{peer} is not dialled"));
        }
        let modes = traits.iter().any(|traits| traits.mode == mode);
        if mode == Mode::InitiatorOnly {
            report.seen.mark("a local root is offered one direction");
        }
        report.holds(Law::Mode, modes, || format!("{peer} is offered {mode:?}"));
    }

    /// Who broke a rule is left alone for its time, unless it is kept by command.
    fn held_off(&self, report: &mut Report<'_>, after: &Picture, peer: &SocketAddr) {
        let kept = after.peers.get(peer).is_some_and(|peer| peer.kept);
        if let Some((_, until)) = self.held.get(peer)
            && !kept
        {
            report.holds(Law::HeldOff, *until <= report.now, || {
                format!("{peer} is to be left alone until {until}")
            });
        }
    }

    /// Each offence doubles the time for which a peer is left alone; none is forgiven so soon.
    fn offence(&mut self, report: &mut Report<'_>, peer: &SocketAddr, hold_off: Duration) {
        let rules = &self.config.back_off;
        let (count, until) = self.held.entry(*peer).or_default();
        let least = rules.hold_off * (1 << *count).min(1 << 16);
        let least = least.min(rules.hold_off_max);
        *count += 1;
        *until = report.now.after(hold_off).max(*until);
        let nth = *count;
        report.holds(Law::HeldOff, hold_off >= least, || {
            format!("{peer} is left alone for {hold_off:?} after {nth} offences")
        });
    }

    fn ask(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        before: &Picture,
        after: &Picture,
        peer: &SocketAddr,
        amount: u8,
    ) {
        let share = &self.config.share;
        let now = report.now;
        let on = self.config.sharing;
        let explained = after.peers.get(peer);
        let agreed = on && explained.is_some_and(|peer| peer.sharing == Some(true));
        report.holds(Law::SharingAgreed, agreed, || {
            format!("{peer} is asked and does not share: {explained:?}")
        });
        if let Some(line) = world.line(peer) {
            let last = line.asked.map(|asked| now.since(asked));
            report.holds(
                Law::Chatty,
                last.is_none_or(|last| last >= share.retry),
                || format!("{peer} is asked again after {last:?}"),
            );
            report.holds(Law::Chatty, now.since(line.since) >= share.first, || {
                format!("{peer} is asked as soon as it is connected")
            });
        }
        self.asked.retain(|(_, at)| now.since(*at) < share.overall);
        self.asked.push((*peer, now));
        let many = self.asked.len();
        report.holds(Law::Chatty, many <= share.outstanding_max, || {
            format!("{many} are asked at a time")
        });
        report.holds(Law::Chatty, amount >= share.amount_min, || {
            format!("{peer} is asked for {amount}")
        });
        let wanted = before
            .counters
            .ordinary
            .known
            .min(after.counters.ordinary.known);
        report.holds(
            Law::Chatty,
            wanted < after.targets.known.max(before.targets.known),
            || format!("{peer} is asked, and {wanted} are known"),
        );
    }

    /// Only who may be told to others is, and all hear the same.
    fn tell(
        &mut self,
        report: &mut Report<'_>,
        event: &Event,
        before: &Picture,
        peers: &[SocketAddr],
    ) {
        let Event::Asked { amount, .. } = event else {
            report.breach(Law::Shareable, format!("{peers:?} are told unasked"));
            return;
        };
        let max = usize::from(self.config.share.reply_max.min(*amount));
        report.holds(Law::Shareable, peers.len() <= max, || {
            format!("{} are told, {max} asked for", peers.len())
        });
        for peer in peers {
            let fit = before
                .peers
                .get(peer)
                .is_some_and(|peer| peer.advertise && peer.reached && peer.failures == 0);
            report.holds(Law::Shareable, fit && self.config.sharing, || {
                format!("{peer} is told: {:?}", before.peers.get(peer))
            });
        }
        if !peers.is_empty() {
            report.seen.mark("addresses are told");
        }
        if let Some((at, earlier)) = &self.told
            && *at == report.now
        {
            let same = earlier.iter().all(|peer| peers.contains(peer));
            let (few, many) = (earlier.clone(), peers.to_vec());
            report.holds(Law::Shareable, same || few.len() > many.len(), || {
                format!("one hears {few:?} and another {many:?}")
            });
        }
        self.told = Some((report.now, peers.to_vec()));
    }

    fn trace(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        event: &Event,
        trace: &Trace,
        before: &Picture,
    ) {
        match trace {
            Trace::Asynchronous { peer, delay, .. } => {
                let raw = match event {
                    Event::Deactivated { delay, .. } => *delay,
                    Event::Cold { failure, .. } => failure.and_then(|failure| failure.delay),
                    _ => None,
                };
                if let Some(raw) = raw
                    && before.peers.get(peer).is_some_and(|p| !p.kept)
                    && *delay > Duration::ZERO
                {
                    report.holds(Law::Fuzz, *delay > raw, || {
                        format!("the peer asked for {raw:?} and got {delay:?}")
                    });
                }
            }
            Trace::ChurnStep { step, targets } => {
                let config = &self.config;
                self.churn.began(report, config, world, *step, targets);
            }
            Trace::ChurnDone {
                step,
                timeout: true,
                ..
            } => {
                report.seen.mark("a step of the churn took too long");
                // Fewer known peers, too: but those that are connected cannot be forgotten.
                if [1, 3, 7, 9].contains(step) {
                    report.seen.mark("a step downwards took too long");
                }
            }
            Trace::TargetsChanged { .. } => {
                let (config, sensitive) = (&self.config, is_sensitive(&self.config, world));
                self.churn.changed(report, config, world, trace, sensitive);
            }
            Trace::Offence { peer, hold_off } => self.offence(report, peer, *hold_off),
            Trace::Inbound { .. } => report.seen.mark("inbound peers are taken"),
            Trace::Outage(true) => report.seen.mark("an outage is noticed"),
            Trace::OnlyTrusted => report.seen.mark("only trusted peers are left"),
            Trace::DemoteFailed { .. } => report.seen.mark("a demotion fails"),
            Trace::ShareTimeout { .. } => report.seen.mark("a peer does not answer"),
            Trace::ShareResult { taken: 0, .. } => report.seen.mark("an answer adds nobody"),
            Trace::ShareResult { .. } => report.seen.mark("an answer adds somebody"),
            Trace::RootsFailure { .. } => report.seen.mark("roots cannot be had"),
            Trace::Forgotten { source, .. } => {
                let cold = before.count(|peer| peer.source == *source);
                if cold > 0 {
                    report.seen.mark("a surplus peer is forgotten");
                }
            }
            _ => {}
        }
    }
}

/// Notes what a peer was on the way to when its connection ended by itself.
fn left(report: &mut Report<'_>, event: &Event, before: &Picture) {
    let (Event::Cooling {
        peer,
        failure: Some(_),
    }
    | Event::Cold {
        peer,
        failure: Some(_),
    }) = event
    else {
        return;
    };
    let what = match before.peers.get(peer).map(|peer| peer.status) {
        Some(Status::Activating) => "a peer leaves while it is made hot",
        Some(Status::Deactivating) => "a peer leaves while it is made warm",
        Some(Status::Warm | Status::WarmWaiting) => "a warm peer leaves",
        Some(Status::Hot) => "a hot peer leaves",
        _ => return,
    };
    report.seen.mark(what);
}

fn restored(event: &Event) -> bool {
    matches!(event, Event::Restore(_))
}

/// What is told is what is counted, and targets are sane.
fn sane(report: &mut Report<'_>, config: &Config, world: &World<'_>, after: &Picture) {
    let anew = after.recount();
    report.holds(Law::Counters, anew == after.counters, || {
        format!("counted {anew:?}, kept {:?}", after.counters)
    });
    let sane = after.targets.check().is_ok();
    report.holds(Law::Invariants, sane, || {
        format!("targets are not sane: {:?}", after.targets)
    });
    let few = after.counters.local.known <= after.targets.known;
    let kept = after.count(|peer| peer.kept);
    let all = kept > 0 || base_is_zero(config, world);
    report.holds(Law::Invariants, few || all, || {
        let local = after.counters.local.known;
        format!("{local} local roots of {} known", after.targets.known)
    });
}
