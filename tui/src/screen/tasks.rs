//! Screen 3: the tasks of one pattern stack, newest first.

use patterns_core::task::Task;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::figure;
use crate::model::Model;
use crate::screen::{draw_lines, draw_problem, freshness, heading};
use crate::theme::Theme;
use crate::widget::table::{Column, Table};

const COLUMNS: [Column; 6] = [
    Column::text("", 0),
    Column::figure("created", 0),
    Column::long("title", 20, 0),
    Column::long("detail", 12, 1),
    Column::text("due", 2),
    Column::text("id", 3),
];

/// Draws the list; the rows of one page.
pub fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) -> usize {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let Some(pattern) = model.shown_pattern() else {
        heading("Tasks", "", theme, title, buffer);
        let text = [
            "The daemon knows no pattern whose tasks it could ask for.",
            "Add the stack's URL to its configuration and restart it:",
            "  [patterns.internal-handoff]",
            "  url = \"https://…\"    # the stack's ApiUrl output",
        ];
        draw_lines(&text.map(Line::raw), body, buffer);
        return 1;
    };
    let tasks = model.tasks.value.as_deref().unwrap_or_default();
    let remark = match model.tasks.value {
        Some(_) => {
            format!(
                "{} · {}",
                figure::count(tasks.len() as u64, "task"),
                freshness(&model.tasks, model)
            )
        }
        None => freshness(&model.tasks, model),
    };
    heading(
        &format!("Tasks of {pattern}"),
        &remark,
        theme,
        title,
        buffer,
    );
    let mut body = body;
    if let Some(problem) = &model.tasks.problem {
        let [said, rest] =
            Layout::vertical([Constraint::Length(3), Constraint::Fill(1)]).areas(body);
        draw_problem(problem, theme, said, buffer);
        body = rest;
    }
    if tasks.is_empty() {
        let text = match (&model.tasks.value, &model.tasks.problem) {
            (Some(_), _) => {
                "There is no task. Press n to create one, or b on the overview for many."
            }
            (None, None) => "Asking the daemon …",
            (None, Some(_)) => "",
        };
        draw_lines(&[Line::raw(""), Line::raw(text)], body, buffer);
        return 1;
    }
    let rows = tasks.iter().map(|task| row(task, model, theme)).collect();
    let selected = model.task.index(&model.task_ids());
    Table {
        columns: &COLUMNS,
        rows,
        selected,
    }
    .draw(theme, body, buffer)
}

fn row(task: &Task, model: &Model, theme: Theme) -> Vec<Span<'static>> {
    let (mark, style) = if task.is_complete {
        ("✓", theme.good())
    } else {
        ("○", theme.muted())
    };
    vec![
        Span::styled(mark, style),
        Span::raw(figure::age(task.created_at, model.now)),
        Span::raw(task.title.clone()),
        Span::styled(task.detail.clone().unwrap_or_default(), theme.muted()),
        Span::raw(task.due_at.map(figure::time).unwrap_or_default()),
        Span::styled(task.id.clone(), theme.muted()),
    ]
}
