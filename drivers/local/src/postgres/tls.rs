//! TLS of the sessions to the other regions' servers, as `verify-full` of libpq has it: the certificate must be of the plan's authority
//! and for the name that the plan has of the server.
//!
//! Border: sessions of this driver. What PostgreSQL's own programs and receivers dial is told by [`super::upstream::way_to`]. Beside
//! the server, over the loopback or its socket, there is nothing on the way to hide from, and no TLS is asked for.

use pilotlight_core::plan::PostgresTls;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{RootCertStore, crypto};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// One connection that is to be wrapped.
pub(super) struct Wrap {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// A wrapped connection.
pub(super) struct Wrapped(tokio_rustls::client::TlsStream<TcpStream>);

/// Reads the files anew: a certificate that was renewed counts from the next connection on.
pub(super) fn wrap(tls: &PostgresTls, host: &str) -> io::Result<Wrap> {
    let unreadable = |path: &Path, e: &dyn std::fmt::Display| {
        io::Error::other(format!("{} of the plan's `tls` cannot be used: {e}", path.display()))
    };
    let chain = |path: &Path| -> io::Result<Vec<CertificateDer<'static>>> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(path, &e))?.collect();
        all.map_err(|e| unreadable(path, &e))
    };
    let mut trusted = RootCertStore::empty();
    for authority in chain(&tls.ca)? {
        trusted.add(authority).map_err(|e| unreadable(&tls.ca, &e))?;
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?.with_root_certificates(trusted);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|e| unreadable(&identity.key, &e))?;
            let shown = config.with_client_auth_cert(chain(&identity.certificate)?, key);
            shown.map_err(|e| unreadable(&identity.certificate, &e))?
        }
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Wrap { connector: TlsConnector::from(Arc::new(config)), name })
}

impl TlsConnect<TcpStream> for Wrap {
    type Stream = Wrapped;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wrapped>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let wrapped = self.connector.connect(self.name, stream).await;
            wrapped.map(Wrapped).map_err(|e| io::Error::other(format!("its TLS does not fit the plan's `tls`: {e}")))
        })
    }
}

impl TlsStream for Wrapped {
    /// SCRAM without it: the certificate was checked against the name already.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, to)
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
