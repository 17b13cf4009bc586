//! A cursor in a list that changes under it.

/// A way to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One down.
    Next,
    /// One up.
    Previous,
    /// To the top.
    First,
    /// To the bottom.
    Last,
    /// One page down.
    PageDown,
    /// One page up.
    PageUp,
}

impl Step {
    /// The position after this step from `at` among `0..=last`.
    pub fn from(self, at: usize, last: usize, page: usize) -> usize {
        let to = match self {
            Self::Next => at.saturating_add(1),
            Self::Previous => at.saturating_sub(1),
            Self::First => 0,
            Self::Last => last,
            Self::PageDown => at.saturating_add(page.max(1)),
            Self::PageUp => at.saturating_sub(page.max(1)),
        };
        to.min(last)
    }
}

/// Which row is selected: by its key, so that it stays while rows come and go; when the key itself is gone, the row that
/// took its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<K> {
    key: Option<K>,
    index: usize,
}

impl<K> Default for Cursor<K> {
    fn default() -> Self {
        Self {
            key: None,
            index: 0,
        }
    }
}

impl<K: Clone + PartialEq> Cursor<K> {
    /// The selected position among `keys`; `None` when there are none.
    pub fn index(&self, keys: &[K]) -> Option<usize> {
        let last = keys.len().checked_sub(1)?;
        let found = self
            .key
            .as_ref()
            .and_then(|key| keys.iter().position(|other| other == key));
        Some(found.unwrap_or(self.index.min(last)))
    }

    /// The selected key among `keys`.
    pub fn current(&self, keys: &[K]) -> Option<K> {
        keys.get(self.index(keys)?).cloned()
    }

    /// Moves among `keys`.
    pub fn step(&mut self, keys: &[K], step: Step, page: usize) {
        let Some(at) = self.index(keys) else { return };
        self.index = step.from(at, keys.len().saturating_sub(1), page);
        self.key = keys.get(self.index).cloned();
    }

    /// Holds on to what is selected among `keys`, which just arrived.
    pub fn settle(&mut self, keys: &[K]) {
        if let Some(index) = self.index(keys) {
            self.index = index;
            self.key = keys.get(index).cloned();
        }
    }

    /// Selects `key`, now or when it arrives.
    pub fn select(&mut self, key: K) {
        self.key = Some(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_stays_with_its_key() {
        let mut cursor = Cursor::default();
        cursor.step(&["a", "b", "c"], Step::Next, 1);
        assert_eq!(cursor.current(&["new", "a", "b", "c"]), Some("b"));
    }

    #[test]
    fn the_row_that_took_the_place_of_a_vanished_one_is_selected() {
        let mut cursor = Cursor::default();
        cursor.step(&["a", "b", "c"], Step::Last, 1);
        assert_eq!(cursor.current(&["a", "b"]), Some("b"));
        assert_eq!(cursor.current(&[]), None);
    }

    #[test]
    fn a_page_ends_at_the_ends() {
        let keys: Vec<u8> = (0..10).collect();
        let mut cursor = Cursor::default();
        cursor.step(&keys, Step::PageDown, 7);
        assert_eq!(cursor.current(&keys), Some(7));
        cursor.step(&keys, Step::PageDown, 7);
        assert_eq!(cursor.current(&keys), Some(9));
        cursor.step(&keys, Step::PageUp, 20);
        assert_eq!(cursor.current(&keys), Some(0));
    }
}
