use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use postduif_core::departure::{Closed, DepartureHandle};

/// A request body that reports its departure when its first byte is read. The text is in the body alone, so nothing
/// of it can leave earlier.
pub(crate) struct Body {
    content: Option<Bytes>,
    departure: DepartureHandle,
}

impl Body {
    pub(crate) fn new(content: Vec<u8>, departure: DepartureHandle) -> Self {
        Self {
            content: Some(content.into()),
            departure,
        }
    }

    pub(crate) fn into_reqwest(self) -> reqwest::Body {
        reqwest::Body::wrap(self)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    /// The call was cut off before the body left: the connection ends without it.
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if self.content.is_some()
            && let Err(closed) = self.departure.begin()
        {
            self.content = None;
            return Poll::Ready(Some(Err(closed)));
        }
        Poll::Ready(self.content.take().map(|content| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.content.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
