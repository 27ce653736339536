//! A connection that ends by itself: a stranger's after its time, anybody's whose answer nobody takes, and at once when it
//! has to make room.

use crate::Bounds;
use crate::guests::{Guest, Visitor};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// See the module. Every poll of it looks at all three first, whoever it is that waits.
pub struct Watched {
    stream: TcpStream,
    visitor: Visitor,
    leave: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until then a stranger may stay.
    stranger: Pin<Box<Sleep>>,
    /// Until then something must be taken of what is being written.
    stall: Option<Pin<Box<Sleep>>>,
    longest_stall: Duration,
    _guest: Guest,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, guest: Guest, bounds: Bounds) -> Self {
        Self {
            stream,
            visitor: guest.visitor(),
            leave: Box::pin(guest.leave().clone().cancelled_owned()),
            stranger: Box::pin(sleep(bounds.stranger)),
            stall: None,
            longest_stall: bounds.stall,
            _guest: guest,
        }
    }

    fn may_stay(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.leave.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it made room for another connection"));
        }
        if !self.visitor.is_known() && self.stranger.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no token was shown in time"));
        }
        Ok(())
    }

    /// What a write comes to: one that waits for too long is an error.
    fn in_time<T>(&mut self, context: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stall = None;
            return wrote;
        }
        let longest = self.longest_stall;
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(longest))).as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not taken")))
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.may_stay(context)?;
        Pin::new(&mut this.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.may_stay(context)?;
        let wrote = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.in_time(context, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.may_stay(context)?;
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.in_time(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
