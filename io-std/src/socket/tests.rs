//! The kernel does what the options promise.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Barrier,
    thread,
};

use samanea_core::conn::Cause;

use super::*;
use crate::errors::cause;

const UNSENT: u32 = 64 << 10;

fn loopback() -> [SocketAddr; 2] {
    ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]
}

fn listener(local: SocketAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::from(listen(local, 16, UNSENT).unwrap());
    let local = listener.local_addr().unwrap();
    (listener, local)
}

/// A connection to `remote` from `bind`.
fn dial(remote: SocketAddr, bind: SocketAddr) -> io::Result<TcpStream> {
    let socket = dialler(remote, Some(bind), UNSENT)?;
    socket.connect(&remote.into())?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    tune(&stream, UNSENT).unwrap();
    stream
}

/// Demands that connections between these ports come to be in these states, as the kernel's table
/// has them; its work may lag a little behind our calls.
#[cfg(target_os = "linux")]
fn settle(one: SocketAddr, other: SocketAddr, wanted: &[&str]) {
    let mut found = states(one, other);
    for _ in 0..1_000 {
        if found == wanted {
            return;
        }
        thread::yield_now();
        found = states(one, other);
    }
    assert_eq!(found, wanted);
}

/// Nothing is left between these ports.
fn nothing_left(one: SocketAddr, other: SocketAddr) {
    #[cfg(target_os = "linux")]
    settle(one, other, &[]);
    #[cfg(not(target_os = "linux"))]
    let _ = (one, other);
}

#[cfg(target_os = "linux")]
#[cfg(target_os = "linux")]
fn states(one: SocketAddr, other: SocketAddr) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap()
        + &std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    let ports = [
        format!("{:04X}", one.port()),
        format!("{:04X}", other.port()),
    ];
    let mut found = Vec::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = |at: usize| words.get(at)?.rsplit(':').next().map(String::from);
        if let (Some(near), Some(far), Some(state)) = (port(1), port(2), words.get(3))
            && ports.contains(&near)
            && ports.contains(&far)
        {
            found.push((*state).to_owned());
        }
    }
    found
}

#[test]
fn a_dial_leaves_from_the_address_on_which_we_listen() {
    for any in loopback() {
        let (_ours, local) = listener(any);
        let (theirs, remote) = listener(any);
        let near = dial(remote, local).unwrap();
        let far = accept(&theirs);
        assert_eq!(near.local_addr().unwrap(), local);
        assert_eq!(far.peer_addr().unwrap(), local);
    }
}

#[test]
fn a_dial_leaves_from_the_port_of_a_listener_on_every_address() {
    let (_ours, local) = listener("0.0.0.0:0".parse().unwrap());
    let (theirs, remote) = listener("127.0.0.1:0".parse().unwrap());
    let near = dial(remote, local).unwrap();
    accept(&theirs);
    let from = near.local_addr().unwrap();
    assert_eq!(from, SocketAddr::from(([127, 0, 0, 1], local.port())));
}

#[test]
fn one_port_listens_for_both_families_apart() {
    let (four, local) = listener("0.0.0.0:0".parse().unwrap());
    let all = SocketAddr::new("::".parse().unwrap(), local.port());
    let (six, _) = listener(all);
    let near = TcpStream::connect(("127.0.0.1", local.port())).unwrap();
    let far = accept(&four);
    assert_eq!(far.peer_addr().unwrap(), near.local_addr().unwrap());
    let near = TcpStream::connect(("::1", local.port())).unwrap();
    let far = accept(&six);
    assert_eq!(far.peer_addr().unwrap(), near.local_addr().unwrap());
}

#[test]
fn nobody_listens_where_another_does() {
    for any in loopback() {
        let (_ours, local) = listener(any);
        let error = listen(local, 16, UNSENT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}

#[test]
fn a_port_is_free_again_while_connections_of_it_live() {
    let any = loopback()[0];
    let (ours, local) = listener(any);
    let (_theirs, remote) = listener(any);
    let near = dial(remote, local).unwrap();
    drop(ours);
    listen(local, 16, UNSENT).unwrap();
    drop(near);
}

#[test]
fn every_connection_is_sent_without_delay_and_reset_when_dropped() {
    for any in loopback() {
        let (theirs, remote) = listener(any);
        let (_ours, local) = listener(any);
        for bind in [None, Some(local)] {
            let near = dialler(remote, bind, UNSENT).unwrap();
            near.connect(&remote.into()).unwrap();
            let far = Socket::from(accept(&theirs));
            for end in [&near, &far] {
                assert!(end.tcp_nodelay().unwrap());
                assert_eq!(end.linger().unwrap(), Some(Duration::ZERO));
            }
            let mut far = TcpStream::from(far);
            far.write_all(b"unread").unwrap();
            drop(near);
            let error = far.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_reset_leaves_both_addresses_free() {
    for any in loopback() {
        let (_ours, local) = listener(any);
        let (theirs, remote) = listener(any);
        for round in 0..10 {
            let near = dial(remote, local).unwrap();
            let mut far = accept(&theirs);
            // The one that dialled ends it, and the other, in turn.
            if round % 2 == 0 {
                drop(near);
                let error = far.read(&mut [0]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            } else {
                drop(far);
                let error = { near }.read(&mut [0]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
            nothing_left(local, remote);
        }
    }
}

#[test]
fn an_orderly_end_that_is_answered_by_a_reset_leaves_both_addresses_free() {
    for any in loopback() {
        let (_ours, local) = listener(any);
        let (theirs, remote) = listener(any);
        for round in 0..10 {
            let (near, far) = (dial(remote, local).unwrap(), accept(&theirs));
            let (mut first, mut second) = if round % 2 == 0 {
                (near, far)
            } else {
                (far, near)
            };
            first.write_all(b"bye").unwrap();
            close_in_order(&first).unwrap();
            let mut last = Vec::new();
            second.read_to_end(&mut last).unwrap();
            assert_eq!(last, b"bye");
            drop(second);
            let error = first.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            drop(first);
            nothing_left(local, remote);
        }
    }
}

/// Where the peer ends in order too our end lasts a minute, but a dial from the same address takes
/// its place where time stamps tell the two apart.
#[cfg(target_os = "linux")]
#[test]
fn an_orderly_end_on_both_sides_does_not_stop_the_next_dial() {
    const TIME_WAIT: &str = "06";
    for any in loopback() {
        let (_ours, local) = listener(any);
        let (theirs, remote) = listener(any);
        for _ in 0..5 {
            let mut near = dial(remote, local).unwrap();
            let (mut far, _) = theirs.accept().unwrap();
            close_in_order(&near).unwrap();
            assert_eq!(far.read(&mut [0]).unwrap(), 0);
            // Accepted sockets take over the options of the listening one.
            close_in_order(&far).unwrap();
            assert_eq!(near.read(&mut [0]).unwrap(), 0);
            drop((near, far));
            settle(local, remote, &[TIME_WAIT]);
        }
    }
}

#[test]
fn an_orderly_end_that_takes_too_long_can_still_be_a_reset() {
    let any = loopback()[0];
    let (theirs, remote) = listener(any);
    let (_ours, local) = listener(any);
    let near = dial(remote, local).unwrap();
    let mut far = accept(&theirs);
    close_in_order(&near).unwrap();
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    reset_on_close(&near);
    drop(near);
    while far.write(b"x").is_ok() {}
    nothing_left(local, remote);
}

#[test]
fn a_second_connection_between_two_listening_addresses_is_an_address_in_use() {
    for any in loopback() {
        let (ours, local) = listener(any);
        let (theirs, remote) = listener(any);
        let near = dial(remote, local).unwrap();
        let _far = accept(&theirs);
        // The same way, and the other way round: the peer dials one that has dialled it.
        for (from, to) in [(local, remote), (remote, local)] {
            let error = dial(to, from).unwrap_err();
            assert_eq!(cause(&error), Cause::AddressInUse, "{error}");
        }
        // Neither disturbs the first.
        near.set_nonblocking(true).unwrap();
        let error = { near }.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        ours.set_nonblocking(true).unwrap();
        assert_eq!(ours.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

/// Two listening addresses dial each other at the same time, again and again. Whether the dials
/// really cross is up to the kernel: then both connect and nobody accepts.
#[test]
fn two_listening_addresses_that_dial_each_other_get_one_connection() {
    const ROUNDS: u32 = 100;
    let mut connections = 0;
    for any in loopback() {
        let (ours, local) = listener(any);
        let (theirs, remote) = listener(any);
        for _ in 0..ROUNDS {
            let gate = Barrier::new(2);
            let go = |to, from| {
                gate.wait();
                dial(to, from)
            };
            let (there, back) = thread::scope(|scope| {
                let there = scope.spawn(|| go(remote, local));
                let back = go(local, remote);
                (there.join().unwrap(), back)
            });
            match (there, back) {
                (Ok(near), Ok(far)) => talk(near, far),
                (Ok(near), Err(error)) => {
                    assert_eq!(cause(&error), Cause::AddressInUse, "{error}");
                    talk(near, accept(&theirs));
                }
                (Err(error), Ok(far)) => {
                    assert_eq!(cause(&error), Cause::AddressInUse, "{error}");
                    talk(accept(&ours), far);
                }
                (Err(one), Err(other)) => panic!("neither: {one}, {other}"),
            }
            connections += 1;
            for listener in [&ours, &theirs] {
                listener.set_nonblocking(true).unwrap();
                let error = listener.accept().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                listener.set_nonblocking(false).unwrap();
            }
        }
    }
    assert_eq!(connections, 2 * ROUNDS);
}

/// Dials that do cross: the peer's queue is full, so the first segment is dropped and our dial
/// still waits when the peer's arrives.
#[cfg(target_os = "linux")]
#[test]
fn dials_that_cross_are_one_connection_that_nobody_accepts() {
    for any in loopback() {
        let (ours, local) = listener(any);
        let theirs = TcpListener::from(listen(any, 0, UNSENT).unwrap());
        let remote = theirs.local_addr().unwrap();
        // The one that a queue of this length takes.
        let _in_queue = TcpStream::connect(remote).unwrap();
        let near = dialler(remote, Some(local), UNSENT).unwrap();
        near.set_nonblocking(true).unwrap();
        near.connect(&remote.into()).unwrap_err();
        let far = dial(local, remote).unwrap();
        near.set_nonblocking(false).unwrap();
        assert_eq!(near.peer_addr().unwrap().as_socket(), Some(remote));
        talk(near.into(), far);
        ours.set_nonblocking(true).unwrap();
        assert_eq!(ours.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

/// Both ends are of one connection and carry bytes both ways; then it is reset.
fn talk(mut one: TcpStream, mut other: TcpStream) {
    assert_eq!(one.peer_addr().unwrap(), other.local_addr().unwrap());
    assert_eq!(one.local_addr().unwrap(), other.peer_addr().unwrap());
    let mut piece = [0; 3];
    one.write_all(b"one").unwrap();
    other.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"one");
    other.write_all(b"two").unwrap();
    one.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"two");
    drop(one);
    let error = other.read(&mut piece).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
