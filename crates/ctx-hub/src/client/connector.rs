//! Opening a connection: TCP, and TLS over it or a look at what answers in the clear.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ctx_config::limits;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::address::is_loopback;
use super::distrust::Distrust;
use super::error::ClientError;
use super::route::Route;
use super::{Peer, tls};

/// How every record of an alert begins in which a TLS server says that it was not spoken to in
/// TLS: its type, and the first half of the version. A frame of HTTP/2 never begins so: it would be
/// larger than any that is allowed.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What bytes go through.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens connections to one hub.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    limit: Duration,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Clear {
        /// The connection has to stay on this machine.
        local: bool,
        answered_tls: AnsweredTls,
    },
    Tls {
        name: ServerName<'static>,
        host: String,
        connector: TlsConnector,
    },
}

/// Whether what was asked in the clear answered in TLS. HTTP/2 makes of that only that the
/// connection broke.
#[derive(Clone, Debug, Default)]
pub(super) struct AnsweredTls(Arc<AtomicBool>);

impl AnsweredTls {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Connector {
    /// What opens connections as `route`, which is settled, says; each within `limit`.
    pub(super) fn new(
        route: &Route,
        limit: Duration,
        answered_tls: AnsweredTls,
    ) -> Result<Self, ClientError> {
        let mut tcp = HttpConnector::new();
        // The URI says http for TLS as well: the connection is ours to encrypt.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(limits::TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(limit));
        let way = if route.is_encrypted() {
            over_tls(route).map_err(|source| ClientError::Untrusted {
                peer: Peer::Address(route.address.clone()),
                source,
            })?
        } else {
            let local = !route.insecure;
            Way::Clear {
                local,
                answered_tls,
            }
        };
        Ok(Self { tcp, limit, way })
    }
}

fn over_tls(route: &Route) -> Result<Way, Distrust> {
    Ok(Way::Tls {
        name: tls::server_name(&route.address)?,
        host: route.address.host(),
        connector: TlsConnector::from(Arc::new(tls::config(&route.trust)?)),
    })
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tcp = self.tcp.call(uri);
        let (way, limit) = (self.way.clone(), self.limit);
        Box::pin(async move {
            let opened = async { way.open(tcp.await?.into_inner()).await };
            match tokio::time::timeout(limit, opened).await {
                Ok(opened) => opened.map(TokioIo::new),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

impl Way {
    async fn open(self, stream: TcpStream) -> Result<Box<dyn Io>, BoxError> {
        match self {
            Self::Clear {
                local,
                answered_tls,
            } => {
                let address = stream.peer_addr()?.ip();
                if local && !is_loopback(address) {
                    return Err(Distrust::NotThisMachine { address }.into());
                }
                Ok(Box::new(Clear {
                    stream,
                    answered_tls: Some(answered_tls),
                }))
            }
            Self::Tls {
                name,
                host,
                connector,
            } => match connector.connect(name, stream).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(judged(error, &host)),
            },
        }
    }
}

/// What went wrong in a handshake: something that TLS found, or a connection that broke.
fn judged(error: io::Error, host: &str) -> BoxError {
    let found = error.get_ref().and_then(|inner| inner.downcast_ref());
    match found {
        Some(found) => Distrust::of(found, host).into(),
        None => error.into(),
    }
}

/// A connection in the clear, with an eye on what comes first.
struct Clear {
    stream: TcpStream,
    /// Until the first bytes have come.
    answered_tls: Option<AnsweredTls>,
}

impl AsyncRead for Clear {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let came = buffer.filled().get(before..).unwrap_or_default();
        if !came.is_empty()
            && let Some(answered_tls) = self.answered_tls.take()
            && came.starts_with(&TLS_ALERT)
        {
            answered_tls.0.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Clear {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use tokio::net::TcpListener;

    use super::*;

    async fn opened(address: std::net::IpAddr, local: bool) -> Result<Box<dyn Io>, BoxError> {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let answered_tls = AnsweredTls::default();
        let way = Way::Clear {
            local,
            answered_tls,
        };
        way.open(stream).await
    }

    #[tokio::test]
    async fn a_name_for_this_machine_that_leads_elsewhere_is_not_followed_in_the_clear() {
        opened([127, 0, 0, 1].into(), true).await.map(drop).unwrap();
        // Which address of this machine others see, if it has one; nothing is sent.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_err() {
            return;
        }
        let own = socket.local_addr().unwrap().ip();
        let error = opened(own, true).await.map(drop).unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&Distrust::NotThisMachine { address: own })
        );
        opened(own, false).await.map(drop).unwrap();
    }
}
