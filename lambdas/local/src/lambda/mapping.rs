//! An event source mapping: a queue whose messages a function gets in batches
//! (AWS Lambda API reference, `CreateEventSourceMapping`).

mod settings;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::environment::Reply;
use super::turn::Turns;
use settings::ChangedBy;
pub use settings::{Changes, ScalingConfig, Settings, check_visibility};

/// A mapping and the task that polls for it.
pub struct Mapping {
    /// What it does.
    pub settings: Settings,
    /// Stops its poller. Batches that are under way are finished; one that is being collected goes back to the queue.
    pub stop: CancellationToken,
    /// Its running batches, also those from before a change.
    pub turns: Turns,
    /// How its last batch ended.
    pub last_result: LastResult,
}

/// `LastProcessingResult`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastResult {
    /// There was no batch yet.
    Nothing,
    /// The function answered.
    Ok,
    /// It failed or could not be called, or the queue gave nothing.
    Problem(String),
}

impl LastResult {
    /// What a function's answer to a batch means.
    pub fn of(reply: &Reply) -> Self {
        if reply.failed {
            Self::Problem("Function call failed".to_owned())
        } else {
            Self::Ok
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Nothing => "No records processed".to_owned(),
            Self::Ok => "OK".to_owned(),
            Self::Problem(what) => format!("PROBLEM: {what}"),
        }
    }
}

impl Mapping {
    /// A mapping that has done nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            stop: CancellationToken::new(),
            turns: Turns::new(),
            last_result: LastResult::Nothing,
        }
    }

    /// Whether it feeds `function` from the queue `queue_arn`.
    pub fn connects(&self, queue_arn: &str, function: &str) -> bool {
        self.settings.queue_arn == queue_arn && self.settings.function == function
    }

    /// Stops the present poller and puts `settings` in place, for the next one.
    pub fn change(&mut self, settings: Settings) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        self.settings = settings;
    }

    /// Ends polling, because the function was deleted. It begins again when the mapping is enabled for a new function.
    pub fn orphan(&mut self, now: f64) {
        self.stop.cancel();
        self.settings.enabled = false;
        self.settings.changed_by = ChangedBy::Lambda;
        self.settings.last_modified = now;
        self.last_result = LastResult::Problem("Function not found".to_owned());
    }

    /// `EventSourceMappingConfiguration` of the AWS Lambda API reference, in `state`.
    pub fn view(&self, uuid: &str, state: &str) -> Value {
        let mut view = self.settings.view(uuid, state);
        view.insert(
            "LastProcessingResult".to_owned(),
            json!(self.last_result.text()),
        );
        Value::Object(view)
    }
}
