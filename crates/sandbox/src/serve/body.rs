//! Bodies of responses, whole or broken.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{self, Sleep};

/// Where an endless body ends, so that it does not fill a client's disk.
const MAX_BYTES: u64 = 1 << 30;

/// The bytes that an endless body repeats.
static CHUNK: [u8; 64 * 1024] = [b'a'; 64 * 1024];

/// The body of a response.
#[derive(Debug)]
pub(super) struct Outgoing {
    left: Bytes,
    manner: Manner,
}

#[derive(Debug)]
enum Manner {
    CutOff {
        flushed: bool,
    },
    Endless {
        sent: u64,
    },
    Slow {
        every: Duration,
        pause: Pin<Box<Sleep>>,
    },
    Whole,
}

impl Outgoing {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self {
            left: bytes,
            manner: Manner::Whole,
        }
    }

    /// Creates a body of these bytes and then a closed connection. The response announces a greater length.
    pub(super) fn cut_off(bytes: Bytes) -> Self {
        Self {
            left: bytes,
            manner: Manner::CutOff { flushed: false },
        }
    }

    /// Creates a body of these bytes without an end.
    pub(super) fn endless(bytes: Bytes) -> Self {
        Self {
            left: bytes,
            manner: Manner::Endless { sent: 0 },
        }
    }

    /// Creates a body that sends one byte after each pause.
    pub(super) fn slow(bytes: Bytes, every: Duration) -> Self {
        Self {
            left: bytes,
            manner: Manner::Slow {
                every,
                pause: Box::pin(time::sleep(every)),
            },
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Manner::Slow { every, pause } = &mut this.manner {
            if this.left.is_empty() {
                return Poll::Ready(None);
            }
            ready!(pause.as_mut().poll(cx));
            pause.set(time::sleep(*every));
            return Poll::Ready(Some(Ok(Frame::data(this.left.split_to(1)))));
        }
        if !this.left.is_empty() {
            let bytes = std::mem::take(&mut this.left);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut this.manner {
            Manner::CutOff { flushed: true } => {
                Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
            }
            Manner::CutOff { flushed } => {
                // hyper flushes before it polls again; an error at once would discard the head and the
                // body's bytes.
                *flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Manner::Endless { sent } if *sent < MAX_BYTES => {
                *sent += CHUNK.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK)))))
            }
            Manner::Endless { .. } | Manner::Slow { .. } | Manner::Whole => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.manner, Manner::Slow { .. } | Manner::Whole) && self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.manner {
            Manner::Slow { .. } | Manner::Whole => SizeHint::with_exact(self.left.len() as u64),
            Manner::CutOff { .. } | Manner::Endless { .. } => SizeHint::default(),
        }
    }
}
