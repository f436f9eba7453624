use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use marquee_auth::{Error, TokenSource};
use marquee_config::Secret;
use marquee_proto::subscriptions::v1::IssueServiceTokenRequest;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use marquee_proto::time::duration_from_proto;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;

use crate::keys::asked;
use crate::{Peer, within};

/// A token is replaced when a fifth of its time is left, and used to the last seconds only when there is no other.
const REFRESH_AT: u32 = 5;
const UNUSABLE: Duration = Duration::from_secs(5);
/// How long subscriptions has for its answer: less than those have who wait for the first token, so that they hear why
/// there is none.
const FETCH: Duration = Duration::from_secs(2);
/// After a refresh has failed while the old token is still good.
const RETRY: Duration = Duration::from_secs(5);

/// The token of a service, from `SessionService.IssueServiceToken`; kept until shortly before it ends. While it is good
/// nobody waits for the next one, however long subscriptions takes.
#[derive(Debug)]
pub struct ServiceTokens {
    issuer: Arc<Issuer>,
    known: Arc<Mutex<Option<Current>>>,
    /// The fetch that is on its way, or was the last one. It belongs to no call: whoever asked may have less time than it
    /// takes.
    fetching: Mutex<Option<Fetching>>,
}

#[derive(Debug)]
struct Issuer {
    subscriptions: Peer,
    service: String,
    secret: Secret,
}

#[derive(Debug, Clone)]
struct Current {
    token: String,
    refresh: Instant,
    end: Instant,
}

/// A token, or why there is none.
type Fetched = Result<String, Arc<str>>;

#[derive(Debug)]
struct Fetching {
    outcome: watch::Receiver<Option<Fetched>>,
    _task: AbortOnDropHandle<()>,
}

impl ServiceTokens {
    /// Tokens for `service`, from the subscriptions service at the other end of `subscriptions`, for the secret that all
    /// services of the installation share.
    pub fn new(subscriptions: Channel, service: impl Into<String>, secret: Secret) -> Self {
        Self {
            issuer: Arc::new(Issuer {
                subscriptions: Peer::new("subscriptions", Some(subscriptions), None),
                service: service.into(),
                secret,
            }),
            known: Arc::default(),
            fetching: Mutex::default(),
        }
    }

    /// The outcome of the fetch that is on its way; it begins one when there is none.
    fn fetch(&self) -> watch::Receiver<Option<Fetched>> {
        let mut fetching = self.fetching.lock();
        if let Some(running) = fetching.as_ref()
            && running.outcome.borrow().is_none()
            && running.outcome.has_changed().is_ok()
        {
            return running.outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        let (issuer, known) = (Arc::clone(&self.issuer), Arc::clone(&self.known));
        let task = tokio::spawn(async move {
            let fetched = issuer.fetch().await;
            let told = keep(&mut known.lock(), fetched);
            tell.send_replace(Some(told));
        });
        *fetching = Some(Fetching {
            outcome: outcome.clone(),
            _task: AbortOnDropHandle::new(task),
        });
        outcome
    }
}

/// Takes over what was fetched.
fn keep(known: &mut Option<Current>, fetched: Result<Current, Arc<str>>) -> Fetched {
    match fetched {
        Ok(fetched) => Ok(known.insert(fetched).token.clone()),
        Err(error) => {
            let now = Instant::now();
            if let Some(old) = known.as_mut().filter(|known| now < known.end) {
                tracing::warn!(%error, "keeping the old service token for now");
                old.refresh = now + RETRY;
            }
            Err(error)
        }
    }
}

impl Issuer {
    async fn fetch(&self) -> Result<Current, Arc<str>> {
        let mut client = SessionServiceClient::new(self.subscriptions.clone());
        let request = IssueServiceTokenRequest {
            service: self.service.clone(),
            secret: self.secret.expose().to_owned(),
        };
        let asked_at = Instant::now();
        let answer = within(asked_at + FETCH, client.issue_service_token(request)).await;
        let answer = answer
            .map_err(|status| asked("IssueServiceToken", &status))?
            .into_inner();
        let lifetime = answer
            .expires_in
            .as_ref()
            .and_then(duration_from_proto)
            .unwrap_or_default();
        Ok(Current {
            token: answer.access_token,
            refresh: asked_at + (lifetime - lifetime / REFRESH_AT),
            end: asked_at + lifetime.saturating_sub(UNUSABLE),
        })
    }
}

#[async_trait]
impl TokenSource for ServiceTokens {
    async fn token(&self) -> Result<String, Error> {
        let known = self.known.lock().clone();
        let now = Instant::now();
        if let Some(known) = known.filter(|known| now < known.end) {
            if known.refresh <= now {
                drop(self.fetch());
            }
            return Ok(known.token);
        }
        let mut outcome = self.fetch();
        let fetched = outcome.wait_for(Option::is_some).await;
        match fetched.as_deref() {
            Ok(Some(Ok(token))) => Ok(token.clone()),
            Ok(Some(Err(error))) => Err(Error::ServiceTokenUnavailable(error.to_string().into())),
            _ => Err(Error::ServiceTokenUnavailable("the process is stopping".into())),
        }
    }
}
