//! One failed event, whole: error, times, payload, attributes, logs, history.

use jiff::Timestamp;
use patterns_core::failed::FailedDetail;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::figure;
use crate::layer::Detail;
use crate::model::{Extent, Model};
use crate::screen::{draw_lines, draw_problem, heading};
use crate::theme::Theme;
use crate::widget::{json, line, log};

/// Draws the event; how far it can be scrolled.
pub fn draw(
    detail: &Detail,
    model: &Model,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Extent {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let page = usize::from(body.height);
    let event = match &detail.answer {
        Some(Ok(event)) => event,
        Some(Err(problem)) => {
            heading(
                &format!("Failed event {}", detail.id),
                "",
                theme,
                title,
                buffer,
            );
            draw_problem(problem, theme, body, buffer);
            return Extent {
                page,
                scroll_max: 0,
            };
        }
        None => {
            heading(
                &format!("Failed event {}", detail.id),
                "asking …",
                theme,
                title,
                buffer,
            );
            return Extent {
                page,
                scroll_max: 0,
            };
        }
    };
    let width = usize::from(area.width).saturating_sub(2);
    let lines: Vec<Line<'static>> = lines(event, model.now, theme)
        .iter()
        .flat_map(|unbroken| line::wrap(unbroken, width))
        .collect();
    let scroll_max = lines.len().saturating_sub(page);
    let scroll = detail.scroll.min(scroll_max);
    let remark = if scroll_max == 0 {
        String::new()
    } else {
        format!(
            "lines {}–{} of {}",
            scroll + 1,
            (scroll + page).min(lines.len()),
            lines.len()
        )
    };
    heading(
        &format!("Failed event {}", event.event.id),
        &remark,
        theme,
        title,
        buffer,
    );
    draw_lines(lines.get(scroll..).unwrap_or_default(), body, buffer);
    Extent { page, scroll_max }
}

/// Everything about the event, line by line.
fn lines(detail: &FailedDetail, now: Timestamp, theme: Theme) -> Vec<Line<'static>> {
    let event = &detail.event;
    let fact = |label: &str, value: String| {
        Line::from(vec![
            Span::styled(format!("{label:<13}"), theme.muted()),
            Span::raw(value),
        ])
    };
    let when = |at: Timestamp| format!("{} ({} ago)", figure::time(at), figure::age(at, now));
    let section = |title: &str| {
        [
            Line::raw(""),
            Line::styled(title.to_owned(), theme.accent()),
        ]
    };

    let unknown = || "not recorded: the message was moved by a redrive policy".to_owned();
    let mut lines = vec![
        fact("Error", event.error_type.clone().unwrap_or_else(unknown)),
        fact("Group", event.signature.clone()),
        fact(
            "Message",
            event
                .error_message
                .clone()
                .unwrap_or_else(|| figure::UNKNOWN.to_owned()),
        ),
        fact(
            "Failed at",
            event
                .origin
                .as_ref()
                .map_or_else(|| "unknown or ambiguous".to_owned(), ToString::to_string),
        ),
        fact("Queue", event.dead_letter_queue.clone()),
        fact("Attempts", event.receive_count.to_string()),
        fact("Sent", when(event.sent_at)),
    ];
    if event.redrive_count > 0 {
        let times = figure::count(u64::from(event.redrive_count), "time");
        lines.push(fact("Redriven", format!("{times}, and came back")));
    }
    if let Some(at) = event.expires_at {
        lines.push(fact("Expires", figure::time(at)));
    }
    if let Some(id) = &event.correlation_id {
        lines.push(fact("Correlation", id.clone()));
    }
    lines.push(fact("Message id", event.message_id.clone()));

    lines.extend(section("Payload"));
    lines.extend(json::written(&figure::payload(detail), theme));
    if let Some(original) = &detail.original {
        lines.extend(section("Payload before it was edited"));
        lines.extend(json::lines(original, theme));
    }
    if !detail.attributes.is_empty() {
        lines.extend(section("Attributes"));
        let widest = detail
            .attributes
            .keys()
            .map(|name| Span::raw(name).width())
            .max()
            .unwrap_or(0);
        for (name, value) in &detail.attributes {
            let gap = " ".repeat(widest.saturating_sub(Span::raw(name).width()) + 2);
            lines.push(Line::from(vec![
                Span::styled(format!("{name}{gap}"), theme.muted()),
                Span::raw(value.clone()),
            ]));
        }
    }
    lines.extend(section("Logs"));
    if detail.logs.is_empty() {
        lines.push(Line::styled("no log line names this event", theme.muted()));
    }
    for entry in &detail.logs {
        let at = Span::styled(format!("{}  ", figure::time(entry.at)), theme.muted());
        lines.push(Line::from(vec![at, Span::raw(log::text(&entry.message))]));
    }
    lines.extend(section("History"));
    if detail.history.is_empty() {
        lines.push(Line::styled(
            "no operation has touched this event",
            theme.muted(),
        ));
    }
    for entry in &detail.history {
        let state = entry.state.replace('_', " ");
        let mut text = format!("{state:<10} by {}", entry.operation_id);
        if let Some(note) = &entry.note {
            text = format!("{text}: {note}");
        }
        let at = Span::styled(format!("{}  ", figure::time(entry.at)), theme.muted());
        lines.push(Line::from(vec![at, Span::raw(text)]));
    }
    lines
}
