//! How often somebody may try to sign in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Limits of [`Attempts`].
#[derive(Debug, Clone, Copy)]
pub struct LoginLimit {
    /// How many attempts one e-mail address has at once from one network address.
    pub burst: u32,
    /// After how long one more is allowed.
    pub refill: Duration,
    /// How many pairs of both the embedded store remembers; the one that was idle longest is forgotten first.
    pub addresses: usize,
}

impl Default for LoginLimit {
    /// Ten attempts, then one every 30 s; 50,000 pairs (about 3 MB).
    fn default() -> Self {
        Self {
            burst: 10,
            refill: Duration::from_secs(30),
            addresses: 50_000,
        }
    }
}

impl LoginLimit {
    /// When the allowance that is whole again at `full_at` will be so after one more attempt at `now` (generic cell rate
    /// algorithm).
    ///
    /// # Errors
    /// How long to wait until there is an attempt.
    pub(crate) fn take(&self, full_at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Duration> {
        let full_at = full_at.filter(|at| *at > now).unwrap_or(now);
        let after = full_at.saturating_add(self.refill).unwrap_or(Timestamp::MAX);
        let window = self.refill.saturating_mul(self.burst);
        let debt = Duration::try_from(after.duration_since(now)).unwrap_or_default();
        if debt > window {
            return Err(debt.saturating_sub(window));
        }
        Ok(after)
    }
}

/// Whose attempts they are.
///
/// Both addresses make it: by the e-mail address alone a stranger who keeps guessing would lock its owner out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Guesser([u8; 16]);

impl Guesser {
    /// The digest, for a store that counts.
    #[cfg(feature = "postgres")]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Who tries `email`, from `peer` when that is known.
    pub(crate) fn new(email: &str, peer: Option<IpAddr>) -> Self {
        let network = match peer.map(|peer| peer.to_canonical()) {
            None => Vec::new(),
            Some(IpAddr::V4(address)) => address.octets().to_vec(),
            // Whoever has one IPv6 address has the 2^64 of its network (RFC 4291 section 2.5.4).
            Some(IpAddr::V6(address)) => address.octets()[..8].to_vec(),
        };
        let digest = Sha256::new()
            .chain_update([u8::try_from(network.len()).unwrap_or(u8::MAX)])
            .chain_update(network)
            .chain_update(email)
            .finalize();
        Self(std::array::from_fn(|n| digest[n]))
    }
}

/// A token bucket per [`Guesser`], in the bounded memory of one process.
///
/// An attempt is taken before the password is looked at, so that a thousand at once get no more than one after the
/// other; a good password gives them back.
#[derive(Debug)]
pub(crate) struct Attempts {
    limit: LoginLimit,
    /// When each bucket will be full again. Guessers are digests: e-mail addresses are as long as they like.
    full_at: HashMap<Guesser, Timestamp>,
}

impl Attempts {
    pub(crate) fn new(limit: LoginLimit) -> Self {
        Self {
            limit,
            full_at: HashMap::new(),
        }
    }

    /// Takes an attempt.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub(crate) fn take(&mut self, guesser: Guesser, now: Timestamp) -> Result<(), Duration> {
        let after = self.limit.take(self.full_at.get(&guesser).copied(), now)?;
        if !self.full_at.contains_key(&guesser) && self.full_at.len() >= self.limit.addresses {
            self.forget(now);
        }
        self.full_at.insert(guesser, after);
        Ok(())
    }

    /// Gives all attempts back after a good one.
    pub(crate) fn clear(&mut self, guesser: Guesser) {
        self.full_at.remove(&guesser);
    }

    /// Makes room: forgets what is full again, and if that is not enough the eighth that was idle longest.
    fn forget(&mut self, now: Timestamp) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() < self.limit.addresses {
            return;
        }
        let mut times: Vec<Timestamp> = self.full_at.values().copied().collect();
        let eighth = times.len() / 8;
        let (_, &mut oldest, _) = times.select_nth_unstable(eighth);
        self.full_at.retain(|_, full_at| *full_at > oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(burst: u32, addresses: usize) -> Attempts {
        Attempts::new(LoginLimit {
            burst,
            refill: Duration::from_secs(30),
            addresses,
        })
    }

    fn from(email: &str, host: u8) -> Guesser {
        Guesser::new(email, Some(IpAddr::from([192, 0, 2, host])))
    }

    fn ada() -> Guesser {
        from("ada", 1)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn after_the_burst_one_attempt_comes_back_at_a_time() {
        let mut attempts = attempts(3, 100);
        for _ in 0..3 {
            attempts.take(ada(), at(0)).unwrap();
        }
        assert_eq!(attempts.take(ada(), at(0)), Err(Duration::from_secs(30)));
        assert_eq!(attempts.take(ada(), at(29)), Err(Duration::from_secs(1)));
        assert_eq!(attempts.take(ada(), at(30)), Ok(()));
        assert!(attempts.take(ada(), at(30)).is_err());
    }

    #[test]
    fn a_refused_attempt_costs_nothing() {
        let mut attempts = attempts(1, 100);
        attempts.take(ada(), at(0)).unwrap();
        for _ in 0..1_000 {
            assert!(attempts.take(ada(), at(1)).is_err());
        }
        assert_eq!(attempts.take(ada(), at(30)), Ok(()));
    }

    #[test]
    fn one_address_does_not_use_up_anothers() {
        let mut attempts = attempts(1, 100);
        attempts.take(ada(), at(0)).unwrap();
        assert_eq!(attempts.take(from("grace", 1), at(0)), Ok(()));
    }

    #[test]
    fn a_stranger_elsewhere_does_not_use_up_the_owners() {
        let mut attempts = attempts(1, 100);
        attempts.take(from("ada", 2), at(0)).unwrap();
        assert!(attempts.take(from("ada", 2), at(0)).is_err());
        assert_eq!(attempts.take(ada(), at(0)), Ok(()));
    }

    #[test]
    fn one_network_is_one_guesser_however_many_addresses_it_has() {
        let at = |address: &str| Guesser::new("ada", Some(address.parse().unwrap()));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), ada());
    }

    #[test]
    fn a_good_password_gives_the_attempts_back() {
        let mut attempts = attempts(1, 100);
        attempts.take(ada(), at(0)).unwrap();
        attempts.clear(ada());
        assert_eq!(attempts.take(ada(), at(0)), Ok(()));
    }

    #[test]
    fn however_many_addresses_are_tried_memory_is_bounded() {
        let mut attempts = attempts(3, 64);
        for n in 0..10_000 {
            attempts.take(from(&format!("user{n}"), 1), at(n / 100)).unwrap();
            assert!(attempts.full_at.len() <= 64);
        }
    }

    #[test]
    fn who_is_still_trying_is_not_forgotten_for_those_who_stopped() {
        let mut attempts = attempts(2, 64);
        for n in 0..63 {
            attempts.take(from(&format!("user{n}"), 1), at(0)).unwrap();
        }
        attempts.take(ada(), at(1)).unwrap();
        attempts.take(ada(), at(1)).unwrap();
        attempts.take(from("one more", 1), at(1)).unwrap();
        assert!(attempts.take(ada(), at(1)).is_err());
    }
}
