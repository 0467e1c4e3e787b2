//! What the driver keeps of one connection, and writing to it without blocking.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use samanea_core::conn::Cause;
use socket2::Socket;

use crate::{Ending, Line, Outgoing, errors, socket};

/// What the driver keeps of one connection.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Set once it is open.
    pub(super) socket: OnceLock<Socket>,
    /// The thread that reads, from the moment it runs.
    reader: OnceLock<Thread>,
    /// Whether the peer has ended in order: when nothing is to be written any more it is answered
    /// by a reset.
    is_ended: AtomicBool,
    /// Whether that thread has come to its end.
    is_read_out: AtomicBool,
    /// Something may be in the outbox that no writer has seen.
    is_dirty: AtomicBool,
    /// Somebody is about to look at the outbox, and will look again if it is dirty then.
    is_pumping: AtomicBool,
    writer: Mutex<Writer>,
    /// Why nothing more can be written.
    broken: OnceLock<Cause>,
}

/// What only one thread at a time may touch.
#[derive(Debug, Default)]
struct Writer {
    queue: Outgoing,
    /// Whether the porter has the line on its list.
    is_with_porter: bool,
    /// Whether our end has been closed for writing.
    is_shut: bool,
}

/// Whether to write, or to leave it to the porter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Write,
    Leave,
}

/// What the porter does with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Forget it.
    Leave,
    /// Wait until the kernel takes more.
    Poll,
    /// Wait until the reader has come to its end.
    Linger,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pumped {
    /// Bytes that the kernel has taken.
    pub(super) wrote: u64,
    /// Whether the porter must take the line on its list.
    pub(super) to_porter: bool,
}

impl Line<Seat> {
    /// Does what the outbox says, as far as that goes without blocking. Of two that come at the
    /// same time one does it for both.
    pub(super) fn pump(&self, pace: Pace) -> Pumped {
        let mut pumped = Pumped::default();
        let Some(socket) = self.seat.socket.get() else {
            return pumped; // Not open yet; who opens it pumps.
        };
        self.seat.is_dirty.store(true, Ordering::SeqCst);
        while self.seat.is_dirty.load(Ordering::SeqCst) {
            if self.seat.is_pumping.swap(true, Ordering::SeqCst) {
                break; // Who is at it looks again.
            }
            while self.seat.is_dirty.swap(false, Ordering::SeqCst) {
                self.pump_once(socket, &mut self.seat.writer(), pace, &mut pumped);
            }
            self.seat.is_pumping.store(false, Ordering::SeqCst);
        }
        pumped
    }

    fn pump_once(&self, socket: &Socket, writer: &mut Writer, pace: Pace, pumped: &mut Pumped) {
        let wish = self.take(&mut writer.queue);
        match wish.ending {
            Some(Ending::Reset) => {
                writer.queue.clear();
                socket::reset_on_close(socket);
                self.interrupt(socket);
                return;
            }
            None | Some(Ending::Flush) => {}
        }
        let mut wrote = 0;
        if pace == Pace::Write && self.broken().is_none() {
            let result;
            (wrote, result) = write_all(socket, &mut writer.queue);
            pumped.wrote += wrote;
            if let Err(error) = result {
                self.seat.broken.get_or_init(|| errors::cause(&error));
                // The reader takes what the peer said before, then finds this end.
                self.interrupt(socket);
            }
        }
        if self.broken().is_some() {
            writer.queue.clear();
        }
        let is_flushing = wish.ending == Some(Ending::Flush);
        if is_flushing && writer.queue.is_empty() && !writer.is_shut {
            writer.is_shut = true;
            let is_answer = self.seat.is_ended.load(Ordering::SeqCst) && wrote == 0;
            if !is_answer {
                // Fails when the peer is gone, which the reader learns.
                let _ = socket::close_in_order(socket);
            }
        }
        let has_more = !writer.queue.is_empty() || is_flushing;
        if has_more && !writer.is_with_porter {
            writer.is_with_porter = true;
            pumped.to_porter = true;
        }
        self.wake_reader();
    }

    /// Wakes the reader where it waits for bytes: it finds the end of the stream. The peer is
    /// told nothing.
    fn interrupt(&self, socket: &Socket) {
        // Fails when the connection is gone, and then the reader has learnt it.
        let _ = socket.shutdown(Shutdown::Read);
        self.wake_reader();
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.seat.reader.get() {
            reader.unpark();
        }
    }

    /// For the porter: whether the line leaves its list (then it has left it), and whether bytes
    /// wait for the kernel. Both are answered at one instant: who adds bytes later finds the line
    /// either polled or gone from the list.
    pub(super) fn look_for_porter(&self) -> Look {
        let mut writer = self.seat.writer();
        let look = match (self.wish().ending, writer.queue.is_empty()) {
            (Some(Ending::Reset), _) | (None, true) => Look::Leave,
            (Some(Ending::Flush), true) if self.seat.is_read_out() => Look::Leave,
            (Some(Ending::Flush), true) => Look::Linger,
            (None | Some(Ending::Flush), false) => Look::Poll,
        };
        writer.is_with_porter = look != Look::Leave;
        look
    }

    /// For the porter: time is up for an orderly end.
    pub(super) fn give_up(&self) {
        if let Some(socket) = self.seat.socket.get() {
            self.seat.writer().queue.clear();
            socket::reset_on_close(socket);
            self.interrupt(socket);
        }
    }

    /// For the reader: waits until it may read, or must end.
    pub(super) fn wait_to_read(&self) {
        self.seat.reader.get_or_init(thread::current);
        loop {
            let wish = self.wish();
            if wish.reading || wish.ending.is_some() || self.broken().is_some() {
                return;
            }
            thread::park();
        }
    }

    /// Why writing failed, if it did.
    pub(super) fn broken(&self) -> Option<Cause> {
        self.seat.broken.get().copied()
    }

    /// For the reader, before it tells the node: the peer has ended.
    pub(super) fn ended(&self) {
        self.seat.is_ended.store(true, Ordering::SeqCst);
    }

    /// For the reader: nothing more will be read.
    pub(super) fn read_out(&self) {
        self.seat.is_read_out.store(true, Ordering::SeqCst);
    }
}

impl Seat {
    fn is_read_out(&self) -> bool {
        self.is_read_out.load(Ordering::SeqCst)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until the queue is empty or the kernel takes no more.
fn write_all(socket: &Socket, queue: &mut Outgoing) -> (u64, io::Result<()>) {
    let mut all = 0;
    while !queue.is_empty() {
        let wrote = queue.write_with(
            |slices| write_now(socket, slices),
            |wrote| *wrote.as_ref().unwrap_or(&0),
        );
        match wrote {
            Ok(0) => return (all, Err(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => all += bytes as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return (all, Err(error)),
        }
    }
    (all, Ok(()))
}

/// One vectored write that does not block, on a socket whose reads do.
fn write_now(socket: &Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut nothing = SendAncillaryBuffer::default();
    Ok(sendmsg(socket, slices, &mut nothing, SendFlags::DONTWAIT)?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{TcpListener, TcpStream},
    };

    use bytes::Bytes;
    use samanea_core::base::Serial;

    use super::*;

    /// A line and the other end of its connection.
    fn pair() -> (Line<Seat>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, remote) = listener.accept().unwrap();
        let line = Line::<Seat>::new(Serial(1), remote);
        line.seat.socket.set(near.into()).unwrap();
        (line, far)
    }

    /// Asks for more bytes than the kernel takes.
    fn fill(line: &Line<Seat>) -> Pumped {
        line.push([Bytes::from(vec![7; 32 << 20])].into_iter().collect());
        line.pump(Pace::Write)
    }

    /// Reads and pumps, as somebody else than the porter, until nothing waits.
    fn drain(line: &Line<Seat>, far: &mut TcpStream) {
        let mut sink = vec![0; 1 << 20];
        while !line.seat.writer().queue.is_empty() {
            assert!(far.read(&mut sink).unwrap() > 0);
            assert!(!line.pump(Pace::Write).to_porter, "it is on the list");
        }
    }

    #[test]
    fn a_full_line_goes_to_the_porter_once_until_it_has_left_the_list() {
        let (line, mut far) = pair();
        assert!(fill(&line).to_porter);
        assert_eq!(line.look_for_porter(), Look::Poll);
        // Others write it all and add more before the porter looks: it is still on the list.
        drain(&line, &mut far);
        assert!(!fill(&line).to_porter);
        assert_eq!(line.look_for_porter(), Look::Poll);
        drain(&line, &mut far);
        assert_eq!(line.look_for_porter(), Look::Leave);
        assert!(fill(&line).to_porter);
    }

    #[test]
    fn an_orderly_end_stays_with_the_porter_until_the_reader_has_ended_too() {
        let (line, mut far) = pair();
        line.push([Bytes::from_static(b"bye")].into_iter().collect());
        line.end(Ending::Flush);
        let pumped = line.pump(Pace::Write);
        assert_eq!((pumped.wrote, pumped.to_porter), (3, true));
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"bye");
        assert_eq!(line.look_for_porter(), Look::Linger);
        line.read_out();
        assert_eq!(line.look_for_porter(), Look::Leave);
    }

    #[test]
    fn a_line_that_breaks_forgets_what_waits_and_wakes_its_reader() {
        let (line, far) = pair();
        assert!(fill(&line).to_porter);
        socket::reset_on_close(&far);
        drop(far);
        while line.broken().is_none() {
            line.pump(Pace::Write);
        }
        assert_eq!(line.broken(), Some(Cause::Reset));
        assert_eq!(line.look_for_porter(), Look::Leave);
    }
}
