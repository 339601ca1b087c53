//! What listeners on one connection are told, written together.
//!
//! HTTP/2 writes each frame of data for itself: of a new entry, 25 listeners on one connection would
//! be told with 25 system calls, as many packets, and whoever reads them would be woken as often.
//! Where several listen, what is written is gathered until the connection's task comes by again,
//! which is behind every stream that had something to say, and leaves at once.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ctx_config::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::incoming::Io;
use super::line::Line;

/// A connection that gathers what is written to it while several listen on it. It has to be polled
/// for reading whenever its task is woken: that sends what was gathered.
#[derive(Debug)]
pub(super) struct Coalesced<I> {
    io: I,
    line: Line,
    gathered: Vec<u8>,
    /// How much of `gathered` is written.
    written: usize,
    /// The task was told to come by again.
    announced: bool,
    /// The connection took no more the last time.
    blocked: bool,
}

impl<I: Io> Coalesced<I> {
    pub(super) const fn new(io: I, line: Line) -> Self {
        Self {
            io,
            line,
            gathered: Vec::new(),
            written: 0,
            announced: false,
            blocked: false,
        }
    }

    /// Sends what is gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.poll_write_all(cx);
        self.blocked = sent.is_pending();
        ready!(sent)?;
        // A connection that has nothing to say keeps no room for it.
        self.gathered = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.gathered.get(self.written..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                wrote => self.written += wrote,
            }
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl<I: Io> AsyncRead for Coalesced<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.announced = false;
        if !self.gathered.is_empty()
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: Io> AsyncWrite for Coalesced<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gathers = self.line.has_several_listeners();
        if !self.gathered.is_empty() && (!gathers || self.gathered.len() >= limits::COALESCED_BYTES)
        {
            ready!(self.poll_send(cx))?;
        }
        if !gathers {
            return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        }
        let before = self.gathered.len();
        for slice in slices {
            let room = limits::COALESCED_BYTES - self.gathered.len();
            let (taken, _) = slice.split_at(room.min(slice.len()));
            self.gathered.extend_from_slice(taken);
        }
        Poll::Ready(Ok(self.gathered.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.blocked || self.gathered.is_empty() || !self.line.has_several_listeners() {
            return self.poll_send(cx);
        }
        if !self.announced {
            self.announced = true;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    /// A peer that says nothing and takes so many bytes more.
    #[derive(Debug)]
    struct Peer {
        writes: Vec<Vec<u8>>,
        room: usize,
        shut: bool,
    }

    impl AsyncRead for Peer {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Poll::Pending;
            }
            self.room -= taken;
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.shut = true;
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The task of a connection, without the task.
    struct Task {
        connection: Coalesced<Peer>,
        woken: Arc<Woken>,
        waker: Waker,
    }

    impl Task {
        fn new(line: &Line, room: usize) -> Self {
            let peer = Peer {
                writes: Vec::new(),
                room,
                shut: false,
            };
            let woken = Arc::new(Woken::default());
            Self {
                connection: Coalesced::new(peer, line.clone()),
                waker: Waker::from(Arc::clone(&woken)),
                woken,
            }
        }

        fn with<T>(
            &mut self,
            poll: impl FnOnce(Pin<&mut Coalesced<Peer>>, &mut Context<'_>) -> Poll<T>,
        ) -> Poll<T> {
            let mut context = Context::from_waker(&self.waker);
            poll(Pin::new(&mut self.connection), &mut context)
        }

        /// A frame, as HTTP/2 writes it: all of it, then a flush. Whether all of it was taken.
        fn frame(&mut self, mut bytes: &[u8]) -> bool {
            while !bytes.is_empty() {
                match self.with(|io, cx| io.poll_write(cx, bytes)) {
                    Poll::Ready(taken) => bytes = &bytes[taken.unwrap()..],
                    Poll::Pending => return false,
                }
            }
            self.with(AsyncWrite::poll_flush).is_ready()
        }

        /// The task comes by.
        fn comes_by(&mut self) {
            let mut space = [0; 16];
            let mut space = ReadBuf::new(&mut space);
            let read = self.with(|io, cx| io.poll_read(cx, &mut space));
            assert!(read.is_pending());
        }

        fn writes(&self) -> &[Vec<u8>] {
            &self.connection.io.writes
        }

        fn wakes(&self) -> usize {
            self.woken.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn what_several_listeners_are_told_leaves_in_one_write_when_the_task_comes_by() {
        let line = Line::default();
        let _several = [line.listening(), line.listening()];
        let mut task = Task::new(&line, usize::MAX);
        for frame in [b"one ", b"two ", b"six "] {
            assert!(task.frame(frame));
        }
        assert!(task.writes().is_empty());
        assert_eq!(task.wakes(), 1, "it is told to come by, and once");
        task.comes_by();
        assert_eq!(task.writes(), [b"one two six "]);
        assert!(task.frame(b"more"));
        assert_eq!(task.wakes(), 2, "and again");
    }

    #[test]
    fn nobody_waits_on_a_connection_of_one_listener() {
        let line = Line::default();
        let first = line.listening();
        let mut task = Task::new(&line, usize::MAX);
        assert!(task.frame(b"one"));
        assert_eq!(task.writes(), [b"one"]);
        let second = line.listening();
        assert!(task.frame(b"two"));
        drop(second);
        assert!(task.frame(b"six"));
        assert_eq!(task.writes(), [b"one", b"two", b"six"]);
        drop(first);
    }

    #[test]
    fn a_peer_that_does_not_read_is_kept_so_much_for_and_misses_nothing() {
        const FRAME: usize = 10_000;
        let line = Line::default();
        let _several = [line.listening(), line.listening()];
        let mut task = Task::new(&line, 5);
        let mut taken = 0;
        while task.frame(&[b'x'; FRAME]) {
            taken += FRAME;
            task.comes_by();
        }
        assert_eq!(taken, FRAME, "a flush waits for a peer that does not read");
        while let Poll::Ready(wrote) = task.with(|io, cx| io.poll_write(cx, &[b'x'; FRAME])) {
            assert_ne!(
                wrote.unwrap(),
                0,
                "what is full takes nothing and has to wait"
            );
        }
        let kept = task.connection.gathered.len();
        assert!(kept <= limits::COALESCED_BYTES, "{kept}");
        assert!(taken <= limits::COALESCED_BYTES, "{taken}");

        task.connection.io.room = usize::MAX;
        task.comes_by();
        let came: usize = task.writes().iter().map(Vec::len).sum();
        assert_eq!(came, kept);
        assert_eq!(task.connection.gathered.capacity(), 0, "no room is kept");
    }

    #[test]
    fn a_connection_that_is_closed_says_first_what_is_gathered() {
        let line = Line::default();
        let _several = [line.listening(), line.listening()];
        let mut task = Task::new(&line, 2);
        assert!(task.frame(b"last"));
        assert!(task.with(AsyncWrite::poll_shutdown).is_pending());
        assert!(!task.connection.io.shut);
        task.connection.io.room = usize::MAX;
        assert!(task.with(AsyncWrite::poll_shutdown).is_ready());
        assert_eq!(task.writes().concat(), b"last");
        assert!(task.connection.io.shut);
    }
}
