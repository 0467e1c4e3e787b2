//! Options of sockets, set in one place.
//!
//! // src: Ouroboros network specification, chapter "Connection Manager", on address reuse and
//! // on resetting connections

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A socket that listens on `local`, blocking. Port 0 lets the system choose.
pub fn listen(local: SocketAddr, backlog: u32, unsent_bytes: u32) -> io::Result<Socket> {
    let socket = open(local)?;
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

/// Sets what every connection has: no delay for short segments, and little that is unsent in the
/// kernel.
pub fn tune<'s>(socket: impl Into<SockRef<'s>>, unsent_bytes: u32) -> io::Result<()> {
    let socket = socket.into();
    socket.set_tcp_nodelay(true)?;
    bound_unsent(&socket, unsent_bytes)
}

/// Makes the close that follows a reset: what is unsent is dropped, and the address is free at
/// once.
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
