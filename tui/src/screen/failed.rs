//! Screen 2: failed events, newest first.

use patterns_core::failed::FailedEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::figure;
use crate::model::Model;
use crate::screen::{draw_lines, draw_problem, freshness, heading};
use crate::theme::Theme;
use crate::widget::table::{Column, Table};

const COLUMNS: [Column; 7] = [
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
            let cut = (list.events.len() as u64) < list.mirrored;
            let page = if cut {
                format!("the newest {} · ", list.events.len())
            } else {
                String::new()
            };
            format!(
                "{page}{} read of about {} · {}",
                list.mirrored,
                list.approximate_total,
                freshness(failed, model)
            )
        }
        None => freshness(failed, model),
    };
    heading("Failed events", &remark, theme, title, buffer);
    let mut body = body;
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

fn row(event: &FailedEvent, model: &Model, theme: Theme) -> Vec<Span<'static>> {
    let origin = event
        .origin
        .as_ref()
        .map_or_else(|| "unknown".to_owned(), |origin| origin.name.clone());
    vec![
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
