//! Objects in a bucket behind the S3 protocol.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore as _,
    ObjectStoreExt as _, PutOptions, PutPayload, RetryConfig,
};

use crate::{Backend, Entry, Error, Object, Result};

/// Where a bucket is.
#[derive(Clone)]
pub struct Settings {
    /// The bucket's name; it must exist.
    pub bucket: String,
    /// Put before every key, without slashes at its ends; empty for none.
    pub prefix: String,
    /// The server, for example `http://127.0.0.1:9000`; none for Amazon's in the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// Access key id and secret access key; none to find them as Amazon's own tools do on their machines: web identity,
    /// container, instance.
    pub credentials: Option<(String, String)>,
    /// Whether the bucket's name is part of the host's, not of the path.
    pub virtual_hosted: bool,
    /// How long one request may take, its tries together.
    pub timeout: Duration,
}

impl Settings {
    /// A bucket on a server, with the usual settings.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            endpoint: None,
            region: "us-east-1".to_owned(),
            credentials: None,
            virtual_hosted: false,
            timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// A bucket.
#[derive(Debug)]
pub(crate) struct S3 {
    store: Arc<AmazonS3>,
    prefix: Path,
}

impl S3 {
    pub(crate) fn open(settings: &Settings) -> Result<Self> {
        let wrong = |error: object_store::Error| Error::Settings(error.to_string());
        let options = ClientOptions::new()
            .with_timeout(settings.timeout)
            .with_connect_timeout(settings.timeout.min(Duration::from_secs(5)));
        // Callers have a backoff of their own, which can be long; these tries are for the odd lost connection.
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_millis(500),
                base: 2.0,
            },
            max_retries: 2,
            retry_timeout: settings.timeout,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_virtual_hosted_style_request(settings.virtual_hosted)
            .with_client_options(options)
            .with_retry(retry);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder
                .with_endpoint(endpoint)
                .with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some((id, secret)) = &settings.credentials {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let prefix = Path::parse(settings.prefix.trim_matches('/'))
            .map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self {
            store: Arc::new(builder.build().map_err(wrong)?),
            prefix,
        })
    }

    fn path(&self, key: &str) -> Path {
        key.split('/')
            .fold(self.prefix.clone(), |path, name| path.join(name))
    }
}

#[async_trait]
impl Backend for S3 {
    async fn put(&self, key: &str, content: Vec<Bytes>, content_type: &'static str) -> Result<()> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, content_type.into());
        let options = PutOptions {
            attributes,
            ..PutOptions::default()
        };
        let payload = PutPayload::from_iter(content);
        let put = self.store.put_opts(&self.path(key), payload, options).await;
        put.map(drop).map_err(|error| failed(&error))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Object>> {
        if let Some(range) = &range
            && range.start >= range.end
        {
            let size = self.size(key).await?.unwrap_or_default();
            return Err(Error::Range { size });
        }
        let asked = range.is_some();
        let options = GetOptions {
            range: range.map(asked_for),
            ..GetOptions::default()
        };
        match self.store.get_opts(&self.path(key), options).await {
            Ok(result) => Ok(Some(Object {
                size: result.meta.size,
                range: result.range.clone(),
                body: result.into_stream().map_err(|error| failed(&error)).boxed(),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => match asked {
                // Servers say "416" in several ways: the object's size tells.
                true => self.range_error(key, &error).await,
                false => Err(failed(&error)),
            },
        }
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.store.head(&self.path(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    fn list(&self, folder: &str) -> BoxStream<'static, Result<Entry>> {
        let prefix = self.prefix.clone();
        self.store
            .list(Some(&self.path(folder)))
            .map(move |meta| {
                let meta = meta.map_err(|error| failed(&error))?;
                let key = meta.location.as_ref();
                let key = key.strip_prefix(prefix.as_ref()).unwrap_or(key);
                Ok(Entry {
                    key: key.trim_start_matches('/').to_owned(),
                    size: meta.size,
                })
            })
            .boxed()
    }

    async fn ready(&self) -> Result<()> {
        // Any answer to a listing will do; of an empty bucket there is none.
        let mut entries = self.store.list(Some(&self.path("ready")));
        match entries.try_next().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

impl S3 {
    async fn range_error(&self, key: &str, error: &object_store::Error) -> Result<Option<Object>> {
        let said = error.to_string();
        if said.contains("416 ") || said.to_ascii_lowercase().contains("range") {
            let size = self.size(key).await?.unwrap_or_default();
            return Err(Error::Range { size });
        }
        Err(failed(error))
    }
}

/// Servers read the last byte as a signed number, and refuse one that is beyond it.
fn asked_for(range: Range<u64>) -> GetRange {
    match i64::try_from(range.end) {
        Ok(_) => GetRange::Bounded(range),
        Err(_) => GetRange::Offset(range.start),
    }
}

/// The driver's words say which request failed and how; they hold no credentials.
fn failed(error: &object_store::Error) -> Error {
    use object_store::Error as Driver;
    let said = chain(error);
    match error {
        Driver::PermissionDenied { .. } | Driver::Unauthenticated { .. } => Error::Denied(said),
        // A refused listing is told in other words.
        _ if said.contains("403 Forbidden") || said.contains("AccessDenied") => Error::Denied(said),
        Driver::InvalidPath { .. } => Error::Key { key: said },
        // S3 servers say 507 or this code when their disk is full; a bucket that is missing can be made.
        _ if said.contains("507 Insufficient Storage") || said.contains("XMinioStorageFull") => {
            Error::Full(said)
        }
        Driver::Generic { .. } | Driver::NotFound { .. } => Error::Unavailable(said),
        _ => Error::Other(said),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said.push_str(": ");
            said.push_str(&cause_said);
        }
        source = cause.source();
    }
    said
}
