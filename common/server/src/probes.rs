//! Alive and ready: `/healthz`, `/readyz`, and the same as gRPC health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::face::{Check, Part};

/// How often gRPC health follows the checks.
const PERIOD: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Probes(Arc<Shared>);

struct Shared {
    parts: Vec<Part>,
    timeout: Duration,
    stopping: AtomicBool,
    reporter: HealthReporter,
}

impl Probes {
    pub(crate) fn new(parts: Vec<Part>, timeout: Duration, reporter: HealthReporter) -> Self {
        Self(Arc::new(Shared {
            parts,
            timeout,
            stopping: AtomicBool::new(false),
            reporter,
        }))
    }

    /// `GET /readyz`: 200 when every dependency works, else 503 with what is wrong.
    pub(crate) async fn ready(&self) -> Response {
        let checks = self
            .0
            .parts
            .iter()
            .flat_map(|part| part.checks.iter().map(move |check| (part.service, check)));
        let results = join_all(checks.map(|(service, check)| async move {
            (format!("{service}/{}", check.name), self.ask(check).await)
        }))
        .await;
        let stopping = self.0.stopping.load(Ordering::Acquire);
        let failing: Vec<_> = results
            .iter()
            .filter(|(_, result)| result.is_err())
            .map(|(name, _)| name.clone())
            .collect();
        let checks: Map<String, Value> = results
            .into_iter()
            .map(|(name, result)| (name, result.map_or_else(Value::from, |()| "ok".into())))
            .collect();
        if failing.is_empty() && !stopping {
            return Json(json!({"status": "ready", "checks": checks})).into_response();
        }
        let detail = if stopping {
            "the server is shutting down".to_owned()
        } else {
            format!("not ready: {}", failing.join(", "))
        };
        let body = json!({
            "type": "about:blank", "title": "Not ready", "status": 503, "detail": detail, "failing": failing, "checks": checks,
        });
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(CONTENT_TYPE, marquee_error::PROBLEM_JSON)],
            body.to_string(),
        )
            .into_response()
    }

    /// Keeps gRPC health true until it is told to stop: the whole server ("") is alive, each service is ready or not.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        loop {
            self.report().await;
            let wait = tokio::time::sleep(PERIOD);
            if stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    async fn report(&self) {
        for part in &self.0.parts {
            let results = join_all(part.checks.iter().map(|check| self.ask(check))).await;
            let stopping = self.0.stopping.load(Ordering::Acquire);
            let serving = !stopping && results.iter().all(Result::is_ok);
            let status = if serving {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            for rpc in &part.rpcs {
                self.0.reporter.set_service_status(*rpc, status).await;
            }
        }
        let alive = !self.0.stopping.load(Ordering::Acquire);
        let status = if alive {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.0.reporter.set_service_status("", status).await;
    }

    /// From now on the answer is "not serving".
    pub(crate) async fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        for rpc in self.0.parts.iter().flat_map(|part| &part.rpcs) {
            self.0
                .reporter
                .set_service_status(*rpc, ServingStatus::NotServing)
                .await;
        }
        self.0
            .reporter
            .set_service_status("", ServingStatus::NotServing)
            .await;
    }

    async fn ask(&self, check: &Check) -> Result<(), String> {
        tokio::time::timeout(self.0.timeout, (check.run)())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.0.timeout)))
    }
}
