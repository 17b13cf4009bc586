//! A form in a dialog.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use crate::form::{Entry, Field, Form, Purpose};
use crate::theme::Theme;
use crate::widget::dialog;

/// Draws the form and puts the terminal's cursor into the focused field.
pub fn draw(form: &Form, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let title = match form.purpose {
        Purpose::Task => "Create a task",
        Purpose::Burst => "Create many tasks in a burst",
        Purpose::Options => "Plan it differently",
    };
    // Label, value and error of each field, then a blank line and the keys.
    let inner = dialog::open(
        title,
        form.fields.len() * 3 + 1,
        theme,
        area,
        frame.buffer_mut(),
    );
    // Where there is no room for all, the fields above the focused one are the first to go.
    let room = usize::from(inner.height.saturating_sub(1)) / 3;
    let hidden = (form.focus + 1).saturating_sub(room.max(1));
    let mut rows = inner.rows();
    for (at, field) in form.fields.iter().enumerate().skip(hidden).take(room) {
        let focused = at == form.focus;
        let (Some(label), Some(value), Some(error)) = (rows.next(), rows.next(), rows.next())
        else {
            return;
        };
        draw_label(field, focused, theme, label, frame);
        draw_value(field, focused && !form.sent, theme, value, frame);
        if let Some(message) = &field.error {
            let line = Line::styled(format!("  ✗ {message}"), theme.bad());
            frame
                .buffer_mut()
                .set_line(error.x, error.y, &line, error.width);
        }
    }
    if let Some(row) = inner.rows().next_back() {
        let line = if form.sent {
            Line::styled("Sent; waiting for the daemon …", theme.muted())
        } else {
            keys(form.purpose, theme)
        };
        frame.buffer_mut().set_line(row.x, row.y, &line, row.width);
    }
}

fn keys(purpose: Purpose, theme: Theme) -> Line<'static> {
    let enter = match purpose {
        Purpose::Task => " create   ",
        Purpose::Burst | Purpose::Options => " state what will happen   ",
    };
    Line::from(vec![
        Span::styled("Enter", theme.accent()),
        Span::raw(enter),
        Span::styled("Tab", theme.accent()),
        Span::raw(" next field   "),
        Span::styled("Esc", theme.accent()),
        Span::raw(" cancel"),
    ])
}

fn draw_label(field: &Field, focused: bool, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let style = if focused {
        theme.accent()
    } else {
        theme.muted()
    };
    let mark = if focused { "▸ " } else { "  " };
    frame.buffer_mut().set_line(
        area.x,
        area.y,
        &Line::styled(format!("{mark}{}", field.label), style),
        area.width,
    );
}

fn draw_value(field: &Field, focused: bool, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let room = usize::from(area.width.saturating_sub(3));
    match &field.entry {
        Entry::Text(input) => {
            let (shown, cursor) = window(input.value(), input.cursor(), room);
            frame.buffer_mut().set_stringn(
                area.x + 2,
                area.y,
                shown,
                room,
                ratatui::style::Style::new(),
            );
            if focused {
                let x = area
                    .x
                    .saturating_add(2)
                    .saturating_add(u16::try_from(cursor).unwrap_or(u16::MAX))
                    .min(area.right().saturating_sub(1));
                frame.set_cursor_position(Position::new(x, area.y));
            }
        }
        Entry::Choice { options, at } => {
            let mut spans = vec![Span::raw("  ")];
            for (index, option) in options.iter().enumerate() {
                let (text, style) = if index == *at {
                    (format!("(•) {option}  "), ratatui::style::Style::new())
                } else {
                    (format!("( ) {option}  "), theme.muted())
                };
                spans.push(Span::styled(text, style));
            }
            if focused && options.len() > 1 {
                spans.push(Span::styled("←/→", theme.accent()));
            }
            frame
                .buffer_mut()
                .set_line(area.x, area.y, &Line::from(spans), area.width);
        }
    }
}

/// The part of `value` that is seen in `room` columns, and the column of the cursor, which stands before its character
/// number `cursor`. Counted in what is drawn: marks for hostile characters, and wide characters as two columns.
fn window(value: &str, cursor: usize, room: usize) -> (String, usize) {
    let marked = |part: String| patterns_core::text::visible(&part);
    let before = marked(value.chars().take(cursor).collect());
    let after = marked(value.chars().skip(cursor).collect());
    let mut seen = before.as_str();
    while Span::raw(seen).width() > room {
        let mut rest = seen.chars();
        rest.next();
        seen = rest.as_str();
    }
    (format!("{seen}{after}"), Span::raw(seen).width())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_is_typed_is_seen() {
        assert_eq!(window("abcdef", 6, 4), ("cdef".to_owned(), 4));
        assert_eq!(window("abcdef", 2, 4), ("abcdef".to_owned(), 2));
        assert_eq!(window(&"😀".repeat(100), 100, 7), ("😀😀😀".to_owned(), 6));
        assert_eq!(window("\u{1b}x", 2, 7), ("␛x".to_owned(), 2));
        assert_eq!(window("ab", 2, 0), (String::new(), 0));
    }
}
