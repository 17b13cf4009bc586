//! Forms: what is typed before a task is created, a burst is started or a redrive is planned again.

use patterns_core::operation::{Manner, RATE_MAX, Selection};
use patterns_core::protocol::{BURST_COUNT_MAX, BURST_RATE_MAX, REASON_MAX, Request};
use patterns_core::task::{NewTask, invalid_fields};
use tui_input::Input;

/// What a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Create a task.
    Task,
    /// Start a burst.
    Burst,
    /// Plan a redrive differently.
    Options,
}

/// What a field holds.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Typed text.
    Text(Input),
    /// One of several.
    Choice {
        /// All of them.
        options: Vec<String>,
        /// The position of the chosen one.
        at: usize,
    },
}

/// One line of a form.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in JSON, by which an error finds it.
    pub name: &'static str,
    /// Its name on screen, with what it may hold.
    pub label: &'static str,
    /// What it holds.
    pub entry: Entry,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl Field {
    fn text(name: &'static str, label: &'static str, value: &str) -> Self {
        Self {
            name,
            label,
            entry: Entry::Text(Input::new(value.to_owned())),
            error: None,
        }
    }

    fn pattern(options: &[String], chosen: Option<&str>) -> Self {
        let at = options
            .iter()
            .position(|option| Some(option.as_str()) == chosen)
            .unwrap_or(0);
        Self::choice("pattern", "Pattern", options.to_vec(), at)
    }

    fn choice(name: &'static str, label: &'static str, options: Vec<String>, at: usize) -> Self {
        Self {
            name,
            label,
            entry: Entry::Choice { options, at },
            error: None,
        }
    }

    /// One of two, the second when `second`.
    fn either(name: &'static str, label: &'static str, options: [&str; 2], second: bool) -> Self {
        let options = options.map(str::to_owned).to_vec();
        Self::choice(name, label, options, usize::from(second))
    }

    /// What it holds, as text.
    pub fn value(&self) -> &str {
        match &self.entry {
            Entry::Text(input) => input.value(),
            Entry::Choice { options, at } => options.get(*at).map_or("", String::as_str),
        }
    }
}

/// A form on screen.
#[derive(Clone, Debug)]
pub struct Form {
    /// What it is for.
    pub purpose: Purpose,
    /// Its fields, top to bottom.
    pub fields: Vec<Field>,
    /// The position of the field that takes what is typed.
    pub focus: usize,
    /// The plan that it changes, or that it asked for last.
    pub asked: Option<Request>,
    /// Whether it was sent and the answer is not here yet.
    pub sent: bool,
}

impl Form {
    /// Asks for a new task.
    pub fn task(patterns: &[String], chosen: Option<&str>) -> Self {
        let fields = vec![
            Field::text("title", "Title", ""),
            Field::text("detail", "Detail", ""),
            Field::pattern(patterns, chosen),
        ];
        Self {
            purpose: Purpose::Task,
            fields,
            focus: 0,
            asked: None,
            sent: false,
        }
    }

    /// Asks for a burst; starts at 500 tasks, 100 a second.
    pub fn burst(patterns: &[String], chosen: Option<&str>) -> Self {
        let fields = vec![
            Field::pattern(patterns, chosen),
            Field::text("rate", "Tasks per second", "100"),
            Field::text("count", "Tasks in all", "500"),
        ];
        Self {
            purpose: Purpose::Burst,
            fields,
            focus: 0,
            asked: None,
            sent: false,
        }
    }

    /// Asks how to redrive, starting with what was `asked` for. Only the reason of taking back can be chosen.
    pub fn options(asked: &Request, reason: Option<&str>) -> Self {
        let mut fields = Vec::new();
        if let Request::Plan {
            to,
            manner,
            selection,
            edit,
            ..
        } = asked
        {
            let rate = manner.rate.map(|rate| rate.to_string());
            fields.extend([
                Field::text(
                    "rate",
                    "Events per second at most; empty: as fast as it can",
                    rate.as_deref().unwrap_or_default(),
                ),
                Field::either(
                    "steps",
                    "Above 20 events",
                    ["in steps", "all at once"],
                    manner.all_at_once,
                ),
                Field::either(
                    "careful",
                    "An event that may have been sent already",
                    ["is sent again", "waits, and each goes alone"],
                    manner.careful,
                ),
                Field::text(
                    "to",
                    "Queue or function to send to; empty: where they failed",
                    to.as_deref().unwrap_or_default(),
                ),
            ]);
            // A move task takes the whole queue as it is.
            if *selection == Selection::Everything && edit.is_none() {
                fields.push(Field::either(
                    "native",
                    "Carried out by",
                    ["patterns", "SQS, which names no event"],
                    manner.native,
                ));
            }
        }
        let reason = reason.unwrap_or_default();
        fields.push(Field::text("reason", "Why, for the audit", reason));
        Self {
            purpose: Purpose::Options,
            fields,
            focus: 0,
            asked: Some(asked.clone()),
            sent: false,
        }
    }

    /// The field that takes what is typed.
    pub fn focused(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.focus)
    }

    /// Moves the focus by one, around the ends.
    pub fn turn(&mut self, forward: bool) {
        let count = self.fields.len().max(1);
        let step = if forward { 1 } else { count - 1 };
        self.focus = (self.focus + step) % count;
    }

    fn value(&self, name: &str) -> &str {
        self.fields
            .iter()
            .find(|field| field.name == name)
            .map_or("", Field::value)
    }

    /// Puts `message` at the field of that name; `false` when there is none.
    pub fn blame(&mut self, name: &str, message: &str) -> bool {
        let Some(at) = self.fields.iter().position(|field| field.name == name) else {
            return false;
        };
        if let Some(field) = self.fields.get_mut(at) {
            field.error = Some(message.to_owned());
        }
        self.focus = at;
        true
    }

    /// What it asks for; `None` after putting the errors at their fields.
    pub fn request(&mut self) -> Option<Request> {
        for field in &mut self.fields {
            field.error = None;
        }
        match self.purpose {
            Purpose::Task => self.task_request(),
            Purpose::Burst => self.burst_request(),
            Purpose::Options => self.plan_request(),
        }
    }

    fn task_request(&mut self) -> Option<Request> {
        let title = self.value("title").to_owned();
        let detail = Some(self.value("detail").to_owned()).filter(|detail| !detail.is_empty());
        let invalid = invalid_fields(&title, detail.as_deref());
        for error in invalid.iter().rev() {
            self.blame(&error.field, &error.message);
        }
        invalid.is_empty().then(|| Request::TaskCreate {
            pattern: self.pattern(),
            task: NewTask {
                title,
                detail,
                due_at: None,
                is_complete: false,
            },
        })
    }

    fn burst_request(&mut self) -> Option<Request> {
        let rate = self
            .value("rate")
            .trim()
            .parse()
            .ok()
            .filter(|rate| *rate > 0.0 && *rate <= BURST_RATE_MAX);
        let count = self
            .value("count")
            .trim()
            .parse()
            .ok()
            .filter(|count| (1..=BURST_COUNT_MAX).contains(count));
        if count.is_none() {
            self.blame(
                "count",
                &format!("A whole number from 1 to {BURST_COUNT_MAX}"),
            );
        }
        if rate.is_none() {
            self.blame(
                "rate",
                &format!("A number above 0, at most {BURST_RATE_MAX}"),
            );
        }
        Some(Request::Burst {
            pattern: self.pattern(),
            rate: rate?,
            count: count?,
        })
    }

    fn plan_request(&mut self) -> Option<Request> {
        let mut request = self.asked.clone()?;
        let mut valid = true;
        if self
            .reason()
            .is_some_and(|reason| reason.len() > REASON_MAX)
        {
            self.blame("reason", &format!("At most {REASON_MAX} bytes"));
            valid = false;
        }
        if let Request::Plan { to, manner, .. } = &mut request {
            let typed = self.value("rate").trim().to_owned();
            let rate = typed
                .parse()
                .ok()
                .filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
            if rate.is_none() && !typed.is_empty() {
                self.blame(
                    "rate",
                    &format!("Empty, or a number above 0, at most {RATE_MAX}"),
                );
                valid = false;
            }
            let target = self.value("to").trim();
            *to = (!target.is_empty()).then(|| target.to_owned());
            *manner = Manner {
                rate,
                careful: self.second("careful"),
                all_at_once: self.second("steps"),
                native: self.second("native"),
            };
        }
        valid.then_some(request)
    }

    /// Whether the second of two is chosen.
    fn second(&self, name: &str) -> bool {
        let field = self.fields.iter().find(|field| field.name == name);
        matches!(
            field.map(|field| &field.entry),
            Some(Entry::Choice { at: 1, .. })
        )
    }

    /// Why, as far as it was typed.
    pub fn reason(&self) -> Option<String> {
        let reason = self.value("reason").trim();
        (!reason.is_empty()).then(|| reason.to_owned())
    }

    fn pattern(&self) -> Option<String> {
        Some(self.value("pattern").to_owned()).filter(|pattern| !pattern.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::redrive_of;

    fn type_into(form: &mut Form, name: &str, text: &str) {
        let field = form
            .fields
            .iter_mut()
            .find(|field| field.name == name)
            .unwrap();
        field.entry = Entry::Text(Input::new(text.to_owned()));
    }

    #[test]
    fn an_empty_title_is_named_and_focused() {
        let mut form = Form::task(&["a".to_owned()], None);
        form.focus = 1;
        assert_eq!(form.request(), None);
        assert_eq!(form.fields[0].error.as_deref(), Some("Title is required"));
        assert_eq!(form.focus, 0);
        type_into(&mut form, "title", "x");
        assert!(form.request().is_some());
        assert_eq!(form.fields[0].error, None);
    }

    #[test]
    fn only_a_whole_queue_can_be_left_to_sqs() {
        let options = |selection| {
            let asked = redrive_of("dlq".to_owned(), selection, None);
            Form::options(&asked, None)
        };
        let chosen = options(Selection::Chosen(vec!["a1".to_owned()]));
        assert!(chosen.fields.iter().all(|field| field.name != "native"));
        let mut everything = options(Selection::Everything);
        let native = everything
            .fields
            .iter_mut()
            .find(|field| field.name == "native");
        let Some(Entry::Choice { at, .. }) = native.map(|field| &mut field.entry) else {
            panic!("it can be chosen")
        };
        *at = 1;
        let Some(Request::Plan { manner, .. }) = everything.request() else {
            panic!("it asks for a plan")
        };
        assert!(manner.native && !manner.careful && !manner.all_at_once);
    }

    #[test]
    fn a_burst_has_limits() {
        for (rate, count, valid) in [
            ("100", "500", true),
            ("0.5", "1", true),
            ("0", "500", false),
            ("NaN", "500", false),
            ("inf", "500", false),
            ("100", "0", false),
            ("100", "1.5", false),
            ("100000", "5", false),
        ] {
            let mut form = Form::burst(&[], None);
            type_into(&mut form, "rate", rate);
            type_into(&mut form, "count", count);
            assert_eq!(form.request().is_some(), valid, "{rate} {count}");
        }
    }
}
