use http::HeaderValue;

tokio::task_local! {
    static REQUEST_ID: HeaderValue;
}

/// The header that a request id travels in.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// Runs one poll for the request with this id: calls to peers in it carry the id, errors in it name it.
pub fn poll_for_request<T>(id: HeaderValue, poll: impl FnOnce() -> T) -> T {
    REQUEST_ID.sync_scope(id, poll)
}

/// The id of the request that the running task answers.
pub fn request_id() -> Option<HeaderValue> {
    REQUEST_ID.try_with(Clone::clone).ok()
}
