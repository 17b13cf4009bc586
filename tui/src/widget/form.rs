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
    };
    // Label, value and error of each field, then a blank line and the keys.
    let inner = dialog::open(
        title,
        form.fields.len() * 3 + 1,
        theme,
        area,
        frame.buffer_mut(),
    );
    let mut rows = inner.rows();
    for (at, field) in form.fields.iter().enumerate() {
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
    if let Some(row) = rows.next() {
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
        Purpose::Burst => " state what will happen   ",
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
            let scroll = input.visual_scroll(room);
            let shown: String = patterns_core::text::visible(input.value())
                .chars()
                .skip(scroll)
                .collect();
            frame.buffer_mut().set_stringn(
                area.x + 2,
                area.y,
                shown,
                room,
                ratatui::style::Style::new(),
            );
            if focused {
                let at =
                    u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or(u16::MAX);
                let x = area
                    .x
                    .saturating_add(2)
                    .saturating_add(at)
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
