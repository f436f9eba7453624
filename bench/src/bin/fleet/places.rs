//! Where the parts of the fleet are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use marquee_auth::{Claims, Role, Signer};
use marquee_bus::kafka::{Kafka, Settings};
use marquee_proto::name::AccountName;
use serde::Deserialize;
use tonic::transport::Channel;

/// Longer than a run takes.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

#[derive(Deserialize)]
pub(crate) struct Places {
    /// Everything, through NGINX: `http://host:port`.
    pub(crate) grpc: String,
    /// `rtmp://host:port/live`, through NGINX.
    pub(crate) rtmp: String,
    /// The notifications service itself.
    pub(crate) notifications: String,
    pub(crate) kafka: String,
    pub(crate) mongodb: String,
    pub(crate) postgres: String,
    /// A clip, H.264 and AAC in FLV.
    pub(crate) clip: String,
    /// The services' processes by name.
    pub(crate) pids: BTreeMap<String, u32>,
}

impl Places {
    pub(crate) fn read(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let text = std::fs::read(file).with_context(|| file.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| file.display().to_string())
    }

    /// Connections of their own through NGINX.
    pub(crate) async fn connect(&self, count: usize) -> Result<Vec<Channel>> {
        connect(&self.grpc, count).await
    }

    pub(crate) fn bus(&self) -> Result<Arc<Kafka>> {
        Ok(Kafka::open(Settings {
            client_id: "bench".to_owned(),
            ..Settings::new(&*self.kafka)
        })?)
    }

    /// The database of a service.
    pub(crate) async fn database(&self, service: &str) -> Result<mongodb::Database> {
        let client = mongodb::Client::with_uri_str(&self.mongodb).await?;
        Ok(client.database(service))
    }

    /// Signs tokens as the subscriptions service does, with its key: thousands of accounts that sign in would take minutes
    /// for their password hashes alone.
    pub(crate) async fn signer(&self) -> Result<Signer> {
        let pool = sqlx::PgPool::connect(&self.postgres).await?;
        let key: Vec<u8> =
            sqlx::query_scalar("SELECT pkcs8 FROM signing_keys ORDER BY create_time DESC LIMIT 1")
                .fetch_one(&pool)
                .await?;
        pool.close().await;
        Ok(Signer::from_pkcs8(&key)?)
    }
}

pub(crate) async fn connect(address: &str, count: usize) -> Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..count {
        let endpoint = Channel::from_shared(address.to_owned())?.tcp_nodelay(true);
        channels.push(endpoint.connect().await.with_context(|| address.to_owned())?);
    }
    Ok(channels)
}

pub(crate) fn token(signer: &Signer, account: &AccountName) -> String {
    signer.issue(&Claims::account(
        account,
        Role::Viewer,
        Timestamp::now(),
        TOKEN_LIFETIME,
    ))
}
