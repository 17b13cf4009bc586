//! A receive that is asked for again, because its answer was lost (FIFO queues).

use super::{Queue, Taken, places::Place};

impl Queue {
    /// Remembers what a receive request attempt got, for [`Self::receive_again`].
    pub fn remember(&mut self, now: i64, attempt: &str, taken: &Taken) {
        let tickets = taken.deliveries.iter().filter_map(|delivery| {
            let held = self.messages.get(&delivery.ticket.sequence)?;
            match held.place {
                Place::InFlight { until, .. } => Some((delivery.ticket, until)),
                _ => None,
            }
        });
        let tickets: Vec<_> = tickets.collect();
        if self.settings.fifo.is_some() && !tickets.is_empty() {
            self.attempts.put(now, attempt.to_owned(), tickets);
        }
    }

    /// What the same receive request attempt got less than five minutes ago, with the same handles and a new visibility timeout.
    /// Nothing if one of its messages was deleted, became visible or got another timeout since
    /// ("`ReceiveMessage`: `ReceiveRequestAttemptId`").
    pub fn receive_again(
        &mut self,
        now: i64,
        attempt: &str,
        visibility_seconds: u32,
    ) -> Option<Taken> {
        self.advance(now);
        let tickets = self.attempts.get(now, attempt)?.clone();
        let mut taken = Taken::default();
        for (ticket, expected) in &tickets {
            let held = self.messages.get(&ticket.sequence)?;
            match held.place {
                Place::InFlight { until, .. }
                    if until == *expected && held.last_receive == ticket.receive => {}
                _ => return None,
            }
            taken.deliveries.push(held.delivery(ticket.sequence, now));
        }
        let until = now + i64::from(visibility_seconds) * 1000;
        for (ticket, _) in tickets {
            self.put(ticket.sequence, Place::InFlight { since: now, until });
        }
        self.remember(now, attempt, &taken);
        Some(taken)
    }
}
