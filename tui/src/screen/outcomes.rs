//! One redrive with what became of each of its events.

use patterns_core::audit::Outcome;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::figure;
use crate::model::{Extent, Model};
use crate::outcomes::{Outcomes, SHOWN_MAX};
use crate::screen::{draw_lines, draw_problem, heading, operations};
use crate::theme::Theme;
use crate::verdict;
use crate::widget::line::wrap;
use crate::widget::table::{Column, Table};

const COLUMNS: [Column; 6] = [
    Column::text("event", 0),
    Column::text("state", 0),
    Column::figure("sent", 2),
    Column::text("returned as", 0),
    Column::long("reason", 20, 1),
    Column::text("new id", 3),
];

/// Draws figures and list; the rows of one page.
pub fn draw(
    outcomes: &Outcomes,
    model: &Model,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Extent {
    let redrive = model.redrive(&outcomes.id);
    let figures = match redrive {
        Some(redrive) => operations::redrive_figures(redrive, theme),
        None => vec![Line::raw(
            "The daemon does not list this operation any more.",
        )],
    };
    let width = usize::from(area.width).saturating_sub(2);
    // The first line repeats the heading.
    let figures = figures.iter().skip(1);
    let figures: Vec<Line<'static>> = figures.flat_map(|line| wrap(line, width)).collect();
    let room = u16::try_from(figures.len()).unwrap_or(u16::MAX);
    let [title, above, _, list_title, list] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(room.min(area.height / 2)),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    let state = redrive.map_or("", |redrive| redrive.state.word());
    heading(
        &format!("Redrive {}", outcomes.id),
        state,
        theme,
        title,
        buffer,
    );
    draw_lines(&figures, above, buffer);
    let what = if outcomes.returned_only {
        "Returned events"
    } else {
        "Events"
    };
    heading(what, &remark(outcomes, model), theme, list_title, buffer);
    let page = usize::from(list.height.saturating_sub(1));
    if let Some(problem) = &outcomes.problem {
        draw_problem(problem, theme, list, buffer);
    } else if outcomes.shown.is_empty() {
        let text = match (outcomes.complete, outcomes.returned_only) {
            (false, _) => "Asking the daemon …",
            (true, true) => "No event returned.",
            (true, false) => "No event is in the ledger yet.",
        };
        draw_lines(&[Line::raw(""), Line::raw(text)], list, buffer);
    } else {
        let rows = outcomes.shown.iter();
        Table {
            columns: &COLUMNS,
            rows: rows.map(|outcome| row(outcome, model, theme)).collect(),
            selected: outcomes.cursor.index(&outcomes.keys()),
        }
        .draw(theme, list, buffer);
    }
    Extent {
        page,
        scroll_max: 0,
    }
}

/// How many are shown, and how old that is.
fn remark(outcomes: &Outcomes, model: &Model) -> String {
    let shown = outcomes.shown.len();
    let part = if shown >= SHOWN_MAX {
        format!("the first {shown}; patterns-tui operations outcomes lists all · ")
    } else if outcomes.complete {
        format!("{shown} · ")
    } else {
        format!("the first {shown} · ")
    };
    let age = match (outcomes.at, outcomes.asking) {
        (_, true) => "asking …".to_owned(),
        (Some(at), false) => format!("{} ago", figure::age(at, model.now)),
        (None, false) => String::new(),
    };
    part + &age
}

fn row(outcome: &Outcome, model: &Model, theme: Theme) -> Vec<Span<'static>> {
    let style = match outcome.state.as_str() {
        "settled" => theme.good(),
        "returned" | "failed" => theme.bad(),
        "skipped" | "taken_back" => theme.watch(),
        _ => Style::new(),
    };
    let text = |value: &Option<String>| Span::raw(value.clone().unwrap_or_default());
    let sent = outcome
        .sent_at
        .map_or_else(String::new, |at| figure::age(at, model.now));
    vec![
        Span::styled(outcome.id.clone(), theme.muted()),
        Span::styled(verdict::state(outcome), style),
        Span::raw(sent),
        text(&outcome.returned_as),
        text(&outcome.reason),
        text(&outcome.new_id),
    ]
}
