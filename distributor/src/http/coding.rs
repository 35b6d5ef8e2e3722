//! Answers packed with gzip, for who takes them so, and what this server says that it takes.
//!
//! Left out on purpose: files, which are sent in parts and digested on the way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::coding::{self, GZIP};
use serde::Serialize;
use tokio::sync::OnceCell;

use super::problem::ApiError;

/// A longer answer is packed on a thread for work that takes time.
const SHORT_BYTES: usize = 16 * 1024;

/// Most long answers that are kept packed.
const MAX_KEPT: usize = 64;
/// Most bytes of a packed answer that is kept: all together some 16 MiB.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// An answer that is packed, or sent as it is where that makes it no shorter or it is not kept.
type Packed = Option<Bytes>;

/// The last long answers, packed once for all who get the same one. What is kept is found by the digest of the plain answer: so
/// nobody gets anything but the answer that was put together for it.
#[derive(Debug, Default)]
pub(crate) struct PackedAnswers(Mutex<VecDeque<(Sha256Digest, Arc<OnceCell<Kept>>)>>);

#[derive(Debug, Clone)]
enum Kept {
    Packed(Packed),
    /// Too large to be kept: each packs it by itself.
    TooLarge,
}

impl PackedAnswers {
    async fn packed(
        &self,
        plain: Bytes,
        pack: impl Fn(&[u8]) -> Packed + Send + Sync + Clone + 'static,
    ) -> Result<Packed, ApiError> {
        let failed = |error| ApiError::internal("pack its answer", &error);
        let (digested, bytes) = (plain.clone(), plain.clone());
        let digest = move || Sha256Digest::of(&digested);
        let digest = tokio::task::spawn_blocking(digest).await.map_err(failed)?;
        let first = pack.clone();
        let mut own = None;
        let kept = self.cell(digest);
        let kept = kept
            .get_or_try_init(async || {
                let packed = tokio::task::spawn_blocking(move || first(&bytes)).await.map_err(failed)?;
                if packed.as_ref().is_some_and(|packed| packed.len() > MAX_KEPT_BYTES) {
                    own = Some(packed);
                    return Ok(Kept::TooLarge);
                }
                Ok::<_, ApiError>(Kept::Packed(packed))
            })
            .await?;
        match (kept, own) {
            (Kept::Packed(packed), _) => Ok(packed.clone()),
            (Kept::TooLarge, Some(packed)) => Ok(packed),
            (Kept::TooLarge, None) => tokio::task::spawn_blocking(move || pack(&plain)).await.map_err(failed),
        }
    }

    /// The place of an answer; the one that was asked for the longest time ago makes way for it.
    fn cell(&self, digest: Sha256Digest) -> Arc<OnceCell<Kept>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| *known == digest);
        let entry = at.and_then(|at| kept.remove(at)).unwrap_or_else(|| (digest, Arc::default()));
        let cell = Arc::clone(&entry.1);
        kept.push_back(entry);
        if kept.len() > MAX_KEPT {
            kept.pop_front();
        }
        cell
    }
}

/// An answer as JSON, packed if the client takes that; it says that requests may be packed too. `answers`: where many computers
/// get the same one.
pub(crate) async fn json<T: Serialize>(
    request: &HeaderMap,
    answer: &T,
    answers: Option<&PackedAnswers>,
) -> Result<Response, ApiError> {
    let plain = serde_json::to_vec(answer).map_err(|error| ApiError::internal("write its answer", &error))?;
    let plain = Bytes::from(plain);
    let is_taken = request.get_all(header::ACCEPT_ENCODING).iter().any(is_accepted);
    let packed = match answers {
        _ if !is_taken => None,
        _ if plain.len() <= SHORT_BYTES => packed(&plain),
        Some(answers) => answers.packed(plain.clone(), packed).await?,
        None => {
            let plain = plain.clone();
            tokio::task::spawn_blocking(move || packed(&plain))
                .await
                .map_err(|error| ApiError::internal("pack its answer", &error))?
        }
    };
    let is_packed = packed.is_some();
    let mut response = (StatusCode::OK, packed.unwrap_or(plain)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(GZIP));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    Ok(response)
}

fn packed(plain: &[u8]) -> Packed {
    coding::pack(plain).map(Bytes::from)
}

fn is_accepted(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(coding::is_accepted)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Packs to so many bytes, and counts.
    fn counting(
        makings: &Arc<AtomicUsize>,
        bytes: usize,
    ) -> impl Fn(&[u8]) -> Packed + Send + Sync + Clone + use<> {
        let makings = Arc::clone(makings);
        move |plain| {
            makings.fetch_add(1, Ordering::SeqCst);
            Some(Bytes::from(vec![plain[0]; bytes]))
        }
    }

    #[tokio::test]
    async fn an_answer_that_many_get_is_packed_once_and_another_one_for_itself() {
        let (answers, makings) = (PackedAnswers::default(), Arc::default());
        let ask = |plain: &'static str| answers.packed(Bytes::from(plain), counting(&makings, 3));
        let all = futures_util::future::join_all((0..100).map(|_| ask("a"))).await;
        assert!(all.into_iter().all(|packed| packed.unwrap().unwrap() == "aaa"));
        assert_eq!(makings.load(Ordering::SeqCst), 1);
        assert_eq!(ask("b").await.unwrap().unwrap(), "bbb");
        assert_eq!(ask("a").await.unwrap().unwrap(), "aaa");
        assert_eq!(makings.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_in_number_and_bytes() {
        let (answers, makings) = (PackedAnswers::default(), Arc::default());
        for number in 0..MAX_KEPT + 1 {
            answers.packed(Bytes::from(format!("{number}")), counting(&makings, 1)).await.unwrap();
        }
        assert_eq!(answers.0.lock().unwrap().len(), MAX_KEPT);
        assert_eq!(makings.load(Ordering::SeqCst), MAX_KEPT + 1);
        answers.packed(Bytes::from("0"), counting(&makings, 1)).await.unwrap();
        assert_eq!(makings.load(Ordering::SeqCst), MAX_KEPT + 2, "the oldest made way");
        for _ in 0..2 {
            let large = answers.packed(Bytes::from("large"), counting(&makings, MAX_KEPT_BYTES + 1)).await;
            assert_eq!(large.unwrap().unwrap().len(), MAX_KEPT_BYTES + 1);
        }
        assert_eq!(makings.load(Ordering::SeqCst), MAX_KEPT + 4, "it is not kept");
    }

    #[tokio::test]
    async fn a_packing_that_failed_is_tried_again() {
        let (answers, makings) = (PackedAnswers::default(), Arc::default());
        let fails = |_: &[u8]| -> Packed { panic!("a test") };
        answers.packed(Bytes::from("a"), fails).await.unwrap_err();
        assert_eq!(answers.packed(Bytes::from("a"), counting(&makings, 2)).await.unwrap().unwrap(), "aa");
    }
}
