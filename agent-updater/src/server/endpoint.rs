//! One address of one server: requests with bounded answers, over a connection that is pinned to the site CA.

use std::error::Error;
use std::io;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::wire::AGENT_API;
use sealpost_manifests::wire::coding::{self, GZIP};
use sealpost_manifests::wire::problem::Problem;
use serde::de::DeserializeOwned;

use super::error::{ANSWER_TIMEOUT, ServerError};
use super::pin::{self, SharedTimes, TlsTimes};
use super::token::AccessToken;

/// Largest answer that is read, in bytes: a lease, an assignment and some grants.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Largest refusal that is read, in bytes.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;
/// Longest text of a refusal that is kept, in characters.
const MAX_PROBLEM_CHARS: usize = 500;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a working server; the wake stream sends something every 30 s.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(90);

/// One address of one server.
#[derive(Debug, Clone)]
pub struct Endpoint {
    address: String,
    pins: Vec<Sha256Digest>,
    times: SharedTimes,
    client: Client,
    /// Whether the server said that it takes packed requests; what is known to one clone is known to all.
    takes_packed: Arc<AtomicBool>,
}

impl Endpoint {
    /// The endpoints of a server, in the order of its addresses, each with a client of its own.
    ///
    /// # Errors
    /// [`ServerError::Setup`].
    pub fn of_server(server: &ServerEntry, times: &TlsTimes) -> Result<Vec<Self>, ServerError> {
        addresses(server).map(|address| Self::of_address(address, &server.ca_spki_sha256, times)).collect()
    }

    pub(super) fn of_address(
        address: String,
        pins: &[Sha256Digest],
        times: &TlsTimes,
    ) -> Result<Self, ServerError> {
        let failed = |what: String| ServerError::Setup { address: address.clone(), what };
        let times = SharedTimes::new(times.clone());
        let tls = pin::client_config(pins, &times).map_err(|error| failed(error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(20))
            .user_agent(concat!("sealpost-agent-updater/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { address, pins: pins.to_vec(), times, client, takes_packed: Arc::default() })
    }

    /// Whether it is this address with these pins.
    pub(super) fn is(&self, address: &str, pins: &[Sha256Digest]) -> bool {
        self.address == address && self.pins == pins
    }

    /// Whether the server said that it takes packed requests.
    #[must_use]
    pub fn takes_packed(&self) -> bool {
        self.takes_packed.load(Ordering::Relaxed)
    }

    /// What it said before this program was started.
    pub fn took_packed(&self, takes: bool) {
        self.takes_packed.store(takes, Ordering::Relaxed);
    }

    /// Judges certificates by these times, from the next handshake on.
    pub(super) fn judges_by(&self, times: &TlsTimes) {
        self.times.set(times.clone());
    }

    /// The address, for messages.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The client, which checks the pin.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The address of the agent API, without a slash at the end.
    #[must_use]
    pub fn api(&self) -> String {
        format!("{}{AGENT_API}", self.address)
    }

    /// The address of a part of the agent API.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{AGENT_API}/{path}", self.address)
    }

    /// Sends an exact body, packed if the server takes that, and reads the answer.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn post<A: DeserializeOwned>(&self, path: &str, body: String) -> Result<A, ServerError> {
        let packed = self.takes_packed().then(|| coding::pack(body.as_bytes())).flatten();
        let mut response = match packed {
            Some(packed) => self.send(path, packed, Some(GZIP)).await?,
            None => self.send(path, body.clone().into_bytes(), None).await?,
        };
        if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && self.takes_packed() {
            // Another version serves now, or something between does not take it.
            self.took_packed(false);
            response = self.send(path, body.into_bytes(), None).await?;
        }
        if response.status() == StatusCode::OK {
            let said = response.headers().get_all(ACCEPT_ENCODING).iter();
            self.took_packed(said.filter_map(|value| value.to_str().ok()).any(coding::is_accepted));
        }
        let response = self.accepted(response).await?;
        let bytes = self.read(response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.bad_answer(format!("not understood ({error})")))
    }

    async fn send(
        &self,
        path: &str,
        body: Vec<u8>,
        coding: Option<&'static str>,
    ) -> Result<Response, ServerError> {
        let mut request = self
            .client
            .post(self.url(path))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, GZIP)
            .timeout(ANSWER_TIMEOUT)
            .body(body);
        if let Some(coding) = coding {
            request = request.header(CONTENT_ENCODING, coding);
        }
        request.send().await.map_err(|source| self.unreachable(source))
    }

    /// Asks for a stream with a bearer token; `None` if the server has none under this path.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn get(&self, path: &str, token: &AccessToken) -> Result<Option<Response>, ServerError> {
        let bearer =
            token.bearer().ok_or_else(|| self.bad_answer("a token that cannot be sent".to_owned()))?;
        let opened = async {
            let request = self.client.get(self.url(path)).header(AUTHORIZATION, bearer);
            let response = request.send().await.map_err(|source| self.unreachable(source))?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            self.accepted(response).await.map(Some)
        };
        // Not the request's own time limit, which would also end the stream that follows.
        let slow = |_| ServerError::Slow { address: self.address.clone() };
        tokio::time::timeout(ANSWER_TIMEOUT, opened).await.map_err(slow)?
    }

    async fn accepted(&self, response: Response) -> Result<Response, ServerError> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let strange = || ServerError::Strange { address: self.address.clone(), status: status.as_u16() };
        let body = self.read(response, MAX_PROBLEM_BYTES).await.map_err(|_| strange())?;
        let Problem { code, message, hint } = serde_json::from_slice(&body).map_err(|_| strange())?;
        let problem = Problem { code, message: bounded(&message), hint: bounded(&hint) };
        Err(ServerError::Refused { address: self.address.clone(), problem })
    }

    /// The plain body, bounded before and after it is unpacked.
    async fn read(&self, response: Response, limit: usize) -> Result<Vec<u8>, ServerError> {
        let mut codings = response.headers().get_all(CONTENT_ENCODING).iter();
        let is_packed = match (codings.next(), codings.next()) {
            (None, _) => false,
            (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(GZIP.as_bytes()) => true,
            _ => return Err(self.bad_answer("packed in a way that was not asked for".to_owned())),
        };
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|source| self.unreachable(source))?;
            if body.len() + chunk.len() > limit {
                return Err(self.bad_answer(format!("longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if is_packed {
            return coding::unpack(&body, limit).map_err(|error| self.bad_answer(error.to_string()));
        }
        Ok(body)
    }

    fn unreachable(&self, source: reqwest::Error) -> ServerError {
        unanswered(self.address.clone(), &source.without_url())
    }

    fn bad_answer(&self, what: String) -> ServerError {
        ServerError::BadAnswer { address: self.address.clone(), what }
    }
}

/// The addresses of a server, in their order.
pub(super) fn addresses(server: &ServerEntry) -> impl Iterator<Item = String> {
    server.addresses.iter().map(|host| address(host, server.port))
}

fn address(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("https://[{ip}]:{port}"),
        Err(_) => format!("https://{host}:{port}"),
    }
}

/// The innermost cause says what happened; what the layers above it add repeats that the server did not answer.
fn unanswered(address: String, error: &reqwest::Error) -> ServerError {
    let mut cause: &(dyn Error + 'static) = error;
    loop {
        if let Some(refused) = cause.downcast_ref() {
            let why = match refused {
                rustls::Error::General(why) if why == pin::NO_PINNED_CA => {
                    return ServerError::UnknownCa { address };
                }
                rustls::Error::General(why) => why.clone(),
                refused => refused.to_string(),
            };
            return ServerError::NotTrusted { address, why };
        }
        // An error of the system's kind does not name what it wraps as its source.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source()) {
            Some(inner) => cause = inner,
            None => {
                let connected = !error.is_connect();
                return ServerError::Unreachable { address, why: cause.to_string(), connected };
            }
        }
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_PROBLEM_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_and_names_make_urls() {
        assert_eq!(address("10.0.0.1", 16770), "https://10.0.0.1:16770");
        assert_eq!(address("fd00::1", 1), "https://[fd00::1]:1");
        assert_eq!(address("primary.example", 443), "https://primary.example:443");
    }
}
