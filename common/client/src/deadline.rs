use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Runs a future that has to be done by `deadline`: calls to peers inside it get what is left as their own deadline.
/// It does not end the future when the time is over; who sets the deadline does.
pub async fn within<F: Future>(deadline: Instant, future: F) -> F::Output {
    DEADLINE.scope(deadline, future).await
}

/// The same for one poll of a future that has a type of its own.
pub fn poll_within<T>(deadline: Instant, poll: impl FnOnce() -> T) -> T {
    DEADLINE.sync_scope(deadline, poll)
}

/// What is left of the deadline of the running task; `None` when it has none, zero when it is over.
pub fn remaining() -> Option<Duration> {
    DEADLINE
        .try_with(|deadline| deadline.saturating_duration_since(Instant::now()))
        .ok()
}
