//! A good client: a deadline for every call, and the same call again until it is acknowledged.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use marquee_testkit::Person;
use marquee_tests::Api;
use tonic::{Code, Request, Response, Status};

use crate::meter::Meter;

/// The deadline of one attempt.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a call is made again: no part may be away so long.
const PATIENCE: Duration = Duration::from_secs(150);
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) api: Api,
    pub(crate) meter: Meter,
    /// The load is over.
    pub(crate) over: Arc<AtomicBool>,
}

impl Client {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Makes a call until it is acknowledged, or refused for good.
    pub(crate) async fn insist<M: Clone, T, F>(
        &self,
        kind: &'static str,
        who: Option<&Person>,
        message: &M,
        call: impl Fn(Api, Request<M>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let begun = Instant::now();
        loop {
            let request = match who {
                Some(person) => by(person, message.clone()),
                None => public(message.clone()),
            };
            let attempt = call(self.api.clone(), request);
            let attempt = tokio::time::timeout(DEADLINE + Duration::from_secs(1), attempt).await;
            let status = match attempt {
                Ok(Ok(answer)) => {
                    self.meter.success(kind);
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            if self.is_final(kind, &status) {
                return Err(status);
            }
            self.meter.failure();
            if begun.elapsed() > PATIENCE {
                self.meter
                    .fault(format!("{kind} was not acknowledged in {PATIENCE:?}: {status}"));
                return Err(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether it is of no use to call again. What a service calls internal is noted: a dependency that is away is none.
    fn is_final(&self, kind: &str, status: &Status) -> bool {
        let from_transport = status.source().is_some();
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => false,
            // A connection that broke is told in many ways.
            _ if from_transport => false,
            // The reset of a stream, passed on by NGINX.
            Code::Internal | Code::Unknown | Code::Cancelled if status.details().is_empty() => false,
            Code::Internal | Code::Unknown | Code::Cancelled | Code::DataLoss => {
                self.meter.fault(format!("{kind} was answered {status}"));
                false
            }
            _ => true,
        }
    }

    /// As [`insist`](Self::insist), where a refusal is a fault.
    pub(crate) async fn must<M: Clone, T, F>(
        &self,
        kind: &'static str,
        who: Option<&Person>,
        message: &M,
        call: impl Fn(Api, Request<M>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        match self.insist(kind, who, message, call).await {
            Ok(answer) => Ok(answer),
            Err(status) => {
                self.meter.fault(format!("{kind} was refused: {status}"));
                bail!("{kind}: {status}")
            }
        }
    }
}

/// A request of somebody, with a deadline.
pub(crate) fn by<T>(person: &Person, message: T) -> Request<T> {
    let mut request = person.request(message);
    request.set_timeout(DEADLINE);
    request
}

/// A request of nobody, with a deadline.
pub(crate) fn public<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}
