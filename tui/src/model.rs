//! Everything the dashboard knows. `update` is the only writer; drawing only reads.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use jiff::Timestamp;
use patterns_core::failed::{FailedEvent, FailedGroups, FailedList, Filter, Group, Origin};
use patterns_core::operation::{Operation, Redrive};
use patterns_core::problem::Problem;
use patterns_core::queue::QueueRole;
use patterns_core::snapshot::Snapshot;
use patterns_core::task::Task;

use crate::cursor::Cursor;
use crate::editing::Editing;
use crate::layer::Layer;

/// Points of a backlog's history: one a second for two minutes.
pub const BACKLOG_POINTS: usize = 120;

/// The whole state.
#[derive(Clone, Debug)]
pub struct Model {
    /// The time of the last tick.
    pub now: Timestamp,
    /// Where the daemon is looked for.
    pub socket: PathBuf,
    /// Whether the daemon can be reached.
    pub link: Link,
    /// What the daemon last said; kept while it is away.
    pub snapshot: Option<Snapshot>,
    /// Depth by queue name, one point a second, the newest last.
    pub backlog: BTreeMap<String, VecDeque<u64>>,
    /// Which screen is shown.
    pub screen: Screen,
    /// The selected row of the overview.
    pub row: Cursor<Row>,
    /// The failed events.
    pub failed: Fetched<FailedList>,
    /// What the queues held and what was filtered when the failed events were last asked for: else means ask again.
    pub failed_of: (Vec<(String, u64)>, Wanted),
    /// Which failed events are shown.
    pub wanted: Wanted,
    /// Whether the failed events are shown as groups.
    pub by_group: bool,
    /// The groups of failed events.
    pub groups: Fetched<FailedGroups>,
    /// The selected group.
    pub group: Cursor<GroupKey>,
    /// Marked failed events: queue by id.
    pub marks: BTreeMap<String, String>,
    /// The queue whose first event is to be selected once the failed events arrive.
    pub wanted_queue: Option<String>,
    /// The selected failed event, by id.
    pub event: Cursor<String>,
    /// The tasks of `pattern`.
    pub tasks: Fetched<Vec<Task>>,
    /// The pattern whose tasks are shown; the first configured one until another is chosen.
    pub pattern: Option<String>,
    /// The selected task, by id.
    pub task: Cursor<String>,
    /// The selected operation, by id.
    pub operation: Cursor<String>,
    /// What was written in the editor and could not be used, so that nothing typed is lost.
    pub draft: Option<(Editing, String)>,
    /// What lies over the screen, the topmost last.
    pub layers: Vec<Layer>,
    /// What happened, the newest last.
    pub notices: Vec<Notice>,
    /// How much was drawn of what can be scrolled.
    pub extent: Extent,
}

/// Which failed events are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this queue, or all.
    pub queue: Option<String>,
    /// Those it lets through.
    pub filter: Filter,
}

/// What tells a group from the others: queue, signature and origin.
pub type GroupKey = (String, String, Option<Origin>);

/// What tells the keys that work: a screen, or a view of it with keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A screen in its usual view.
    Screen(Screen),
    /// The failed events as groups.
    Groups,
}

/// The screens, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Queues, functions, what runs.
    Overview,
    /// What sits in dead-letter queues.
    Failed,
    /// Tasks of a pattern stack.
    Tasks,
    /// Redrives and bursts.
    Operations,
}

impl Screen {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Overview, Self::Failed, Self::Tasks, Self::Operations];

    /// Its name in the tabs.
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Failed => "Failed events",
            Self::Tasks => "Tasks",
            Self::Operations => "Operations",
        }
    }
}

/// Whether the daemon can be reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// Not tried to the end yet.
    Connecting,
    /// Snapshots arrive.
    Live,
    /// It is tried again at `retry_at`.
    Lost {
        /// Why.
        problem: Problem,
        /// When the next try begins.
        retry_at: Timestamp,
    },
}

/// A row of the overview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// The queue of that name.
    Queue(String),
    /// The function of that name.
    Function(String),
}

/// Something that is asked for when a screen needs it.
#[derive(Clone, Debug)]
pub struct Fetched<T> {
    /// The last answer.
    pub value: Option<T>,
    /// When it came.
    pub at: Option<Timestamp>,
    /// Whether an answer is on its way.
    pub asking: bool,
    /// Why there is no newer answer.
    pub problem: Option<Problem>,
}

impl<T> Default for Fetched<T> {
    fn default() -> Self {
        Self {
            value: None,
            at: None,
            asking: false,
            problem: None,
        }
    }
}

impl<T> Fetched<T> {
    /// Takes an answer that came `at`; what was known before survives a problem.
    pub fn take(&mut self, answer: Result<T, Problem>, at: Timestamp) {
        self.asking = false;
        match answer {
            Ok(value) => {
                self.value = Some(value);
                self.at = Some(at);
                self.problem = None;
            }
            Err(problem) => self.problem = Some(problem),
        }
    }
}

/// One thing worth saying.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What, on one line.
    pub text: String,
    /// Errors stay until they are dismissed.
    pub error: bool,
    /// Since when.
    pub at: Timestamp,
}

/// How much of what can be scrolled was drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Rows of one page.
    pub page: usize,
    /// The most lines that can be scrolled away.
    pub scroll_max: usize,
}

impl Model {
    /// Nothing is known yet but where the daemon should be.
    pub fn new(socket: PathBuf, now: Timestamp) -> Self {
        Self {
            now,
            socket,
            link: Link::Connecting,
            snapshot: None,
            backlog: BTreeMap::new(),
            screen: Screen::Overview,
            row: Cursor::default(),
            failed: Fetched::default(),
            failed_of: (Vec::new(), Wanted::default()),
            wanted: Wanted::default(),
            by_group: false,
            groups: Fetched::default(),
            group: Cursor::default(),
            marks: BTreeMap::new(),
            wanted_queue: None,
            event: Cursor::default(),
            tasks: Fetched::default(),
            pattern: None,
            task: Cursor::default(),
            operation: Cursor::default(),
            draft: None,
            layers: Vec::new(),
            notices: Vec::new(),
            extent: Extent::default(),
        }
    }

    /// The rows of the overview, top to bottom.
    pub fn rows(&self) -> Vec<Row> {
        let Some(snapshot) = &self.snapshot else {
            return Vec::new();
        };
        let queues = snapshot
            .queues
            .iter()
            .map(|queue| Row::Queue(queue.name.clone()));
        queues
            .chain(
                snapshot
                    .functions
                    .iter()
                    .map(|function| Row::Function(function.name.clone())),
            )
            .collect()
    }

    /// The selected row of the overview.
    pub fn selected_row(&self) -> Option<Row> {
        self.row.current(&self.rows())
    }

    /// Whose keys work when nothing lies over the screen.
    pub fn place(&self) -> Place {
        if self.screen == Screen::Failed && self.by_group {
            Place::Groups
        } else {
            Place::Screen(self.screen)
        }
    }

    /// The groups of failed events, as far as they were fetched.
    pub fn shown_groups(&self) -> &[Group] {
        self.groups
            .value
            .as_ref()
            .map_or(&[], |groups| &groups.groups)
    }

    /// The keys of the groups.
    pub fn group_keys(&self) -> Vec<GroupKey> {
        let key = |group: &Group| {
            (
                group.dead_letter_queue.clone(),
                group.signature.clone(),
                group.origin.clone(),
            )
        };
        self.shown_groups().iter().map(key).collect()
    }

    /// The selected group and which events are in it.
    pub fn selected_group(&self) -> Option<Wanted> {
        let (queue, signature, origin) = self.group.current(&self.group_keys())?;
        Some(Wanted {
            queue: Some(queue),
            filter: Filter {
                group: Some(signature),
                origin: origin.map(|origin| origin.name),
                ..Filter::default()
            },
        })
    }

    /// The failed events, as far as they were fetched.
    pub fn events(&self) -> &[FailedEvent] {
        self.failed.value.as_ref().map_or(&[], |list| &list.events)
    }

    /// The ids of the failed events.
    pub fn event_ids(&self) -> Vec<String> {
        self.events().iter().map(|event| event.id.clone()).collect()
    }

    /// The failed event that an open detail shows, or that is selected in the list.
    pub fn selected_event(&self) -> Option<&FailedEvent> {
        match self.layers.last() {
            Some(Layer::Detail(detail)) => match &detail.answer {
                Some(Ok(answer)) => Some(&answer.event),
                _ => self.events().iter().find(|event| event.id == detail.id),
            },
            _ => self.events().get(self.event.index(&self.event_ids())?),
        }
    }

    /// The ids of the tasks.
    pub fn task_ids(&self) -> Vec<String> {
        self.tasks
            .value
            .iter()
            .flatten()
            .map(|task| task.id.clone())
            .collect()
    }

    /// The operations, the newest first.
    pub fn operations(&self) -> &[Operation] {
        self.snapshot
            .as_ref()
            .map_or(&[], |snapshot| &snapshot.operations)
    }

    /// The ids of the operations.
    pub fn operation_ids(&self) -> Vec<String> {
        self.operations()
            .iter()
            .map(|operation| operation.id().to_owned())
            .collect()
    }

    /// The redrive that an open layer shows, or that is selected among the operations.
    pub fn selected_redrive(&self) -> Option<&Redrive> {
        let open = self.layers.iter().rev().find_map(|layer| match layer {
            Layer::Outcomes(outcomes) => Some(outcomes.id.clone()),
            _ => None,
        });
        let id = open.or_else(|| self.operation.current(&self.operation_ids()))?;
        self.redrive(&id)
    }

    /// The redrive of that id.
    pub fn redrive(&self, id: &str) -> Option<&Redrive> {
        match self.snapshot.as_ref()?.operation(id)? {
            Operation::Redrive(redrive) => Some(redrive),
            Operation::Burst(_) => None,
        }
    }

    /// The names of the patterns where tasks can be created.
    pub fn patterns(&self) -> &[String] {
        self.snapshot
            .as_ref()
            .map_or(&[], |snapshot| &snapshot.patterns)
    }

    /// The pattern whose tasks are shown.
    pub fn shown_pattern(&self) -> Option<&str> {
        let patterns = self.patterns();
        let chosen = self
            .pattern
            .as_ref()
            .filter(|pattern| patterns.contains(pattern));
        chosen.or(patterns.first()).map(String::as_str)
    }

    /// The pattern that a burst proposes: the chosen one, else one with a queue, whose backlog will rise and fall.
    pub fn burst_pattern(&self) -> Option<&str> {
        let queues = self.snapshot.iter().flat_map(|snapshot| &snapshot.queues);
        let sources: Vec<_> = queues
            .filter(|queue| queue.role == QueueRole::Source)
            .collect();
        let leveled = self.patterns().iter().find(|pattern| {
            let prefix = format!("{pattern}-");
            sources.iter().any(|queue| queue.name.starts_with(&prefix))
        });
        self.pattern
            .as_deref()
            .or(leveled.map(String::as_str))
            .or(self.shown_pattern())
    }

    /// Says something that fades.
    pub fn inform(&mut self, text: impl Into<String>) {
        self.notices.push(Notice {
            text: text.into(),
            error: false,
            at: self.now,
        });
    }

    /// Says what went wrong, until it is dismissed.
    pub fn complain(&mut self, problem: &Problem) {
        let mut text = problem.to_string();
        if !problem.fix.is_empty() {
            text.push_str(" → ");
            text.push_str(&problem.fix.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        // The same failure again is no news.
        self.notices.retain(|notice| notice.text != text);
        self.notices.push(Notice {
            text,
            error: true,
            at: self.now,
        });
    }
}
