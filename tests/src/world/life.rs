//! The lives of hosts: start, crash, power cut.

use core::time::Duration;

use samanea_core::{
    base::Tip,
    node::{Command, Event},
};

use super::{
    Attenuation, Broken, Due, Names, Party, Subject, Tap, Watch, World,
    link::{Endpoint, LinkId, Side},
};

impl<M: Subject> World<M> {
    /// Starts a host, or starts it anew; it has what its application kept.
    pub fn start(&mut self, at: usize) -> Result<(), Broken> {
        self.stop(at);
        let Some(host) = self.hosts.get_mut(at) else {
            return Ok(());
        };
        host.node = Some((self.make)(at, host.life));
        host.application.tip = Tip::ORIGIN;
        let back = core::mem::take(&mut host.silent);
        let listens = host.listens;
        let mut listening = Vec::new();
        for listener in &mut host.listeners {
            listener.closed = !listens;
            listening.extend(listens.then_some(Event::Listening {
                listener: listener.id,
                local: listener.local,
            }));
        }
        let peers: Vec<_> = host.peers.iter().copied().collect();
        if back {
            // What is sent to its earlier lives is answered again.
            let party =
                |end: &Endpoint| matches!(end.party, Party::Host { at: own, .. } if own == at);
            for link in self.links.values_mut() {
                if link.ends.iter().any(party) {
                    link.lanes.iter_mut().for_each(|lane| lane.hole = false);
                }
            }
        }
        for event in listening {
            self.feed(at, &event)?;
        }
        for peer in peers {
            self.plan(
                Duration::ZERO,
                at,
                Due::Feed(Event::Command(Command::AddPeer(peer))),
            );
        }
        Ok(())
    }

    /// The application of a host keeps nobody any more; its machine is not told.
    pub fn forget_peers(&mut self, at: usize) {
        if let Some(host) = self.hosts.get_mut(at) {
            host.peers.clear();
        }
    }

    /// Whether a host listens from its next start on.
    pub fn set_listens(&mut self, at: usize, listens: bool) {
        if let Some(host) = self.hosts.get_mut(at) {
            host.listens = listens;
        }
    }

    /// What the next connections of a host suffer, those that it dials and those to it.
    pub fn attenuate(&mut self, at: usize, script: impl IntoIterator<Item = Attenuation>) {
        if let Some(host) = self.hosts.get_mut(at) {
            host.script.extend(script);
        }
    }

    /// From now on, every notice is told to `watch` too.
    pub fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// From now on, every write is told to `tap` too.
    pub fn tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// The name servers, which all hosts share.
    pub const fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Simultaneous opens so far.
    pub const fn met(&self) -> u64 {
        self.met
    }

    /// Stops a host at once: its sockets are reset, what its machine knew is lost.
    pub fn stop(&mut self, at: usize) {
        for (link, side) in self.halt(at) {
            let open = self.links.get(&link).is_some_and(|l| l.ends[side].open);
            if open {
                self.drop_end(link, side, true);
            }
        }
    }

    /// The power of a host goes off: nobody is told, and what is sent to it vanishes until it is
    /// started again.
    pub fn power_off(&mut self, at: usize) {
        for (link, side) in self.halt(at) {
            if let Some(link) = self.links.get_mut(&link) {
                link.lanes.iter_mut().for_each(|lane| lane.hole = true);
            }
            self.drop_end(link, side, true);
        }
        if let Some(host) = self.hosts.get_mut(at) {
            host.silent = true;
        }
    }

    /// Ends a life; the sockets that it held, in the order of links.
    fn halt(&mut self, at: usize) -> Vec<(LinkId, Side)> {
        let Some(host) = self.hosts.get_mut(at) else {
            return Vec::new();
        };
        host.node = None;
        host.life = host.life.saturating_add(1);
        host.wake = None;
        host.turn_due = false;
        host.used.clear();
        host.sockets.clear();
        for listener in &mut host.listeners {
            listener.armed = false;
            listener.closed = true;
            listener.backlog.clear();
            listener.offered.clear();
        }
        let owned = |party| matches!(party, Party::Host { at: own, .. } if own == at);
        self.links
            .iter()
            .flat_map(|(id, link)| (0..2).map(move |side| (*id, side, &link.ends[side])))
            .filter(|(_, _, end)| owned(end.party))
            .map(|(id, side, _)| (id, side))
            .collect()
    }
}
