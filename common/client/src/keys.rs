use async_trait::async_trait;
use marquee_auth::{Error, Jwk, KeySource};
use marquee_proto::subscriptions::v1::GetKeySetRequest;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use tonic::transport::Channel;

use crate::Peer;

/// The keys that subscriptions signs tokens with. The verifier keeps them and asks again for one it does not know.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    subscriptions: Peer,
}

impl RemoteKeys {
    /// Asks the subscriptions service at the other end of `channel`.
    pub fn new(channel: Channel) -> Self {
        Self {
            subscriptions: Peer::new("subscriptions", Some(channel), None),
        }
    }
}

#[async_trait]
impl KeySource for RemoteKeys {
    async fn keys(&self) -> Result<Vec<Jwk>, Error> {
        let mut client = SessionServiceClient::new(self.subscriptions.clone());
        let answer = client.get_key_set(GetKeySetRequest {}).await;
        let keys = answer.map_err(|status| Error::KeysUnavailable(asked("GetKeySet", &status).into()))?;
        Ok(keys.into_inner().keys.into_iter().map(Jwk::from).collect())
    }
}

/// What subscriptions answered, as the source of an error.
pub(crate) fn asked(rpc: &str, status: &tonic::Status) -> String {
    format!(
        "subscriptions answered {rpc} with {:?}: {}",
        status.code(),
        status.message()
    )
}
