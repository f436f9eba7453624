//! What the async side of a subscription and its thread share.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::failures::Place;
use super::group::Group;

/// What a member and its poller share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// There is something for the member.
    pub(super) arrived: Notify,
    /// There is something for the poller.
    pub(super) wake: Wake,
    /// Where it is told that its consumer failed.
    pub(super) place: Place,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) group: Group,
    pub(super) leaving: bool,
    pub(super) ended: bool,
}

#[derive(Default)]
pub(super) struct Wake {
    woken: Mutex<bool>,
    condvar: Condvar,
}

impl Wake {
    pub(super) fn wake(&self) {
        *self.woken.lock() = true;
        self.condvar.notify_one();
    }

    pub(super) fn wait(&self, limit: Duration) {
        let mut woken = self.woken.lock();
        if !*woken {
            self.condvar.wait_for(&mut woken, limit);
        }
        *woken = false;
    }
}
