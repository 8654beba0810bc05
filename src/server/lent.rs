//! A stream that comes back to its owner when the borrower is dropped.
//!
//! hyper takes a stream for good where upgrades are allowed. Lending it one lets a connection that
//! has become idle be taken apart.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

const PRESENT: &str = "only `drop` takes the stream";

/// A stream on loan.
#[derive(Debug)]
pub(super) struct Lent<S> {
    stream: Option<S>,
    owner: Option<oneshot::Sender<S>>,
}

/// Where a lent stream comes back.
#[derive(Debug)]
pub(super) struct Loan<S>(oneshot::Receiver<S>);

/// Lends `stream`.
pub(super) fn lend<S>(stream: S) -> (Lent<S>, Loan<S>) {
    let (owner, loan) = oneshot::channel();
    let lent = Lent {
        stream: Some(stream),
        owner: Some(owner),
    };
    (lent, Loan(loan))
}

impl<S> Loan<S> {
    /// The stream, if its borrower is gone.
    pub(super) fn returned(mut self) -> Option<S> {
        self.0.try_recv().ok()
    }
}

impl<S> Lent<S> {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut S>
    where
        S: Unpin,
    {
        Pin::new(self.get_mut().stream.as_mut().expect(PRESENT))
    }
}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(owner)) = (self.stream.take(), self.owner.take()) {
            // An owner that is gone has no use for it: it ends here.
            let _ = owner.send(stream);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_when_the_borrower_is_dropped() {
        let (lent, loan) = lend(7);
        drop(lent);
        assert_eq!(loan.returned(), Some(7));
    }

    #[test]
    fn does_not_come_back_while_it_is_in_use() {
        let (lent, loan) = lend(7);
        assert_eq!(loan.returned(), None);
        drop(lent);
    }
}
