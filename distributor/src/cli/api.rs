//! The admin API's client: over the Unix socket in the home, or over TLS with a token.
//!
//! Invariant: whatever a server answers, or does not, each request ends, and what is held of its answer is bounded.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Bytes;
use jiff::SignedDuration;
use reqwest::{Client, Method, RequestBuilder, Response};
use sealpost_keys::Token;
use sealpost_manifests::wire::problem::Problem;
use sealpost_serving::SocketPath;
use sealpost_site::rules::text::span;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::output::plain;
use super::reach::Reach;
use crate::home::Home;

/// Longest CA file, in bytes.
const MAX_CA_FILE: u64 = 256 * 1024;
/// Longest token file, in bytes.
const MAX_TOKEN_FILE: u64 = 1024;
/// Longest answer that is held in memory, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Longest body of a refusal, in bytes: a code, two sentences and perhaps some names.
const MAX_REFUSAL: usize = 64 * 1024;
/// How long the body of a refusal may take.
const REFUSED_WITHIN: Duration = Duration::from_secs(60);
/// Time to reach the server. Answers may take longer: a pull downloads.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a question may stay without an answer, and how long an answer may pause on its way.
const SILENT_AT_MOST: Duration = Duration::from_secs(5 * 60);
/// How long a change may take at the server before it answers, and how long a stream may pause; also a whole answer's way here.
const CHANGED_WITHIN: Duration = Duration::from_secs(60 * 60);
/// The same for work that takes hours: a pull downloads, and a check reads everything.
const WORKED_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A server's admin API.
pub(super) struct AdminApi {
    http: Client,
    base: String,
    token: Option<String>,
    place: String,
    /// The path to connect to, which is short enough for a socket.
    socket: Option<SocketPath>,
}

impl AdminApi {
    /// Finds the way to the server; nothing is sent yet.
    pub(super) fn open(reach: &Reach) -> anyhow::Result<Self> {
        match &reach.server {
            Some(server) => Self::over_network(server, reach),
            None => Self::over_socket(&Home::at(&reach.home).admin_socket()),
        }
    }

    fn over_socket(socket: &Path) -> anyhow::Result<Self> {
        let place = socket.display().to_string();
        let socket = SocketPath::of(socket).map_err(|error| cannot_reach(&place, error))?;
        let http = Client::builder()
            .unix_socket(socket.path().to_owned())
            .tls_certs_only([])
            .no_proxy()
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .context("cannot set up the connection to the server")?;
        Ok(Self { http, base: "http://localhost".to_owned(), token: None, place, socket: Some(socket) })
    }

    fn over_network(server: &str, reach: &Reach) -> anyhow::Result<Self> {
        let base = server.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") {
            bail!("cannot use {base} as --server: it must begin with https://, since a token is sent there");
        }
        let file = reach.token_file.as_ref().context("--server needs --token-file")?;
        let mut builder = Client::builder().https_only(true).connect_timeout(CONNECT_WITHIN);
        if let Some(ca) = &reach.ca {
            let pem = sealpost_files::read_input(ca, MAX_CA_FILE)
                .with_context(|| format!("cannot read the CA certificate {}", ca.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} holds no certificate", ca.display()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().context("cannot set up the connection to the server")?;
        let token = Some(read_token(file)?);
        Ok(Self { http, place: base.clone(), base, token, socket: None })
    }

    /// `GET`, answered with JSON.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.json(self.request(Method::GET, path), SILENT_AT_MOST).await
    }

    /// The same, and how many bytes the answer had.
    pub(super) async fn get_measured<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<(T, usize)> {
        let bytes = self.bytes(self.request(Method::GET, path), SILENT_AT_MOST).await?;
        Ok((parsed(&bytes)?, bytes.len()))
    }

    /// `GET` with a query, whose answer is read as it comes.
    pub(super) async fn stream(&self, path: &str) -> anyhow::Result<Response> {
        self.send(self.request(Method::GET, path), CHANGED_WITHIN).await
    }

    /// `POST` of JSON, answered with JSON.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.json(self.request(Method::POST, path).json(body), CHANGED_WITHIN).await
    }

    /// The same for work that takes the server hours.
    pub(super) async fn post_work<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.json(self.request(Method::POST, path).json(body), WORKED_WITHIN).await
    }

    /// `POST` of JSON, whose answer is read as it comes.
    pub(super) async fn post_for_stream(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<Response> {
        self.send(self.request(Method::POST, path).json(body), CHANGED_WITHIN).await
    }

    /// `GET`, answered with text.
    pub(super) async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        let bytes = self.bytes(self.request(Method::GET, path), SILENT_AT_MOST).await?;
        String::from_utf8(bytes).context("the server's answer is no text")
    }

    /// Whether the server cannot even be connected to, as when it does not run.
    pub(super) async fn is_down(&self) -> bool {
        match &self.socket {
            Some(socket) => tokio::net::UnixStream::connect(socket.path()).await.is_err(),
            None => false,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        within: Duration,
    ) -> anyhow::Result<T> {
        let bytes = self.bytes(request, within).await?;
        parsed(&bytes)
    }

    async fn bytes(&self, request: RequestBuilder, within: Duration) -> anyhow::Result<Vec<u8>> {
        let mut response = self.send(request, within).await?;
        let body = whole(&mut response, MAX_ANSWER);
        timeout(CHANGED_WITHIN, body).await.unwrap_or_else(|_| Err(silent(CHANGED_WITHIN)))
    }

    /// Asks, and waits so long for the beginning of the answer.
    async fn send(&self, request: RequestBuilder, within: Duration) -> anyhow::Result<Response> {
        let Ok(response) = timeout(within, request.send()).await else {
            return Err(silent(within))
                .with_context(|| format!("no answer from the server at {}", self.place));
        };
        let mut response = response.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        // Who sends no whole problem in time sent none.
        let text = timeout(REFUSED_WITHIN, whole(&mut response, MAX_REFUSAL)).await;
        match serde_json::from_slice::<Problem>(&text.ok().and_then(Result::ok).unwrap_or_default()) {
            Ok(problem) => Err(problem.into()),
            Err(_) => bail!("the server at {} answered {status}; is it a distributor?", self.place),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let place = &self.place;
        // The URL in it says nothing that the place does not.
        let error = anyhow::Error::from(error.without_url());
        if self.socket.is_some() {
            let forbidden = causes(&error).any(|kind| kind == io::ErrorKind::PermissionDenied);
            return error.context(unreachable_socket(place, forbidden));
        }
        error.context(format!("cannot reach the server at {place}: check the address, the line, and --ca"))
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<T> {
    // What is wrong with it quotes the answer, which is a hostile server's: it forges no line.
    serde_json::from_slice(bytes)
        .map_err(|error| anyhow::anyhow!("{}", plain(&error.to_string())))
        .context("cannot read the server's answer; do this program and the server have the same version?")
}

/// The next part of an answer that is read as it comes; absent at its end.
pub(super) async fn next_part(response: &mut Response) -> anyhow::Result<Option<Bytes>> {
    match timeout(CHANGED_WITHIN, response.chunk()).await {
        Ok(part) => Ok(part?),
        Err(_) => Err(silent(CHANGED_WITHIN)),
    }
}

/// Waits for an answer until Ctrl-C: who has listened to that once is not ended by it any more.
pub(super) async fn unless_stopped<T>(answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::select! {
        answer = answer => answer,
        stopped = tokio::signal::ctrl_c() => {
            stopped?;
            bail!("stopped before the server answered")
        }
    }
}

/// A whole answer, if it is not too long.
async fn whole(response: &mut Response, most: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let Ok(part) = timeout(SILENT_AT_MOST, response.chunk()).await else {
            return Err(silent(SILENT_AT_MOST));
        };
        let Some(part) = part.context("the server's answer was cut off; try again")? else {
            return Ok(bytes);
        };
        if bytes.len() + part.len() > most {
            bail!("the server's answer is longer than {most} bytes; give up");
        }
        bytes.extend_from_slice(&part);
    }
}

fn silent(within: Duration) -> anyhow::Error {
    let within = span(SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX));
    anyhow::anyhow!(
        "the server sent nothing for {within}; look whether it works, for it may have done what it was asked to, \
         and try again"
    )
}

/// What helps when the admin socket cannot be used: another account, or a server that does not run.
fn unreachable_socket(place: &str, forbidden: bool) -> String {
    if forbidden {
        return format!(
            "cannot reach the server at {place}: this account may not use the server's home; run the command as the \
             account that the server runs under, for example with `sudo -u sealpost`, or over the network with --server \
             and --token-file"
        );
    }
    format!(
        "cannot reach the server at {place}: is `distributor serve` running there? Name another home with --home"
    )
}

fn cannot_reach(place: &str, error: io::Error) -> anyhow::Error {
    let forbidden = error.kind() == io::ErrorKind::PermissionDenied;
    anyhow::Error::from(error).context(unreachable_socket(place, forbidden))
}

/// What the system said, somewhere among the causes.
fn causes(error: &anyhow::Error) -> impl Iterator<Item = io::ErrorKind> {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>().map(io::Error::kind))
}

/// A part of a path, percent-encoded.
pub(super) fn segment(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read the token file {}", path.display());
    // A person names it: it may be a pipe from where the token is kept, as `<(pass show anna)` is.
    let file = File::open(path).with_context(cannot)?;
    let mode = file.metadata().with_context(cannot)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!(
            "cannot use the token file {}: others can read it (mode {mode:03o}); run `chmod 600` on it",
            path.display()
        );
    }
    let mut text = String::new();
    file.take(MAX_TOKEN_FILE).read_to_string(&mut text).with_context(cannot)?;
    let text = text.trim();
    if text.parse::<Token>().is_err() {
        bail!(
            "cannot use the token file {}: it does not hold a token alone, as `distributor token new NAME` prints it",
            path.display()
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that takes connections, and answers none.
    fn silent_server() -> (tempfile::TempDir, std::os::unix::net::UnixListener, AdminApi) {
        // Another test of this process may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let api = AdminApi::over_socket(&socket).unwrap();
        (folder, listener, api)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_nothing_is_given_up() {
        let (_folder, _listener, api) = silent_server();
        let nothing = serde_json::json!({});
        type Answer = anyhow::Result<serde_json::Value>;
        let (got, posted, worked): (Answer, Answer, Answer) =
            (api.get("/x").await, api.post("/x", &nothing).await, api.post_work("/x", &nothing).await);
        for (answer, within) in [(got, "5 min"), (posted, "1 h"), (worked, "1 d")] {
            let said = format!("{:#}", answer.unwrap_err());
            assert!(said.contains(&format!("sent nothing for {within};")), "{said}");
        }
        let streamed = format!("{:#}", api.post_for_stream("/x", &nothing).await.unwrap_err());
        assert!(streamed.contains("sent nothing for 1 h;"), "{streamed}");
    }

    #[test]
    fn a_computer_name_with_letters_beyond_ascii_is_encoded_for_a_path() {
        assert_eq!(segment("büro-1.x"), "b%C3%BCro-1.x");
        assert_eq!(segment("a/b?c"), "a%2Fb%3Fc");
    }
}
