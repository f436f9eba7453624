//! Server streams as server-sent events (HTML Living Standard, section 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use prost_reflect::{DynamicMessage, Value};
use tonic::Streaming;

use super::error::problem_json;
use super::json::Json;

/// Proxies drop a connection that is silent for 30 to 60 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event per message; `event: error` with a problem when the stream fails, then the end.
pub(crate) fn stream(messages: Streaming<DynamicMessage>) -> Response {
    let events = stream::unfold(Some(messages), |messages| async move {
        let mut messages = messages?;
        match messages.message().await {
            Ok(Some(message)) => Some((Ok::<_, Infallible>(event(&message)), Some(messages))),
            Ok(None) => None,
            Err(status) => Some((
                Ok(Event::default().event("error").data(problem_json(&status))),
                None,
            )),
        }
    });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx buffers answers unless told not to.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn event(message: &DynamicMessage) -> Event {
    let event = Event::default();
    let event = match message.get_field_by_name("cursor").as_deref() {
        // An id with a line break would end the line early; the browser would send back a part of it.
        Some(Value::String(cursor)) if !cursor.is_empty() && !cursor.contains(['\n', '\r', '\0']) => {
            event.id(cursor)
        }
        Some(Value::I64(cursor)) => event.id(cursor.to_string()),
        Some(Value::U64(cursor)) => event.id(cursor.to_string()),
        _ => event,
    };
    event.data(serde_json::to_string(&Json(message)).unwrap_or_default())
}
