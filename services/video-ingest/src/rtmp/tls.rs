//! RTMPS: TLS around the same sessions, with a certificate that may be renewed while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;

use crate::config::Certificate;

/// How often the files are looked at.
pub(crate) const RELOAD_EVERY: Duration = Duration::from_secs(30);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or holds no PEM of the right kind.
    #[error("cannot read {path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The certificate and the key do not fit together, or are of no kind that TLS takes.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(String),
}

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the tls handshake failed: {0}")]
    Failed(#[from] std::io::Error),
    #[error("the tls handshake took too long")]
    Slow,
}

/// Makes TLS of accepted connections.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Current {
    files: Certificate,
    provider: Arc<CryptoProvider>,
    loaded: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    changed: [Option<SystemTime>; 2],
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.loaded.read().key.clone())
    }
}

impl Tls {
    /// Reads the certificate.
    pub(crate) fn open(files: Certificate) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let changed = changed(&files);
        let key = load(&files, &provider)?;
        let current = Arc::new(Current {
            files,
            provider: provider.clone(),
            loaded: RwLock::new(Loaded { key, changed }),
        });
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Unusable(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
        })
    }

    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        limit: Duration,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        match timeout(limit, self.acceptor.accept(socket)).await {
            Ok(accepted) => Ok(accepted?),
            Err(_) => Err(HandshakeError::Slow),
        }
    }

    /// Takes a renewed certificate for the connections that come from now on. One that cannot be used is logged, and the one
    /// before stays.
    pub(crate) async fn reload(&self) {
        let current = self.current.clone();
        // A few small files, but files may be anywhere.
        let reload = tokio::task::spawn_blocking(move || current.reload());
        if let Err(error) = reload.await {
            tracing::error!(%error, "the certificate is not looked at");
        }
    }
}

impl Current {
    fn reload(&self) {
        let changed = changed(&self.files);
        if changed == self.loaded.read().changed {
            return;
        }
        match load(&self.files, &self.provider) {
            Ok(key) => {
                *self.loaded.write() = Loaded { key, changed };
                tracing::info!(certificate = %self.files.certificate.display(), "the certificate was renewed");
            }
            // Key and certificate may be written one after the other: looked at again next time.
            Err(error) => {
                tracing::warn!(%error, "a changed certificate cannot be used; the one before stays")
            }
        }
    }
}

fn changed(files: &Certificate) -> [Option<SystemTime>; 2] {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    [modified(&files.certificate), modified(&files.key)]
}

fn load(files: &Certificate, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let failed = |path: &Path, reason: String| Error::File {
        path: path.to_owned(),
        reason,
    };
    let certificate = &files.certificate;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| failed(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed(certificate, "there is no certificate in it".to_owned()));
    }
    // The reason is not told further than what kind it is: it is about a secret.
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failed(&files.key, error.to_string()))?;
    let key =
        CertifiedKey::from_der(chain, key, provider).map_err(|error| Error::Unusable(error.to_string()))?;
    Ok(Arc::new(key))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A self-signed certificate and its key.
    fn issue(folder: &Path, name: &str) -> Certificate {
        let path = |kind: &str| folder.join(format!("{kind}.pem"));
        let files = Certificate {
            certificate: path("certificate"),
            key: path("key"),
        };
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ])
            .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}"), "-keyout"])
            .arg(&files.key)
            .arg("-out")
            .arg(&files.certificate)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{made:?}");
        files
    }

    fn shown(tls: &Tls) -> Vec<u8> {
        tls.current.loaded.read().key.cert[0].to_vec()
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = issue(folder.path(), "first");
        let tls = Tls::open(files.clone()).unwrap();
        let first = shown(&tls);
        tls.reload().await;
        assert_eq!(shown(&tls), first, "nothing changed");

        std::fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----").unwrap();
        tls.reload().await;
        assert_eq!(shown(&tls), first, "it is broken");

        issue(folder.path(), "second");
        tls.reload().await;
        assert_ne!(shown(&tls), first);
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let files = issue(folder.path(), "first");
        let other = tempfile::tempdir().unwrap();
        let foreign = Certificate {
            key: issue(other.path(), "other").key,
            ..files.clone()
        };
        assert!(matches!(Tls::open(foreign), Err(Error::Unusable(_))));
        let missing = Certificate {
            certificate: folder.path().join("nowhere.pem"),
            ..files
        };
        let error = Tls::open(missing).err().unwrap().to_string();
        assert!(error.contains("nowhere.pem"), "{error}");
    }
}
