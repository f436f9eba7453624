use std::time::Duration;

use async_trait::async_trait;
use marquee_auth::{Error, TokenSource};
use marquee_config::Secret;
use marquee_proto::subscriptions::v1::IssueServiceTokenRequest;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use marquee_proto::time::duration_from_proto;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::Peer;
use crate::keys::asked;

/// A token is replaced when a fifth of its time is left, and used to the last seconds only when there is no other.
const REFRESH_AT: u32 = 5;
const UNUSABLE: Duration = Duration::from_secs(5);
/// After a refresh has failed while the old token is still good.
const RETRY: Duration = Duration::from_secs(5);

/// The token of a service, from `SessionService.IssueServiceToken`; kept until shortly before it ends.
#[derive(Debug)]
pub struct ServiceTokens {
    subscriptions: Peer,
    service: String,
    secret: Secret,
    /// Held while a token is fetched, so that one call fetches it for all who wait.
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    token: String,
    refresh: Instant,
    end: Instant,
}

impl ServiceTokens {
    /// Tokens for `service`, from the subscriptions service at the other end of `subscriptions`, for the secret that all
    /// services of the installation share.
    pub fn new(subscriptions: Channel, service: impl Into<String>, secret: Secret) -> Self {
        Self {
            subscriptions: Peer::new("subscriptions", Some(subscriptions), None),
            service: service.into(),
            secret,
            current: Mutex::default(),
        }
    }

    async fn fetch(&self) -> Result<Current, Error> {
        let mut client = SessionServiceClient::new(self.subscriptions.clone());
        let request = IssueServiceTokenRequest {
            service: self.service.clone(),
            secret: self.secret.expose().to_owned(),
        };
        let asked_at = Instant::now();
        let answer = client.issue_service_token(request).await;
        let answer =
            answer.map_err(|status| Error::ServiceTokenUnavailable(asked("IssueServiceToken", &status)))?;
        let answer = answer.into_inner();
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
        let mut current = self.current.lock().await;
        let now = Instant::now();
        if let Some(good) = current.as_ref().filter(|current| now < current.refresh) {
            return Ok(good.token.clone());
        }
        match self.fetch().await {
            Ok(fetched) => Ok(current.insert(fetched).token.clone()),
            Err(error) => match current.as_mut().filter(|current| now < current.end) {
                Some(old) => {
                    tracing::warn!(%error, "keeping the old service token for now");
                    old.refresh = now + RETRY;
                    Ok(old.token.clone())
                }
                None => Err(error),
            },
        }
    }
}
