//! TLS to a server, or not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use marquee_rtmp::Url;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A connection's bytes.
pub(super) type Socket = Box<dyn Bytes>;

/// Bytes both ways.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// Which servers are believed to be who they say.
pub(super) struct Trust(TlsConnector);

impl Trust {
    /// The authorities in a file, or those that browsers trust.
    pub(super) fn of(certificates: Option<&Path>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        match certificates {
            Some(path) => {
                let failed = || format!("cannot read the certificates in {}", path.display());
                for certificate in CertificateDer::pem_file_iter(path).with_context(failed)? {
                    roots
                        .add(certificate.with_context(failed)?)
                        .with_context(failed)?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// The bytes of a session with the address.
    pub(super) async fn open(&self, socket: TcpStream, url: &Url) -> io::Result<Socket> {
        if !url.tls {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(self.0.connect(name, socket).await?))
    }
}
