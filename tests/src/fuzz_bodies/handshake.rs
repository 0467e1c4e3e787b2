//! Two ends of a handshake, whatever each of them offers.

use bytes::Bytes;
use samanea_core::{
    base::{Cx, First, Instant, NoRules},
    proto::{
        Action, Event, Half,
        handshake::{Agreed, Client, Failure, Server, client, server},
    },
};

use super::holds;
use crate::{
    speak::{Speak as _, table},
    tape::{ByteTape, site},
};
use samanea_core::base::Choice as _;
use samanea_core::proto::handshake::{Handshake, Message};

/// A client against a server, two clients (both have dialled), or either against raw bytes.
///
/// # Panics
/// When a law is broken.
pub fn handshake(bytes: &[u8]) {
    let mut tape = ByteTape::new(bytes);
    let case = tape.below(site::SESSION, 0, 4);
    let ours = table(&mut tape);
    match case {
        0 => {
            let theirs = table(&mut tape);
            let (server, answer) = serve(Server::offering(2, theirs), &propose(&ours));
            let client = ask(
                Client::offering(1, ours),
                &answer.expect("a server answers"),
            );
            agree(&client, &server);
        }
        1 => {
            let theirs = table(&mut tape);
            let a = ask(Client::offering(1, ours.clone()), &propose(&theirs));
            let b = ask(Client::offering(2, theirs), &propose(&ours));
            match (&a, &b) {
                (Outcome::Agreed(a), Outcome::Agreed(b)) => {
                    assert_eq!(a.version, b.version);
                }
                (Outcome::Failed(_), Outcome::Failed(_)) => {}
                other => panic!("simultaneous open: {other:?}"),
            }
        }
        2 => {
            serve(
                Server::offering(2, ours),
                &Bytes::copy_from_slice(tape.rest()),
            );
        }
        _ => {
            ask(
                Client::offering(1, ours),
                &Bytes::copy_from_slice(tape.rest()),
            );
        }
    }
}

/// How it came out at one end.
#[derive(Debug)]
enum Outcome {
    Agreed(Agreed),
    Queried,
    Failed(Option<Failure>),
}

/// What the ends of one handshake may say.
fn agree(client: &Outcome, server: &Outcome) {
    match (client, server) {
        (Outcome::Agreed(client), Outcome::Agreed(server)) => {
            assert_eq!(client.version, server.version);
            assert_eq!(client.data.magic, server.data.magic);
        }
        // A client may dislike what a server could accept; never the other way round.
        (Outcome::Queried, Outcome::Queried)
        | (Outcome::Failed(_), Outcome::Failed(_))
        | (Outcome::Failed(Some(_)), Outcome::Agreed(_)) => {}
        other => panic!("{other:?}"),
    }
}

fn propose(table: &samanea_core::proto::handshake::VersionTable) -> Bytes {
    Handshake::bytes(&Message::ProposeVersions(table.clone()))
}

fn ask(client: Client, answer: &Bytes) -> Outcome {
    let (facts, said, failed) = run(client, answer);
    assert_eq!(said.len(), 1, "a client says one thing");
    outcome(
        facts.into_iter().map(|fact| match fact {
            client::Fact::Agreed(agreed) => Outcome::Agreed(agreed),
            client::Fact::Refused(failure) => Outcome::Failed(Some(failure)),
            client::Fact::Queried(_) => Outcome::Queried,
        }),
        failed,
    )
}

fn serve(server: Server, proposal: &Bytes) -> (Outcome, Option<Bytes>) {
    let (facts, mut said, failed) = run(server, proposal);
    assert!(said.len() <= 1, "a server says one thing");
    assert_eq!(
        said.is_empty(),
        failed,
        "an answer exactly to what can be read"
    );
    let outcome = outcome(
        facts.into_iter().map(|fact| match fact {
            server::Fact::Agreed(agreed) => Outcome::Agreed(agreed),
            server::Fact::Refusing(failure) => Outcome::Failed(Some(failure)),
            server::Fact::Queried => Outcome::Queried,
        }),
        failed,
    );
    (outcome, said.pop())
}

/// Exactly one fact, or a failure.
fn outcome(mut facts: impl Iterator<Item = Outcome>, failed: bool) -> Outcome {
    let first = facts.next();
    assert!(facts.next().is_none(), "more than one fact");
    assert_eq!(
        first.is_none(),
        failed,
        "a fact exactly when it did not fail"
    );
    first.unwrap_or(Outcome::Failed(None))
}

/// Starts a half and gives it one message: its facts, its words, and whether it failed.
fn run<H: Half>(mut half: H, message: &Bytes) -> (Vec<H::Fact>, Vec<Bytes>, bool) {
    let mut out = Vec::new();
    for event in [Event::Start, Event::Received(message.clone()), Event::Tick] {
        let mut choice = First;
        let mut cx = Cx::new(Instant::ZERO, &mut choice, &NoRules, &mut out);
        half.step(&mut cx, event);
        holds(half.check_invariants());
    }
    let (mut facts, mut said, mut failed, mut ended) = (Vec::new(), Vec::new(), false, false);
    for action in out {
        assert!(!failed && !ended, "something after the end");
        match action {
            Action::Send(encoded) => said.push([encoded.head, encoded.body].concat().into()),
            Action::Fact(fact) => facts.push(fact),
            Action::Ended => ended = true,
            Action::Failed(_) => failed = true,
        }
    }
    assert!(failed || ended, "neither an end nor a failure");
    (facts, said, failed)
}
