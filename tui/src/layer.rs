//! What lies over a screen. The topmost layer takes the keys, and `Esc` takes it away.

use jiff::Timestamp;
use patterns_core::failed::{FailedDetail, Origin};
use patterns_core::operation::{Level, Lint, Outlook, Plan, Selection};
use patterns_core::problem::Problem;
use patterns_core::protocol::Request;
use tui_input::Input;

use crate::figure;
use crate::form::Form;

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
    /// The queue that is to be emptied.
    pub dead_letter_queue: String,
    /// Which of its events.
    pub selection: Selection,
    /// Where they may have failed.
    pub origins: Vec<Origin>,
    /// The position of the selected one.
    pub at: usize,
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
    /// Until when it may be confirmed.
    pub until: Option<Timestamp>,
    /// What `Enter` sends.
    pub commit: Request,
}

/// How long and how many calls, roughly.
pub fn expected(outlook: &Outlook) -> String {
    format!(
        "about {} without pauses, {}",
        figure::duration(outlook.expected_seconds),
        figure::count(outlook.expected_calls, "call")
    )
}

impl Confirm {
    /// What keeps it from being done, when anything does; the one that cannot be forced first.
    pub fn stop(&self) -> Option<&Lint> {
        let stops = self.lint.iter().filter(|lint| lint.level == Level::Stop);
        stops.min_by_key(|lint| lint.forcible)
    }

    /// Asks before a plan is carried out.
    pub fn redrive(plan: &Plan) -> Self {
        let chosen = match &plan.selection {
            Selection::Everything => "everything in the queue".to_owned(),
            Selection::Chosen(ids) => match ids.as_slice() {
                [id] => format!("only event {id}"),
                _ => "only the chosen events".to_owned(),
            },
            Selection::Matching(filter) => format!("only those {filter}"),
        };
        let note = match &plan.selection {
            Selection::Everything => Some(
                "Events that arrive while it runs cannot be told apart and may be taken instead of some of these."
                    .to_owned(),
            ),
            Selection::Chosen(_) | Selection::Matching(_) => None,
        };
        let how = match plan.target.kind {
            patterns_core::failed::OriginKind::Queue => "sent again as they are",
            patterns_core::failed::OriginKind::Function => {
                "invoked again with the original payload"
            }
        };
        Self {
            title: format!("Redrive {}", figure::count(plan.planned, "event")),
            facts: vec![
                ("Events", chosen),
                ("From", format!("queue {}", plan.dead_letter_queue)),
                ("To", figure::target(plan)),
                ("Pace", figure::manner(&plan.manner)),
                ("How", how.to_owned()),
                ("Takes", expected(&plan.outlook)),
                ("Account", plan.account_id.clone()),
                ("Region", plan.region.clone()),
            ],
            note,
            lint: plan.outlook.lint.clone(),
            until: Some(plan.expires_at),
            commit: Request::Start {
                plan_id: plan.plan_id.clone(),
                reason: None,
                force: false,
            },
        }
    }
}
