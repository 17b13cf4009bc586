//! A stage's throttle: a token bucket (API Gateway developer guide, "Throttle requests to your HTTP APIs").

use jiff::Timestamp;

/// Admits `rate` requests a second in the steady state and `burst` at once.
#[derive(Debug)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Timestamp,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: f64, burst: f64, now: Timestamp) -> Self {
        Self {
            rate,
            burst,
            tokens: burst,
            filled: now,
        }
    }

    /// Whether one more request may pass.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        let elapsed = now.duration_since(self.filled).as_secs_f64();
        // A clock that went back refills nothing.
        self.tokens = (self.tokens + elapsed.max(0.0) * self.rate).min(self.burst);
        self.filled = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap_or_default()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::new(4.0, 3.0, at(0));
        let admitted = (0..5).filter(|_| bucket.admit(at(0))).count();
        assert_eq!(admitted, 3);
        let admitted = (1..=20).filter(|tick| bucket.admit(at(tick * 125))).count();
        assert_eq!(admitted, 10);
        // Idle time fills no more than the burst.
        let admitted = (0..9).filter(|_| bucket.admit(at(60_000))).count();
        assert_eq!(admitted, 3);
    }
}
