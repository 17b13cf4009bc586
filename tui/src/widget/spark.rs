//! A series as a row of little bars.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last two minutes of `points` in `width` characters: each shows the highest of the points it stands for, against the
/// highest of all. The newest is at the right; what is not known yet is blank, and 0 is the lowest bar.
pub fn spark(points: impl ExactSizeIterator<Item = u64>, capacity: usize, width: usize) -> String {
    let blank = capacity.saturating_sub(points.len());
    let points: Vec<Option<u64>> = std::iter::repeat_n(None, blank)
        .chain(points.map(Some))
        .collect();
    let highest = points.iter().flatten().max().copied().unwrap_or(0).max(1);
    points
        .chunks(capacity.div_ceil(width.max(1)).max(1))
        .map(|chunk| match chunk.iter().flatten().max() {
            None => ' ',
            Some(point) => bar(*point, highest),
        })
        .collect()
}

fn bar(point: u64, highest: u64) -> char {
    // 0 alone is the lowest bar, so that a single message is seen.
    let steps = BARS.len() as u64 - 1;
    let level = u128::from(point) * u128::from(steps);
    let level = usize::try_from(level.div_ceil(u128::from(highest))).unwrap_or(0);
    BARS.get(level).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_right_and_the_highest_is_full() {
        assert_eq!(spark([0, 1, 7, 14].into_iter(), 8, 8), "    ▁▂▅█");
        assert_eq!(spark([0, 0, 9, 0].into_iter(), 4, 2), "▁█");
        assert_eq!(spark([0, 0].into_iter(), 2, 2), "▁▁");
        assert_eq!(spark([u64::MAX].into_iter(), 1, 1), "█");
        assert_eq!(spark([].into_iter(), 4, 2), "  ");
    }
}
