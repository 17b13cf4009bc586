//! Every key with its meaning, in one table. Keys are looked up in it, and the footer and the help are made from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::layer::Layer;
use crate::model::{Model, Place, Screen};

/// What a key can mean. Where the same wish makes sense in several places it is one action, and the context decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    Suspend,
    Redraw,
    Back,
    Leave,
    Help,
    Refresh,
    NextScreen,
    PreviousScreen,
    Show(Screen),
    SelectNext,
    SelectPrevious,
    SelectFirst,
    SelectLast,
    PageDown,
    PageUp,
    Open,
    CopyId,
    Mark,
    Search,
    TurnView,
    Redrive,
    RedriveQueue,
    Edit,
    PauseOrResume,
    CancelRedrive,
    TakeBack,
    BreakOrHeal,
    Burst,
    CreateTask,
    NextPattern,
    PreviousPattern,
    Commit,
    Force,
    Options,
    Cancel,
    NextField,
    PreviousField,
    Submit,
}

/// Where a key has its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Everywhere, also while typing.
    Always,
    /// Everywhere but while typing or deciding.
    Browse,
    /// On every screen without a layer over it.
    Screens,
    /// Where something can be moved or scrolled.
    Move,
    /// Screen 1.
    Overview,
    /// Screen 2, event by event.
    Failed,
    /// Screen 2, by signature.
    Groups,
    /// While a search is typed.
    Search,
    /// Screen 3.
    Tasks,
    /// Screen 4.
    Operations,
    /// A failed event, whole.
    Detail,
    /// A redrive with its events.
    Outcomes,
    /// The second key.
    Confirm,
    /// The choice of a target.
    Choose,
    /// While typing.
    Form,
}

/// A key with Ctrl or without. Shift is in the character itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
}

const fn key(c: char) -> Key {
    Key {
        code: KeyCode::Char(c),
        ctrl: false,
    }
}

const fn ctrl(c: char) -> Key {
    Key {
        code: KeyCode::Char(c),
        ctrl: true,
    }
}

const fn named(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

impl Key {
    /// The key of a terminal event; `None` for combinations that mean nothing here, such as Alt.
    pub fn of(event: &KeyEvent) -> Option<Self> {
        let rest = event
            .modifiers
            .difference(KeyModifiers::SHIFT | KeyModifiers::CONTROL);
        rest.is_empty().then(|| Self {
            code: event.code,
            ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
        })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ctrl {
            f.write_str("Ctrl-")?;
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::Up => f.write_str("↑"),
            KeyCode::Down => f.write_str("↓"),
            KeyCode::PageUp => f.write_str("PgUp"),
            KeyCode::PageDown => f.write_str("PgDn"),
            KeyCode::BackTab => f.write_str("Shift-Tab"),
            code => write!(f, "{code}"),
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Entry {
    /// What it does.
    pub action: Action,
    /// Its name, in kebab-case; unique within its context.
    pub name: &'static str,
    /// Where.
    pub context: Context,
    /// The keys, the one that is shown first.
    pub keys: &'static [Key],
    /// One or two words for the footer; empty keeps it out of there.
    pub label: &'static str,
    /// One line for the help.
    pub summary: &'static str,
    /// Whether it changes something in the account, so that a second key must follow and a read-only daemon refuses.
    pub danger: bool,
}

const fn entry(
    action: Action,
    name: &'static str,
    context: Context,
    keys: &'static [Key],
    label: &'static str,
    summary: &'static str,
) -> Entry {
    Entry {
        action,
        name,
        context,
        keys,
        label,
        summary,
        danger: false,
    }
}

const fn danger(
    action: Action,
    name: &'static str,
    context: Context,
    keys: &'static [Key],
    label: &'static str,
    summary: &'static str,
) -> Entry {
    Entry {
        danger: true,
        ..entry(action, name, context, keys, label, summary)
    }
}

/// The table. Within a context its order is the order in the footer and in the help.
#[rustfmt::skip]
pub const TABLE: &[Entry] = &[
    entry(Action::Open, "open", Context::Overview, &[named(KeyCode::Enter)], "failed events", "show the failed events of the selected dead-letter queue"),
    danger(Action::Redrive, "redrive", Context::Overview, &[key('r')], "redrive", "redrive everything in the selected dead-letter queue"),
    danger(Action::BreakOrHeal, "break-or-heal", Context::Overview, &[key('x')], "break/heal", "break or heal the deliveries of the selected function"),
    danger(Action::Burst, "burst", Context::Overview, &[key('b')], "burst", "create tasks at a fixed rate"),
    entry(Action::CopyId, "copy-id", Context::Overview, &[key('y')], "", "copy the ARN"),

    entry(Action::Open, "open", Context::Failed, &[named(KeyCode::Enter)], "open", "show the event with payload, attributes, logs and history"),
    danger(Action::Redrive, "redrive", Context::Failed, &[key('r')], "redrive", "redrive the marked events, or this one"),
    entry(Action::Search, "search", Context::Failed, &[key('/')], "search", "show only events with these words and fields: refused error_type:X body.orderId:123"),
    entry(Action::TurnView, "groups", Context::Failed, &[key('v')], "groups", "show what failed alike as groups"),
    entry(Action::Mark, "mark", Context::Failed, &[key(' ')], "mark", "mark this event, or not any more"),
    danger(Action::RedriveQueue, "redrive-all", Context::Failed, &[key('A')], "redrive all", "redrive everything in the queue of this event, or what is shown of it"),
    danger(Action::Edit, "edit", Context::Failed, &[key('e')], "edit", "redrive with another payload, written in your editor; the marked events with a JSON Patch"),
    entry(Action::CopyId, "copy-id", Context::Failed, &[key('y')], "copy id", "copy the event's id"),

    entry(Action::Open, "open", Context::Groups, &[named(KeyCode::Enter)], "its events", "show the events of this group"),
    danger(Action::Redrive, "redrive", Context::Groups, &[key('r')], "redrive group", "redrive the events of this group"),
    entry(Action::TurnView, "events", Context::Groups, &[key('v')], "events", "show event by event"),
    entry(Action::CopyId, "copy-signature", Context::Groups, &[key('y')], "copy", "copy the group's signature"),

    entry(Action::Submit, "keep", Context::Search, &[named(KeyCode::Enter)], "keep", "keep what is found on the screen"),
    entry(Action::Cancel, "clear", Context::Search, &[named(KeyCode::Esc)], "clear", "show everything again"),

    danger(Action::CreateTask, "create-task", Context::Tasks, &[key('n')], "new task", "create a task"),
    entry(Action::NextPattern, "next-pattern", Context::Tasks, &[key(']')], "next pattern", "show the tasks of the next pattern"),
    entry(Action::PreviousPattern, "previous-pattern", Context::Tasks, &[key('[')], "", "show the tasks of the previous pattern"),
    entry(Action::CopyId, "copy-id", Context::Tasks, &[key('y')], "copy id", "copy the task's id"),

    entry(Action::Open, "open", Context::Operations, &[named(KeyCode::Enter)], "its events", "show what became of each event of the selected redrive"),
    danger(Action::PauseOrResume, "pause-or-resume", Context::Operations, &[key('p')], "pause/resume", "pause the selected redrive, or let it go on"),
    danger(Action::CancelRedrive, "cancel-redrive", Context::Operations, &[key('c')], "cancel", "end the selected redrive; what it has not reached stays"),
    danger(Action::TakeBack, "take-back", Context::Operations, &[key('u')], "take back", "take back what the selected redrive sent and nobody has received"),
    danger(Action::Burst, "burst", Context::Operations, &[key('b')], "burst", "create tasks at a fixed rate"),
    entry(Action::CopyId, "copy-id", Context::Operations, &[key('y')], "copy id", "copy the operation's id"),

    danger(Action::Redrive, "redrive", Context::Detail, &[key('r')], "redrive", "redrive this event"),
    danger(Action::RedriveQueue, "redrive-queue", Context::Detail, &[key('A')], "redrive queue", "redrive everything in the queue of this event"),
    danger(Action::Edit, "edit", Context::Detail, &[key('e')], "edit", "redrive this event with another payload, written in your editor"),
    entry(Action::CopyId, "copy-id", Context::Detail, &[key('y')], "copy id", "copy the event's id"),

    entry(Action::Open, "open", Context::Outcomes, &[named(KeyCode::Enter)], "open", "show the failed event that this one came back as, or that stayed"),
    entry(Action::TurnView, "returned", Context::Outcomes, &[key('v')], "returned/all", "show only events that came back, or all"),
    danger(Action::PauseOrResume, "pause-or-resume", Context::Outcomes, &[key('p')], "pause/resume", "pause this redrive, or let it go on"),
    danger(Action::CancelRedrive, "cancel-redrive", Context::Outcomes, &[key('c')], "cancel", "end this redrive; what it has not reached stays"),
    danger(Action::TakeBack, "take-back", Context::Outcomes, &[key('u')], "take back", "take back what this redrive sent and nobody has received"),
    entry(Action::CopyId, "copy-id", Context::Outcomes, &[key('y')], "copy id", "copy the operation's id"),

    entry(Action::Commit, "commit", Context::Confirm, &[named(KeyCode::Enter)], "do it", "do what is stated"),
    entry(Action::Force, "force", Context::Confirm, &[key('F')], "", "do it though something stops it that can be forced"),
    entry(Action::Options, "options", Context::Confirm, &[key('o')], "options", "choose rate, care, steps, target and reason, and plan again"),
    entry(Action::Cancel, "cancel", Context::Confirm, &[named(KeyCode::Esc), key('q')], "cancel", "do nothing"),

    entry(Action::Commit, "choose", Context::Choose, &[named(KeyCode::Enter)], "choose", "plan with the selected target"),
    entry(Action::Cancel, "cancel", Context::Choose, &[named(KeyCode::Esc), key('q')], "cancel", "do nothing"),

    entry(Action::Submit, "submit", Context::Form, &[named(KeyCode::Enter)], "submit", "submit the form"),
    entry(Action::NextField, "next-field", Context::Form, &[named(KeyCode::Tab), named(KeyCode::Down)], "next field", "go to the next field"),
    entry(Action::PreviousField, "previous-field", Context::Form, &[named(KeyCode::BackTab), named(KeyCode::Up)], "", "go to the previous field"),
    entry(Action::Cancel, "cancel", Context::Form, &[named(KeyCode::Esc)], "cancel", "close the form"),

    entry(Action::SelectNext, "select-next", Context::Move, &[key('j'), named(KeyCode::Down)], "", "down"),
    entry(Action::SelectPrevious, "select-previous", Context::Move, &[key('k'), named(KeyCode::Up)], "", "up"),
    entry(Action::SelectFirst, "select-first", Context::Move, &[key('g'), named(KeyCode::Home)], "", "to the top"),
    entry(Action::SelectLast, "select-last", Context::Move, &[key('G'), named(KeyCode::End)], "", "to the bottom"),
    entry(Action::PageDown, "page-down", Context::Move, &[named(KeyCode::PageDown), ctrl('f')], "", "one page down"),
    entry(Action::PageUp, "page-up", Context::Move, &[named(KeyCode::PageUp), ctrl('b')], "", "one page up"),

    entry(Action::NextScreen, "next-screen", Context::Screens, &[named(KeyCode::Tab)], "", "next screen"),
    entry(Action::PreviousScreen, "previous-screen", Context::Screens, &[named(KeyCode::BackTab)], "", "previous screen"),
    entry(Action::Show(Screen::Overview), "overview", Context::Screens, &[key('1')], "", "queues, functions and what runs"),
    entry(Action::Show(Screen::Failed), "failed-events", Context::Screens, &[key('2')], "", "what sits in dead-letter queues"),
    entry(Action::Show(Screen::Tasks), "tasks", Context::Screens, &[key('3')], "", "tasks of a pattern stack"),
    entry(Action::Show(Screen::Operations), "operations", Context::Screens, &[key('4')], "", "redrives and bursts"),

    entry(Action::Refresh, "refresh", Context::Browse, &[key('R')], "", "ask AWS again now"),
    entry(Action::Help, "help", Context::Browse, &[key('?')], "help", "show or hide these keys"),
    entry(Action::Back, "back", Context::Browse, &[named(KeyCode::Esc)], "back", "dismiss an error, then close what is open, then go to the overview"),
    entry(Action::Leave, "leave", Context::Browse, &[key('q')], "quit", "as back; quits from the overview"),

    entry(Action::Redraw, "redraw", Context::Always, &[ctrl('l')], "", "draw the screen again"),
    entry(Action::Suspend, "suspend", Context::Always, &[ctrl('z')], "", "stop the program; fg continues it"),
    entry(Action::Quit, "quit", Context::Always, &[ctrl('c')], "", "quit"),
];

/// The contexts that are active, the most specific first.
pub fn contexts(model: &Model) -> &'static [Context] {
    contexts_of(model.place(), model.layers.last())
}

/// The contexts of a place with `layer` over it.
pub fn contexts_of(place: Place, layer: Option<&Layer>) -> &'static [Context] {
    use Context::{Always, Browse, Move, Screens};
    match layer {
        Some(Layer::Help { .. }) => &[Move, Browse, Always],
        Some(Layer::Detail(_)) => &[Context::Detail, Move, Browse, Always],
        Some(Layer::Outcomes(_)) => &[Context::Outcomes, Move, Browse, Always],
        Some(Layer::Reading(_) | Layer::Planning(_) | Layer::Confirm(_)) => {
            &[Context::Confirm, Move, Always]
        }
        Some(Layer::Choose(_)) => &[Context::Choose, Move, Always],
        Some(Layer::Form(_)) => &[Context::Form, Always],
        Some(Layer::Search(_)) => &[Context::Search, Always],
        None => match place {
            Place::Groups => &[Context::Groups, Move, Screens, Browse, Always],
            Place::Screen(Screen::Overview) => &[Context::Overview, Move, Screens, Browse, Always],
            Place::Screen(Screen::Failed) => &[Context::Failed, Move, Screens, Browse, Always],
            Place::Screen(Screen::Tasks) => &[Context::Tasks, Move, Screens, Browse, Always],
            Place::Screen(Screen::Operations) => {
                &[Context::Operations, Move, Screens, Browse, Always]
            }
        },
    }
}

/// The entries that are active, in the order of their contexts.
pub fn active(contexts: &[Context]) -> impl Iterator<Item = &'static Entry> {
    contexts
        .iter()
        .flat_map(|context| TABLE.iter().filter(move |entry| entry.context == *context))
}

/// What `key` means in `contexts`.
pub fn lookup(contexts: &[Context], key: Key) -> Option<&'static Entry> {
    active(contexts).find(|entry| entry.keys.contains(&key))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use jiff::Timestamp;

    use super::*;

    /// The stacks of contexts that can be active together.
    fn stacks() -> Vec<&'static [Context]> {
        use crate::form::Form;
        let mut model = Model::new(PathBuf::new(), Timestamp::UNIX_EPOCH);
        let mut stacks: Vec<_> = Screen::ALL
            .into_iter()
            .map(|screen| {
                model.screen = screen;
                contexts(&model)
            })
            .collect();
        model.screen = Screen::Failed;
        model.by_group = true;
        stacks.push(contexts(&model));
        let layers = [
            Layer::Help { scroll: 0 },
            Layer::Search(tui_input::Input::default()),
            Layer::Detail(crate::layer::Detail {
                id: String::new(),
                answer: None,
                scroll: 0,
            }),
            Layer::Outcomes(crate::outcomes::Outcomes::new(String::new())),
            Layer::Planning(patterns_core::protocol::Request::Refresh),
            Layer::Choose(crate::layer::Choose {
                asked: patterns_core::protocol::Request::Refresh,
                origins: Vec::new(),
                at: 0,
            }),
            Layer::Form(Form::task(&[], None)),
        ];
        for layer in layers {
            model.layers = vec![layer];
            stacks.push(contexts(&model));
        }
        stacks
    }

    #[test]
    fn no_key_has_two_meanings_at_once() {
        for stack in stacks() {
            let mut seen: Vec<(Key, &str)> = Vec::new();
            for entry in active(stack) {
                for key in entry.keys {
                    let other = seen.iter().find(|(other, _)| other == key);
                    assert_eq!(other, None, "{key} is also {} in {stack:?}", entry.name);
                    seen.push((*key, entry.name));
                }
            }
        }
    }

    #[test]
    fn every_entry_can_be_reached_and_explained() {
        for entry in TABLE {
            assert!(
                !entry.summary.is_empty() && !entry.keys.is_empty(),
                "{}",
                entry.name
            );
            assert!(
                entry
                    .name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '-'),
                "{}",
                entry.name
            );
            assert!(
                stacks().iter().any(|stack| stack.contains(&entry.context)),
                "{}",
                entry.name
            );
            let twins = TABLE
                .iter()
                .filter(|other| other.context == entry.context && other.name == entry.name);
            assert_eq!(twins.count(), 1, "{}", entry.name);
        }
    }

    #[test]
    fn letters_are_letters_while_typing() {
        for entry in active(&[Context::Form, Context::Search, Context::Always]) {
            for key in entry.keys {
                assert!(
                    key.ctrl || !matches!(key.code, KeyCode::Char(_)),
                    "{key} of {}",
                    entry.name
                );
            }
        }
    }

    #[test]
    fn shift_is_in_the_character() {
        let event = KeyEvent::new(KeyCode::Char('R'), KeyModifiers::SHIFT);
        let entry = lookup(&[Context::Browse], Key::of(&event).unwrap()).unwrap();
        assert_eq!(entry.name, "refresh");
        assert_eq!(
            Key::of(&KeyEvent::new(KeyCode::Char('r'), KeyModifiers::ALT)),
            None
        );
    }
}
