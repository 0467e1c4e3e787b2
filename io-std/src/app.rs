//! What the application gives.

use samanea_core::{
    base::{Instant, NoRules, Rules, Ticket},
    chain::{Answer, Question, Verdict},
    node::Notice,
};

/// The application as drivers call it, from any of their threads and from several at once.
///
/// No call is made while the node's lock is held, but for those of [`rules`](Self::rules). A
/// question on which the application panics is answered as by one who knows nothing.
pub trait Application: Send + Sync + 'static {
    /// Quick and pure questions, asked inside steps while the node waits: they must neither block
    /// nor call the driver's handle.
    fn rules(&self) -> &dyn Rules;

    /// A question: `Some` answers it at once, `None` promises exactly one answer through the
    /// driver's handle. The caller is one of the driver's threads or tasks, and its connection
    /// waits meanwhile: what takes longer than some milliseconds is answered later.
    fn ask(&self, ticket: Ticket, question: Question) -> Option<Answer>;

    /// Something happened. Notices arrive one at a time and in order; the oldest are dropped when
    /// [`Options::notices_max`](crate::Options::notices_max) of them wait.
    fn notice(&self, now: Instant, notice: &Notice) {
        let _ = (now, notice);
    }
}

/// An application that knows nothing and keeps nothing; for machines that never ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoApplication;

impl Application for NoApplication {
    fn rules(&self) -> &dyn Rules {
        &NoRules
    }

    fn ask(&self, _ticket: Ticket, question: Question) -> Option<Answer> {
        Some(ignorant(&question))
    }
}

/// The answer of one who knows nothing and can keep nothing.
pub(crate) fn ignorant(question: &Question) -> Answer {
    match question {
        Question::Load(_) => Answer::Loaded(Vec::new()),
        Question::Judge { .. } => Answer::Verdict(Verdict::Failed),
        Question::Offer { .. } => Answer::Taken(false),
        Question::Take(_) => Answer::Txs(Vec::new()),
    }
}
