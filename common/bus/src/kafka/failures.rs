//! Consumers that failed for good and have not been replaced yet: they are told by readiness.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

/// Those of one bus.
#[derive(Default)]
pub(super) struct Failures(Mutex<BTreeMap<Uuid, String>>);

impl Failures {
    /// What is wrong with one of them, in words.
    pub(super) fn state(&self) -> Result<(), String> {
        match self.0.lock().values().next() {
            Some(why) => Err(format!("kafka: {why}")),
            None => Ok(()),
        }
    }

    /// A place for one subscription, which is fine until it says otherwise.
    pub(super) fn place(self: &Arc<Self>) -> Place {
        Place {
            failures: self.clone(),
            id: Uuid::now_v7(),
        }
    }
}

/// One subscription's word in readiness; it goes with the subscription.
pub(super) struct Place {
    failures: Arc<Failures>,
    id: Uuid,
}

impl Place {
    pub(super) fn failed(&self, why: String) {
        self.failures.0.lock().insert(self.id, why);
    }

    pub(super) fn recovered(&self) {
        self.failures.0.lock().remove(&self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.recovered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_until_its_subscription_recovers_or_goes() {
        let failures = Arc::new(Failures::default());
        let (first, second) = (failures.place(), failures.place());
        assert_eq!(failures.state(), Ok(()));
        first.failed("the first failed".to_owned());
        second.failed("the second failed".to_owned());
        assert_eq!(failures.state(), Err("kafka: the first failed".to_owned()));
        first.recovered();
        assert_eq!(failures.state(), Err("kafka: the second failed".to_owned()));
        drop(second);
        assert_eq!(failures.state(), Ok(()));
    }
}
