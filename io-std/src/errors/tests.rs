//! Each code by construction.

use super::*;

/// What the core is told of accepting.
fn accepting(error: &Error) -> (Cause, bool) {
    let listener = ListenerId(7);
    match accept_failed(listener, error) {
        Event::AcceptFailed {
            listener: told,
            cause,
            fatal,
        } => {
            assert_eq!(told, listener);
            (cause, fatal)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_error_that_the_core_tells_apart_is_told_apart() {
    for (kind, expected) in [
        (ErrorKind::UnexpectedEof, Cause::Eof),
        (ErrorKind::ConnectionReset, Cause::Reset),
        (ErrorKind::ConnectionAborted, Cause::Reset),
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

#[test]
fn an_accepted_address_of_no_family_is_an_aborted_connection() {
    // As std and mio report it, as we do where socket2 accepts.
    for kind in [ErrorKind::InvalidInput, ErrorKind::Unsupported] {
        assert_eq!(accepting(&kind.into()), (Cause::Aborted, false), "{kind:?}");
    }
}

#[test]
fn an_error_that_nobody_knows_loses_the_listener() {
    assert_eq!(accepting(&ErrorKind::Other.into()), (Cause::Other(0), true));
    let unknown = Error::from_raw_os_error(99_999);
    assert_eq!(accepting(&unknown), (Cause::Other(99_999), true));
}

#[test]
fn windows_codes_of_accepting_fall_into_their_classes() {
    use super::windows::*;
    for (code, expected) in [
        (WSAECONNRESET, Class::OneConnection),
        (WSAECONNABORTED, Class::OneConnection),
        (WSAENETRESET, Class::OneConnection),
        (WSAETIMEDOUT, Class::OneConnection),
        (WSAEINTR, Class::OneConnection),
        (WSAEWOULDBLOCK, Class::OneConnection),
        (WSAEMFILE, Class::Short),
        (WSAENOBUFS, Class::Short),
        (ERROR_NOT_ENOUGH_MEMORY, Class::Short),
        (WSAENETDOWN, Class::Unreachable),
        (WSAENETUNREACH, Class::Unreachable),
        (WSAEHOSTDOWN, Class::Unreachable),
        (WSAEHOSTUNREACH, Class::Unreachable),
        (WSAEFAULT, Class::Unusable),
        (WSAEINVAL, Class::Unusable),
        (WSAENOTSOCK, Class::Unusable),
        (WSAEOPNOTSUPP, Class::Unusable),
        (WSANOTINITIALISED, Class::Unusable),
        (ERROR_INVALID_HANDLE, Class::Unusable),
        (1, Class::Unknown),
    ] {
        assert_eq!(class(code), expected, "{code}");
    }
}

#[cfg(unix)]
mod on_unix {
    use rustix::io::Errno;

    use super::*;

    fn error(errno: Errno) -> Error {
        Error::from_raw_os_error(errno.raw_os_error())
    }

    #[test]
    fn an_aborted_connection_is_told_as_such_and_the_listener_lives() {
        for errno in [
            Errno::CONNABORTED,
            Errno::CONNRESET,
            Errno::TIMEDOUT,
            Errno::PROTO,
            Errno::NOPROTOOPT,
            Errno::PERM,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::HOSTDOWN,
            Errno::HOSTUNREACH,
            Errno::INTR,
        ] {
            let told = accepting(&error(errno));
            assert_eq!(told, (Cause::Aborted, false), "{errno:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn errors_that_wait_on_a_new_connection_pass_on_linux() {
        for errno in [Errno::NONET, Errno::OPNOTSUPP] {
            let told = accepting(&error(errno));
            assert_eq!(told, (Cause::Aborted, false), "{errno:?}");
        }
    }

    #[test]
    fn running_out_of_resources_is_told_as_such_and_the_listener_lives() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            let error = error(errno);
            assert_eq!(accepting(&error), (Cause::Resources, false), "{errno:?}");
            assert_eq!(cause(&error), Cause::Resources, "{errno:?}");
            assert_eq!(cause(&gone_before_use(error)), Cause::Resources);
        }
    }

    #[test]
    fn a_socket_that_is_none_loses_the_listener() {
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::FAULT] {
            let (_, fatal) = accepting(&error(errno));
            assert!(fatal, "{errno:?}");
        }
    }

    #[test]
    fn an_error_of_an_accepted_socket_never_loses_the_listener() {
        // Options of a connection that the peer has reset already: on macOS and the BSDs.
        for errno in [Errno::INVAL, Errno::NOTCONN, Errno::BADF] {
            let told = accepting(&gone_before_use(error(errno)));
            assert_eq!(told, (Cause::Aborted, false), "{errno:?}");
        }
    }

    #[test]
    fn every_error_of_connecting_has_a_cause_and_fails_one_dial() {
        for (errno, expected) in [
            (Errno::CONNREFUSED, Cause::Refused),
            (Errno::CONNRESET, Cause::Reset),
            (Errno::TIMEDOUT, Cause::TimedOut),
            (Errno::NETUNREACH, Cause::Unreachable),
            (Errno::NETDOWN, Cause::Unreachable),
            (Errno::HOSTUNREACH, Cause::Unreachable),
            (Errno::HOSTDOWN, Cause::Unreachable),
            (Errno::ADDRINUSE, Cause::AddressInUse),
            (Errno::ADDRNOTAVAIL, Cause::AddressInUse),
            (Errno::MFILE, Cause::Resources),
            (Errno::NFILE, Cause::Resources),
            (Errno::NOBUFS, Cause::Resources),
            (Errno::NOMEM, Cause::Resources),
        ] {
            let conn = Serial(3);
            let told = connect_failed(conn, &error(errno));
            let expected = Event::ConnectFailed {
                conn,
                cause: expected,
            };
            assert_eq!(told, expected, "{errno:?}");
        }
        for errno in [Errno::ACCESS, Errno::PERM, Errno::AFNOSUPPORT, Errno::INVAL] {
            let code = errno.raw_os_error();
            assert_eq!(cause(&error(errno)), Cause::Other(code), "{errno:?}");
        }
    }
}

#[cfg(windows)]
mod on_windows {
    use super::{super::windows::*, *};

    #[test]
    fn codes_of_the_system_reach_the_core_as_causes() {
        for (code, expected) in [
            (10_061, Cause::Refused),
            (WSAECONNRESET, Cause::Reset),
            (WSAECONNABORTED, Cause::Reset),
            (WSAETIMEDOUT, Cause::TimedOut),
            (WSAENETUNREACH, Cause::Unreachable),
            (WSAEHOSTUNREACH, Cause::Unreachable),
            (10_048, Cause::AddressInUse),
            (10_049, Cause::AddressInUse),
            (WSAEMFILE, Cause::Resources),
            (WSAENOBUFS, Cause::Resources),
        ] {
            assert_eq!(cause(&Error::from_raw_os_error(code)), expected, "{code}");
        }
    }
}
