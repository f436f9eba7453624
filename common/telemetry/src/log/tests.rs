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

thread_local! {
    static ANSWERED: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

#[test]
fn a_line_inside_a_request_names_its_id_and_its_trace() {
    set_request_id_source(|| ANSWERED.get().map(ToOwned::to_owned));
    let trace = TraceContext::root();
    let say = || {
        let _in_trace = trace.enter();
        ANSWERED.set(Some("r-1"));
        tracing::info!("hello");
        ANSWERED.set(None);
        tracing::info!("afterwards");
    };
    let text = logged(LogFormat::Text, say);
    let json = logged(LogFormat::Json, say);

    let lines: Vec<&str> = text.lines().collect();
    let id = trace.trace_id();
    assert!(
        lines[0].ends_with(&format!("hello trace_id={id} request_id=r-1")),
        "{text}"
    );
    assert!(lines[1].ends_with(&format!("afterwards trace_id={id}")), "{text}");
    let objects: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects[0]["request_id"], "r-1");
    assert_eq!(objects[0]["trace_id"], id);
    assert_eq!(objects[1].get("request_id"), None);
}

#[test]
fn what_the_filter_leaves_out_is_not_written() {
    assert_eq!(logged(LogFormat::Text, || tracing::debug!("quiet")), "");
}
