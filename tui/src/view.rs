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

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget};

use crate::action::contexts_of;
use crate::frame as around;
use crate::layer::Layer;
use crate::model::{Extent, Model, Screen};
use crate::screen::{detail, failed, groups, missing, operations, outcomes, overview, tasks};
use crate::theme::Theme;
use crate::widget::{confirm, dialog, form, help, notice};

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
    around::header(model, theme, header, buffer);
    around::tabs(model, theme, tabs, buffer);
    let mut extent = draw_screen(model, theme, body, buffer);
    for (row, line) in notice_area.rows().zip(&notices) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
    around::footer(model, theme, footer, buffer);
    for (at, layer) in model.layers.iter().enumerate() {
        // A question hides the form that led to it, and a form the question: two boxes of unlike size over each other are
        // hard to read.
        let hidden = matches!(layer, Layer::Form(_) | Layer::Confirm(_));
        if hidden && at + 1 < model.layers.len() {
            continue;
        }
        extent = draw_layer(layer, at, model, theme, body, frame).unwrap_or(extent);
    }
    extent
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let text = format!("{}x{}, needs {}x{}", area.width, area.height, MIN.0, MIN.1);
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

fn draw_screen(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) -> Extent {
    let Some(snapshot) = &model.snapshot else {
        missing::draw(model, theme, area, buffer);
        return Extent::default();
    };
    let page = match model.screen {
        Screen::Overview => overview::draw(model, snapshot, theme, area, buffer),
        Screen::Failed if model.by_group => groups::draw(model, theme, area, buffer),
        Screen::Failed => failed::draw(model, theme, area, buffer),
        Screen::Tasks => tasks::draw(model, theme, area, buffer),
        Screen::Operations => operations::draw(model, theme, area, buffer),
    };
    Extent {
        page,
        scroll_max: 0,
    }
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
                contexts_of(model.place(), below),
                *scroll,
                theme,
                area,
                buffer,
            ));
        }
        Layer::Detail(event) => {
            Clear.render(area, buffer);
            return Some(detail::draw(event, model, theme, area, buffer));
        }
        Layer::Outcomes(list) => {
            Clear.render(area, buffer);
            return Some(outcomes::draw(list, model, theme, area, buffer));
        }
        Layer::Reading(id) => {
            let text = format!("Reading event {id} as it is …");
            dialog::lines("Edit", &[Line::raw(text)], theme, area, buffer);
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
        Layer::Choose(choose) => confirm::choose(choose, theme, area, buffer),
        Layer::Confirm(stated) => {
            return Some(confirm::confirm(stated, model.now, theme, area, buffer));
        }
        Layer::Form(form) => form::draw(form, theme, area, frame),
        // The list shows it.
        Layer::Search(_) => {}
    }
    None
}
