//! The REST face: `google.api.http` annotations transcoded by reflection (ADR 0006).
//!
//! ```text
//!  GET /v1/channels/c1 ──► Route ──► DynamicMessage ──► the same gRPC services, behind the same guard ──► JSON
//!                          path, query, JSON body                       server stream ──► text/event-stream
//! ```

mod codec;
mod error;
mod events;
mod json;
mod observed;
pub(crate) mod openapi;
mod query;
mod route;
mod template;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use marquee_telemetry::InContext as _;
use prost_reflect::{DynamicMessage, FieldDescriptor};
use serde_json::Value as JsonValue;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

pub(crate) use self::error::{Error, problem};
use self::observed::Observed;
pub use self::route::RouteError;
use self::route::{Body as Binding, Route};
pub(crate) use self::route::{Found, Routes};
use crate::grpc::Stack;

/// Headers of the HTTP request that the RPC sees as metadata.
const FORWARDED: [HeaderName; 7] = [
    AUTHORIZATION,
    USER_AGENT,
    ACCEPT_LANGUAGE,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("grpc-timeout"),
];

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Answers REST requests by calling RPCs in this process.
#[derive(Clone)]
pub(crate) struct Rest {
    routes: Arc<Routes>,
    stack: Stack,
    max_body: usize,
    /// How long a client may take to send a body.
    body_timeout: Duration,
    /// Bytes of all bodies that are being read: what waits for its sender must not use up the memory.
    bodies: Arc<Semaphore>,
}

/// See [`Rest::bodies`].
const BODIES_BYTES: usize = 64 << 20;

impl Rest {
    pub(crate) fn new(routes: Routes, stack: Stack, max_body: usize, body_timeout: Duration) -> Self {
        Self {
            routes: Arc::new(routes),
            stack,
            max_body,
            body_timeout,
            bodies: Arc::new(Semaphore::new(BODIES_BYTES.max(max_body))),
        }
    }

    /// True when a path belongs to an RPC, whatever the method.
    pub(crate) fn knows(&self, method: &Method, path: &str) -> bool {
        !matches!(self.routes.find(method, path), Found::Nothing)
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        match self.routes.find(&parts.method, parts.uri.path()) {
            Found::Route(route, values) => {
                let observed = Observed::begin(&parts.method, Some(route), &parts.headers);
                let answer = self.answer(route, values, parts, body);
                let response = answer.in_context(observed.context()).await;
                if route.rpc.is_server_streaming() {
                    observed.streams(response)
                } else {
                    observed.answered(response)
                }
            }
            Found::OtherMethod(route, allowed) => refused(&parts, Some(route), Error::Method(allowed)),
            Found::Nothing => {
                let nothing = Error::NotFound(parts.uri.path().to_owned());
                refused(&parts, None, nothing)
            }
        }
    }

    async fn answer(
        &self,
        route: &Route,
        values: Vec<String>,
        parts: request::Parts,
        body: Body,
    ) -> Response {
        let message = match self.read(route, values, &parts, body).await {
            Ok(message) => message,
            Err(error) => return error.into_response(),
        };
        let metadata = match metadata(route, &parts) {
            Ok(metadata) => metadata,
            Err(error) => return error.into_response(),
        };
        self.forward(route, message, metadata, parts.extensions).await
    }

    async fn forward(
        &self,
        route: &Route,
        message: DynamicMessage,
        metadata: MetadataMap,
        mut extensions: http::Extensions,
    ) -> Response {
        // Belongs to the HTTP connection, not to the RPC.
        extensions.remove::<hyper::upgrade::OnUpgrade>();
        let request = tonic::Request::from_parts(metadata, extensions, message);
        let codec = codec::Dynamic {
            response: route.rpc.output(),
        };
        let mut client =
            tonic::client::Grpc::with_origin(self.stack.clone(), Uri::from_static("http://localhost"))
                .max_decoding_message_size(usize::MAX);
        if route.rpc.is_server_streaming() {
            return match client
                .server_streaming(request, route.grpc_path.clone(), codec)
                .await
            {
                Ok(stream) => events::stream(stream.into_inner()),
                Err(status) => problem(&status),
            };
        }
        match client.unary(request, route.grpc_path.clone(), codec).await {
            Ok(response) => match serde_json::to_vec(&json::Json(response.get_ref())) {
                Ok(json) => {
                    let mut response = Response::new(Body::from(json));
                    response
                        .headers_mut()
                        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    response
                        .headers_mut()
                        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                    response
                }
                Err(error) => problem(&tonic::Status::internal(error.to_string())),
            },
            Err(status) => problem(&status),
        }
    }

    async fn read(
        &self,
        route: &Route,
        values: Vec<String>,
        parts: &request::Parts,
        body: Body,
    ) -> Result<DynamicMessage, Error> {
        let input = route.rpc.input();
        let mut message = match &route.body {
            Binding::None => DynamicMessage::new(input.clone()),
            Binding::Whole => match self.body(parts, body).await? {
                Some(json) => json::decode(&input, &json, "").map_err(Error::Invalid)?,
                None => DynamicMessage::new(input.clone()),
            },
            Binding::Field(field) => {
                let mut message = DynamicMessage::new(input.clone());
                if let Some(json) = self.body(parts, body).await? {
                    let value = match field
                        .kind()
                        .as_message()
                        .filter(|_| !field.is_list() && !field.is_map())
                    {
                        Some(inner) => json::decode(inner, &json, field.name())
                            .map(prost_reflect::Value::Message)
                            .map_err(Error::Invalid)?,
                        None => json::leaf(field, &json).map_err(|problem| invalid(field.name(), problem))?,
                    };
                    message.set_field(field, value);
                }
                message
            }
        };

        let body_field = match &route.body {
            Binding::Field(field) => Some(std::slice::from_ref(field)),
            _ => None,
        };
        let bound: Vec<&[FieldDescriptor]> = route
            .variables
            .iter()
            .map(Vec::as_slice)
            .chain(body_field)
            .collect();
        let mut parameters = query::parse(parts.uri.query().unwrap_or_default());
        if route.rpc.is_server_streaming() {
            parameters.retain(|(name, _)| name != "access_token");
        }
        if let (Binding::Whole, Some((name, _))) = (&route.body, parameters.first()) {
            return Err(invalid(
                name,
                "is not a parameter: the body carries every field".to_owned(),
            ));
        }
        query::apply(&mut message, &input, &parameters, &bound).map_err(Error::Invalid)?;

        for (fields, text) in route.variables.iter().zip(values) {
            if let Some((last, parents)) = fields.split_last() {
                let value = json::leaf(last, &JsonValue::String(text))
                    .map_err(|problem| invalid(last.name(), problem))?;
                query::set(&mut message, parents, last, value);
            }
        }
        if let (true, Some(id), Some(cursor)) = (
            route.rpc.is_server_streaming(),
            parts.headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()),
            input.get_field_by_name("cursor"),
        ) {
            let id = id.to_str().map_err(|_| Error::Header("last-event-id"))?;
            let value = json::leaf(&cursor, &JsonValue::String(id.to_owned()))
                .map_err(|_| Error::Header("last-event-id"))?;
            message.set_field(&cursor, value);
        }
        Ok(message)
    }

    /// The JSON of the body; `None` when it is empty.
    async fn body(&self, parts: &request::Parts, body: Body) -> Result<Option<JsonValue>, Error> {
        let too_large = Error::TooLarge { limit: self.max_body };
        let announced = parts
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        let announced = announced.and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.max_body) {
            return Err(too_large);
        }
        if let Some(media_type) = parts.headers.get(CONTENT_TYPE)
            && !is_json(media_type)
        {
            return Err(Error::MediaType(
                String::from_utf8_lossy(media_type.as_bytes()).into_owned(),
            ));
        }
        if http_body::Body::is_end_stream(&body) {
            return Ok(None);
        }
        let bytes = u32::try_from(announced.unwrap_or(self.max_body)).unwrap_or(u32::MAX);
        let _place = self
            .bodies
            .try_acquire_many(bytes)
            .map_err(|_| Error::Overloaded)?;
        let collected = Limited::new(body, self.max_body).collect();
        let bytes = tokio::time::timeout(self.body_timeout, collected)
            .await
            .map_err(|_| Error::Slow(self.body_timeout))?
            .map_err(|error| {
                if error.downcast_ref::<LengthLimitError>().is_some() {
                    too_large
                } else {
                    Error::Unreadable(error.to_string())
                }
            })?;
        let bytes = bytes.to_bytes();
        if bytes.is_empty() {
            Ok(None)
        } else {
            Ok(Some(serde_json::from_slice(&bytes)?))
        }
    }
}

/// Answers a request that leads to no RPC: it counts like any other.
fn refused(parts: &request::Parts, route: Option<&Route>, error: Error) -> Response {
    let observed = Observed::begin(&parts.method, route, &parts.headers);
    let response = {
        let _in_request = observed.context().enter();
        error.into_response()
    };
    observed.answered(response)
}

fn invalid(field: &str, description: String) -> Error {
    Error::Invalid(vec![marquee_error::FieldViolation {
        field: field.to_owned(),
        description,
    }])
}

fn is_json(media_type: &HeaderValue) -> bool {
    let text = media_type.to_str().unwrap_or_default();
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn metadata(route: &Route, parts: &request::Parts) -> Result<MetadataMap, Error> {
    let mut headers = HeaderMap::new();
    for name in FORWARDED {
        for value in parts.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(timeout) = parts.headers.get("x-timeout") {
        let timeout = timeout
            .to_str()
            .ok()
            .and_then(grpc_timeout)
            .ok_or(Error::Header("x-timeout"))?;
        headers.insert("grpc-timeout", timeout);
    }
    // EventSource cannot set headers, so that a stream may carry its token in the query (RFC 6750 section 2.3). Nothing
    // logs a query.
    if route.rpc.is_server_streaming() && !headers.contains_key(AUTHORIZATION) {
        let parameters = query::parse(parts.uri.query().unwrap_or_default());
        if let Some((_, token)) = parameters.into_iter().find(|(name, _)| name == "access_token") {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| invalid("access_token", "is ill formed".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    Ok(MetadataMap::from_headers(headers))
}

/// `x-timeout: 1.5` is in seconds.
fn grpc_timeout(seconds: &str) -> Option<HeaderValue> {
    let seconds: f64 = seconds.trim().trim_end_matches('s').parse().ok()?;
    // At most eight digits are allowed (gRPC over HTTP/2, "Timeout").
    if !(0.0..=99_999.0).contains(&seconds) {
        return None;
    }
    HeaderValue::from_str(&format!("{:.0}m", seconds * 1_000.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_in_seconds_becomes_milliseconds() {
        assert_eq!(grpc_timeout("1.5").unwrap(), "1500m");
        assert_eq!(grpc_timeout("2s").unwrap(), "2000m");
        assert_eq!(grpc_timeout("-1"), None);
        assert_eq!(grpc_timeout("soon"), None);
        assert_eq!(grpc_timeout("1e9"), None);
    }

    #[test]
    fn json_has_several_names() {
        let is = |text: &'static str| is_json(&HeaderValue::from_static(text));
        assert!(is("application/json; charset=utf-8") && is("application/merge-patch+json"));
        assert!(!is("text/plain") && !is("application/x-www-form-urlencoded"));
    }
}
