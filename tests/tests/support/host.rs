//! Nodes over real sockets, under either of our drivers.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use samanea_core::{
    base::Machine,
    node::{Action, Command, Event, Node},
};
use samanea_std::{Application, Options};

/// Our drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Each node on a thread and a current-thread runtime of its own.
    Tokio,
    /// Threads.
    Std,
}

/// Both, with their names.
pub(crate) const DRIVERS: [(Driver, &str); 2] = [(Driver::Tokio, "tokio"), (Driver::Std, "std")];

/// A node that runs; stops when dropped.
pub(crate) struct Hosted {
    addr: Option<SocketAddr>,
    command: Box<dyn Fn(Command) + Send>,
    stop: Option<Box<dyn FnOnce() + Send>>,
    thread: Option<JoinHandle<()>>,
}

impl Hosted {
    /// Starts a node.
    pub(crate) fn start<M>(
        driver: Driver,
        node: Node<M>,
        app: Arc<dyn Application>,
        options: Options,
    ) -> Self
    where
        M: Machine<Event = Event, Action = Action> + Send + 'static,
    {
        match driver {
            Driver::Tokio => Self::tokio(node, app, options),
            Driver::Std => {
                let handle = samanea_std::start(node, app, options).unwrap();
                let commands = handle.clone();
                Self {
                    addr: handle.listening().first().copied(),
                    command: Box::new(move |command| commands.command(command)),
                    stop: Some(Box::new(move || {
                        handle.shutdown();
                        handle.wait();
                    })),
                    thread: None,
                }
            }
        }
    }

    fn tokio<M>(node: Node<M>, app: Arc<dyn Application>, options: Options) -> Self
    where
        M: Machine<Event = Event, Action = Action> + Send + 'static,
    {
        let (told, handle) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let handle = samanea_tokio::start(node, app, options).await.unwrap();
                told.send(handle.clone()).unwrap();
                handle.wait().await;
            });
        });
        let handle: samanea_tokio::Handle<M> = handle.recv().unwrap();
        let commands = handle.clone();
        Self {
            addr: handle.listening().first().copied(),
            command: Box::new(move |command| commands.command(command)),
            stop: Some(Box::new(move || handle.shutdown())),
            thread: Some(thread),
        }
    }

    /// Gives an order.
    pub(crate) fn command(&self, command: Command) {
        (self.command)(command);
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr.unwrap()
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}
