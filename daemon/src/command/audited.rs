//! Requests that the audit tells of, and what it tells.

use jiff::Timestamp;
use patterns_core::audit::{Entry, Outcome};
use patterns_core::failed::Message;
use patterns_core::operation::Operation;
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::REASON_MAX;
use serde_json::json;

use super::Commands;
use crate::ledger::{self, Note, Requester};
use crate::mirror::copy;
use crate::{delivery, plan};

impl Commands {
    pub(super) async fn start(
        &self,
        plan_id: &str,
        reason: Option<String>,
        force: bool,
        uid: Option<u32>,
    ) -> Result<Operation, Problem> {
        let requester = Requester {
            uid,
            reason: reasonable(reason)?,
        };
        // A plan that is not remembered any more may have been started, which the engine knows.
        if let Ok(frozen) = self.plans.get(plan_id, Timestamp::now()) {
            plan::unhindered(&frozen.plan, force)?;
        }
        let started = self.engine.start(&self.plans, plan_id, requester).await;
        started.map(Operation::Redrive)
    }

    pub(super) async fn import(
        &self,
        queue: &str,
        messages: Vec<Message>,
        uid: Option<u32>,
    ) -> Result<Vec<Result<String, String>>, Problem> {
        let detail = json!({"dead_letter_queue": queue, "messages": messages.len()});
        self.note(Note::of("import", uid, detail)).await?;
        copy::import(&self.aws, &self.state, queue, messages).await
    }

    pub(super) async fn set_delivery(
        &self,
        function: &str,
        broken: bool,
        uid: Option<u32>,
    ) -> Result<(), Problem> {
        let verb = if broken { "break" } else { "heal" };
        let note = Note::of(verb, uid, json!({ "function": function }));
        self.note(note).await?;
        delivery::set(&self.aws, &self.state, function, broken).await
    }

    pub(super) async fn outcomes(
        &self,
        id: &str,
        after: Option<String>,
    ) -> Result<Vec<Outcome>, Problem> {
        self.engine.operation(id).await?;
        let page = self.engine.ledger.outcomes(id, after);
        page.await.map_err(ledger::disk)
    }

    /// A page of the audit. The first is answered only when the whole of it is as it was written.
    pub(super) async fn audit(
        &self,
        operation_id: Option<String>,
        after: Option<u64>,
    ) -> Result<Vec<Entry>, Problem> {
        let ledger = &self.engine.ledger;
        if after.is_none()
            && let Some(number) = ledger.forged().await.map_err(ledger::disk)?
        {
            return Err(Problem::new(
                ProblemKind::Internal,
                "the audit was changed",
                format!("entry {number} is missing or does not follow from the one before it"),
                "compare ledger.db in the state directory with a backup, and find out who can write there",
            ));
        }
        let page = ledger.audit(operation_id, after.unwrap_or(0)).await;
        page.map_err(ledger::disk)
    }

    /// Writes into the audit what is about to be done; without that it must not be.
    async fn note(&self, note: Note) -> Result<(), Problem> {
        self.engine.ledger.note(note).await.map_err(ledger::disk)
    }
}

fn reasonable(reason: Option<String>) -> Result<Option<String>, Problem> {
    match reason.as_ref().map_or(0, String::len) {
        0..=REASON_MAX => Ok(reason),
        bytes => Err(Problem::new(
            ProblemKind::Usage,
            "the reason is too long",
            format!("it has {bytes} bytes, and at most {REASON_MAX} are kept"),
            "say it shorter, or name a ticket",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_length() {
        let reason = |bytes| reasonable(Some("x".repeat(bytes)));
        assert!(reason(REASON_MAX).is_ok());
        let problem = reason(REASON_MAX + 1).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Usage);
        assert_eq!(reasonable(None), Ok(None));
    }
}
