//! FIFO queues: the events of a message group go one after the other, in the order in which they lie.
//!
//! SQS gives out no further message of a group while one is in flight, so two batches never hold the same group.
//! (Amazon SQS Developer Guide, "FIFO queue delivery logic".) Inside a batch it is on us: an entry of a batch call can fail
//! while the one behind it succeeds, so no two of a group are in the same call.

use std::collections::HashMap;
use std::time::Duration;

use super::batch::message;
use super::run::{Dealt, Run, Trouble, lock};
use crate::letter::Letter;

/// A send under the same deduplication id is stored once within 5 minutes; this is well below.
/// (Amazon SQS Developer Guide, "Using the message deduplication ID".)
pub const DEDUPLICATED: Duration = Duration::from_mins(4);

impl Run {
    /// Deals with a batch; in a FIFO queue in the order of its groups.
    pub(super) async fn deal_in_order(&self, letters: Vec<Letter>) -> Result<Dealt, Trouble> {
        if !self.queue.fifo {
            return self.deal(letters).await;
        }
        let mut dealt = Dealt::default();
        for round in rounds(letters) {
            let (go, stuck): (Vec<_>, Vec<_>) = round
                .into_iter()
                .partition(|letter| !lock(&self.stuck).contains(group(letter)));
            self.hold(stuck.iter().map(message).collect()).await;
            if dealt.postponed {
                // Nothing may overtake what waits.
                self.put_back(go.iter().map(message).collect()).await;
            } else if !go.is_empty() {
                let part = self.deal(go).await?;
                dealt.done += part.done;
                dealt.postponed |= part.postponed;
            }
        }
        Ok(dealt)
    }

    /// A message of a FIFO queue stays where it is, and so does everything behind it in its group.
    pub(super) fn stick(&self, letter: &Letter) {
        if self.queue.fifo {
            lock(&self.stuck).insert(group(letter).to_owned());
        }
    }
}

fn group(letter: &Letter) -> &str {
    letter
        .system
        .get("MessageGroupId")
        .map_or("", String::as_str)
}

/// The first messages of all groups, then the second ones, and so on.
fn rounds(letters: Vec<Letter>) -> Vec<Vec<Letter>> {
    let mut met: HashMap<String, usize> = HashMap::new();
    let mut rounds: Vec<Vec<Letter>> = Vec::new();
    for letter in letters {
        let number = met.entry(group(&letter).to_owned()).or_default();
        match rounds.get_mut(*number) {
            Some(round) => round.push(letter),
            None => rounds.push(vec![letter]),
        }
        *number += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::tests::letter;

    #[test]
    fn no_two_of_a_group_are_in_a_round_and_none_overtakes() {
        let letters = [("1", "a"), ("2", "a"), ("3", "b"), ("4", "a"), ("5", "b")];
        let letters = letters.map(|(id, group)| {
            let mut letter = letter(id, "{}");
            letter
                .system
                .insert("MessageGroupId".to_owned(), group.to_owned());
            letter
        });
        let ids: Vec<Vec<_>> = rounds(letters.to_vec())
            .into_iter()
            .map(|round| round.into_iter().map(|letter| letter.message_id).collect())
            .collect();
        assert_eq!(ids, [vec!["1", "3"], vec!["2", "5"], vec!["4"]]);
    }
}
