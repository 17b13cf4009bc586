//! Screen 2: failed events, newest first.

use patterns_core::failed::{FailedEvent, FailedList};
use patterns_core::protocol::FAILED_LIMIT;
use patterns_core::text::visible;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::figure;
use crate::layer::Layer;
use crate::model::{Model, Wanted};
use crate::screen::{draw_lines, draw_problem, freshness, heading};
use crate::theme::Theme;
use crate::widget::table::{Column, Table};

const COLUMNS: [Column; 9] = [
    // As wide as its marks: nothing without any.
    Column::text("", 0),
    // How often it was redriven and came back.
    Column::text("", 0),
    Column::text("id", 5),
    Column::figure("sent", 0),
    Column::text("dead-letter queue", 1),
    Column::text("failed at", 4),
    Column::figure("attempts", 2),
    Column::text("error", 0),
    Column::long("message", 20, 3),
];

/// Draws the list; the rows of one page.
pub fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) -> usize {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let failed = &model.failed;
    let remark = match &failed.value {
        Some(list) => {
            // A page ends at 1000: the newest are in it.
            let page = if cut_at_limit(list) {
                format!("the newest {} · ", list.events.len())
            } else {
                String::new()
            };
            let marked = match model.marks.len() {
                0 => String::new(),
                marked => format!("{marked} marked · "),
            };
            let found = match list.events.len() {
                _ if model.wanted == Wanted::default() || cut_at_limit(list) => String::new(),
                found => format!("{found} found · "),
            };
            format!(
                "{marked}{found}{page}{} read of about {} · {}",
                list.mirrored,
                list.approximate_total,
                freshness(failed, model)
            )
        }
        None => freshness(failed, model),
    };
    heading(&title_of(model), &remark, theme, title, buffer);
    let mut body = body;
    if let Some(line) = search_line(model, theme) {
        let [search, rest] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(body);
        draw_lines(&[line], search, buffer);
        body = rest;
    }
    if let Some(problem) = &failed.problem {
        let [said, rest] =
            Layout::vertical([Constraint::Length(3), Constraint::Fill(1)]).areas(body);
        draw_problem(problem, theme, said, buffer);
        body = rest;
    }
    let events = model.events();
    if events.is_empty() {
        let text = match &failed.value {
            None if failed.problem.is_some() => "",
            None => "Asking the daemon …",
            Some(list) if list.mirrored > 0 && !model.wanted.filter.is_empty() => {
                "No event that was read is like that."
            }
            Some(list) if list.approximate_total > 0 => {
                "The daemon is still reading the dead-letter queues …"
            }
            Some(_) => "✓ No event failed: all dead-letter queues are empty.",
        };
        draw_lines(&[Line::raw(""), Line::raw(text)], body, buffer);
        return 1;
    }
    let rows = events
        .iter()
        .map(|event| row(event, model, theme))
        .collect();
    let selected = model.event.index(&model.event_ids());
    Table {
        columns: &COLUMNS,
        rows,
        selected,
    }
    .draw(theme, body, buffer)
}

/// Whether there may be more than are listed.
fn cut_at_limit(list: &FailedList) -> bool {
    list.events.len() as u64 >= u64::from(FAILED_LIMIT)
        && (list.events.len() as u64) < list.mirrored
}

fn title_of(model: &Model) -> String {
    match &model.wanted.filter.group {
        Some(group) => format!("Failed events of {group}"),
        None => "Failed events".to_owned(),
    }
}

/// What is searched for, with the place of the next letter while it is typed.
fn search_line(model: &Model, theme: Theme) -> Option<Line<'static>> {
    let slash = Span::styled("/ ", theme.accent());
    if let Some(Layer::Search(input)) = model.layers.last() {
        let (before, after) = input.value().split_at(
            input
                .value()
                .char_indices()
                .nth(input.cursor())
                .map_or(input.value().len(), |(at, _)| at),
        );
        let typed = [before, after].map(visible);
        let [before, after] = typed.map(Span::raw);
        return Some(Line::from(vec![
            slash,
            before,
            Span::styled("▏", theme.accent()),
            after,
        ]));
    }
    let query = model.wanted.filter.query.as_deref()?;
    Some(Line::from(vec![slash, Span::raw(visible(query))]))
}

fn row(event: &FailedEvent, model: &Model, theme: Theme) -> Vec<Span<'static>> {
    let origin = event
        .origin
        .as_ref()
        .map_or_else(|| "unknown".to_owned(), |origin| origin.name.clone());
    vec![
        Span::styled(
            if model.marks.contains_key(&event.id) {
                "●"
            } else {
                ""
            },
            theme.accent(),
        ),
        Span::styled(
            match event.redrive_count {
                0 => String::new(),
                times => format!("↩{times}"),
            },
            theme.watch(),
        ),
        Span::styled(event.id.clone(), theme.muted()),
        Span::raw(figure::age(event.sent_at, model.now)),
        Span::raw(event.dead_letter_queue.clone()),
        Span::raw(origin),
        Span::raw(event.receive_count.to_string()),
        // Messages that a redrive policy moved never say why.
        Span::styled(
            event
                .error_type
                .clone()
                .unwrap_or_else(|| figure::UNKNOWN.to_owned()),
            theme.bad(),
        ),
        Span::raw(event.error_message.clone().unwrap_or_default()),
    ]
}
