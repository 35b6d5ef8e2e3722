//! Asking the server at once for what a round will read: the newer metadata, and small documents.
//!
//! Invariants: an answer is bounded before and after it is unpacked; nothing of it is trusted, each file is verified as if it
//! had come by itself. Whatever goes wrong with it, also at a server of before, costs nothing but the requests that it saves.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::trust::TRUST_TARGET;
use sealpost_manifests::wire::coding::{self, GZIP};
use sealpost_manifests::wire::refresh::{
    DeltaWay, MAX_DOCUMENTS, MAX_HOPS, MAX_REFRESH_BYTES, MAX_ROUTES, RefreshAnswer, RefreshRequest, Route,
};

use super::origin::Origin;

/// Longest wait for an answer, which is some kilobytes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What a round will read beside the top roles, as far as it is known before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The roles that list it.
    pub roles: Vec<String>,
    pub documents: Vec<TargetName>,
    /// Documents that are held already, with their names.
    pub held: Vec<(TargetName, String)>,
    /// What runs, and what is to run instead.
    pub routes: Vec<Route>,
}

impl Expected {
    /// The trust document, and nothing more.
    #[must_use]
    pub fn trust() -> Self {
        Self { documents: TargetName::new(TRUST_TARGET).into_iter().collect(), ..Self::default() }
    }
}

/// Documents that came before they are read, under the names that a repository has them under. They stay until the round is
/// over: channels are read twice.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    documents: Mutex<BTreeMap<String, Vec<u8>>>,
    ways: Mutex<Vec<DeltaWay>>,
}

impl Ahead {
    /// With the documents that are held.
    pub(super) fn with(held: &[(TargetName, String)]) -> Self {
        let named = held.iter().map(|(name, text)| {
            let digest = Sha256Digest::of(text.as_bytes());
            (format!("{digest}.{name}"), text.clone().into_bytes())
        });
        Self { documents: Mutex::new(named.collect()), ways: Mutex::default() }
    }

    /// Keeps documents that were asked for; others are nobody's.
    pub(super) fn keep(&self, asked: &[TargetName], documents: BTreeMap<String, String>) {
        let is_asked = |file: &str| {
            let name = file.split_once('.').map(|(_, name)| name);
            name.is_some_and(|name| asked.iter().any(|asked| asked.as_str() == name))
        };
        let documents = documents.into_iter().filter(|(file, _)| is_asked(file));
        let bytes = documents.map(|(name, text)| (name, text.into_bytes()));
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
    }

    /// Keeps ways, as far as they can be answers.
    pub(super) fn keep_ways(&self, ways: Vec<DeltaWay>) {
        let ways = ways.into_iter().filter(|way| way.hops.len() <= MAX_HOPS).take(2 * MAX_ROUTES);
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).extend(ways);
    }

    pub(super) fn ways(&self) -> Vec<DeltaWay> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn find(&self, file: &str) -> Option<Vec<u8>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(file).cloned()
    }

    /// It is read once, and large.
    pub(super) fn forget(&self, name: &TargetName) {
        let end = format!(".{name}");
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        documents.retain(|file, _| !file.ends_with(&end));
    }
}

/// What to ask a server with.
#[derive(Debug, Clone)]
pub(super) struct Asks {
    client: Client,
    url: String,
    token: Option<String>,
}

impl Asks {
    pub(super) fn of(origin: &Origin) -> Self {
        let url = format!("{}/tuf/refresh", origin.base);
        Self { client: origin.client.clone(), url, token: origin.token.clone() }
    }

    /// The answer, and how many bytes of it traveled; `None` if there is none that can be used.
    pub(super) async fn ask(&self, mut request: RefreshRequest) -> Option<(RefreshAnswer, usize)> {
        request.documents.truncate(MAX_DOCUMENTS);
        match self.answer(&request).await {
            Ok(answer) => Some(answer),
            Err(why) => {
                tracing::debug!(%why, "what is newer does not come at once, and is asked for file by file");
                None
            }
        }
    }

    async fn answer(&self, request: &RefreshRequest) -> Result<(RefreshAnswer, usize), String> {
        let body = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        let mut asked = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT_ENCODING, GZIP)
            .timeout(ANSWER_TIMEOUT)
            .body(body);
        if let Some(token) = &self.token {
            let mut bearer =
                HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| error.to_string())?;
            bearer.set_sensitive(true);
            asked = asked.header(AUTHORIZATION, bearer);
        }
        let response = asked.send().await.map_err(|error| error.without_url().to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the server answered with status {}", response.status()));
        }
        let codings: Vec<HeaderValue> =
            response.headers().get_all(CONTENT_ENCODING).iter().cloned().collect();
        let mut received = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| error.without_url().to_string())?;
            if received.len().saturating_add(chunk.len()) > MAX_REFRESH_BYTES {
                return Err(format!("the answer is longer than {MAX_REFRESH_BYTES} bytes"));
            }
            received.extend_from_slice(&chunk);
        }
        let traveled = received.len();
        let plain = match codings.as_slice() {
            [] => received,
            [coding] if coding.as_bytes().eq_ignore_ascii_case(GZIP.as_bytes()) => {
                coding::unpack(&received, MAX_REFRESH_BYTES).map_err(|error| error.to_string())?
            }
            _ => return Err("the answer is packed in a way that was not asked for".to_owned()),
        };
        let answer = serde_json::from_slice(&plain).map_err(|error| error.to_string())?;
        Ok((answer, traveled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_documents_are_found_by_their_digest_and_a_name_is_forgotten_alone() {
        let trust = TargetName::new("trust.json").unwrap();
        let ahead = Ahead::with(&[(trust, "{}".to_owned())]);
        let held = format!("{}.trust.json", Sha256Digest::of(b"{}"));
        assert_eq!(ahead.find(&held), Some(b"{}".to_vec()));
        assert_eq!(ahead.find(&format!("{}.trust.json", Sha256Digest::of(b"{ }"))), None);
        let asked = ["acme_2_any.manifest", "acme.channels"].map(|name| TargetName::new(name).unwrap());
        let come = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
        ahead.keep(&asked, come("77ab.acme_2_any.manifest", "m"));
        ahead.keep(&asked, come("77ab.acme.channels", "c"));
        for unasked in ["77ab.trust.json", "77ab.acme_2_any.tar.gz", "acme.channels", "77ab.x.acme.channels"]
        {
            ahead.keep(&asked, come(unasked, "x"));
            assert_eq!(ahead.find(unasked), None, "{unasked}");
        }
        ahead.forget(&TargetName::new("acme_2_any.manifest").unwrap());
        assert_eq!(ahead.find("77ab.acme_2_any.manifest"), None);
        assert_eq!(ahead.find("77ab.acme.channels"), Some(b"c".to_vec()));
        assert!(ahead.find(&held).is_some());
    }
}
