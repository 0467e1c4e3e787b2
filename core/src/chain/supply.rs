//! The serving side: bodies and transactions out, transactions in.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Action, Chain, Order, Question, serve::Loaded, tickets::Asked};
use crate::{
    base::{Cx, Serial, Ticket, TxId},
    proto::{
        block_fetch::server as block_fetch,
        tx_submission::{client as supply, server as pull},
    },
};

impl Chain {
    pub(super) fn on_block_serve(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        fact: &block_fetch::Fact,
    ) {
        let block_fetch::Fact::Requested { from, to } = fact;
        let max = self.config.peers_max;
        if self.serve.request(&self.index, conn, from, to, max) {
            self.load(cx, conn);
        } else {
            serve(cx, conn, block_fetch::Order::NoBlocks);
        }
    }

    /// Asks for the next bodies to serve; `false` when no question has a place.
    pub(super) fn load(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) -> bool {
        let (count, bytes) = (self.config.load_max.max(1), self.config.load_bytes_max);
        let Some(points) = self.serve.wanted(&self.index, conn, count, bytes) else {
            return true;
        };
        if points.is_empty() {
            let order = if self.serve.end(conn) {
                block_fetch::Order::Done
            } else {
                block_fetch::Order::NoBlocks
            };
            serve(cx, conn, order);
            return true;
        }
        let count = points.len();
        let ticket = self.ask(cx, Asked::Load(conn), Question::Load(points));
        self.serve.loading(conn, ticket, count);
        ticket.is_some()
    }

    pub(super) fn on_loaded(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        ticket: Ticket,
        bodies: Vec<Bytes>,
    ) {
        match self.serve.loaded(conn, ticket, bodies.len()) {
            Loaded::Void => self.ignore(),
            Loaded::Missing => serve(cx, conn, block_fetch::Order::NoBlocks),
            Loaded::Send { first, last, count } => {
                if first {
                    serve(cx, conn, block_fetch::Order::Start);
                }
                for block in bodies.into_iter().take(count) {
                    self.served.blocks = self.served.blocks.saturating_add(1);
                    serve(cx, conn, block_fetch::Order::Block(block));
                }
                if last {
                    serve(cx, conn, block_fetch::Order::Done);
                } else {
                    self.load(cx, conn);
                }
            }
        }
    }

    pub(super) fn on_tx_supply(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        fact: supply::Fact,
    ) {
        let max = self.config.peers_max;
        match fact {
            supply::Fact::IdsWanted {
                blocking,
                acked: _,
                wanted,
            } => {
                if let Some(ids) = self.txs.ids(conn, blocking, wanted, max) {
                    let order = Order::TxSupply(supply::Order::Ids(ids));
                    cx.act(Action::Order(conn, order));
                }
            }
            supply::Fact::TxsWanted(ids) => {
                let asked = self.ask(cx, Asked::Take(conn), Question::Take(ids));
                if asked.is_none() {
                    self.give_txs(cx, conn, Vec::new());
                }
            }
        }
    }

    pub(super) fn give_txs(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, txs: Vec<Bytes>) {
        if self.txs.is_supplied(conn) {
            let order = Order::TxSupply(supply::Order::Txs(txs));
            cx.act(Action::Order(conn, order));
        } else {
            self.ignore();
        }
    }

    pub(super) fn on_tx_pull(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, fact: pull::Fact) {
        match fact {
            pull::Fact::Announced(ids) => {
                let wanted = self.txs.announced(conn, &ids, self.config.peers_max);
                let order = Order::TxPull(pull::Order::Wanted(wanted));
                cx.act(Action::Order(conn, order));
            }
            pull::Fact::Arrived(txs) => {
                for (id, tx) in txs {
                    self.on_tx(cx, conn, &id, tx);
                }
            }
        }
    }

    fn on_tx(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, id: &TxId, tx: Bytes) {
        if !self.txs.arrived(conn, id) {
            self.ignore();
            return;
        }
        let asked = Asked::Offer {
            id: id.clone(),
            bytes: u32::try_from(tx.len()).unwrap_or(u32::MAX),
        };
        let question = Question::Offer { id: id.clone(), tx };
        if self.ask(cx, asked, question).is_none() {
            self.txs.give_up(id);
        }
    }

    /// The application has taken or refused a transaction.
    pub(super) fn on_taken(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: TxId,
        bytes: u32,
        accepted: bool,
    ) {
        if !self.txs.list(id, bytes, accepted) || !accepted {
            return;
        }
        for (conn, ids) in self.txs.wake() {
            let order = Order::TxSupply(supply::Order::Ids(ids));
            cx.act(Action::Order(conn, order));
        }
    }
}

fn serve(cx: &mut Cx<'_, Action>, conn: Serial, order: block_fetch::Order) {
    cx.act(Action::Order(conn, Order::BlockServe(order)));
}
