//! So many requests a minute for each client. The count is this environment's own: with several environments a client gets
//! several times as many, and what holds for all of them together is the HTTP API's throttle.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A client's count begins anew so long after its first request.
const WINDOW: Duration = Duration::from_mins(1);

/// Clients that are remembered, about 100 bytes each. Further ones are not counted until windows end.
const MAX_CLIENTS: usize = 10_000;

/// Who sends requests: an address, or the network of an IPv6 address, because a host there has as many as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl Client {
    /// The client at `address`.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self(IpAddr::V6(network.into()))
            }
        }
    }
}

/// Counts requests.
#[derive(Debug)]
pub struct Limiter {
    limit: u32,
    windows: HashMap<Client, Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    requests: u32,
}

impl Limiter {
    /// At most `limit` requests of a client in a minute.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            windows: HashMap::new(),
        }
    }

    /// Whether a request may pass, or how long its client must wait.
    pub fn admit(&mut self, client: Client, now: Instant) -> Result<(), Duration> {
        if self.windows.len() >= MAX_CLIENTS {
            self.windows.retain(|_, window| !window.has_ended(now));
        }
        if self.windows.len() >= MAX_CLIENTS && !self.windows.contains_key(&client) {
            return Ok(());
        }
        let fresh = Window {
            began: now,
            requests: 0,
        };
        let window = self.windows.entry(client).or_insert(fresh);
        if window.has_ended(now) {
            *window = fresh;
        }
        if window.requests >= self.limit {
            return Err((window.began + WINDOW).duration_since(now));
        }
        window.requests += 1;
        Ok(())
    }
}

impl Window {
    fn has_ended(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= WINDOW
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(address: &str) -> Client {
        Client::at(address.parse().unwrap())
    }

    #[test]
    fn the_101st_request_waits_for_the_minute_to_end() {
        let start = Instant::now();
        let mut limiter = Limiter::new(100);
        let one = client("192.0.2.1");
        for _ in 0..100 {
            assert_eq!(limiter.admit(one, start), Ok(()));
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(limiter.admit(one, later), Err(Duration::from_secs(40)));
        assert_eq!(limiter.admit(client("192.0.2.2"), later), Ok(()));
        assert_eq!(limiter.admit(one, start + WINDOW), Ok(()));
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let now = Instant::now();
        let mut limiter = Limiter::new(1);
        for number in 0..20_000_u32 {
            assert_eq!(
                limiter.admit(Client(IpAddr::V4(number.into())), now),
                Ok(())
            );
        }
        assert_eq!(limiter.windows.len(), MAX_CLIENTS);
        assert!(
            limiter.admit(Client(IpAddr::V4(0.into())), now).is_err(),
            "known clients are still counted"
        );
        let _ = limiter.admit(client("192.0.2.1"), now + WINDOW);
        assert_eq!(limiter.windows.len(), 1, "ended windows make room");
    }

    proptest! {
        /// Whatever the times of the requests: no minute that begins with a counted request sees more than the limit, a
        /// client that waits as told is let through, and clients do not share.
        #[test]
        fn the_limit_holds(limit in 1_u32..8, requests in prop::collection::vec((0_u8..3, 0_u64..30_000), 1..200)) {
            let mut now = Instant::now();
            let mut limiter = Limiter::new(limit);
            let mut windows: HashMap<u8, (Instant, u32)> = HashMap::new();
            for (host, wait) in requests {
                now += Duration::from_millis(wait);
                let client = Client(IpAddr::V4(u32::from(host).into()));
                let (began, admitted) = windows.entry(host).or_insert((now, 0));
                if now - *began >= WINDOW {
                    (*began, *admitted) = (now, 0);
                }
                match limiter.admit(client, now) {
                    Ok(()) => {
                        *admitted += 1;
                        prop_assert!(*admitted <= limit);
                    }
                    Err(wait) => {
                        prop_assert_eq!(*admitted, limit);
                        prop_assert_eq!(now + wait, *began + WINDOW);
                    }
                }
            }
        }
    }
}
