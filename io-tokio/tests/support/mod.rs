//! The driver as the cases want it.

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
use samanea_tokio::Handle;
use tokio::runtime::Runtime;

/// Each node runs on its own runtime, so that nothing outlives the handle unseen.
pub(crate) struct Tokio {
    pub(crate) workers: usize,
}

struct Live {
    handle: Handle<Script>,
    runtime: Runtime,
}

impl Driver for Tokio {
    fn start(
        &self,
        node: Node<Script>,
        app: Arc<dyn Application>,
        options: Options,
    ) -> io::Result<Box<dyn Running>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.workers)
            .enable_all()
            .build()?;
        let handle = runtime.block_on(samanea_tokio::start(node, app, options))?;
        Ok(Box::new(Live { handle, runtime }))
    }
}

impl Running for Live {
    fn command(&self, command: Command) {
        self.handle.command(command);
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        self.handle.answer(ticket, answer);
    }

    fn listening(&self) -> Vec<SocketAddr> {
        self.handle.listening().to_vec()
    }

    fn with(&self, look: &mut dyn FnMut(&Script)) {
        self.handle.with(|node| look(node.machine()));
    }

    fn shutdown(&self) {
        self.handle.shutdown();
    }

    fn kill(&self) {
        self.handle.kill();
    }

    fn wait(&self) -> bool {
        let ended = async {
            self.handle.wait().await;
            // A task is counted out when it is about to return.
            while self.runtime.metrics().num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        };
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, ended).await })
            .is_ok()
    }
}
