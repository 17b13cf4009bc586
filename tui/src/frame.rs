//! What is around every screen: header, tabs with health, footer.

use patterns_core::health::{self, Health};
use patterns_core::queue::{Queue, QueueRole};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::action::{Action, Context, active, contexts};
use crate::figure;
use crate::model::{Link, Model, Screen};
use crate::refusal::refusal;
use crate::theme::Theme;
use crate::widget::line::{cut, ends};

/// Which account, where, and whether the daemon can be reached.
pub fn header(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
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

/// The screens by number, and the worst of everything.
pub fn tabs(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut left = Vec::new();
    let gap = if area.width < 70 { "" } else { " " };
    for (number, screen) in (1..).zip(Screen::ALL) {
        let style = if screen == model.screen {
            theme.selected()
        } else {
            Style::new()
        };
        let badge = badge(model, screen)
            .map(|badge| format!(" {badge}"))
            .unwrap_or_default();
        left.push(Span::raw(gap));
        left.push(Span::styled(
            format!(" {number} {}{badge} ", screen.title()),
            style,
        ));
    }
    let left = Line::from(left);
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
            // The mark at least, when the reason does not fit beside the names of the screens.
            let room = usize::from(area.width).saturating_sub(left.width() + 4);
            Line::styled(format!("{mark} {} ", cut(&why, room)), style)
        });
    ends(&left, &right, area, buffer);
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
            queues.map(Queue::depth).sum()
        }
        Screen::Operations => {
            let running = snapshot
                .operations
                .iter()
                .filter(|operation| !operation.state().ended());
            running.count() as u64
        }
    };
    (number > 0).then_some(number)
}

/// The keys of what is on top at the left, as many as fit; help and the way back are always seen at the right.
pub fn footer(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let at_root = model.layers.is_empty() && model.screen == Screen::Overview;
    let (mut left, mut right) = (Line::default(), Line::default());
    let mut hints = Vec::new();
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
        let hint = [
            Span::styled(format!(" {key}"), key_style),
            Span::styled(format!(" {} ", entry.label), style),
        ];
        match (entry.context, entry.action) {
            (_, Action::Back) if at_root => {}
            (_, Action::Leave) if !at_root => {}
            (Context::Browse, _) => right.extend(hint),
            _ => hints.push(hint),
        }
    }
    for hint in hints {
        let width: usize = hint.iter().map(Span::width).sum();
        if left.width() + width + right.width() < usize::from(area.width) {
            left.extend(hint);
        }
    }
    ends(&left, &right, area, buffer);
}
