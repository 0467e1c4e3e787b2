//! The thread of one connection.

use std::{io, sync::Arc};

use bytes::Bytes;
use rustix::{
    buffer::spare_capacity,
    net::{RecvFlags, recv},
};
use samanea_core::{
    base::Machine,
    conn::Cause,
    node::{Action, Event},
};
use socket2::Socket;

use super::{
    driver::{Driver, Shift},
    seat::Seat,
};
use crate::{Ending, Line, errors};

/// Reads and feeds until the connection ends.
pub(super) fn read<M>(driver: &Arc<Driver<M>>, line: &Arc<Line<Seat>>)
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let mut shift = Shift::default();
    if let Some(socket) = line.seat.socket.get() {
        let conn = line.conn;
        let cause = loop {
            line.wait_to_read();
            if line.wish().ending == Some(Ending::Reset) {
                break Cause::Eof; // Told to nobody.
            }
            match receive(driver, line, socket) {
                Ok(None) => {
                    line.ended();
                    break line.broken().unwrap_or(Cause::Eof);
                }
                Ok(Some(bytes)) => {
                    let events = [Event::Received { conn, bytes }, Event::Turn];
                    // When the node has closed it the bytes are dropped.
                    driver.hub.feed(Some(line), events, &mut shift.todo);
                    driver.carry_out(&mut shift);
                }
                Err(error) => break errors::cause(&error),
            }
        };
        let closed = Event::Closed { conn, cause };
        driver.hub.feed_last(line, closed, &mut shift.todo);
        shift.todo.touched.push(Arc::clone(line));
        driver.carry_out(&mut shift);
    }
    driver.reader_ends(line);
}

/// Waits for bytes without a buffer of its own, then takes all that is there, at most a buffer
/// full. `None` at the end of the stream.
fn receive<M>(driver: &Driver<M>, line: &Line<Seat>, socket: &Socket) -> io::Result<Option<Bytes>> {
    let mut first = [0; FIRST];
    let bytes = loop {
        match recv(socket, &mut first, RecvFlags::empty()) {
            Ok((_, bytes)) => break bytes,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    if bytes == 0 {
        return Ok(None);
    }
    // The node may have asked for a pause meanwhile.
    line.wait_to_read();
    let first = first.get(..bytes).unwrap_or(&first);
    if bytes < FIRST {
        return Ok(Some(Bytes::copy_from_slice(first)));
    }
    let mut buffer = driver.pool.take();
    buffer.extend_from_slice(first);
    // An error will come up again.
    let _ = recv(socket, spare_capacity(&mut buffer), RecvFlags::DONTWAIT);
    Ok(Some(driver.pool.freeze(buffer)))
}

/// What is read where the thread waits; enough for a short message.
const FIRST: usize = 512;
