//! The frame around every screen, and what lies over it.
//!
//! ```text
//!  patterns  000000000000 · us-east-1                      ● live 2s     header
//!  1 Overview  2 Failed events 14  3 Tasks  4 Operations   ✗ 14 failed   tabs, health
//!
//!  ┌──────────────── layers: help, confirm, form ───────────────┐
//!  │ the screen                                                  │       body
//!
//!  · what happened                                                       notices
//!  r redrive  x break/heal                             ? help  q back    footer
//! ```

use patterns_core::health::{self, Health};
use patterns_core::operation::OperationState;
use patterns_core::queue::QueueRole;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::action::{Context, active, contexts, contexts_of};
use crate::figure;
use crate::layer::{Choose, Confirm, Layer};
use crate::model::{Extent, Link, Model, Screen};
use crate::refusal::refusal;
use crate::screen::{detail, failed, missing, operations, overview, tasks};
use crate::theme::Theme;
use crate::widget::line::{ends, fill};
use crate::widget::{dialog, form, help, notice};

/// The smallest window that shows anything useful.
const MIN: (u16, u16) = (60, 16);

/// Draws the model; how much of what can be scrolled was drawn.
pub fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) -> Extent {
    let area = frame.area();
    if area.width < MIN.0 || area.height < MIN.1 {
        too_small(area, frame.buffer_mut());
        return Extent::default();
    }
    let notices = notice::lines(&model.notices, theme, usize::from(area.width));
    let [header, tabs, _, body, notice_area, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(u16::try_from(notices.len()).unwrap_or(u16::MAX)),
        Constraint::Length(1),
    ])
    .areas(area);
    let buffer = frame.buffer_mut();
    draw_header(model, theme, header, buffer);
    draw_tabs(model, theme, tabs, buffer);
    let mut extent = draw_screen(model, theme, body, buffer);
    for (row, line) in notice_area.rows().zip(&notices) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
    draw_footer(model, theme, footer, buffer);
    for (at, layer) in model.layers.iter().enumerate() {
        extent = draw_layer(layer, at, model, theme, body, frame).unwrap_or(extent);
    }
    extent
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let text = format!(
        "{}x{} is too small: {}x{} needed",
        area.width, area.height, MIN.0, MIN.1
    );
    let width = u16::try_from(text.len())
        .unwrap_or(u16::MAX)
        .min(area.width);
    let x = area.x + (area.width - width) / 2;
    if area.height > 0 {
        buffer.set_stringn(
            x,
            area.y + area.height / 2,
            text,
            usize::from(width),
            Style::new(),
        );
    }
}

fn draw_header(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut left = vec![Span::styled(" patterns", theme.accent())];
    if let Some(snapshot) = &model.snapshot {
        let account = if snapshot.account_id.is_empty() {
            "account not known yet"
        } else {
            &snapshot.account_id
        };
        left.push(Span::raw(format!("  {account} · {}", snapshot.region)));
        if let Some(endpoint) = &snapshot.endpoint_url {
            left.push(Span::styled(format!(" · {endpoint}"), theme.muted()));
        }
        if snapshot.read_only {
            left.push(Span::styled(" · read-only", theme.watch()));
        }
    }
    let age = model
        .snapshot
        .as_ref()
        .map(|snapshot| figure::age(snapshot.as_of, model.now));
    let right = match (&model.link, age) {
        (Link::Live, Some(age)) => Line::styled(format!("● live {age} "), theme.good()),
        (Link::Connecting | Link::Live, _) => Line::styled("◌ connecting… ", theme.watch()),
        (Link::Lost { retry_at, .. }, age) => {
            let wait = figure::seconds_since(model.now, *retry_at);
            let when = if wait == 0 {
                String::new()
            } else {
                format!(" in {wait}s")
            };
            let old = age
                .map(|age| format!(", shown is {age} old"))
                .unwrap_or_default();
            Line::styled(format!("◌ reconnecting…{when}{old} "), theme.bad())
        }
    };
    ends(&Line::from(left), &right, area, buffer);
}

fn draw_tabs(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut left = Vec::new();
    for (number, screen) in (1..).zip(Screen::ALL) {
        let style = if screen == model.screen {
            theme.selected()
        } else {
            Style::new()
        };
        let badge = badge(model, screen)
            .map(|badge| format!(" {badge}"))
            .unwrap_or_default();
        left.push(Span::raw(" "));
        left.push(Span::styled(
            format!(" {number} {}{badge} ", screen.title()),
            style,
        ));
    }
    let right = model
        .snapshot
        .as_ref()
        .map_or_else(Line::default, |snapshot| {
            let judged = health::of_snapshot(snapshot);
            let (mark, style) = theme.health(&judged);
            let why = match judged {
                Health::Ok => "ok".to_owned(),
                Health::Watch(why) | Health::Bad(why) => why,
            };
            Line::styled(format!("{mark} {why} "), style)
        });
    ends(&Line::from(left), &right, area, buffer);
}

/// The number beside a screen's name, when there is something to see.
fn badge(model: &Model, screen: Screen) -> Option<u64> {
    let snapshot = model.snapshot.as_ref()?;
    let number = match screen {
        Screen::Overview | Screen::Tasks => 0,
        Screen::Failed => {
            let queues = snapshot
                .queues
                .iter()
                .filter(|queue| queue.role == QueueRole::DeadLetter);
            queues.map(patterns_core::queue::Queue::depth).sum()
        }
        Screen::Operations => {
            let running = snapshot
                .operations
                .iter()
                .filter(|operation| operation.state() == OperationState::Running);
            running.count() as u64
        }
    };
    (number > 0).then_some(number)
}

fn draw_screen(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) -> Extent {
    let Some(snapshot) = &model.snapshot else {
        missing::draw(model, theme, area, buffer);
        return Extent::default();
    };
    let page = match model.screen {
        Screen::Overview => overview::draw(model, snapshot, theme, area, buffer),
        Screen::Failed => failed::draw(model, theme, area, buffer),
        Screen::Tasks => tasks::draw(model, theme, area, buffer),
        Screen::Operations => operations::draw(model, theme, area, buffer),
    };
    Extent {
        page,
        scroll_max: 0,
    }
}

/// The keys of what is on top at the left; help and back are always seen at the right.
fn draw_footer(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for entry in active(contexts(model)).filter(|entry| !entry.label.is_empty()) {
        let Some(key) = entry.keys.first() else {
            continue;
        };
        let allowed = refusal(model, entry).is_none();
        let (key_style, style) = if allowed {
            (theme.accent(), Style::new())
        } else {
            (theme.muted(), theme.muted())
        };
        let side = if entry.context == Context::Browse {
            &mut right
        } else {
            &mut left
        };
        side.push(Span::styled(format!(" {key}"), key_style));
        side.push(Span::styled(format!(" {} ", entry.label), style));
    }
    ends(&Line::from(left), &Line::from(right), area, buffer);
}

fn draw_layer(
    layer: &Layer,
    at: usize,
    model: &Model,
    theme: Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) -> Option<Extent> {
    let buffer = frame.buffer_mut();
    match layer {
        Layer::Help { scroll } => {
            // The keys of what lies below the help.
            let below = at.checked_sub(1).and_then(|below| model.layers.get(below));
            return Some(help::draw(
                contexts_of(model.screen, below),
                *scroll,
                theme,
                area,
                buffer,
            ));
        }
        Layer::Detail(event) => {
            ratatui::widgets::Widget::render(ratatui::widgets::Clear, area, buffer);
            return Some(detail::draw(event, model, theme, area, buffer));
        }
        Layer::Planning(_) => {
            dialog::lines(
                "Redrive",
                &[Line::raw("Asking the daemon for a plan …")],
                theme,
                area,
                buffer,
            );
        }
        Layer::Choose(choose) => draw_choose(choose, theme, area, buffer),
        Layer::Confirm(confirm) => draw_confirm(confirm, model, theme, area, buffer),
        Layer::Form(form) => form::draw(form, theme, area, frame),
    }
    None
}

fn draw_choose(choose: &Choose, theme: Theme, area: Rect, buffer: &mut Buffer) {
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

fn draw_confirm(confirm: &Confirm, model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let width = dialog::inner_width(area);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (label, value) in &confirm.facts {
        let fact = Line::from(vec![
            Span::styled(format!("{label:<10}"), theme.muted()),
            Span::raw(value.clone()),
        ]);
        lines.extend(crate::widget::line::wrap(&fact, width));
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
    match confirm
        .until
        .map(|until| figure::seconds_since(model.now, until))
    {
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
