//! Options of sockets, set in one place.
//!
//! A connection is reset when it is dropped, on whatever path: the peer learns it, and neither end
//! keeps the pair of addresses from being used again (`TIME_WAIT`), which a dial from the address
//! on which we listen would run into. An orderly end says so first, by [`close_in_order`]. Whoever
//! of two ends in order is answered by a reset once the other has nothing left to write, so then
//! the addresses are free at once as well.
//!
//! // src: Ouroboros network specification, chapter "Connection Manager", on address reuse and
//! // on resetting connections

use std::{
    io,
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A socket that listens on `local`, blocking. Port 0 lets the system choose. Fails when somebody
/// else listens there. A socket for IPv6 takes IPv6 alone.
pub fn listen(local: SocketAddr, backlog: u32, unsent_bytes: u32) -> io::Result<Socket> {
    let socket = open(local)?;
    demand_alone(local)?;
    share_address(&socket)?;
    socket.bind(&local.into())?;
    // Before listening: accepted sockets take it over where the system does so.
    tune(&socket, unsent_bytes)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// A socket ready to be connected to `remote`, blocking; bound to `bind` when it is given, so
/// that the peer sees the address on which we listen.
pub fn dialler(
    remote: SocketAddr,
    bind: Option<SocketAddr>,
    unsent_bytes: u32,
) -> io::Result<Socket> {
    let socket = open(remote)?;
    tune(&socket, unsent_bytes)?;
    if let Some(local) = bind {
        share_address(&socket)?;
        socket.bind(&local.into())?;
    }
    Ok(socket)
}

/// Whether an error of connecting a socket that does not block says that it is under way.
pub fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(error);
        errno == Some(Errno::INPROGRESS) || errno == Some(Errno::INTR)
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::WouldBlock
    }
}

/// Sets what every connection has: no delay for short segments, little that is unsent in the
/// kernel, and a reset when it is dropped.
pub fn tune<'s>(socket: impl Into<SockRef<'s>>, unsent_bytes: u32) -> io::Result<()> {
    let socket = socket.into();
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    bound_unsent(&socket, unsent_bytes)
}

/// Says to the peer that no more comes, after what was written; from now on a drop leaves the rest
/// to the kernel. The socket should still be read until the peer ends too: a drop with unread
/// bytes destroys what the peer has not read yet.
pub fn close_in_order<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    socket.set_linger(None)?;
    socket.shutdown(Shutdown::Write)
}

/// Makes the close that follows a reset, also after [`close_in_order`]: what is unsent is dropped,
/// and the address is free at once.
pub fn reset_on_close<'s>(socket: impl Into<SockRef<'s>>) {
    // Fails only on a socket that is no connection any more.
    let _ = socket.into().set_linger(Some(Duration::ZERO));
}

fn open(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Fails where somebody else listens. Addresses that are shared for the sake of our own dials
/// would be shared with any other program of the same user, another node among them.
fn demand_alone(local: SocketAddr) -> io::Result<()> {
    #[cfg(unix)]
    {
        let probe = open(local)?;
        // Connections that are about to go are no obstacle.
        probe.set_reuse_address(true)?;
        probe.bind(&local.into())?;
    }
    #[cfg(not(unix))]
    let _ = local;
    Ok(())
}

/// Lets dials leave from the address on which we listen. Windows means something else by it.
fn share_address(socket: &Socket) -> io::Result<()> {
    #[cfg(unix)]
    {
        socket.set_reuse_address(true)?;
        #[cfg(not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))]
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    let _ = socket;
    Ok(())
}

/// The kernel is a queue too: without this bound a slow reader puts megabytes before the next
/// short message.
fn bound_unsent(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(bytes)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
