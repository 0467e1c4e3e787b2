//! What an error of a socket means to the core.
//!
//! | error of | what it says | told as |
//! |---|---|---|
//! | connecting, opening a socket to connect | this dial came to nothing | `ConnectFailed`, never fatal |
//! | accepting, the one connection is gone | pause, then accept the next | `Aborted` |
//! | accepting, no descriptors or memory | pause until there are some | `Resources` |
//! | accepting, all else | the listening socket is of no use any more | fatal |
//! | reading, writing | this connection has ended | `Closed` |
//!
//! // src: Ouroboros network specification, chapter "Connection Manager", on errors of accepting;
//! // POSIX accept, connect; Linux accept(2), "Error handling"

use std::io::{Error, ErrorKind};

use samanea_core::{
    base::{ListenerId, Serial},
    conn::Cause,
    node::Event,
};

/// The cause that the core is told of a socket that failed, or of one that could not be opened or
/// connected.
pub fn cause(error: &Error) -> Cause {
    match class(error) {
        Class::Short => return Cause::Resources,
        Class::Unreachable => return Cause::Unreachable,
        Class::OneConnection | Class::Unusable | Class::Unknown => {}
    }
    match error.kind() {
        ErrorKind::UnexpectedEof => Cause::Eof,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => Cause::Reset,
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Cause::Unreachable
        }
        ErrorKind::TimedOut => Cause::TimedOut,
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => Cause::AddressInUse,
        ErrorKind::OutOfMemory => Cause::Resources,
        _ => Cause::Other(error.raw_os_error().unwrap_or(0)),
    }
}

/// What the core is told of a dial that came to nothing, be it that no socket could be opened.
pub fn connect_failed(conn: Serial, error: &Error) -> Event {
    let cause = cause(error);
    Event::ConnectFailed { conn, cause }
}

/// What the core is told when accepting failed. Fatal is what says that the listening socket is of
/// no use, and what nobody knows: else it would come again and again.
pub fn accept_failed(listener: ListenerId, error: &Error) -> Event {
    let (cause, fatal) = match class(error) {
        Class::Short => (Cause::Resources, false),
        Class::Unreachable | Class::OneConnection => (Cause::Aborted, false),
        Class::Unusable | Class::Unknown => (cause(error), true),
    };
    Event::AcceptFailed {
        listener,
        cause,
        fatal,
    }
}

/// An error of a socket that was just accepted says nothing about the listening one: the
/// connection was gone before we looked.
pub fn gone_before_use(error: Error) -> Error {
    match class(&error) {
        Class::Short => error,
        Class::Unreachable | Class::OneConnection | Class::Unusable | Class::Unknown => {
            ErrorKind::ConnectionAborted.into()
        }
    }
}

/// Whether trying again at once is all there is to do.
pub fn is_interrupted(error: &Error) -> bool {
    error.kind() == ErrorKind::Interrupted
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Descriptors, buffers or memory are used up.
    Short,
    /// The network or a host on the way.
    Unreachable,
    /// One connection: on a listening socket, the one that would have been accepted.
    OneConnection,
    /// The socket itself.
    Unusable,
    Unknown,
}

fn class(error: &Error) -> Class {
    match error.raw_os_error() {
        Some(_) => system::class_of(error),
        // Not from the kernel. On macOS accepting an IPv6 connection that is gone succeeds with an
        // address of no family, which the libraries report in these two ways.
        None => match error.kind() {
            ErrorKind::ConnectionAborted | ErrorKind::InvalidInput | ErrorKind::Unsupported => {
                Class::OneConnection
            }
            ErrorKind::OutOfMemory => Class::Short,
            _ => Class::Unknown,
        },
    }
}

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

#[cfg(unix)]
mod unix {
    use std::io::Error;

    use rustix::io::Errno;

    use super::Class;

    pub(super) fn class_of(error: &Error) -> Class {
        Errno::from_io_error(error).map_or(Class::Unknown, class)
    }

    fn class(errno: Errno) -> Class {
        match errno {
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Class::Short,
            Errno::NETDOWN | Errno::NETUNREACH | Errno::HOSTDOWN | Errno::HOSTUNREACH => {
                Class::Unreachable
            }
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::TIMEDOUT
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::PERM
            | Errno::AGAIN
            | Errno::INTR => Class::OneConnection,
            Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT => Class::Unusable,
            _ => of_linux(errno),
        }
    }

    /// Linux hands errors of the network that wait on the new connection to whoever accepts it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn of_linux(errno: Errno) -> Class {
        match errno {
            Errno::NONET => Class::Unreachable,
            Errno::OPNOTSUPP => Class::OneConnection,
            _ => Class::Unknown,
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn of_linux(errno: Errno) -> Class {
        match errno {
            Errno::OPNOTSUPP => Class::Unusable,
            _ => Class::Unknown,
        }
    }
}

/// Codes of Windows Sockets. Compiled for tests everywhere, being numbers only.
///
/// // src: Microsoft, "Windows Sockets Error Codes"; accept function
#[cfg(any(windows, test))]
mod windows {
    use super::Class;

    #[cfg(windows)]
    pub(super) fn class_of(error: &std::io::Error) -> Class {
        error.raw_os_error().map_or(Class::Unknown, class)
    }

    pub(super) fn class(code: i32) -> Class {
        match code {
            ERROR_NOT_ENOUGH_MEMORY | WSAEMFILE | WSAENOBUFS => Class::Short,
            WSAENETDOWN | WSAENETUNREACH | WSAEHOSTDOWN | WSAEHOSTUNREACH => Class::Unreachable,
            WSAEINTR | WSAEWOULDBLOCK | WSAENETRESET | WSAECONNABORTED | WSAECONNRESET
            | WSAETIMEDOUT => Class::OneConnection,
            ERROR_INVALID_HANDLE | WSAEFAULT | WSAEINVAL | WSAENOTSOCK | WSAEOPNOTSUPP
            | WSANOTINITIALISED => Class::Unusable,
            _ => Class::Unknown,
        }
    }

    pub(super) const ERROR_INVALID_HANDLE: i32 = 6;
    pub(super) const ERROR_NOT_ENOUGH_MEMORY: i32 = 8;
    pub(super) const WSAEINTR: i32 = 10_004;
    pub(super) const WSAEFAULT: i32 = 10_014;
    pub(super) const WSAEINVAL: i32 = 10_022;
    pub(super) const WSAEMFILE: i32 = 10_024;
    pub(super) const WSAEWOULDBLOCK: i32 = 10_035;
    pub(super) const WSAENOTSOCK: i32 = 10_038;
    pub(super) const WSAEOPNOTSUPP: i32 = 10_045;
    pub(super) const WSAENETDOWN: i32 = 10_050;
    pub(super) const WSAENETUNREACH: i32 = 10_051;
    pub(super) const WSAENETRESET: i32 = 10_052;
    pub(super) const WSAECONNABORTED: i32 = 10_053;
    pub(super) const WSAECONNRESET: i32 = 10_054;
    pub(super) const WSAENOBUFS: i32 = 10_055;
    pub(super) const WSAETIMEDOUT: i32 = 10_060;
    pub(super) const WSAEHOSTDOWN: i32 = 10_064;
    pub(super) const WSAEHOSTUNREACH: i32 = 10_065;
    pub(super) const WSANOTINITIALISED: i32 = 10_093;
}

#[cfg(test)]
mod tests;
