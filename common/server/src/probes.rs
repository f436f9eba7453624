//! Alive and ready: `/healthz`, `/readyz`, and the same as gRPC health.

use std::collections::HashMap;
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
/// So many failures of a check in a row.
const WORTH_A_LINE: u32 = 2;

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
            (
                format!("{service}/{}", check.name),
                check.required,
                self.ask(check).await,
            )
        }))
        .await;
        let stopping = self.0.stopping.load(Ordering::Acquire);
        let failing: Vec<_> = results
            .iter()
            .filter(|(_, required, result)| *required && result.is_err())
            .map(|(name, ..)| name.clone())
            .collect();
        let checks: Map<String, Value> = results
            .into_iter()
            .map(|(name, _, result)| (name, result.map_or_else(Value::from, |()| "ok".into())))
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
    ///
    /// What begins and what ceases to be missing is one line in the log each; a single failure is not worth one.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        let mut failures = HashMap::new();
        loop {
            self.report(&mut failures).await;
            let wait = tokio::time::sleep(PERIOD);
            if stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    async fn report(&self, failures: &mut HashMap<(&'static str, &'static str), u32>) {
        for part in &self.0.parts {
            let required: Vec<_> = part.checks.iter().filter(|check| check.required).collect();
            let results = join_all(required.iter().map(|check| self.ask(check))).await;
            for (check, result) in required.iter().zip(&results) {
                let count = failures.entry((part.service, check.name)).or_default();
                match result {
                    Ok(()) => {
                        if *count >= WORTH_A_LINE {
                            tracing::info!(service = part.service, dependency = check.name, "is back");
                        }
                        *count = 0;
                    }
                    Err(error) => {
                        *count = count.saturating_add(1);
                        if *count == WORTH_A_LINE {
                            tracing::warn!(service = part.service, dependency = check.name, %error, "is missing");
                        }
                    }
                }
            }
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
