//! Connections: accepted one by one, and cut off when a stopping hub has waited long enough.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ctx_config::limits;
use futures_util::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tonic::transport::server::Connected;

/// Something that connections come from.
pub(super) trait Accept: Send {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Messages are small, and somebody waits for each.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for UnixListener {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(UnixListener::accept(self).await?.0)
    }
}

/// The connections of `listener`, each cut off once `severed` says so.
pub(super) fn connections<L: Accept>(
    listener: L,
    severed: watch::Receiver<bool>,
) -> impl Stream<Item = io::Result<Connection<L::Io>>> {
    stream::unfold((listener, severed), |(listener, severed)| async move {
        loop {
            match listener.accept().await {
                Ok(io) => {
                    let connection = Connection::new(io, severed.clone());
                    return Some((Ok(connection), (listener, severed)));
                }
                Err(error) => {
                    // The next one may do better; without the pause, a lack of file descriptors
                    // would keep a processor busy with failing.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// A connection that can be cut off from this side.
pub(super) struct Connection<I> {
    io: I,
    severed: Pin<Box<dyn Future<Output = ()> + Send>>,
    cut: bool,
}

impl<I: Unpin> Connection<I> {
    fn new(io: I, mut severed: watch::Receiver<bool>) -> Self {
        // The sender going away means the same: nobody serves this connection any more.
        let severed = async move { drop(severed.wait_for(|cut| *cut).await) };
        Self {
            io,
            severed: Box::pin(severed),
            cut: false,
        }
    }

    /// The connection itself, unless it has been cut off.
    fn io(self: Pin<&mut Self>, context: &mut Context<'_>) -> io::Result<Pin<&mut I>> {
        let this = self.get_mut();
        if !this.cut {
            this.cut = this.severed.as_mut().poll(context).is_ready();
        }
        if this.cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(Pin::new(&mut this.io))
    }
}

impl<I> Connected for Connection<I> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<I: AsyncRead + Unpin> AsyncRead for Connection<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io(context)?.poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Connection<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io(context)?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io(context)?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io(context)?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io(context)?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
