//! Bodies of answers: whole, cut, stalled, and without an end.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::time::Duration;

use futures_util::stream;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};

pub(super) type Body = BoxBody<Bytes, io::Error>;
type Piece = io::Result<Frame<Bytes>>;

/// All the bytes.
pub(super) fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never: Infallible| match never {}).boxed()
}

/// So many bytes, then the connection breaks.
pub(super) fn cut(bytes: &[u8], after: usize) -> Body {
    let broken = stream::once(async {
        // Meanwhile the first part is sent.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    boxed(first(bytes, after).chain(broken))
}

/// So many bytes, then nothing more.
pub(super) fn stalled(bytes: &[u8], after: usize) -> Body {
    boxed(first(bytes, after).chain(stream::pending()))
}

/// One byte in half a second.
pub(super) fn dripping(bytes: Vec<u8>) -> Body {
    boxed(stream::unfold(bytes.into_iter(), |mut left| async move {
        let byte = left.next()?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Some((Ok(Frame::data(Bytes::copy_from_slice(&[byte]))), left))
    }))
}

/// Blanks, without an end.
pub(super) fn endless() -> Body {
    boxed(stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 65_536])))))
}

fn first(bytes: &[u8], count: usize) -> impl Stream<Item = Piece> + Send + Sync + 'static {
    let piece = Bytes::copy_from_slice(&bytes[..count.min(bytes.len())]);
    stream::once(ready(Ok(Frame::data(piece))))
}

fn boxed(frames: impl Stream<Item = Piece> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(frames))
}
