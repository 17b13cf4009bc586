//! Screen 1: queues, functions, problems and what runs.

use jiff::Timestamp;
use patterns_core::function::Function;
use patterns_core::health::{self, Health};
use patterns_core::queue::{Queue, QueueRole};
use patterns_core::snapshot::Snapshot;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::figure;
use crate::model::{BACKLOG_POINTS, Model};
use crate::screen::{draw_lines, heading, operations, stale};
use crate::theme::Theme;
use crate::widget::line::fill;
use crate::widget::spark::spark;
use crate::widget::table::{Column, Table};

const QUEUES: [Column; 9] = [
    Column::text("", 0),
    Column::text("queue", 0),
    Column::long("role", 16, 3),
    Column::figure("visible", 0),
    Column::figure("in flight", 1),
    Column::figure("delayed", 6),
    Column::figure("oldest", 5),
    Column::text("backlog, 2 min", 2),
    Column::figure("read", 0),
];

const FUNCTIONS: [Column; 9] = [
    Column::text("", 0),
    Column::text("function", 0),
    Column::figure("invocations", 0),
    Column::figure("errors", 0),
    Column::figure("throttles", 3),
    Column::figure("p95", 4),
    Column::figure("concurrent", 5),
    Column::long("state", 9, 2),
    Column::figure("read", 0),
];

/// At most this many operations are in the strip; all of them are on screen 4.
const STRIP_MAX: usize = 3;

/// At most this many lines of problems and notes.
const PROBLEM_LINES_MAX: usize = 6;

/// Draws the screen; the rows of one page.
pub fn draw(
    model: &Model,
    snapshot: &Snapshot,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> usize {
    let problems = problems(snapshot, theme, usize::from(area.width).saturating_sub(2));
    let running: Vec<_> = model
        .operations()
        .iter()
        .filter(|operation| !operation.state().ended())
        .take(STRIP_MAX)
        .collect();
    let strip: Vec<Line<'static>> = running
        .iter()
        .map(|operation| operations::line(operation, theme))
        .collect();
    let fixed = height(problems.len()) + height(strip.len());
    let rest = area.height.saturating_sub(fixed);
    // Heading, column titles, rows, a blank line.
    let wanted = |rows: usize| u16::try_from(rows.max(1) + 3).unwrap_or(u16::MAX);
    let functions = wanted(snapshot.functions.len());
    let queues =
        wanted(snapshot.queues.len()).min(rest.saturating_sub(functions).max(rest * 3 / 5));
    let [queues, functions, problem_area, strip_area] = Layout::vertical([
        Constraint::Length(queues),
        Constraint::Fill(1),
        Constraint::Length(height(problems.len())),
        Constraint::Length(height(strip.len())),
    ])
    .areas(area);

    let selected = model.row.index(&model.rows());
    let page = draw_queues(model, snapshot, selected, theme, queues, buffer);
    let below = selected.and_then(|at| at.checked_sub(snapshot.queues.len()));
    draw_functions(model, snapshot, below, theme, functions, buffer);
    draw_lines(&problems, problem_area, buffer);
    if !strip.is_empty() {
        let [title, lines] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(strip_area);
        heading("Running", "4 shows all", theme, title, buffer);
        draw_lines(&strip, lines, buffer);
    }
    page
}

/// The height of a part with that many lines, its heading or blank line included; nothing without lines.
fn height(lines: usize) -> u16 {
    if lines == 0 {
        0
    } else {
        u16::try_from(lines + 1).unwrap_or(u16::MAX)
    }
}

fn problems(snapshot: &Snapshot, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for problem in &snapshot.problems {
        let mut text = format!("✗ {problem}");
        if !problem.fix.is_empty() {
            text = format!("{text} → {}", problem.fix);
        }
        lines.extend(
            fill(&text, width)
                .into_iter()
                .map(|row| Line::styled(row, theme.bad())),
        );
    }
    // Behind the problems, and where there are too many lines they give way first.
    for note in &snapshot.notes {
        lines.extend(
            fill(&format!("· {note}"), width)
                .into_iter()
                .map(|row| Line::styled(row, theme.muted())),
        );
    }
    lines.truncate(PROBLEM_LINES_MAX);
    lines
}

fn draw_queues(
    model: &Model,
    snapshot: &Snapshot,
    selected: Option<usize>,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> usize {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    heading(
        "Queues",
        &figure::count(snapshot.queues.len() as u64, "queue"),
        theme,
        title,
        buffer,
    );
    let spark_width = if area.width >= 120 { 24 } else { 14 };
    let rows: Vec<_> = snapshot
        .queues
        .iter()
        .map(|queue| queue_row(queue, model, spark_width, theme))
        .collect();
    let body = Rect {
        height: body.height.saturating_sub(1),
        ..body
    };
    if rows.is_empty() {
        draw_none("queue", snapshot, theme, body, buffer);
        return 1;
    }
    let selected = selected.filter(|at| *at < rows.len());
    Table {
        columns: &QUEUES,
        rows,
        selected,
    }
    .draw(theme, body, buffer)
}

/// Says that there is nothing of that kind; a daemon that has just started has not read it yet.
fn draw_none(noun: &str, snapshot: &Snapshot, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let text = format!("  No {noun} is known in {} yet.", snapshot.region);
    draw_lines(&[Line::styled(text, theme.muted())], area, buffer);
}

fn queue_row(queue: &Queue, model: &Model, spark_width: usize, theme: Theme) -> Vec<Span<'static>> {
    let judged = health::of_queue(queue);
    let (mark, style) = theme.health(&judged);
    let (plain, read) = aged(Some(queue.as_of), model.now, theme);
    let depth = if judged == Health::Ok { plain } else { style };
    let points = model
        .backlog
        .get(&queue.name)
        .map(|points| points.iter().copied())
        .into_iter()
        .flatten();
    let points: Vec<u64> = points.collect();
    vec![
        Span::styled(mark, style),
        Span::styled(queue.name.clone(), plain),
        Span::styled(relation(queue), theme.muted()),
        Span::styled(queue.visible.to_string(), depth),
        Span::styled(queue.in_flight.to_string(), plain),
        Span::styled(queue.delayed.to_string(), plain),
        Span::styled(
            queue
                .oldest_age_seconds
                .map_or_else(|| figure::UNKNOWN.to_owned(), figure::duration),
            plain,
        ),
        Span::styled(
            spark(points.into_iter(), BACKLOG_POINTS, spark_width),
            plain,
        ),
        Span::styled(read, plain),
    ]
}

/// What the queue has to do with others.
fn relation(queue: &Queue) -> String {
    match (
        queue.role,
        queue.origins.as_slice(),
        &queue.dead_letter_queue,
    ) {
        (QueueRole::Source, _, Some(dead_letter_queue)) => format!("→ {dead_letter_queue}"),
        (QueueRole::DeadLetter, [origin], _) => format!("DLQ of {}", origin.name),
        (QueueRole::DeadLetter, [], _) => "DLQ".to_owned(),
        (QueueRole::DeadLetter, origins, _) => format!("DLQ of {} origins", origins.len()),
        (QueueRole::Source | QueueRole::Plain, ..) => String::new(),
    }
}

fn draw_functions(
    model: &Model,
    snapshot: &Snapshot,
    selected: Option<usize>,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let window = snapshot
        .functions
        .first()
        .map_or(patterns_core::function::WINDOW_SECONDS, |function| {
            function.window_seconds
        });
    heading(
        "Functions",
        &format!("last {window} s, by CloudWatch"),
        theme,
        title,
        buffer,
    );
    let rows: Vec<_> = snapshot
        .functions
        .iter()
        .map(|function| function_row(function, model, theme))
        .collect();
    if rows.is_empty() {
        draw_none("function", snapshot, theme, body, buffer);
        return;
    }
    Table {
        columns: &FUNCTIONS,
        rows,
        selected,
    }
    .draw(theme, body, buffer);
}

fn function_row(function: &Function, model: &Model, theme: Theme) -> Vec<Span<'static>> {
    let judged = health::of_function(function);
    let (mark, style) = theme.health(&judged);
    let (plain, read) = aged(function.as_of, model.now, theme);
    let state = match judged {
        Health::Ok => String::new(),
        Health::Watch(why) | Health::Bad(why) => why,
    };
    let errors = if function.errors > 0 {
        theme.watch()
    } else {
        plain
    };
    vec![
        Span::styled(mark, style),
        Span::styled(function.name.clone(), plain),
        Span::styled(function.invocations.to_string(), plain),
        Span::styled(function.errors.to_string(), errors),
        Span::styled(function.throttles.to_string(), plain),
        Span::styled(
            function
                .duration_p95_ms
                .map_or_else(|| figure::UNKNOWN.to_owned(), figure::millis),
            plain,
        ),
        Span::styled(function.concurrent.to_string(), plain),
        Span::styled(state, style),
        Span::styled(read, plain),
    ]
}

/// The style of figures read at `as_of`, and how old they are: CloudWatch is asked once a minute, so that much is normal.
fn aged(as_of: Option<Timestamp>, now: Timestamp, theme: Theme) -> (Style, String) {
    match as_of {
        Some(as_of) if stale(as_of, now) => (theme.muted(), figure::age(as_of, now)),
        Some(as_of) => (Style::new(), figure::age(as_of, now)),
        None => (theme.muted(), figure::UNKNOWN.to_owned()),
    }
}
