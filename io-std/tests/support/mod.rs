//! The drivers as the cases want them.

use std::{io, net::SocketAddr, sync::Arc};

use samanea_core::{
    base::Ticket,
    chain::Answer,
    node::{Command, Node},
};
use samanea_std::{
    Application, Options,
    conformance::{Driver, PATIENCE, Running, Script},
};

/// The driver of this platform, and the portable one.
pub(crate) const DRIVERS: [&dyn Driver; 2] = [&Usual, &Single];

struct Usual;
struct Single;

/// A handle; those of both drivers have the same methods.
struct Live<H>(H);

impl Driver for Usual {
    fn start(
        &self,
        node: Node<Script>,
        app: Arc<dyn Application>,
        options: Options,
    ) -> io::Result<Box<dyn Running>> {
        Ok(Box::new(Live(samanea_std::start(node, app, options)?)))
    }
}

impl Driver for Single {
    fn start(
        &self,
        node: Node<Script>,
        app: Arc<dyn Application>,
        options: Options,
    ) -> io::Result<Box<dyn Running>> {
        let handle = samanea_std::single::start(node, app, options)?;
        Ok(Box::new(Live(handle)))
    }
}

macro_rules! running {
    ($handle:ty) => {
        impl Running for Live<$handle> {
            fn command(&self, command: Command) {
                self.0.command(command);
            }

            fn answer(&self, ticket: Ticket, answer: Answer) {
                self.0.answer(ticket, answer);
            }

            fn listening(&self) -> Vec<SocketAddr> {
                self.0.listening().to_vec()
            }

            fn with(&self, look: &mut dyn FnMut(&Script)) {
                self.0.with(|node| look(node.machine()));
            }

            fn shutdown(&self) {
                self.0.shutdown();
            }

            fn kill(&self) {
                self.0.kill();
            }

            fn wait(&self) -> bool {
                self.0.wait_for(PATIENCE)
            }
        }
    };
}

#[cfg(unix)]
running!(samanea_std::Handle<Script>);
running!(samanea_std::single::Handle<Script>);
