//! Roles of text on the sixteen colours of the terminal, so that light and custom palettes work. Colour never says
//! something that a word or a mark beside it does not say too.

use patterns_core::health::Health;
use ratatui::style::{Color, Modifier, Style};

/// Which styles may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    colours: bool,
}

#[allow(
    clippy::unused_self,
    reason = "every role is asked of the theme, whichever attributes it needs"
)]
impl Theme {
    /// Colours unless `NO_COLOR` is set and not empty (<https://no-color.org>).
    pub fn from_environment() -> Self {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours }
    }

    /// A theme with colours or without.
    #[cfg(test)]
    pub fn new(colours: bool) -> Self {
        Self { colours }
    }

    fn colour(self, colour: Color) -> Style {
        if self.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// All is well.
    pub fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// Worth a look.
    pub fn watch(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// Something failed.
    pub fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What stands out: titles, keys.
    pub fn accent(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// What steps back: labels, and figures that are too old.
    pub fn muted(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The selected row.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The mark and the style of a judgement.
    pub fn health(self, health: &Health) -> (&'static str, Style) {
        match health {
            Health::Ok => ("✓", self.good()),
            Health::Watch(_) => ("!", self.watch()),
            Health::Bad(_) => ("✗", self.bad()),
        }
    }
}
