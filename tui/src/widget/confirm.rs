//! The dialogs before something is changed.

use jiff::Timestamp;
use patterns_core::operation::{Level, Lint};
use patterns_core::text::visible;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::layer::{Choose, Confirm};
use crate::model::Extent;
use crate::theme::Theme;
use crate::widget::dialog;
use crate::widget::line::{fill, wrap};
use crate::{diff, figure};

/// Where the events should go, when they may have failed at several places.
pub fn choose(choose: &Choose, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut lines: Vec<Line<'static>> = vec![
        Line::raw(format!(
            "Events in {} may have failed at several places.",
            choose.queue()
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
    lines.push(keys("choose", false, theme));
    dialog::lines("Redrive", &lines, theme, area, buffer);
}

/// What is about to happen, and the key that makes it happen.
pub fn confirm(
    confirm: &Confirm,
    now: Timestamp,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Extent {
    let width = dialog::inner_width(area);
    let mut lines: Vec<Line<'static>> = Vec::new();
    // What stops it comes first, so that it is seen in a small window, too.
    for lint in &confirm.lint {
        if lint.level == Level::Stop {
            lines.extend(said(lint, theme, width));
            lines.push(Line::raw(""));
        }
    }
    let reason = confirm.reason().map(|reason| ("Reason", visible(reason)));
    for (label, value) in confirm.facts.iter().chain(&reason) {
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
    for lint in &confirm.lint {
        if lint.level != Level::Stop {
            lines.push(Line::raw(""));
            lines.extend(said(lint, theme, width));
        }
    }
    for edited in &confirm.edits {
        lines.push(Line::raw(""));
        let changes = diff::lines(edited);
        lines.extend(changes.iter().flat_map(|line| change(line, theme, width)));
    }
    let mut last = vec![Line::raw("")];
    match confirm.until.map(|until| figure::seconds_since(now, until)) {
        Some(0) => last.push(Line::styled(
            "This plan has expired. Esc, then ask again.",
            theme.bad(),
        )),
        Some(left @ 1..60) => last.push(Line::styled(
            format!("This plan expires in {left} s."),
            theme.watch(),
        )),
        Some(_) | None => {}
    }
    last.push(match confirm.stop() {
        None => keys("do it", confirm.asked.is_some(), theme),
        Some(stop) => stopped(stop.forcible, theme),
    });
    // A window that is too small shows the way out, and how to see the rest.
    let room = usize::from(area.height).saturating_sub(2);
    if lines.len() + last.len() <= room {
        lines.extend(last);
        dialog::lines(&confirm.title, &lines, theme, area, buffer);
        return Extent::default();
    }
    let page = room.saturating_sub(last.len()).max(1);
    let scroll_max = lines.len().saturating_sub(page);
    let scroll = confirm.scroll.min(scroll_max);
    let until = (scroll + page).min(lines.len());
    let part = format!(
        "lines {}–{until} of {}, ↓ ↑ scroll",
        scroll + 1,
        lines.len()
    );
    if let Some(blank) = last.first_mut() {
        *blank = Line::styled(part, theme.muted());
    }
    let mut seen: Vec<_> = lines.into_iter().skip(scroll).take(page).collect();
    seen.extend(last);
    dialog::lines(&confirm.title, &seen, theme, area, buffer);
    Extent { page, scroll_max }
}

/// One line of a diff; indentation stays, long lines are broken.
fn change(line: &str, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let style = match line.as_bytes().first() {
        _ if line.starts_with("+++") || line.starts_with("---") => theme.accent(),
        Some(b'+') => theme.good(),
        Some(b'-') => theme.bad(),
        Some(b'@') => theme.muted(),
        _ => Style::new(),
    };
    wrap(&Line::styled(line.to_owned(), style), width)
}

/// What speaks against it, and what to do about that.
fn said(lint: &Lint, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let (mark, style) = match lint.level {
        Level::Stop => ("✗", theme.bad()),
        Level::Warning => ("!", theme.watch()),
        Level::Note => ("·", theme.muted()),
    };
    let what = fill(&format!("{mark} {}: {}", lint.what, lint.why), width);
    let mut lines: Vec<_> = what
        .into_iter()
        .map(|row| Line::styled(row, style))
        .collect();
    if !lint.fix.is_empty() {
        let fix = fill(&format!("→ {}", lint.fix), width.saturating_sub(2));
        lines.extend(fix.into_iter().map(|row| Line::raw(format!("  {row}"))));
    }
    lines
}

/// The keys of a question that Enter does not answer.
fn stopped(forcible: bool, theme: Theme) -> Line<'static> {
    let mut spans = Vec::new();
    if forcible {
        spans.push(Span::styled("F", theme.bad()));
        spans.push(Span::raw(" do it nevertheless   "));
    }
    spans.push(Span::styled("Esc", theme.accent()));
    spans.push(Span::raw(" cancel"));
    Line::from(spans)
}

fn keys(enter: &'static str, options: bool, theme: Theme) -> Line<'static> {
    let mut spans = vec![
        Span::styled("Enter", theme.accent()),
        Span::raw(format!(" {enter}   ")),
    ];
    if options {
        spans.push(Span::styled("o", theme.accent()));
        spans.push(Span::raw(" options   "));
    }
    spans.push(Span::styled("Esc", theme.accent()));
    spans.push(Span::raw(" cancel"));
    Line::from(spans)
}
