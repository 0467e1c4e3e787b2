//! What the operator says to a running process.
//!
//! | | end in order | tell about all connections | read topology and groups again |
//! |---|---|---|---|
//! | Unix | `SIGINT`, `SIGTERM` | `SIGUSR1` | `SIGHUP` |
//! | Windows | Ctrl-C, closing the console, shutdown | Ctrl-Break | only when it changes |

use std::io;

use super::Failure;

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// End in order; the word for it.
    End(&'static str),
    /// Tell about all connections.
    Dump,
    /// Read the topology and the groups again.
    #[cfg_attr(windows, expect(dead_code, reason = "there is no signal for it"))]
    Reload,
}

/// Listens for signals.
pub(super) struct Signals(system::Signals);

impl Signals {
    /// From now on they no longer end the process by themselves. Needs a runtime.
    pub(super) fn new() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::run(format!("no signals to listen for: {error}"));
        system::Signals::new().map(Self).map_err(failed)
    }

    /// Waits for the first of them.
    pub(super) async fn recv(&mut self) -> Signal {
        self.0.recv().await
    }

    /// Waits for the first that ends the process.
    pub(super) async fn end(&mut self) -> &'static str {
        loop {
            if let Signal::End(word) = self.recv().await {
                return word;
            }
        }
    }
}

#[cfg(unix)]
mod system {
    use std::io;

    use tokio::signal::unix::{self, SignalKind, signal};

    use super::Signal;

    pub(super) struct Signals {
        interrupt: unix::Signal,
        terminate: unix::Signal,
        dump: unix::Signal,
        reload: unix::Signal,
    }

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                dump: signal(SignalKind::user_defined1())?,
                reload: signal(SignalKind::hangup())?,
            })
        }

        pub(super) async fn recv(&mut self) -> Signal {
            tokio::select! {
                _ = self.interrupt.recv() => Signal::End("interrupted"),
                _ = self.terminate.recv() => Signal::End("terminated"),
                _ = self.dump.recv() => Signal::Dump,
                _ = self.reload.recv() => Signal::Reload,
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use std::io;

    use tokio::signal::windows::{self, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    use super::Signal;

    pub(super) struct Signals {
        interrupt: windows::CtrlC,
        close: windows::CtrlClose,
        shutdown: windows::CtrlShutdown,
        dump: windows::CtrlBreak,
    }

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: ctrl_c()?,
                close: ctrl_close()?,
                shutdown: ctrl_shutdown()?,
                dump: ctrl_break()?,
            })
        }

        pub(super) async fn recv(&mut self) -> Signal {
            tokio::select! {
                _ = self.interrupt.recv() => Signal::End("interrupted"),
                _ = self.close.recv() => Signal::End("closed"),
                _ = self.shutdown.recv() => Signal::End("terminated"),
                _ = self.dump.recv() => Signal::Dump,
            }
        }
    }
}
