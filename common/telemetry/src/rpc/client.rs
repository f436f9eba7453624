use super::Call;
use super::methods::{Methods, Side};
use crate::trace::TraceContext;

/// Measures calls of other services: a CLIENT span and `rpc_client_duration_seconds` for each.
#[derive(Debug)]
pub struct ClientCalls(Methods);

impl ClientCalls {
    /// `paths` are those that are told apart, like `/marquee.events.v1.EventService/GetEvent`.
    pub fn new(paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self(Methods::new(Side::Client, paths))
    }

    /// Begins a call, the next step of what runs now. Its context is to be sent as `traceparent`.
    pub fn begin(&self, path: &str) -> Call {
        self.0.begin(path, TraceContext::current())
    }
}
