use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// The flag of a trace that is recorded (W3C Trace Context 3.2.2.3.1).
const SAMPLED: u8 = 1;
/// Flags that are passed on: sampled, and that the trace id is random (level 2, 2.2.2.3.2).
const KNOWN_FLAGS: u8 = 0b11;

/// Which trace something belongs to, and which step of it is running (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// New traces with ids below are recorded. Set once, at the start.
static SAMPLE_BELOW: AtomicU64 = AtomicU64::new(u64::MAX);

/// Records this share of the traces that begin here. What comes with a context is recorded as its caller decided.
pub(crate) fn sample(ratio: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    let below = if ratio >= 1.0 {
        u64::MAX
    } else {
        (ratio.max(0.0) * 2_f64.powi(63)) as u64
    };
    SAMPLE_BELOW.store(below, Ordering::Relaxed);
}

/// `TraceIdRatioBased` of the OpenTelemetry SDKs, so that all of them decide alike.
fn is_sampled(trace_id: u128) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what counts")]
    let random = (trace_id as u64) >> 1;
    random < SAMPLE_BELOW.load(Ordering::Relaxed)
}

impl TraceContext {
    /// The first step of a new trace.
    pub fn root() -> Self {
        // Zero is forbidden, and comes once in 2^128 times.
        let trace_id = rand::random::<u128>().max(1);
        Self {
            trace_id,
            span_id: new_span_id(),
            flags: if is_sampled(trace_id) { SAMPLED } else { 0 },
        }
    }

    /// The next step of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: new_span_id(),
            ..self
        }
    }

    /// The step that `traceparent` tells; `None` when it is missing or ill formed (2.2.2: such a header is ignored).
    pub fn parse(traceparent: Option<&str>) -> Option<Self> {
        traceparent?.parse().ok()
    }

    /// The step that is running on this thread; `None` outside every trace.
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Whether the trace is recorded, by whoever can.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// 16 hexadecimal digits.
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// What runs on this thread until the guard is dropped is this step.
    pub fn enter(self) -> Entered {
        Entered {
            before: CURRENT.replace(Some(self)),
            on_this_thread: PhantomData,
        }
    }

    #[cfg(feature = "otlp")]
    pub(crate) const fn bits(self) -> (u128, u64, u8) {
        (self.trace_id, self.span_id, self.flags)
    }

    #[cfg(feature = "otlp")]
    pub(crate) const fn span_bits(self) -> u64 {
        self.span_id
    }
}

fn new_span_id() -> u64 {
    rand::random::<u64>().max(1)
}

/// See [`TraceContext::enter`].
#[must_use]
#[derive(Debug)]
pub struct Entered {
    before: Option<TraceContext>,
    on_this_thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
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
            flags: flags & KNOWN_FLAGS,
        })
    }
}

/// The trace context that is running, as a `traceparent` header; `None` outside every trace.
pub fn current_traceparent() -> Option<String> {
    TraceContext::current().map(|context| context.to_string())
}

/// The trace id that is running.
pub fn current_trace_id() -> Option<String> {
    TraceContext::current().map(TraceContext::trace_id)
}

/// Futures that belong to a trace.
pub trait InContext: Future + Sized {
    /// Whatever the future does is the step of this context.
    fn in_context(self, context: TraceContext) -> Within<Self> {
        Within { inner: self, context }
    }
}

impl<F: Future> InContext for F {}

pin_project! {
    /// The future of [`InContext::in_context`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Within<F> {
        #[pin]
        inner: F,
        context: TraceContext,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.context.enter();
        this.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
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
    fn a_child_is_another_step_of_the_same_trace_and_as_sampled_as_its_parent() {
        for flags in ["00", "01"] {
            let parent: TraceContext = format!("{}{flags}", &PARENT[..53]).parse().unwrap();
            let child = parent.child();
            assert_eq!(child.trace_id(), parent.trace_id());
            assert_ne!(child.span_id(), parent.span_id());
            assert_eq!(child.is_sampled(), flags == "01");
        }
    }

    #[tokio::test]
    async fn a_future_is_in_its_context_over_every_pause_and_its_thread_is_not() {
        let context: TraceContext = PARENT.parse().unwrap();
        let inside = async {
            let before = TraceContext::current();
            tokio::task::yield_now().await;
            (before, TraceContext::current())
        };
        let outside = async {
            tokio::task::yield_now().await;
            TraceContext::current()
        };
        let (inside, outside) = tokio::join!(inside.in_context(context), outside);
        assert_eq!(inside, (Some(context), Some(context)));
        assert_eq!(outside, None);
    }

    #[test]
    fn contexts_nest() {
        let (outer, inner) = (TraceContext::root(), TraceContext::root());
        let _outer = outer.enter();
        drop(inner.enter());
        assert_eq!(TraceContext::current(), Some(outer));
        assert_eq!(current_trace_id(), Some(outer.trace_id()));
    }
}
