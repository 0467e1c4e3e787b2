//! The task of one connection.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::Machine,
    conn::Cause,
    node::{Action, Event},
};
use samanea_std::{Ending, Line, Outgoing, errors, hub::Todo, socket};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::TcpStream,
    sync::Notify,
};

use crate::driver::Driver;

/// Serves one connection until it ends: reads, feeds, writes.
pub(crate) async fn converse<M>(
    driver: Arc<Driver<M>>,
    line: Arc<Line<Notify>>,
    mut stream: TcpStream,
) where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let mut queue = Outgoing::default();
    let mut is_answer = false;
    loop {
        let wish = line.take(&mut queue);
        match wish.ending {
            None => {}
            // Dropped, and so reset: also to answer a peer that has ended in order.
            Some(Ending::Reset) => return,
            Some(Ending::Flush) if is_answer && queue.is_empty() => return,
            // Boxed, so that only those who end pay for it.
            Some(Ending::Flush) => return Box::pin(flush(&driver, &line, stream, queue)).await,
        }
        let read_bytes = if wish.reading {
            driver.limits.read_bytes
        } else {
            0
        };
        let done = exchange(&mut stream, &mut queue, read_bytes, &line.seat).await;
        is_answer = done.ended == Some(Cause::Eof);
        tell(&driver, &line, &stream, &mut queue, done);
    }
}

/// Feeds what a look at the socket brought, and does what follows.
fn tell<M>(
    driver: &Arc<Driver<M>>,
    line: &Line<Notify>,
    stream: &TcpStream,
    queue: &mut Outgoing,
    done: Done,
) where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let conn = line.conn;
    let mut todo = Todo::of(conn);
    let received = done.read.map(|bytes| Event::Received { conn, bytes });
    let flushed = flushed_by(line, done.wrote);
    if flushed.is_some() || received.is_some() {
        let events = [flushed, received, Some(Event::Turn)].into_iter().flatten();
        driver.hub.feed(Some(line), events, &mut todo);
    }
    if let Some(cause) = done.ended {
        let closed = Event::Closed { conn, cause };
        driver.hub.feed_last(line, closed, &mut todo);
        if cause != Cause::Eof {
            queue.clear();
        }
    }
    if !todo.asks.is_empty() && line.take(queue).ending.is_none() {
        // First what need not wait for the application's answer.
        driver.wake(&mut todo);
        let flushed = flushed_by(line, try_write(stream, queue));
        if flushed.is_some() {
            let events = flushed.into_iter().chain([Event::Turn]);
            driver.hub.feed(Some(line), events, &mut todo);
        }
    }
    driver.carry_out(&mut todo);
}

fn flushed_by(line: &Line<Notify>, bytes: u64) -> Option<Event> {
    let conn = line.conn;
    (bytes > 0).then_some(Event::Flushed { conn, bytes })
}

/// What one look at the socket brought.
#[derive(Default)]
struct Done {
    wrote: u64,
    read: Option<Bytes>,
    ended: Option<Cause>,
}

/// Writes what can be written and reads once; waits until there is something to tell, or until
/// the outbox has something new.
async fn exchange(
    stream: &mut TcpStream,
    queue: &mut Outgoing,
    read_bytes: usize,
    outbox: &Notify,
) -> Done {
    let mut news = pin!(outbox.notified());
    poll_fn(|cx| {
        let mut done = Done::default();
        poll_write(stream, queue, &mut done, cx);
        if read_bytes > 0 && stream.poll_read_ready(cx).is_ready() {
            poll_read(stream, read_bytes, &mut done, cx);
        }
        if done.wrote > 0 || done.read.is_some() || done.ended.is_some() {
            return Poll::Ready(done);
        }
        news.as_mut().poll(cx).map(|()| done)
    })
    .await
}

/// Writes until the queue is empty or the kernel takes no more.
fn poll_write(stream: &mut TcpStream, queue: &mut Outgoing, done: &mut Done, cx: &mut Context<'_>) {
    while !queue.is_empty() {
        let wrote = queue.write_with(
            |slices| Pin::new(&mut *stream).poll_write_vectored(cx, slices),
            |wrote| match wrote {
                Poll::Ready(Ok(bytes)) => *bytes,
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            },
        );
        match wrote {
            Poll::Pending => return,
            Poll::Ready(Ok(0)) => return done.ended = Some(Cause::Reset),
            Poll::Ready(Ok(bytes)) => done.wrote += bytes as u64,
            Poll::Ready(Err(error)) => return done.ended = Some(errors::cause(&error)),
        }
    }
}

thread_local! {
    /// The read buffer of a worker thread. What was read is split off; when all of it has been
    /// dropped the memory is used again.
    static ARENA: RefCell<BytesMut> = RefCell::default();
}

/// Reads once. What the peer said before the connection broke still counts: it puts off the
/// failure of a write.
fn poll_read(stream: &mut TcpStream, at_most: usize, done: &mut Done, cx: &mut Context<'_>) {
    ARENA.with_borrow_mut(|arena| {
        if arena.capacity() < at_most.div_ceil(2) {
            arena.reserve(at_most);
        }
        let read = pin!(stream.read_buf(arena)).poll(cx);
        match read {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => done.ended = Some(done.ended.unwrap_or(Cause::Eof)),
            Poll::Ready(Ok(bytes)) => {
                done.ended = None;
                done.read = Some(if bytes < at_most / SHORT {
                    let copy = Bytes::copy_from_slice(arena);
                    arena.clear();
                    copy
                } else {
                    arena.split().freeze()
                });
            }
            Poll::Ready(Err(error)) => done.ended = Some(errors::cause(&error)),
        }
    });
}

/// A read of less than this part of the buffer is copied.
const SHORT: usize = 16;

/// Writes without waiting; errors will come up again.
fn try_write(stream: &TcpStream, queue: &mut Outgoing) -> u64 {
    let mut all = 0;
    while !queue.is_empty() {
        let wrote = queue.write_with(
            |slices| stream.try_write_vectored(slices),
            |wrote| *wrote.as_ref().unwrap_or(&0),
        );
        match wrote {
            Ok(bytes) if bytes > 0 => all += bytes as u64,
            Ok(_) | Err(_) => break,
        }
    }
    all
}

/// Writes what is queued, says that no more comes, and waits for the peer to end too: a close with
/// unread bytes would destroy what the peer has not read yet.
async fn flush<M>(
    driver: &Driver<M>,
    line: &Line<Notify>,
    mut stream: TcpStream,
    mut queue: Outgoing,
) where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let orderly = async {
        while !queue.is_empty() {
            let mut done = Done::default();
            poll_fn(|cx| {
                poll_write(&mut stream, &mut queue, &mut done, cx);
                match (done.wrote, done.ended) {
                    (0, None) => Poll::Pending,
                    (_, _) => Poll::Ready(()),
                }
            })
            .await;
            if done.ended.is_some() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        socket::close_in_order(&stream)?;
        let mut sink = [0; 256];
        while stream.read(&mut sink).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    let overruled = async {
        while line.wish().ending != Some(Ending::Reset) {
            line.seat.notified().await;
        }
    };
    let is_clean = tokio::select! {
        biased;
        () = overruled => false,
        end = tokio::time::timeout(driver.limits.close_timeout, orderly) => {
            matches!(end, Ok(Ok(())))
        }
    };
    if !is_clean {
        socket::reset_on_close(&stream);
    }
}

#[cfg(test)]
mod tests {
    use samanea_core::node::Engine;

    use super::*;

    fn bytes_of<A, B, C, F>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_an_idle_connection_is_small() {
        let task = bytes_of(converse::<Engine>);
        let line = size_of::<Line<Notify>>();
        assert!(task <= 384, "{task} bytes");
        assert!(line <= 256, "{line} bytes");
    }
}
