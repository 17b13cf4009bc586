//! Screen 2, the other view: failed events by signature, the largest group first.

use patterns_core::failed::Group;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::figure;
use crate::model::Model;
use crate::screen::{draw_lines, draw_problem, freshness, heading};
use crate::theme::Theme;
use crate::widget::table::{Column, Table};

const COLUMNS: [Column; 6] = [
    Column::figure("events", 0),
    Column::long("what they have in common", 24, 0),
    Column::text("failed at", 2),
    Column::text("dead-letter queue", 3),
    Column::figure("first", 4),
    Column::figure("last", 1),
];

/// Draws the groups; the rows of one page.
pub fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) -> usize {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let groups = &model.groups;
    let remark = match &groups.value {
        Some(value) => format!(
            "{} of {} read of about {} · {}",
            figure::count(value.groups.len() as u64, "group"),
            value.mirrored,
            value.approximate_total,
            freshness(groups, model)
        ),
        None => freshness(groups, model),
    };
    heading("Failed events by group", &remark, theme, title, buffer);
    let mut body = body;
    if let Some(problem) = &groups.problem {
        let [said, rest] =
            Layout::vertical([Constraint::Length(3), Constraint::Fill(1)]).areas(body);
        draw_problem(problem, theme, said, buffer);
        body = rest;
    }
    if model.shown_groups().is_empty() {
        let text = match &groups.value {
            None if groups.problem.is_some() => "",
            None => "Asking the daemon …",
            Some(value) if value.approximate_total > 0 => {
                "The daemon is still reading the dead-letter queues …"
            }
            Some(_) => "✓ No event failed: all dead-letter queues are empty.",
        };
        draw_lines(&[Line::raw(""), Line::raw(text)], body, buffer);
        return 1;
    }
    let row = |group: &Group| {
        let origin = group
            .origin
            .as_ref()
            .map_or_else(|| "unknown".to_owned(), |origin| origin.name.clone());
        vec![
            Span::raw(group.count.to_string()),
            Span::styled(group.signature.clone(), theme.bad()),
            Span::raw(origin),
            Span::raw(group.dead_letter_queue.clone()),
            Span::raw(figure::age(group.first_seen, model.now)),
            Span::raw(figure::age(group.last_seen, model.now)),
        ]
    };
    Table {
        columns: &COLUMNS,
        rows: model.shown_groups().iter().map(row).collect(),
        selected: model.group.index(&model.group_keys()),
    }
    .draw(theme, body, buffer)
}
