//! What became of each event of a redrive: read page by page, as far as somebody looks.

use jiff::Timestamp;
use patterns_core::audit::Outcome;
use patterns_core::operation::Redrive;
use patterns_core::problem::Problem;
use patterns_core::protocol::{PAGE, Request};

use crate::cursor::{Cursor, Step};

/// The most that are kept; a command lists all.
pub const SHOWN_MAX: usize = 10_000;

/// The failed event that an event came back as, or still is; `None` when it is in no dead-letter queue.
pub fn failed_event(outcome: &Outcome) -> Option<&str> {
    match outcome.state.as_str() {
        "planned" | "skipped" | "failed" => Some(&outcome.id),
        _ => outcome.returned_as.as_deref(),
    }
}

/// The events of one redrive.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// The redrive's id.
    pub id: String,
    /// Those that are shown, in the order of message ids.
    pub shown: Vec<Outcome>,
    /// Whether only returned events are shown.
    pub returned_only: bool,
    /// The selected one, by message id.
    pub cursor: Cursor<String>,
    /// Whether an answer is on its way.
    pub asking: bool,
    /// When the last answer came.
    pub at: Option<Timestamp>,
    /// Why there is no newer answer.
    pub problem: Option<Problem>,
    /// Whether the last page was read.
    pub complete: bool,
    /// How many were read, shown or not.
    read: usize,
    /// The last message id that was read.
    after: Option<String>,
    /// How the redrive stood when the first page was asked for.
    stood: Option<Redrive>,
}

impl Outcomes {
    /// None is read yet.
    pub fn new(id: String) -> Self {
        Self {
            id,
            shown: Vec::new(),
            returned_only: false,
            cursor: Cursor::default(),
            asking: false,
            at: None,
            problem: None,
            complete: false,
            read: 0,
            after: None,
            stood: None,
        }
    }

    /// Message ids of what is shown.
    pub fn keys(&self) -> Vec<String> {
        let ids = self.shown.iter().map(|outcome| outcome.message_id.clone());
        ids.collect()
    }

    /// The selected one.
    pub fn selected(&self) -> Option<&Outcome> {
        self.shown.get(self.cursor.index(&self.keys())?)
    }

    /// Reads from the start, as the redrive stands now. What is shown stays until the answer is there.
    pub fn begin(&mut self, stands: Option<&Redrive>) -> Option<Request> {
        if self.asking {
            return None;
        }
        self.after = None;
        self.stood = stands.cloned();
        Some(self.ask())
    }

    /// Reads again when the redrive went on meanwhile, unless that takes many pages.
    pub fn follow(&mut self, stands: &Redrive) -> Option<Request> {
        let changed = self.stood.as_ref() != Some(stands);
        if changed && self.complete && self.read <= PAGE {
            self.begin(Some(stands))
        } else {
            None
        }
    }

    /// Shows all or only what returned.
    pub fn turn(&mut self, stands: Option<&Redrive>) -> Option<Request> {
        self.returned_only = !self.returned_only;
        self.shown.clear();
        // An answer that is on its way belongs to the other view.
        self.asking = false;
        self.begin(stands)
    }

    /// Moves; reads on where the end is near.
    pub fn step(&mut self, step: Step, page: usize) -> Option<Request> {
        let keys = self.keys();
        self.cursor.step(&keys, step, page);
        self.read_on()
    }

    /// Takes the answer to the question for what comes after `after`; what is to be asked next.
    pub fn take(
        &mut self,
        after: Option<&String>,
        answer: Result<Vec<Outcome>, Problem>,
        now: Timestamp,
    ) -> Option<Request> {
        if !self.asking || after != self.after.as_ref() {
            return None;
        }
        self.asking = false;
        let page = match answer {
            Ok(page) => page,
            Err(problem) => {
                self.problem = Some(problem);
                return None;
            }
        };
        if after.is_none() {
            self.shown.clear();
            self.read = 0;
        }
        self.problem = None;
        self.at = Some(now);
        self.complete = page.is_empty();
        self.read += page.len();
        if let Some(last) = page.last() {
            self.after = Some(last.message_id.clone());
        }
        let wanted = |outcome: &Outcome| !self.returned_only || outcome.state == "returned";
        self.shown.extend(page.into_iter().filter(wanted));
        self.shown.truncate(SHOWN_MAX);
        let keys = self.keys();
        self.cursor.settle(&keys);
        self.read_on()
    }

    /// The next page, when it is needed: returned events may be anywhere, others only where one looks.
    fn read_on(&mut self) -> Option<Request> {
        let at = self.cursor.index(&self.keys()).unwrap_or(0);
        let near = at + PAGE / 2 >= self.shown.len();
        let more = !self.complete && self.shown.len() < SHOWN_MAX;
        let wanted = more && !self.asking && self.problem.is_none();
        (wanted && (near || self.returned_only)).then(|| self.ask())
    }

    fn ask(&mut self) -> Request {
        self.asking = true;
        self.problem = None;
        Request::Outcomes {
            id: self.id.clone(),
            after: self.after.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn page(from: usize, count: usize) -> Vec<Outcome> {
        (from..from + count)
            .map(|number| Outcome {
                message_id: format!("{number:06}"),
                state: if number % 100 == 7 {
                    "returned"
                } else {
                    "settled"
                }
                .to_owned(),
                ..sample::outcomes().remove(0)
            })
            .collect()
    }

    fn asks(after: Option<usize>) -> Request {
        Request::Outcomes {
            id: "r".to_owned(),
            after: after.map(|number| format!("{number:06}")),
        }
    }

    fn take(list: &mut Outcomes, after: Option<usize>, page: Vec<Outcome>) -> Option<Request> {
        let after = after.map(|number| format!("{number:06}"));
        list.take(after.as_ref(), Ok(page), sample::now())
    }

    #[test]
    fn pages_are_read_where_one_looks() {
        let mut list = Outcomes::new("r".to_owned());
        assert_eq!(list.begin(None), Some(asks(None)));
        assert_eq!(list.begin(None), None, "one question at a time");
        assert_eq!(take(&mut list, None, page(0, PAGE)), None);
        assert_eq!(list.step(Step::Next, 20), None);
        assert_eq!(list.step(Step::Last, 20), Some(asks(Some(PAGE - 1))));
        assert_eq!(
            take(&mut list, Some(5), page(0, 1)),
            None,
            "another question"
        );
        assert_eq!(take(&mut list, Some(PAGE - 1), Vec::new()), None);
        assert!(list.complete);
        assert_eq!(list.shown.len(), PAGE);
    }

    #[test]
    fn returned_ones_are_looked_for_everywhere() {
        let mut list = Outcomes::new("r".to_owned());
        list.begin(None);
        take(&mut list, None, page(0, PAGE));
        assert_eq!(list.turn(None), Some(asks(None)));
        assert_eq!(
            take(&mut list, None, page(0, PAGE)),
            Some(asks(Some(PAGE - 1)))
        );
        assert_eq!(list.shown.len(), PAGE / 100);
    }

    #[test]
    fn a_small_redrive_is_followed() {
        let mut list = Outcomes::new("r".to_owned());
        let mut redrive = sample::redrive();
        list.begin(Some(&redrive));
        assert_eq!(take(&mut list, None, page(0, 3)), Some(asks(Some(2))));
        take(&mut list, Some(2), Vec::new());
        assert_eq!(list.follow(&redrive), None);
        redrive.settled += 1;
        assert_eq!(list.follow(&redrive), Some(asks(None)));
        assert_eq!(list.shown.len(), 3, "until the answer is there");
    }
}
