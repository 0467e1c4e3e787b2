//! Plain TCP without any framing: what the machine can do.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::support::now;

/// Two ends of a connection over loopback.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// How long `total` bytes take in writes of `write` bytes, from the first write to the last read.
pub(crate) fn stream(total: usize, write: usize) -> Duration {
    carry(pair(), total, write)
}

/// The same with the socket options of our drivers: little unsent in the kernel, so that what is
/// copied stays in the caches.
pub(crate) fn tuned_stream(total: usize, write: usize) -> Duration {
    let ends = pair();
    let unsent_bytes = samanea_std::Options::default().unsent_bytes;
    for end in [&ends.0, &ends.1] {
        samanea_std::socket::tune(end, unsent_bytes).unwrap();
    }
    carry(ends, total, write)
}

fn carry((mut near, mut far): (TcpStream, TcpStream), total: usize, write: usize) -> Duration {
    let begin = now();
    let writer = thread::spawn(move || {
        let buffer = vec![7; write];
        let mut left = total;
        while left > 0 {
            let piece = left.min(write);
            near.write_all(&buffer[..piece]).unwrap();
            left -= piece;
        }
        near
    });
    let mut buffer = vec![0; 64 << 10];
    let mut got = 0;
    while got < total {
        got += far.read(&mut buffer).unwrap();
    }
    let took = begin.elapsed();
    drop(writer.join().unwrap());
    took
}

/// How long `count` questions of `ask` bytes take, each answered by `answer` bytes before the
/// next is asked.
pub(crate) fn ping_pong(count: usize, ask: usize, answer: usize) -> Duration {
    let (mut near, mut far) = pair();
    let server = thread::spawn(move || {
        let (mut question, reply) = (vec![0; ask], vec![7; answer]);
        for _ in 0..count {
            far.read_exact(&mut question).unwrap();
            far.write_all(&reply).unwrap();
        }
    });
    let (question, mut reply) = (vec![1; ask], vec![0; answer]);
    let begin = now();
    for _ in 0..count {
        near.write_all(&question).unwrap();
        near.read_exact(&mut reply).unwrap();
    }
    let took = begin.elapsed();
    server.join().unwrap();
    took
}
