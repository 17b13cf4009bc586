//! What lies over a screen. The topmost layer takes the keys, and `Esc` takes it away.

use jiff::Timestamp;
use patterns_core::failed::{FailedDetail, Origin};
use patterns_core::operation::{Edited, Level, Lint, Plan};
use patterns_core::problem::Problem;
use patterns_core::protocol::Request;
use tui_input::Input;

use crate::form::Form;
use crate::outcomes::Outcomes;
use crate::statement;

/// One layer, with everything it needs.
#[derive(Clone, Debug)]
pub enum Layer {
    /// The keys that work on the screen below.
    Help {
        /// Lines scrolled away at the top.
        scroll: usize,
    },
    /// One failed event, whole.
    Detail(Detail),
    /// One redrive with what became of each of its events.
    Outcomes(Outcomes),
    /// The event of that id is read, exactly as it is, because it is to be edited.
    Reading(String),
    /// The daemon was asked for this plan.
    Planning(Request),
    /// Several origins are possible: where should the events go?
    Choose(Choose),
    /// The second key of everything that changes something.
    Confirm(Confirm),
    /// Something is typed in.
    Form(Form),
    /// What is searched for is typed; the list follows.
    Search(Input),
}

/// One failed event; fetched when it is opened.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The event's id.
    pub id: String,
    /// `None` until the daemon answered.
    pub answer: Option<Result<Box<FailedDetail>, Problem>>,
    /// Lines scrolled away at the top.
    pub scroll: usize,
}

/// The choice of a target.
#[derive(Clone, Debug)]
pub struct Choose {
    /// The plan that was refused, because it names no target.
    pub asked: Request,
    /// Where they may have failed.
    pub origins: Vec<Origin>,
    /// The position of the selected one.
    pub at: usize,
}

impl Choose {
    /// The queue that is to be emptied.
    pub fn queue(&self) -> &str {
        match &self.asked {
            Request::Plan {
                dead_letter_queue, ..
            } => dead_letter_queue,
            _ => "",
        }
    }
}

/// What is about to happen, before it happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirm {
    /// Verb and count.
    pub title: String,
    /// Label and value, line by line: source, target, account, region.
    pub facts: Vec<(&'static str, String)>,
    /// What else should be known.
    pub note: Option<String>,
    /// What speaks against it, the worst first.
    pub lint: Vec<Lint>,
    /// What it changes in the first events.
    pub edits: Vec<Edited>,
    /// What was asked for, when it can be asked for differently.
    pub asked: Option<Request>,
    /// Lines scrolled away at the top.
    pub scroll: usize,
    /// Until when it may be confirmed.
    pub until: Option<Timestamp>,
    /// What `Enter` sends.
    pub commit: Request,
}

impl Confirm {
    /// What keeps it from being done, when anything does; the one that cannot be forced first.
    pub fn stop(&self) -> Option<&Lint> {
        let stops = self.lint.iter().filter(|lint| lint.level == Level::Stop);
        stops.min_by_key(|lint| lint.forcible)
    }

    /// Asks before something that is no plan is done.
    pub fn of(
        title: impl Into<String>,
        facts: Vec<(&'static str, String)>,
        commit: Request,
    ) -> Self {
        Self {
            title: title.into(),
            facts,
            note: None,
            lint: Vec::new(),
            edits: Vec::new(),
            asked: None,
            scroll: 0,
            until: None,
            commit,
        }
    }

    /// Why it is to be done, as far as it was said.
    pub fn reason(&self) -> Option<&str> {
        match &self.commit {
            Request::Start { reason, .. } => reason.as_deref(),
            _ => None,
        }
    }

    /// Asks before a plan is carried out.
    pub fn redrive(plan: Plan, asked: Request, reason: Option<String>) -> Self {
        Self {
            title: statement::title(&plan),
            facts: statement::facts(&plan),
            note: statement::note(&plan).map(str::to_owned),
            lint: plan.outlook.lint,
            edits: plan.edits,
            asked: Some(asked),
            scroll: 0,
            until: Some(plan.expires_at),
            commit: Request::Start {
                plan_id: plan.plan_id,
                reason,
                force: false,
            },
        }
    }
}
