//! Forms: what is typed before a task is created or a burst is started.

use patterns_core::protocol::{BURST_COUNT_MAX, BURST_RATE_MAX, Request};
use patterns_core::task::{NewTask, invalid_fields};
use tui_input::Input;

/// What a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Create a task.
    Task,
    /// Start a burst.
    Burst,
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
        let entry = Entry::Choice {
            options: options.to_vec(),
            at,
        };
        Self {
            name: "pattern",
            label: "Pattern",
            entry,
            error: None,
        }
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

    fn pattern(&self) -> Option<String> {
        Some(self.value("pattern").to_owned()).filter(|pattern| !pattern.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
