//! One address of one server: requests with bounded answers, over a connection that is pinned to the site CA.

use std::net::Ipv6Addr;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use sealpost_manifests::ids::{ComputerName, EnrollmentCode};
use sealpost_manifests::setup::SetupServer;
use sealpost_manifests::wire::problem::Problem;
use sealpost_manifests::wire::{AGENT_API, COMPUTER_HEADER, ENROLLMENT_CODE_HEADER};
use serde::de::DeserializeOwned;

use super::error::{ANSWER_TIMEOUT, ServerError};
use super::pin;

/// Largest answer that is read, in bytes: a lease, an assignment and a grant.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Largest refusal that is read, in bytes.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a working server; the wake stream sends something every 30 s.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(90);

/// How requests for metadata authenticate.
#[derive(Clone)]
pub enum Credential {
    /// By nothing, or by a token: enrollments and contacts carry signatures of their own.
    None,
    /// By an enrollment code, before the first lease.
    EnrollmentCode(ComputerName, EnrollmentCode),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::EnrollmentCode(..) => "EnrollmentCode(…)",
        })
    }
}

/// One address of one server.
#[derive(Debug, Clone)]
pub struct Endpoint {
    address: String,
    client: Client,
}

impl Endpoint {
    /// The endpoints of a server, in the order of its addresses. With `time_floor`, certificates can be checked on a
    /// computer whose clock was reset.
    ///
    /// # Errors
    /// [`ServerError::Setup`].
    pub fn of_server(
        server: &SetupServer,
        time_floor: Option<Timestamp>,
        credential: &Credential,
    ) -> Result<Vec<Self>, ServerError> {
        server
            .addresses
            .iter()
            .map(|host| {
                let address = address(host, server.port);
                let failed = |what: String| ServerError::Setup { address: address.clone(), what };
                let tls = pin::client_config(server.ca_spki_sha256, time_floor)
                    .map_err(|error| failed(error.to_string()))?;
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
                    .default_headers(headers(credential).map_err(&failed)?)
                    .build()
                    .map_err(|error| failed(error.to_string()))?;
                Ok(Self { address: address.clone(), client })
            })
            .collect()
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

    /// Sends an exact body, and reads the answer.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn post<A: DeserializeOwned>(&self, path: &str, body: String) -> Result<A, ServerError> {
        let response = self
            .client
            .post(self.url(path))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .timeout(ANSWER_TIMEOUT)
            .body(body)
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        let response = self.accepted(response).await?;
        let bytes = self.read(response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.bad_answer(format!("not understood ({error})")))
    }

    /// Asks for a stream with a bearer token; `None` if the server has none under this path.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn get(&self, path: &str, token: &str) -> Result<Option<Response>, ServerError> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| self.bad_answer("an access token that cannot be sent".to_owned()))?;
        bearer.set_sensitive(true);
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
        let problem: Problem = serde_json::from_slice(&body).map_err(|_| strange())?;
        Err(ServerError::Refused { address: self.address.clone(), problem })
    }

    async fn read(&self, response: Response, limit: usize) -> Result<Vec<u8>, ServerError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|source| self.unreachable(source))?;
            if body.len() + chunk.len() > limit {
                return Err(self.bad_answer(format!("longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, source: reqwest::Error) -> ServerError {
        ServerError::Unreachable { address: self.address.clone(), source: source.without_url() }
    }

    fn bad_answer(&self, what: String) -> ServerError {
        ServerError::BadAnswer { address: self.address.clone(), what }
    }
}

fn address(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("https://[{ip}]:{port}"),
        Err(_) => format!("https://{host}:{port}"),
    }
}

fn headers(credential: &Credential) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if let Credential::EnrollmentCode(computer, code) = credential {
        let mut secret =
            HeaderValue::from_str(code.as_str()).map_err(|_| "the code cannot be sent".to_owned())?;
        secret.set_sensitive(true);
        headers.insert(HeaderName::from_static(ENROLLMENT_CODE_HEADER), secret);
        // Names can hold letters beyond ASCII; header values are bytes, and the server reads them as UTF-8.
        let name = HeaderValue::from_bytes(computer.as_str().as_bytes())
            .map_err(|_| "the computer's name cannot be sent".to_owned())?;
        headers.insert(HeaderName::from_static(COMPUTER_HEADER), name);
    }
    Ok(headers)
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

    #[test]
    fn an_enrollment_code_does_not_show_in_debug_output() {
        let code = EnrollmentCode::from_random([3; 24]);
        let credential = Credential::EnrollmentCode(ComputerName::new("pc").unwrap(), code.clone());
        assert!(!format!("{credential:?}").contains(code.as_str()));
        assert!(!format!("{:?}", headers(&credential).unwrap()).contains(code.as_str()));
    }
}
