//! What an error of a socket means to the core.

use std::io::{Error, ErrorKind};

use samanea_core::conn::Cause;

/// The cause that the core is told.
pub fn cause(error: &Error) -> Cause {
    if is_shortage(error) {
        return Cause::Resources;
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

/// Whether an error of accepting means that the listening socket is of no use any more. All else
/// (an aborted connection, no descriptors left, a network error of the one accepted) passes.
pub fn is_listener_lost(error: &Error) -> bool {
    match errno(error) {
        Some(errno) => is_bad_socket(errno),
        None => error.kind() == ErrorKind::InvalidInput,
    }
}

fn is_shortage(error: &Error) -> bool {
    errno(error).is_some_and(is_short_errno)
}

#[cfg(unix)]
fn errno(error: &Error) -> Option<rustix::io::Errno> {
    rustix::io::Errno::from_io_error(error)
}

#[cfg(unix)]
fn is_short_errno(errno: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno)
}

#[cfg(unix)]
fn is_bad_socket(errno: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::BADF, Errno::INVAL, Errno::NOTSOCK].contains(&errno)
}

#[cfg(not(unix))]
fn errno(_: &Error) -> Option<i32> {
    None
}

#[cfg(not(unix))]
fn is_short_errno(_: i32) -> bool {
    false
}

#[cfg(not(unix))]
fn is_bad_socket(_: i32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_that_the_core_tells_apart_is_told_apart() {
        for (kind, expected) in [
            (ErrorKind::UnexpectedEof, Cause::Eof),
            (ErrorKind::ConnectionReset, Cause::Reset),
            (ErrorKind::BrokenPipe, Cause::Reset),
            (ErrorKind::ConnectionRefused, Cause::Refused),
            (ErrorKind::HostUnreachable, Cause::Unreachable),
            (ErrorKind::NetworkUnreachable, Cause::Unreachable),
            (ErrorKind::TimedOut, Cause::TimedOut),
            (ErrorKind::AddrInUse, Cause::AddressInUse),
            (ErrorKind::AddrNotAvailable, Cause::AddressInUse),
            (ErrorKind::OutOfMemory, Cause::Resources),
            (ErrorKind::Other, Cause::Other(0)),
        ] {
            assert_eq!(cause(&Error::from(kind)), expected, "{kind:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn running_out_of_descriptors_is_a_shortage_and_does_not_lose_the_listener() {
        let error = Error::from(rustix::io::Errno::MFILE);
        assert_eq!(cause(&error), Cause::Resources);
        assert!(!is_listener_lost(&error));
        assert!(!is_listener_lost(&Error::from(
            rustix::io::Errno::CONNABORTED
        )));
        assert!(is_listener_lost(&Error::from(rustix::io::Errno::BADF)));
    }
}
