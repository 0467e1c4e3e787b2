//! Probes at once and then a period after each answer.
//!
//! In: answers, time. Out: probes, and a round-trip time for each answer. One probe is under way
//! at most. `Stop` says goodbye at once, or after the answer that is due.
//!
//! Invariants, beside those of the [`Session`]:
//! 11. A probe is remembered exactly while its answer is due.
//! 12. The next probe is timed only while the protocol runs and no answer is due.

use core::time::Duration;

use bytes::Bytes;

use super::{KeepAlive, Message, SPEC};
use crate::{
    base::{Cx, Instant, Machine, Role, Site, Spec, Violated, soonest, violated},
    proto::{Action, Event, Fault, Half, session::Session},
};

/// The client half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Client {
    session: Session<KeepAlive>,
    period: Duration,
    /// The cookie under way and when it was sent.
    probe: Option<(u16, Instant)>,
    /// When the next probe is due.
    next: Option<Instant>,
    stopping: bool,
}

/// Nothing is asked of a running keep-alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A probe came back after this long, from just before it was handed over for sending.
    RoundTrip(Duration),
}

impl Client {
    /// The time from an answer to the next probe. Must stay well under the 97 s that a server
    /// waits. src: cardano-node, keep-alive interval of the node configuration
    pub const PERIOD: Duration = Duration::from_secs(10);

    /// A client for the connection `of` that probes each [`Client::PERIOD`].
    pub fn new(of: u64) -> Self {
        Self::with_period(of, Self::PERIOD)
    }

    /// A client that waits `period` between an answer and the next probe.
    pub fn with_period(of: u64, period: Duration) -> Self {
        Self {
            session: Session::new(Role::Initiator, of, 0),
            period,
            probe: None,
            next: None,
            stopping: false,
        }
    }

    fn on_start(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        self.session.start(cx.now, cx.choice);
        self.send_probe(cx);
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        let Some(Message::Response(got)) = self.session.hear(cx, bytes) else {
            self.probe = None;
            return;
        };
        let Some((sent, at)) = self.probe.take() else {
            return;
        };
        if got != sent {
            self.session.reject(cx, Fault::Cookie { sent, got });
            return;
        }
        cx.act(Action::Fact(Fact::RoundTrip(cx.now.since(at))));
        if self.stopping {
            self.say_goodbye(cx);
        } else {
            self.next = Some(cx.now.after(self.period));
        }
    }

    fn on_stop(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        self.stopping = true;
        if self.probe.is_none() {
            self.say_goodbye(cx);
        }
    }

    fn on_tick(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        self.session.tick(cx);
        if self.session.is_over() {
            self.probe = None;
        }
        if self.next.is_some_and(|next| next <= cx.now) {
            self.send_probe(cx);
        }
    }

    fn send_probe(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        let drawn = cx.choice.below(Site::COOKIE, self.session.of(), COOKIES);
        let cookie = u16::try_from(drawn).unwrap_or(u16::MAX);
        if self.session.say(cx, &Message::KeepAlive(cookie)).is_ok() {
            self.probe = Some((cookie, cx.now));
            self.next = None;
        }
    }

    fn say_goodbye(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        if self.session.say(cx, &Message::Done).is_ok() {
            self.next = None;
        }
    }
}

impl Machine for Client {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => self.on_start(cx),
            Event::Received(bytes) => self.on_received(cx, &bytes),
            Event::Order(order) => match order {},
            Event::Stop => self.on_stop(cx),
            Event::Tick => self.on_tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        soonest(self.session.next_deadline(), self.next)
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.session.check_invariants()?;
        let due = self.session.awaits().is_some();
        violated(
            self.probe.is_some() == due,
            SPEC.name,
            11,
            "a probe is remembered exactly while its answer is due",
        )?;
        violated(
            self.next.is_none() || !(due || self.session.is_over()),
            SPEC.name,
            12,
            "the next probe is timed only while the protocol runs and no answer is due",
        )
    }
}

impl Half for Client {
    type Order = Order;
    type Fact = Fact;

    const SPEC: &'static Spec = &SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}

/// How many cookies there are.
const COOKIES: u32 = 1 << 16;
