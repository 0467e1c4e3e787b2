//! Who holds which socket: what must hold at any time, and what must be gone at the end.

use core::time::Duration;

use samanea_core::node::Command;

use super::{
    Breach, Broken, Party, Socket, Subject, World,
    link::{LinkId, Side},
};

impl<M: Subject> World<M> {
    /// Every open end of a link has exactly one holder that lives, and whatever a host holds is
    /// there or is about to be told gone.
    pub fn check_sockets(&self) -> Result<(), Broken> {
        for (id, link) in &self.links {
            for side in 0..2 {
                let end = &link.ends[side];
                let Party::Host { at, .. } = end.party else {
                    continue;
                };
                let holders = self.holders(at, (*id, side));
                let opening = side == 1 && end.conn.is_none() && holders == 0;
                let fine = match (end.open, self.living(end.party).is_some()) {
                    (true, true) => holders == 1 || opening,
                    (true, false) => false,
                    (false, _) => holders <= 1,
                };
                if !fine {
                    let text = format!(
                        "end {side} of link {id}, {} to {}, has {holders} holders",
                        end.local,
                        link.ends[1 - side].local
                    );
                    return Err(self.broken(at, Breach::Leftover(text)));
                }
            }
        }
        Ok(())
    }

    /// How often a host holds this end: as a socket, as a dial, or in a listener.
    pub(super) fn holders(&self, at: usize, end: (LinkId, Side)) -> usize {
        let Some(host) = self.hosts.get(at) else {
            return 0;
        };
        let sockets = host.sockets.values().filter(|socket| match socket {
            Socket::Open(link, side) => (*link, *side) == end,
            Socket::Dialing(dial) => dial.link == Some(end),
        });
        let waiting = host
            .listeners
            .iter()
            .flat_map(|listener| listener.backlog.iter().chain(&listener.offered))
            .filter(|(link, _)| (*link, 1) == end);
        sockets.count() + waiting.count()
    }

    /// Every host is told to shut down and gets `within`; then no socket may be left anywhere.
    pub fn end(&mut self, within: Duration) -> Result<(), Broken> {
        self.heal_links()?;
        for at in 0..self.hosts.len() {
            self.command(at, Command::Shutdown);
            for listener in 1..=2 {
                self.close_listener(at, samanea_core::base::ListenerId(listener));
            }
        }
        self.run_until(self.now.after(within))?;
        self.check_sockets()?;
        let held = self.hosts.iter().position(|host| !host.sockets.is_empty());
        if let Some(at) = held {
            let sockets = self.hosts.get(at).map(|host| host.sockets.clone());
            let text = format!("after a shutdown: {sockets:?}");
            return Err(self.broken(at, Breach::Leftover(text)));
        }
        if let Some((id, link)) = self.links.first_key_value() {
            let text = format!(
                "link {id} between {} and {} outlives both",
                link.ends[0].local, link.ends[1].local
            );
            return Err(self.broken(0, Breach::Leftover(text)));
        }
        Ok(())
    }
}
