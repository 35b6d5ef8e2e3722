//! A repository behind HTTP: a metadata base, a targets base, and a client that the caller configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE,
    RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::timeout;

use crate::target::{TargetPath, length_of};
use crate::transport::error::TransportError;
use crate::transport::interface::{TargetBody, Transport, is_metadata_name};

/// How gzip begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The longest pause that a server can ask for, in seconds.
const LONGEST_RETRY_SECS: u64 = 3_600;

/// Where the bearer token of a request comes from. Asked anew for each request, since tokens are short-lived.
pub trait BearerSource: Send + Sync {
    /// The token, or `None` to send no `Authorization` header.
    fn bearer(&self) -> Option<String>;
}

impl<F: Fn() -> Option<String> + Send + Sync> BearerSource for F {
    fn bearer(&self) -> Option<String> {
        self()
    }
}

/// How long to wait for a server. A slow server is waited for, a silent one is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request to the head of the answer, connecting included.
    pub answer: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// For a whole metadata file, so that a server cannot keep a reader by sending a byte now and then.
    pub metadata: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            metadata: Duration::from_secs(180),
        }
    }
}

/// Reads a repository over HTTP.
#[derive(Clone)]
pub struct HttpTransport {
    client: Client,
    metadata_base: Url,
    targets_base: Url,
    bearer: Option<Arc<dyn BearerSource>>,
    timeouts: Timeouts,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("metadata_base", &self.metadata_base.as_str())
            .field("targets_base", &self.targets_base.as_str())
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// Reads below two bases, with or without a slash at their end. The client brings TLS, pins and proxy; it must
    /// not decompress (none of reqwest's compression features), or lengths would be wrong.
    ///
    /// # Errors
    /// [`TransportError::Base`] if a base is not an http or https URL, or carries credentials, query or fragment.
    pub fn new(client: Client, metadata_base: &str, targets_base: &str) -> Result<Self, TransportError> {
        Ok(Self {
            client,
            metadata_base: base(metadata_base)?,
            targets_base: base(targets_base)?,
            bearer: None,
            timeouts: Timeouts::default(),
        })
    }

    /// Sends a bearer token with each request.
    #[must_use]
    pub fn with_bearer(mut self, source: Arc<dyn BearerSource>) -> Self {
        self.bearer = Some(source);
        self
    }

    /// Waits for these times instead of the default ones.
    #[must_use]
    pub const fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    async fn read_metadata(&self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, TransportError> {
        if !is_metadata_name(name) {
            return Err(TransportError::Name { name: name.to_owned() });
        }
        let url = below(&self.metadata_base, name)?;
        let whole = async {
            let Some(response) = self.ask(&url, 0).await? else { return Ok(None) };
            // Object stores answer so for what they do not have, to whoever may not list them. The next root is the only one
            // that is ever asked for, and it need not exist.
            if response.status() == StatusCode::FORBIDDEN && name.ends_with(".root.json") {
                return Ok(None);
            }
            if response.status() != StatusCode::OK {
                return Err(unexpected(&url, response.status()));
            }
            check_encoding(&url, &response)?;
            let bytes = self.read_body(&url, response, max_bytes).await?;
            check_is_metadata(&url, &bytes)?;
            Ok(Some(bytes))
        };
        match timeout(self.timeouts.metadata, whole).await {
            Ok(result) => result,
            Err(_) => Err(silent(&url, self.timeouts.metadata)),
        }
    }

    async fn read_body(
        &self,
        url: &Url,
        mut response: Response,
        max_bytes: u64,
    ) -> Result<Vec<u8>, TransportError> {
        let too_large = || TransportError::TooLarge { location: shown(url), max_bytes };
        if response.content_length().is_some_and(|length| length > max_bytes) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        loop {
            let chunk = match timeout(self.timeouts.idle, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(bytes),
                Ok(Err(error)) => return Err(unreachable(url, error)),
                Err(_) => return Err(silent(url, self.timeouts.idle)),
            };
            if length_of(&bytes) + length_of(&chunk) > max_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    async fn open_target(
        &self,
        path: &TargetPath,
        offset: u64,
    ) -> Result<Option<TargetBody>, TransportError> {
        let url = below(&self.targets_base, &path.encoded())?;
        let Some(response) = self.ask(&url, offset).await? else { return Ok(None) };
        let offset = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                if first_byte(&response) != Some(offset) {
                    return Err(TransportError::WrongRange { location: shown(&url) });
                }
                offset
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                return Err(TransportError::NoSuchRange { location: shown(&url) });
            }
            other => {
                return Err(match retry_after(&response) {
                    Some(after) => TransportError::Later { location: shown(&url), after },
                    None => unexpected(&url, other),
                });
            }
        };
        check_encoding(&url, &response)?;
        if is_html(&response) && !path.encoded().ends_with(".html") && !path.encoded().ends_with(".htm") {
            return Err(TransportError::WebPage { location: shown(&url) });
        }
        let idle = self.timeouts.idle;
        let chunks = stream::unfold(Some((response, url)), move |open| async move {
            let (mut response, url) = open?;
            match timeout(idle, response.chunk()).await {
                Ok(Ok(Some(chunk))) => Some((Ok(chunk.to_vec()), Some((response, url)))),
                Ok(Ok(None)) => None,
                Ok(Err(error)) => Some((Err(unreachable(&url, error)), None)),
                Err(_) => Some((Err(silent(&url, idle)), None)),
            }
        });
        Ok(Some(TargetBody { offset, chunks: chunks.boxed() }))
    }

    /// Sends a request; `None` is the server's "not found". Other statuses are the caller's to judge.
    async fn ask(&self, url: &Url, offset: u64) -> Result<Option<Response>, TransportError> {
        // The digest is of the file itself, so no encoding on the way.
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        if let Some(token) = self.bearer.as_ref().and_then(|source| source.bearer()) {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                TransportError::Base { text: "a bearer token with odd characters".to_owned() }
            })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        match timeout(self.timeouts.answer, request.send()).await {
            Ok(Ok(response)) if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) => {
                Ok(None)
            }
            Ok(Ok(response)) => Ok(Some(response)),
            Ok(Err(error)) => Err(unreachable(url, error)),
            Err(_) => Err(silent(url, self.timeouts.answer)),
        }
    }
}

impl Transport for HttpTransport {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        Box::pin(self.read_metadata(name, max_bytes))
    }

    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        Box::pin(self.open_target(path, offset))
    }

    fn metadata_location(&self, name: &str) -> String {
        below(&self.metadata_base, name).map_or_else(|_| name.to_owned(), |url| shown(&url))
    }

    fn location(&self, path: &TargetPath) -> String {
        below(&self.targets_base, &path.encoded()).map_or_else(|_| path.encoded(), |url| shown(&url))
    }
}

/// A base ends in a slash, so that a name can be put behind it.
fn base(text: &str) -> Result<Url, TransportError> {
    // Neither a password before the host nor a token in the query is repeated.
    let plain_part = text.split('@').next_back().and_then(|text| text.split(['?', '#']).next());
    let refused = || TransportError::Base { text: plain_part.unwrap_or_default().to_owned() };
    let mut url = Url::parse(text).map_err(|_| refused())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.scheme(), "http" | "https");
    if !plain {
        return Err(refused());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// `encoded` is percent-encoded already, and is put behind the base as it is.
fn below(base: &Url, encoded: &str) -> Result<Url, TransportError> {
    let text = format!("{base}{encoded}");
    match Url::parse(&text) {
        // Unchanged by normalization: nothing in it was taken for a dot segment or a separator.
        Ok(url) if url.as_str() == text => Ok(url),
        _ => Err(TransportError::Name { name: encoded.to_owned() }),
    }
}

/// Nothing but the file itself was asked for, so that lengths and digests are those of the file.
fn check_encoding(url: &Url, response: &Response) -> Result<(), TransportError> {
    let Some(encoding) = response.headers().get(CONTENT_ENCODING) else { return Ok(()) };
    if encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity") {
        return Ok(());
    }
    let encoding: String = encoding.to_str().unwrap_or("unreadable").chars().take(40).collect();
    Err(TransportError::Encoded { location: shown(url), encoding })
}

fn is_html(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Metadata is JSON. A web page or compressed bytes in its place come from a proxy or a badly configured server, and its
/// owner should be told that, not that a bracket is missing.
fn check_is_metadata(url: &Url, bytes: &[u8]) -> Result<(), TransportError> {
    if bytes.starts_with(&GZIP_MAGIC) {
        return Err(TransportError::Encoded { location: shown(url), encoding: "gzip".to_owned() });
    }
    match bytes.trim_ascii_start().first() {
        Some(b'<') => Err(TransportError::WebPage { location: shown(url) }),
        _ => Ok(()),
    }
}

/// When a server that has no place now wants to be asked again, if it says so in seconds (RFC 9110, section 10.2.3): from a
/// second to an hour.
#[must_use]
pub fn retry_after(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = digits.then(|| text.parse().unwrap_or(u64::MAX))?;
    Some(Duration::from_secs(seconds.clamp(1, LONGEST_RETRY_SECS)))
}

/// The first byte position of `Content-Range: bytes FIRST-LAST/TOTAL`.
fn first_byte(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}

/// Bases carry no credentials and no query, so a URL may be shown.
fn shown(url: &Url) -> String {
    url.as_str().to_owned()
}

fn unreachable(url: &Url, error: reqwest::Error) -> TransportError {
    TransportError::Unreachable { location: shown(url), source: error.without_url() }
}

fn silent(url: &Url, waited: Duration) -> TransportError {
    TransportError::Silent { location: shown(url), seconds: waited.as_secs() }
}

fn unexpected(url: &Url, status: StatusCode) -> TransportError {
    let hint = match status.as_u16() {
        401 | 403 => {
            "the server wants another credential, does not allow this file, or does not have it and does not say so"
        }
        407 => "the proxy wants a user name and password",
        429 | 503 => "the server is busy; try again later",
        300..=399 => "the address has moved; correct it",
        _ => "look at the server's log",
    };
    TransportError::Status { location: shown(url), status: status.as_u16(), hint }
}
