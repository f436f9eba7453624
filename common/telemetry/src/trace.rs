use std::fmt;
use std::str::FromStr;

use tracing::Span;
use tracing_subscriber::registry::{LookupSpan, Registry};

/// The target of spans that carry a trace context; they are kept whatever the log filter says.
pub(crate) const TARGET: &str = "marquee::trace";

/// Which trace something belongs to, and which step of it is running (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// The first step of a new trace.
    pub fn root() -> Self {
        Self {
            trace_id: rand::random_range(1..=u128::MAX),
            span_id: rand::random_range(1..=u64::MAX),
            flags: 1,
        }
    }

    /// The next step of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: rand::random_range(1..=u64::MAX),
            ..self
        }
    }

    /// The step after the one that `traceparent` tells, or a new trace when it is missing or ill formed (2.2.2: an
    /// ill-formed header is ignored).
    pub fn after(traceparent: Option<&str>) -> Self {
        match traceparent.and_then(|text| text.parse::<Self>().ok()) {
            Some(parent) => parent.child(),
            None => Self::root(),
        }
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

/// The text is no traceparent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl FromStr for TraceContext {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.trim().split('-');
        let mut part = |digits: usize| {
            parts
                .next()
                .filter(|part| {
                    part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                })
                .ok_or(Malformed)
        };
        let version = part(2)?;
        let trace_id = u128::from_str_radix(part(32)?, 16).map_err(|_| Malformed)?;
        let span_id = u64::from_str_radix(part(16)?, 16).map_err(|_| Malformed)?;
        let flags = u8::from_str_radix(part(2)?, 16).map_err(|_| Malformed)?;
        // Version ff is forbidden; later versions may append fields, version 00 may not.
        let too_long = version == "00" && parts.next().is_some();
        if version == "ff" || too_long || trace_id == 0 || span_id == 0 {
            return Err(Malformed);
        }
        Ok(Self {
            trace_id,
            span_id,
            flags,
        })
    }
}

/// The trace context that the current span is in, as a `traceparent` header; `None` outside every trace.
pub fn current_traceparent() -> Option<String> {
    current().map(|context| context.to_string())
}

/// The trace id that the current span is in.
pub fn current_trace_id() -> Option<String> {
    current().map(|context| context.trace_id())
}

/// A span that goes on with the trace of `traceparent`, or begins one; run a future in it with `.instrument(span)`.
pub fn in_trace(traceparent: Option<&str>, name: &str) -> Span {
    let context = TraceContext::after(traceparent);
    let span = tracing::debug_span!(target: TARGET, "trace", name, trace_id = format_args!("{:032x}", context.trace_id));
    keep(&span, context);
    span
}

/// Puts the context into the span, where [`current`] finds it.
pub(crate) fn keep(span: &Span, context: TraceContext) {
    span.with_subscriber(|(id, dispatch)| {
        if let Some(span) = dispatch
            .downcast_ref::<Registry>()
            .and_then(|registry| registry.span(id))
        {
            span.extensions_mut().replace(context);
        }
    });
}

fn current() -> Option<TraceContext> {
    Span::current()
        .with_subscriber(|(id, dispatch)| {
            let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
            span.scope()
                .find_map(|span| span.extensions().get::<TraceContext>().copied())
        })
        .flatten()
}

impl TraceContext {
    pub(crate) const fn trace_id_bits(&self) -> u128 {
        self.trace_id
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_a_round_trip() {
        assert_eq!(PARENT.parse::<TraceContext>().unwrap().to_string(), PARENT);
    }

    #[test]
    fn ill_formed_traceparents_are_refused() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_later_version_with_more_fields_is_read_as_far_as_it_is_known() {
        let text = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), PARENT);
    }

    #[test]
    fn what_runs_inside_the_span_is_the_next_step_of_the_same_trace() {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            assert_eq!(current_traceparent(), None);
            let span = in_trace(Some(PARENT), "consume");
            let inside = span
                .in_scope(|| tracing::info_span!("deeper").in_scope(current_traceparent))
                .unwrap();

            assert_eq!(inside.get(3..35), PARENT.get(3..35), "same trace");
            assert_ne!(inside.get(36..52), PARENT.get(36..52), "another step");
            assert_eq!(current_traceparent(), None);
        });
    }

    #[test]
    fn without_a_parent_a_trace_begins() {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let first = in_trace(None, "a").in_scope(current_trace_id).unwrap();
            let second = in_trace(Some("nonsense"), "b")
                .in_scope(current_trace_id)
                .unwrap();
            assert_ne!(first, second);
        });
    }

    #[test]
    fn a_quiet_log_does_not_lose_the_trace() {
        let subscriber =
            tracing_subscriber::registry().with(crate::log::layers("error", crate::LogFormat::Text));
        tracing::subscriber::with_default(subscriber, || {
            assert!(
                in_trace(Some(PARENT), "consume")
                    .in_scope(current_traceparent)
                    .is_some()
            );
        });
    }
}
