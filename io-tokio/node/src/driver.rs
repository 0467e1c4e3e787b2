//! One handle for a node on either driver.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use samanea_core::{
    base::Instant,
    node::{Command, Engine, Node},
};
use samanea_std::{Application, Options};
use samanea_tokio::Dns;
use tokio::runtime;

/// What runs a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Driver {
    /// Tasks on tokio.
    #[default]
    Tokio,
    /// Plain threads.
    Std,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tokio => "tokio",
            Self::Std => "std",
        })
    }
}

/// A running node.
#[derive(Clone)]
pub enum Handle {
    /// On tokio.
    Tokio(samanea_tokio::Handle<Engine>),
    /// On threads.
    Std(samanea_std::Handle<Engine>),
}

impl Handle {
    /// Starts a node; fails when it cannot listen where it should. Names are looked up with the
    /// servers of the system, unless the options say otherwise. Must be called within a tokio
    /// runtime.
    pub async fn start(
        driver: Driver,
        node: Box<Node<Engine>>,
        app: Arc<dyn Application>,
        mut options: Options,
    ) -> io::Result<Self> {
        // On threads too: the system's resolver knows no services.
        options
            .resolver
            .get_or_insert_with(|| Arc::new(Dns::system(runtime::Handle::current())));
        match driver {
            Driver::Tokio => Box::pin(samanea_tokio::start(*node, app, options))
                .await
                .map(Self::Tokio),
            Driver::Std => samanea_std::start(*node, app, options).map(Self::Std),
        }
    }

    /// Gives the node an order.
    pub fn command(&self, command: Command) {
        match self {
            Self::Tokio(handle) => handle.command(command),
            Self::Std(handle) => handle.command(command),
        }
    }

    /// Where it listens, in the order of the options.
    pub fn listening(&self) -> &[SocketAddr] {
        match self {
            Self::Tokio(handle) => handle.listening(),
            Self::Std(handle) => handle.listening(),
        }
    }

    /// Looks at the node, which waits meanwhile: be quick.
    pub fn with<R>(&self, look: impl FnOnce(&Node<Engine>) -> R) -> R {
        match self {
            Self::Tokio(handle) => handle.with(look),
            Self::Std(handle) => handle.with(look),
        }
    }

    /// The time as the node is told it.
    pub fn now(&self) -> Instant {
        match self {
            Self::Tokio(handle) => handle.now(),
            Self::Std(handle) => handle.now(),
        }
    }

    /// Ends at once, as if the process were killed, and waits until nothing is left: its peers are
    /// told nothing, and all sockets are reset.
    pub async fn kill(self) {
        match self {
            Self::Tokio(handle) => {
                handle.kill();
                handle.wait().await;
            }
            Self::Std(handle) => {
                let ending = tokio::task::spawn_blocking(move || {
                    handle.kill();
                    handle.wait();
                });
                // Fails only when the driver's own threads panicked: nothing is left then either.
                let _ = ending.await;
            }
        }
    }

    /// Ends everything in order and waits until nothing is left.
    pub async fn stop(self) {
        match self {
            Self::Tokio(handle) => {
                handle.shutdown();
                handle.wait().await;
            }
            Self::Std(handle) => {
                let stopping = tokio::task::spawn_blocking(move || {
                    handle.shutdown();
                    handle.wait();
                });
                // Fails only when the driver's own threads panicked: nothing is left then either.
                let _ = stopping.await;
            }
        }
    }
}
