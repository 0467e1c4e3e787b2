//! The driver as the cases want it.

use std::{io, net::SocketAddr, sync::Arc};

use samanea_core::{
    base::Ticket,
    chain::Answer,
    node::{Command, Node},
};
use samanea_std::{
    Application, Handle, Options,
    conformance::{Driver, PATIENCE, Running, Script},
};

pub(crate) struct Threads;

struct Live(Handle<Script>);

impl Driver for Threads {
    fn start(
        &self,
        node: Node<Script>,
        app: Arc<dyn Application>,
        options: Options,
    ) -> io::Result<Box<dyn Running>> {
        Ok(Box::new(Live(samanea_std::start(node, app, options)?)))
    }
}

impl Running for Live {
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

    fn wait(&self) -> bool {
        self.0.wait_for(PATIENCE)
    }
}
