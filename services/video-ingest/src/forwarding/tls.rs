//! TLS to a server, or not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use marquee_rtmp::Url;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// A connection's bytes.
pub(super) type Socket = Box<dyn Bytes>;

/// Bytes both ways.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// Why no server can be believed to be who it says.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of authorities cannot be read.
    #[error("cannot read the certificates in {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: pem::Error,
    },
    /// They are of no use.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Which servers are believed to be who they say.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

impl Trust {
    /// The authorities in a file, or those that browsers trust.
    pub(crate) fn of(certificates: Option<&Path>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        match certificates {
            Some(path) => {
                let failed = |source| Error::File {
                    path: path.display().to_string(),
                    source,
                };
                for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
                    roots.add(certificate.map_err(failed)?)?;
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
