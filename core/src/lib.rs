//! A peer-to-peer stack for block-diffusing networks as pure state machines: it speaks the Cardano
//! node-to-node protocols byte for byte and owns no socket, no clock and no randomness.
//!
//! Everything that decides is a function *(state, event) → (state, actions)*. A driver feeds what
//! the sockets and the clock say and carries out what it is asked to do; `samanea-tokio` and
//! `samanea-std` are two, and [another one](https://docs.rs/samanea-std) takes a hundred lines.
//!
//! # The loop
//!
//! 1. Feed every fact: bytes that came in, bytes that the kernel took, connections that opened or
//!    ended, answers of the application.
//! 2. Say [`Event::Turn`](node::Event::Turn): segments are cut only now, and only as far as the
//!    connection's window allows.
//! 3. Carry out the [`Action`](node::Action)s in the order given.
//! 4. Wait for the next fact, or until [`next_deadline`](node::Node::next_deadline); then feed
//!    [`Event::Tick`](node::Event::Tick).
//!
//! # Two nodes without a network
//!
//! ```
//! use samanea_core::{
//!     base::{Instant, ListenerId, NoRules},
//!     node::{Action, Command, Config, Engine, Event, Node, Notice},
//! };
//! use std::{collections::VecDeque, net::SocketAddr};
//!
//! const MAGIC: u32 = 42;
//! let mut nodes = [1, 2].map(|seed| Node::new(Engine::new(Config::new(MAGIC)), seed));
//! let addr: [SocketAddr; 2] = ["10.0.0.1:3001".parse()?, "10.0.0.2:3001".parse()?];
//! let listener = ListenerId(0);
//! let mut facts = VecDeque::from([
//!     (1, Event::Listening { listener, local: addr[1] }),
//!     (0, Event::Command(Command::AddPeer(addr[1]))),
//! ]);
//! let mut conn = [None, None]; // the name under which each node knows the one connection
//! let mut agreed = Vec::new();
//! let mut actions = Vec::new();
//! while let Some((at, fact)) = facts.pop_front() {
//!     let other = 1 - at;
//!     nodes[at].step(Instant::ZERO, &NoRules, fact, &mut actions);
//!     nodes[at].step(Instant::ZERO, &NoRules, Event::Turn, &mut actions);
//!     for action in actions.drain(..) {
//!         match action {
//!             Action::Dial { conn: name, .. } => {
//!                 conn[at] = Some(name);
//!                 let (local, remote) = (addr[other], addr[at]);
//!                 facts.push_back((other, Event::Offered { listener, local, remote }));
//!                 facts.push_back((at, Event::Connected { conn: name, local: addr[at] }));
//!             }
//!             Action::Adopt { conn: name, .. } => conn[at] = Some(name),
//!             Action::Write { conn: name, batch } => {
//!                 let bytes = batch.iter().map(|b| b.len() as u64).sum();
//!                 facts.push_back((at, Event::Flushed { conn: name, bytes }));
//!                 let name = conn[other].expect("the other end has adopted it");
//!                 for bytes in batch {
//!                     facts.push_back((other, Event::Received { conn: name, bytes }));
//!                 }
//!             }
//!             Action::Notify(Notice::Up { agreed: what, .. }) => agreed.push(what),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(agreed.len(), 2);
//! assert_eq!(agreed[0], agreed[1]);
//! assert_eq!(agreed[0].data.magic, MAGIC);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```
//!
//! # The map
//!
//! | module | what it decides |
//! |---|---|
//! | [`base`] | nothing: the step contract, time, chance, ids, bounded containers, tables |
//! | [`wire`] | where segments and messages begin and end, and how strict CBOR is |
//! | [`mux`] | which bytes of which mini-protocol go next; how many may wait |
//! | [`proto`] | what may be said when: each mini-protocol a constant table and two halves |
//! | [`conn`] | one connection: handshake, multiplexer, halves; facts up, orders down |
//! | [`manager`] | whom to accept, which connection serves which use, when it ends |
//! | [`peer_actions`] | how a peer becomes warm, hot, warm and cold again |
//! | [`governor`] | who is known, connected and used; who makes room for others |
//! | [`chain`] | which chain is ours, which bodies to fetch from whom, what to serve |
//! | [`rain`] | structured gossip: who sends what to whom, who is asked, who is replaced |
//! | [`node`] | whom to dial, accept, follow and drop |
//! | `tape` | (feature `tape`) recording a run and replaying it |
//!
//! Imports go one way: `base ← wire ← mux ← proto ← conn ← manager ← peer_actions ← node`; `chain`,
//! `governor` and `rain` know `base`, messages and ids only.
//!
//! # Features
//!
//! None is on by default; none changes behavior. `serde`: snapshots. `tape`: record and replay.
//! `arbitrary`: structure-aware fuzzing (implies std).
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::float_arithmetic,
        clippy::std_instead_of_core,
        clippy::std_instead_of_alloc,
        clippy::print_stdout
    )
)]

extern crate alloc;
#[cfg(any(test, feature = "arbitrary"))]
extern crate std;

pub mod base;
pub mod chain;
pub mod conn;
pub mod governor;
pub mod manager;
pub mod mux;
pub mod node;
pub mod peer_actions;
pub mod proto;
pub mod rain;
#[cfg(feature = "tape")]
pub mod tape;
pub mod wire;
