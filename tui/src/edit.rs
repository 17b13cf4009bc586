//! Typing and pasting into a form.

use crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::backend::crossterm::EventHandler;
use tui_input::{Input, InputRequest};

use crate::form::{Entry, Form};

/// A key that is no action, into a line.
pub fn key_into(input: &mut Input, event: KeyEvent) {
    input.handle_event(&Event::Key(event));
}

/// Pasted text, into a line: as it is, but on one line.
pub fn paste_into(input: &mut Input, text: &str) {
    for c in text.trim_end_matches(['\r', '\n']).chars() {
        let c = if matches!(c, '\r' | '\n' | '\t') {
            ' '
        } else {
            c
        };
        input.handle(InputRequest::InsertChar(c));
    }
}

/// A key that is no action: it goes to the focused field.
pub fn key(form: &mut Form, event: KeyEvent) {
    if form.sent {
        return;
    }
    let Some(field) = form.focused() else { return };
    match &mut field.entry {
        Entry::Text(input) => {
            let before = input.value().len();
            key_into(input, event);
            if input.value().len() != before {
                field.error = None;
            }
        }
        Entry::Choice { options, at } => match event.code {
            KeyCode::Right | KeyCode::Char(' ') => *at = (*at + 1) % options.len().max(1),
            KeyCode::Left => *at = (*at + options.len().max(1) - 1) % options.len().max(1),
            _ => {}
        },
    }
}

/// Pasted text goes to the focused field.
pub fn paste(form: &mut Form, text: &str) {
    if form.sent {
        return;
    }
    let Some(field) = form.focused() else { return };
    if let Entry::Text(input) = &mut field.entry {
        paste_into(input, text);
        field.error = None;
    }
}
