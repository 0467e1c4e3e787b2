//! Settings of a driver.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use samanea_core::node::Tap;

use crate::Resolver;

/// Settings of a driver. Made by [`Options::default`], then changed field by field.
#[non_exhaustive]
pub struct Options {
    /// Where to listen, in order: the first is [`ListenerId(0)`](samanea_core::base::ListenerId).
    /// Port 0 lets the system choose. Default nowhere.
    pub listen: Vec<SocketAddr>,
    /// The longest that opening a connection may take. Default 10 s. Guess, not measured.
    pub connect_timeout: Duration,
    /// Bytes of one read at most, and the size of the buffers that reads share. A read of less
    /// than a sixteenth is copied, so that no short message keeps a buffer alive. Default 128 KiB.
    pub read_bytes: usize,
    /// Bytes in the kernel that are not sent, at most, where the system has such a bound.
    /// Default 64 KiB: behind it and the multiplexer's window of 128 KiB, a short message waits
    /// 14 ms beside a bulk transfer into a reader of 20 MB/s, and bulk over loopback is as fast
    /// as with more (measured, bench `loopback` of samanea-sim).
    pub unsent_bytes: u32,
    /// Connections that the kernel holds before they are accepted. Default 1,024. Guess, not
    /// measured; the usual 128 overflows when peers dial in bursts.
    pub backlog: u32,
    /// The longest that queued bytes are waited for when a connection closes in order.
    /// Default 2 s. Guess, not measured.
    pub close_timeout: Duration,
    /// How long `shutdown` waits for [`Notice::Stopped`](samanea_core::node::Notice::Stopped)
    /// before it resets what is left. Default 5 s. Guess, not measured.
    pub shutdown_timeout: Duration,
    /// The stack of each thread, where there are threads; the application is called on it.
    /// Default 512 KiB, of which only what is used takes memory. Guess, not measured.
    pub stack_bytes: usize,
    /// Notices that wait for the application, at most; more drop the oldest. Default 65,536.
    pub notices_max: usize,
    /// Looks names up. Default `None`: what the driver brings along, for the drivers of
    /// `samanea-std` the [system's](crate::System).
    pub resolver: Option<Arc<dyn Resolver>>,
    /// Sees every event and every action, in one total order. Default none.
    pub tap: Option<Box<dyn Tap>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            read_bytes: 128 << 10,
            unsent_bytes: 64 << 10,
            backlog: 1_024,
            close_timeout: Duration::from_secs(2),
            shutdown_timeout: Duration::from_secs(5),
            stack_bytes: 512 << 10,
            notices_max: 65_536,
            resolver: None,
            tap: None,
        }
    }
}

/// What of the options the tasks of a driver look at again and again.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// As in [`Options::connect_timeout`].
    pub connect_timeout: Duration,
    /// As in [`Options::read_bytes`], at least 1,024.
    pub read_bytes: usize,
    /// As in [`Options::unsent_bytes`].
    pub unsent_bytes: u32,
    /// As in [`Options::close_timeout`].
    pub close_timeout: Duration,
    /// As in [`Options::shutdown_timeout`].
    pub shutdown_timeout: Duration,
    /// As in [`Options::stack_bytes`].
    pub stack_bytes: usize,
}

impl Options {
    /// The part that is looked at while the driver runs.
    pub fn limits(&self) -> Limits {
        Limits {
            connect_timeout: self.connect_timeout,
            read_bytes: self.read_bytes.max(1_024),
            unsent_bytes: self.unsent_bytes,
            close_timeout: self.close_timeout,
            shutdown_timeout: self.shutdown_timeout,
            stack_bytes: self.stack_bytes,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_bytes", &self.read_bytes)
            .field("unsent_bytes", &self.unsent_bytes)
            .field("backlog", &self.backlog)
            .field("close_timeout", &self.close_timeout)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("stack_bytes", &self.stack_bytes)
            .field("notices_max", &self.notices_max)
            .field("resolver", &self.resolver.is_some())
            .field("tap", &self.tap.is_some())
            .finish()
    }
}
