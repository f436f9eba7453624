use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::*;

/// Lines as they would go to standard error.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, say: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing::subscriber::with_default(subscriber("info", format, move || writer.clone()), say);
    String::from_utf8(lines.0.lock().clone()).unwrap()
}

#[test]
fn a_line_for_machines_is_an_object_with_its_fields_and_its_trace() {
    let trace = TraceContext::root();
    let line = logged(LogFormat::Json, || {
        let _in_trace = trace.enter();
        let error = io::Error::other("the \"disk\" is full");
        tracing::warn!(%error, count = 3, ok = false, "cannot {}", "write");
    });

    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["level"], "WARN");
    assert_eq!(object["message"], "cannot write");
    assert_eq!(object["error"], "the \"disk\" is full");
    assert_eq!(object["count"], 3);
    assert_eq!(object["ok"], false);
    assert_eq!(object["trace_id"], trace.trace_id());
    assert_eq!(object["span_id"], trace.span_id());
    assert!(object["timestamp"].as_str().unwrap().ends_with('Z'), "{object}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn a_line_outside_every_trace_names_none() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let line = logged(format, || tracing::info!("listening"));
        assert!(line.contains("listening") && !line.contains("trace_id"), "{line}");
    }
}

#[test]
fn a_line_for_people_ends_with_its_trace() {
    let trace = TraceContext::root();
    let line = logged(LogFormat::Text, || {
        let _in_trace = trace.enter();
        tracing::info!("hello");
    });
    assert!(
        line.ends_with(&format!("hello trace_id={}\n", trace.trace_id())),
        "{line:?}"
    );
}

#[test]
fn what_the_filter_leaves_out_is_not_written() {
    assert_eq!(logged(LogFormat::Text, || tracing::debug!("quiet")), "");
}
