//! The dialogs before something is changed.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::figure;
use crate::layer::{Choose, Confirm};
use crate::theme::Theme;
use crate::widget::dialog;
use crate::widget::line::{fill, wrap};

/// Where the events should go, when they may have failed at several places.
pub fn choose(choose: &Choose, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut lines: Vec<Line<'static>> = vec![
        Line::raw(format!(
            "Events in {} may have failed at several places.",
            choose.dead_letter_queue
        )),
        Line::raw("Where should they go?"),
        Line::raw(""),
    ];
    for (at, origin) in choose.origins.iter().enumerate() {
        let line = if at == choose.at {
            Line::styled(format!("▸ {origin}"), theme.selected())
        } else {
            Line::raw(format!("  {origin}"))
        };
        lines.push(line);
    }
    lines.push(Line::raw(""));
    lines.push(keys("choose", theme));
    dialog::lines("Redrive", &lines, theme, area, buffer);
}

/// What is about to happen, and the key that makes it happen.
pub fn confirm(confirm: &Confirm, now: Timestamp, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let width = dialog::inner_width(area);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (label, value) in &confirm.facts {
        let fact = Line::from(vec![
            Span::styled(format!("{label:<10}"), theme.muted()),
            Span::raw(value.clone()),
        ]);
        lines.extend(wrap(&fact, width));
    }
    if let Some(note) = &confirm.note {
        lines.push(Line::raw(""));
        lines.extend(
            fill(note, width)
                .into_iter()
                .map(|row| Line::styled(row, theme.watch())),
        );
    }
    lines.push(Line::raw(""));
    match confirm.until.map(|until| figure::seconds_since(now, until)) {
        Some(0) => lines.push(Line::styled(
            "This plan has expired. Esc, then ask again.",
            theme.bad(),
        )),
        Some(left @ 1..60) => lines.push(Line::styled(
            format!("This plan expires in {left} s."),
            theme.watch(),
        )),
        Some(_) | None => {}
    }
    lines.push(keys("do it", theme));
    dialog::lines(&confirm.title, &lines, theme, area, buffer);
}

fn keys(enter: &'static str, theme: Theme) -> Line<'static> {
    Line::from(vec![
        Span::styled("Enter", theme.accent()),
        Span::raw(format!(" {enter}   ")),
        Span::styled("Esc", theme.accent()),
        Span::raw(" cancel"),
    ])
}
