//! The one generator of what happens to a world: legal moves and a quota of hostile ones.

use core::time::Duration;

use bytes::Bytes;
use samanea_core::{
    base::{Choice, Instant, ListenerId, Serial, Ticket, Tip},
    chain::{Answer, Verdict},
    conn::Cause,
    node::{Command, Event},
};

use super::{
    AcceptTrouble, Attenuation, Breach, Broken, Roughness, Subject, World, address,
    link::{LinkId, Piece, Side, Spoil},
    stranger,
};
use crate::{hostile, tape::site, toy};

/// What happens to a world from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The next happenings, this many.
    Steps(u32),
    /// Time passes.
    Pass(Duration),
    /// A host makes blocks on its own tip.
    Extend {
        /// Who.
        host: usize,
        /// How many.
        blocks: usize,
        /// Makes siblings differ.
        salt: u64,
    },
    /// A host has a transaction to give away.
    Submit {
        /// Who.
        host: usize,
        /// Makes it differ.
        salt: u64,
        /// How large.
        bytes: usize,
    },
    /// An order of the application.
    Command {
        /// Who.
        host: usize,
        /// What.
        command: Command,
    },
    /// What no honest world does.
    Hostile(Hostility),
}

/// What no honest world does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hostility {
    /// Both ends are told that the link is reset.
    Reset(LinkId),
    /// From now on nothing arrives in this direction, and nobody is told.
    Hole(LinkId, Side),
    /// The next packet from this side is spoilt.
    Spoil(LinkId, Side, Spoil),
    /// A stranger dials.
    StrangerDials(usize),
    /// A stranger says something.
    StrangerWrites(LinkId, Side, Bytes),
    /// A stranger hangs up.
    StrangerCloses(LinkId, Side, bool),
    /// A host is gone at once.
    Crash(usize),
    /// It comes back, with what its application kept.
    Restart(usize),
    /// The application of a host fails to judge a few times.
    Fails(usize),
    /// The driver of a host tells something about a connection that is gone or never was.
    Stale(usize, Serial, u32),
    /// Accepting fails once, on the first or second listener.
    AcceptFails(usize, ListenerId, AcceptTrouble),
    /// The power of a host goes off: nobody is told.
    PowerOff(usize),
}

/// How many of a thousand transitions are hostile.
pub const HOSTILE_OF_1000: u32 = 250;

impl Transition {
    /// Draws the next transition; hostile ones as often as `hostile_of_1000` says.
    pub fn draw<M: Subject>(
        world: &World<M>,
        choice: &mut dyn Choice,
        hostile_of_1000: u32,
    ) -> Self {
        // A tape reads one byte here; the first value of a spent tape is a legal step.
        let hostile = choice.below(site::TRANSITION, 0, 256) * 1_000 / 256;
        if hostile >= 1_000_u32.saturating_sub(hostile_of_1000) {
            return Hostility::draw(world, choice).map_or(Self::Steps(1), Self::Hostile);
        }
        let host = which(choice, world.hosts().len());
        match choice.below(site::TRANSITION, 1, 16) {
            0..=4 => Self::Steps(1 + choice.below(site::PAUSE, 0, 64)),
            5..=8 => Self::Pass(Duration::from_millis(u64::from(choice.below(
                site::PAUSE,
                1,
                1_000,
            )))),
            9 => Self::Pass(Duration::from_secs(u64::from(
                1 + choice.below(site::PAUSE, 2, 128),
            ))),
            10..=12 => Self::Extend {
                host,
                blocks: 1 + usize::try_from(choice.below(site::WHICH, 1, 8)).unwrap_or(0),
                salt: u64::from(choice.below(site::WHICH, 2, 4)),
            },
            13 => Self::Submit {
                host,
                salt: u64::from(choice.below(site::WHICH, 2, 256)),
                bytes: 1 + usize::try_from(choice.below(site::WHICH, 3, 4_096)).unwrap_or(0),
            },
            _ => Self::Command {
                host,
                command: command(world, choice),
            },
        }
    }
}

fn command<M: Subject>(world: &World<M>, choice: &mut dyn Choice) -> Command {
    let peer = match choice.below(site::WHICH, 4, 8) {
        0 => stranger::ADDRESS,
        _ => address(which(choice, world.hosts().len())),
    };
    match choice.below(site::TRANSITION, 2, 8) {
        0..=3 => Command::AddPeer(peer),
        4 | 5 => Command::RemovePeer(peer),
        6 => Command::AskPeers { amount: 8 },
        _ => Command::SampleTips { count: 3, slot: 0 },
    }
}

impl Hostility {
    /// Draws one that is possible now.
    fn draw<M: Subject>(world: &World<M>, choice: &mut dyn Choice) -> Option<Self> {
        let host = which(choice, world.hosts().len());
        let links = world.link_ids();
        let link = |choice: &mut dyn Choice| links.get(which(choice, links.len())).copied();
        let side = |choice: &mut dyn Choice| which(choice, 2);
        Some(match choice.below(site::TRANSITION, 3, 17) {
            0 => Self::Reset(link(choice)?),
            1 => Self::Hole(link(choice)?, side(choice)),
            2..=4 => Self::Spoil(link(choice)?, side(choice), spoil(choice)),
            5 | 6 => Self::StrangerDials(host),
            7..=9 => {
                let strangers = world.strangers();
                let (link, side) = *strangers.get(which(choice, strangers.len()))?;
                let bytes = hostile::bytes(choice, u32::from(side == 1));
                Self::StrangerWrites(link, side, bytes)
            }
            10 => {
                let strangers = world.strangers();
                let (link, side) = *strangers.get(which(choice, strangers.len()))?;
                Self::StrangerCloses(link, side, choice.below(site::WHICH, 5, 2) == 0)
            }
            11 => Self::Crash(host),
            12 => Self::Restart(host),
            13 => Self::Fails(host),
            14 => {
                let serial = Serial(u64::from(choice.below(site::WHICH, 6, 16)));
                Self::Stale(host, serial, choice.below(site::WHICH, 7, 6))
            }
            15 => {
                let listener = ListenerId(1 + choice.below(site::WHICH, 8, 2));
                let trouble = match choice.below(site::WHICH, 9, 8) {
                    0..=3 => AcceptTrouble::Aborted,
                    4..=6 => AcceptTrouble::Resources,
                    _ => AcceptTrouble::Fatal,
                };
                Self::AcceptFails(host, listener, trouble)
            }
            _ => Self::PowerOff(host),
        })
    }
}

fn spoil(choice: &mut dyn Choice) -> Spoil {
    match choice.below(site::SPOIL, 0, 8) {
        0 => Spoil::Drop,
        1 => Spoil::Twice,
        2 => Spoil::Cut {
            keep: choice.below(site::SPOIL, 1, 64),
        },
        _ => Spoil::Flip {
            at: choice.below(site::SPOIL, 1, 256),
            mask: u8::try_from(1 + choice.below(site::SPOIL, 2, 255)).unwrap_or(1),
        },
    }
}

fn which(choice: &mut dyn Choice, of: usize) -> usize {
    let of = u32::try_from(of).unwrap_or(u32::MAX);
    usize::try_from(choice.below(site::WHICH, 0, of)).unwrap_or(0)
}

impl<M: Subject> World<M> {
    /// Draws a transition from the world's own chance and applies it.
    pub fn disturb(&mut self, hostile_of_1000: u32) -> Result<Transition, Broken> {
        let mut choice: Box<dyn Choice> = Box::new(samanea_core::base::First);
        core::mem::swap(&mut choice, &mut self.choice);
        let transition = Transition::draw(self, &mut *choice, hostile_of_1000);
        self.choice = choice;
        self.apply(transition.clone())?;
        Ok(transition)
    }

    /// Applies a transition. One that names what is not there does nothing.
    pub fn apply(&mut self, transition: Transition) -> Result<(), Broken> {
        match transition {
            Transition::Steps(steps) => {
                for _ in 0..steps {
                    if !self.advance()? {
                        break;
                    }
                }
            }
            Transition::Pass(span) => self.run_until(self.now().after(span))?,
            Transition::Extend { host, blocks, salt } => {
                self.grow(host, blocks, salt);
            }
            Transition::Submit { host, salt, bytes } => self.submit(host, salt, bytes),
            Transition::Command { host, command } => self.command(host, command),
            Transition::Hostile(hostility) => self.suffer(hostility)?,
        }
        Ok(())
    }

    /// A host makes blocks on its own tip; returns the new end of its chain.
    pub fn grow(&mut self, host: usize, blocks: usize, salt: u64) -> Tip {
        let body_bytes = self.options().body_bytes;
        let tip = self
            .hosts()
            .get(host)
            .map_or(Tip::ORIGIN, |h| h.application.tip);
        let made = toy::chain(tip, blocks, salt, body_bytes);
        let end = made.last().map_or(tip, toy::Block::tip);
        for block in made {
            self.extend(host, block);
        }
        end
    }

    fn suffer(&mut self, hostility: Hostility) -> Result<(), Broken> {
        match hostility {
            Hostility::Reset(link) => {
                self.arrive(link, 0, Piece::Reset);
                self.arrive(link, 1, Piece::Reset);
            }
            Hostility::Hole(link, side) => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.lanes[side].hole = true;
                }
            }
            Hostility::Spoil(link, side, spoil) => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.lanes[side].spoil = Some(spoil);
                }
            }
            Hostility::StrangerDials(host) => {
                self.stranger_dials(host);
            }
            Hostility::StrangerWrites(link, side, bytes) => {
                self.stranger_writes(link, side, bytes);
            }
            Hostility::StrangerCloses(link, side, reset) => {
                self.stranger_closes(link, side, reset);
            }
            Hostility::Crash(host) => self.stop(host),
            Hostility::Restart(host) => self.start(host)?,
            Hostility::Fails(host) => {
                if let Some(host) = self.hosts.get_mut(host) {
                    host.application.failing = 2;
                }
            }
            Hostility::Stale(host, conn, kind) => self.stale(host, conn, kind)?,
            Hostility::AcceptFails(host, listener, trouble) => {
                self.accept_fails(host, listener, trouble);
            }
            Hostility::PowerOff(host) => self.power_off(host),
        }
        Ok(())
    }

    /// Only about connections that are not open: anything else would be a lie of the driver.
    fn stale(&mut self, at: usize, conn: Serial, kind: u32) -> Result<(), Broken> {
        let open = self
            .hosts()
            .get(at)
            .is_none_or(|host| host.sockets.contains_key(&conn));
        if open {
            return Ok(());
        }
        let local = address(at);
        let event = match kind {
            0 => Event::Received {
                conn,
                bytes: Bytes::from_static(&[0; 9]),
            },
            1 => Event::Flushed { conn, bytes: 100 },
            2 => Event::Closed {
                conn,
                cause: Cause::Eof,
            },
            3 => Event::Connected { conn, local },
            4 => Event::ConnectFailed {
                conn,
                cause: Cause::Refused,
            },
            _ => Event::Answered {
                ticket: Ticket(u64::MAX - conn.0),
                answer: Answer::Verdict(Verdict::Kept),
            },
        };
        self.feed(at, &event)
    }

    fn accept_fails(&mut self, at: usize, listener: ListenerId, trouble: AcceptTrouble) {
        let up = self.hosts.get(at).is_some_and(|host| host.node.is_some());
        let armed = self
            .hosts
            .get_mut(at)
            .and_then(|host| host.listener(listener))
            .is_some_and(|known| core::mem::take(&mut known.armed));
        if up && armed {
            self.fail_accept(at, listener, trouble, Duration::ZERO);
        }
    }

    /// Ends all faults: links that swallow bytes are reset, hosts that are down come back.
    pub fn heal(&mut self) -> Result<(), Broken> {
        self.heal_links()?;
        for at in 0..self.hosts.len() {
            let Some(host) = self.hosts.get_mut(at) else {
                continue;
            };
            host.script.clear();
            let deaf = host.listens && host.listeners.iter().any(|listener| listener.closed);
            if deaf || host.node.is_none() {
                self.start(at)?;
            }
        }
        Ok(())
    }

    /// Ends the faults of links.
    pub(super) fn heal_links(&mut self) -> Result<(), Broken> {
        let holes: Vec<_> = self
            .links
            .iter_mut()
            .filter_map(|(id, link)| {
                let hole = link.lanes.iter().any(|lane| lane.hole);
                for lane in &mut link.lanes {
                    lane.hole = false;
                    lane.spoil = None;
                }
                hole.then_some(*id)
            })
            .collect();
        for link in holes {
            self.suffer(Hostility::Reset(link))?;
        }
        for (link, side) in self.strangers() {
            self.stranger_closes(link, side, true);
        }
        self.options.roughness = Roughness::None;
        for link in self.links.values_mut() {
            link.suffers = Attenuation::HARMLESS;
        }
        Ok(())
    }

    /// Passes time until all hosts have this tip; how long it took.
    pub fn settle_at(&mut self, tip: Tip, within: Duration) -> Result<Option<Duration>, Broken> {
        let from: Instant = self.now();
        let settled = self.run_to(from.after(within), |world| world.all_at(tip))?;
        Ok(settled.then(|| self.now().since(from)))
    }

    /// The complaint that hosts have not come to this tip.
    pub fn unmet(&self, tip: Tip, within: Duration) -> Broken {
        let behind: Vec<_> = self
            .hosts()
            .iter()
            .enumerate()
            .filter(|(_, host)| host.application.tip != tip)
            .map(|(at, host)| format!("{at} at {} blocks", host.application.tip.len()))
            .collect();
        let text = format!(
            "no common tip of {} blocks within {within:?}: host {}",
            tip.len(),
            behind.join(", ")
        );
        self.unmet_because(text)
    }

    /// A promise at the end of a run that was not kept, in words.
    pub const fn unmet_because(&self, text: String) -> Broken {
        self.broken(0, Breach::Unmet(text))
    }

    /// Every host is told to keep the ones before and behind it: a host follows whom it dials, so
    /// that chains flow both ways only when both dial.
    pub fn join_neighbours(&mut self) {
        for at in 1..self.hosts().len() {
            self.command(at, Command::AddPeer(address(at - 1)));
            self.command(at - 1, Command::AddPeer(address(at)));
        }
    }
}
