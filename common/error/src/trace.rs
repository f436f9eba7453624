use std::sync::OnceLock;

static SOURCE: OnceLock<fn() -> Option<String>> = OnceLock::new();
static REQUESTS: OnceLock<fn() -> Option<String>> = OnceLock::new();

/// Says where the trace id of the running task comes from; the first call counts.
///
/// Called by `marquee-telemetry`, which stands above this crate.
pub fn set_trace_id_source(source: fn() -> Option<String>) {
    let _ = SOURCE.set(source);
}

/// The trace id of the running task, when there is a trace.
pub(crate) fn trace_id() -> Option<String> {
    SOURCE.get().and_then(|source| source())
}

/// Says where the id of the request that the running task answers comes from; the first call counts.
///
/// Called by `marquee-server`, which stands above this crate.
pub fn set_request_id_source(source: fn() -> Option<String>) {
    let _ = REQUESTS.set(source);
}

/// The id of the request that is being answered, when there is one.
pub(crate) fn request_id() -> Option<String> {
    REQUESTS.get().and_then(|source| source())
}
