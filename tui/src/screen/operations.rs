//! Screen 4: redrives and bursts, and how far they are.

use patterns_core::operation::{Burst, Operation, OperationState, Redrive};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::figure;
use crate::model::Model;
use crate::screen::{draw_lines, heading};
use crate::theme::Theme;
use crate::verdict;
use crate::widget::line::wrap;
use crate::widget::table::{Column, Table};

const COLUMNS: [Column; 8] = [
    Column::text("", 0),
    Column::text("state", 0),
    Column::text("what", 0),
    Column::text("done", 0),
    Column::figure("failed", 1),
    Column::figure("returned", 1),
    Column::figure("started", 2),
    Column::text("id", 3),
];

/// Characters of a progress bar among the figures, and of the shorter one on the overview.
const BAR: usize = 30;
const SHORT_BAR: usize = 16;

/// Draws list and figures; the rows of one page.
pub fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) -> usize {
    let operations = model.operations();
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    heading(
        "Operations",
        "they run in the daemon, whoever watches",
        theme,
        title,
        buffer,
    );
    let Some(selected) = model.operation.index(&model.operation_ids()) else {
        let text = "Nothing has run yet. r on a dead-letter queue redrives it, b starts a burst.";
        draw_lines(&[Line::raw(""), Line::raw(text)], body, buffer);
        return 1;
    };
    let lines = match operations.get(selected) {
        Some(Operation::Redrive(redrive)) => redrive_figures(redrive, theme),
        Some(Operation::Burst(burst)) => burst_figures(burst, theme),
        None => Vec::new(),
    };
    let width = usize::from(area.width).saturating_sub(2);
    let lines: Vec<Line<'static>> = lines.iter().flat_map(|line| wrap(line, width)).collect();
    let wanted = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let [list, figures] = Layout::vertical([
        Constraint::Fill(1),
        // A heading and some rows of the list are always seen.
        Constraint::Length(wanted.min(body.height.saturating_sub(4))),
    ])
    .areas(body);
    let rows = operations
        .iter()
        .map(|operation| row(operation, model, theme))
        .collect();
    let page = Table {
        columns: &COLUMNS,
        rows,
        selected: Some(selected),
    }
    .draw(theme, list, buffer);
    draw_lines(&lines, figures, buffer);
    page
}

/// An operation on one line, for the overview.
pub fn line(operation: &Operation, theme: Theme) -> Line<'static> {
    let (mark, style) = mark(operation, theme);
    let (done, all) = progress(operation);
    let mut spans = vec![
        Span::styled(format!("{mark} "), style),
        Span::raw(format!("{}  ", what(operation))),
        Span::raw(format!("{} {done}/{all}", bar(done, all, SHORT_BAR))),
    ];
    if let Operation::Burst(burst) = operation {
        spans.push(Span::raw(format!(
            "  {} of {}",
            figure::rate(burst.achieved_rate),
            figure::rate(burst.requested_rate)
        )));
    }
    if failures(operation) > 0 {
        spans.push(Span::styled(
            format!("  {} failed", failures(operation)),
            theme.bad(),
        ));
    }
    if returned(operation) > 0 {
        spans.push(Span::styled(
            format!("  {} returned", returned(operation)),
            theme.bad(),
        ));
    }
    if let Operation::Redrive(Redrive { step: Some(at), .. }) = operation {
        spans.push(Span::styled(format!("  step {}", at.number), theme.muted()));
    }
    Line::from(spans)
}

fn what(operation: &Operation) -> String {
    match operation {
        Operation::Redrive(redrive) => {
            format!("redrive {} → {}", redrive.dead_letter_queue, redrive.target)
        }
        Operation::Burst(burst) => format!("burst on {}", burst.pattern),
    }
}

/// How much is done, and of how much.
fn progress(operation: &Operation) -> (u64, u64) {
    match operation {
        Operation::Redrive(redrive) => (
            verdict::through(redrive) + redrive.failed + redrive.skipped,
            redrive.planned,
        ),
        Operation::Burst(burst) => (burst.sent + burst.failed + burst.shortfall, burst.count),
    }
}

fn failures(operation: &Operation) -> u64 {
    match operation {
        Operation::Redrive(redrive) => redrive.failed,
        Operation::Burst(burst) => burst.failed + burst.shortfall,
    }
}

fn returned(operation: &Operation) -> u64 {
    match operation {
        Operation::Redrive(redrive) => redrive.returned,
        Operation::Burst(_) => 0,
    }
}

fn mark(operation: &Operation, theme: Theme) -> (&'static str, Style) {
    let unclean = match operation {
        Operation::Redrive(redrive) => !verdict::clean(redrive),
        Operation::Burst(_) => failures(operation) > 0,
    };
    let open = matches!(operation, Operation::Redrive(redrive) if verdict::open(redrive) > 0);
    match operation.state() {
        OperationState::Planned => ("○", theme.muted()),
        OperationState::Running => ("▶", theme.accent()),
        OperationState::Paused => ("‖", theme.watch()),
        OperationState::Completed if unclean => ("!", theme.watch()),
        // Everything is sent, and not yet known to be processed.
        OperationState::Completed if open => ("◌", theme.accent()),
        OperationState::Completed => ("✓", theme.good()),
        OperationState::Cancelled => ("■", theme.watch()),
        OperationState::Failed => ("✗", theme.bad()),
    }
}

fn bar(done: u64, all: u64, width: usize) -> String {
    let parts = u128::from(done.min(all)) * width as u128 / u128::from(all.max(1));
    let full = usize::try_from(parts).unwrap_or(width);
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

fn row(operation: &Operation, model: &Model, theme: Theme) -> Vec<Span<'static>> {
    let (mark, style) = mark(operation, theme);
    let (done, all) = progress(operation);
    let number = |number: u64| {
        let style = if number > 0 {
            theme.bad()
        } else {
            Style::new()
        };
        Span::styled(number.to_string(), style)
    };
    let started = operation.started_at().map_or_else(
        || figure::UNKNOWN.to_owned(),
        |at| figure::age(at, model.now),
    );
    vec![
        Span::styled(mark, style),
        Span::styled(operation.state().word(), style),
        Span::raw(what(operation)),
        Span::raw(format!("{done}/{all}")),
        number(failures(operation)),
        number(returned(operation)),
        Span::raw(started),
        Span::styled(operation.id().to_owned(), theme.muted()),
    ]
}

fn fact(label: &str, value: String, theme: Theme) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!("{label:<13}"), theme.muted()),
        Span::raw(value),
    ])
}

/// How a redrive stands, the most important first, for windows that are too small for all of it.
pub fn redrive_figures(redrive: &Redrive, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![
        Line::styled(format!("Redrive {}", redrive.operation_id), theme.accent()),
        Line::raw(verdict::figures(redrive)),
    ];
    if let Some(error) = &redrive.error {
        lines.push(Line::styled(format!("✗ {error}"), theme.bad()));
    }
    if let Some(step) = &redrive.step {
        lines.push(fact("ramp", verdict::step(step), theme));
    }
    if let Some(why) = &redrive.unverified {
        lines.push(fact("unverified", why.clone(), theme));
    }
    let sent = redrive.moved.is_none();
    let parts = [
        ("moved", redrive.moved.unwrap_or_default(), !sent),
        ("sent", redrive.sent, sent),
        ("deleted", redrive.deleted, sent),
        ("settled", redrive.settled, redrive.unverified.is_none()),
        ("returned", redrive.returned, redrive.unverified.is_none()),
        ("taken back", redrive.taken_back, false),
        ("failed", redrive.failed, false),
        ("skipped", redrive.skipped, false),
        ("in doubt", redrive.in_doubt_count, false),
    ];
    for (label, number, always) in parts {
        if number > 0 || always {
            let text = format!(
                "{} {number} of {}",
                bar(number, redrive.planned, BAR),
                redrive.planned
            );
            lines.push(fact(label, text, theme));
        }
    }
    if !redrive.in_doubt.is_empty() {
        lines.push(fact("maybe twice", redrive.in_doubt.join(" "), theme));
    }
    let by = redrive.requested_by.map(figure::user);
    let why = redrive.reason.clone();
    if let Some(asked) = [by, why]
        .into_iter()
        .flatten()
        .reduce(|by, why| by + ": " + &why)
    {
        lines.push(fact("asked for by", asked, theme));
    }
    lines.extend(duration(redrive.started_at, redrive.ended_at, theme));
    lines
}

fn burst_figures(burst: &Burst, theme: Theme) -> Vec<Line<'static>> {
    let latency = &burst.latency_ms;
    let figures = [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p999),
        ("max", latency.max),
    ];
    let latency: Vec<String> = figures
        .iter()
        .map(|(name, ms)| format!("{name} {}", figure::millis(*ms)))
        .collect();
    let errors: Vec<String> = burst
        .errors
        .iter()
        .map(|(kind, count)| format!("{kind}: {count}"))
        .collect();
    let mut lines = vec![
        Line::styled(format!("Burst {}", burst.operation_id), theme.accent()),
        fact(
            "rate",
            format!(
                "{} asked for, {} achieved",
                figure::rate(burst.requested_rate),
                figure::rate(burst.achieved_rate)
            ),
            theme,
        ),
        fact(
            "created",
            format!(
                "{} {} of {}",
                bar(burst.sent, burst.count, BAR),
                burst.sent,
                burst.count
            ),
            theme,
        ),
        fact("failed", burst.failed.to_string(), theme),
        fact("not in time", burst.shortfall.to_string(), theme),
        fact("latency", latency.join("  "), theme),
    ];
    if !errors.is_empty() {
        lines.push(fact("errors", errors.join("  "), theme));
    }
    lines.extend(duration(Some(burst.started_at), burst.ended_at, theme));
    lines
}

fn duration(
    started: Option<jiff::Timestamp>,
    ended: Option<jiff::Timestamp>,
    theme: Theme,
) -> Option<Line<'static>> {
    let text = match (started?, ended) {
        (started, Some(ended)) => {
            format!(
                "{}, took {}",
                figure::time(started),
                figure::duration(figure::seconds_since(started, ended))
            )
        }
        (started, None) => figure::time(started),
    };
    Some(fact("started", text, theme))
}
