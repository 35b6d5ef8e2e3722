//! The admin API's client: over the Unix socket in the home, or over TLS with a token.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method, RequestBuilder, Response};
use sealpost_keys::Token;
use sealpost_manifests::wire::problem::Problem;
use sealpost_serving::SocketPath;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::output::plain;
use super::reach::Reach;
use crate::home::Home;

/// Longest CA file, in bytes.
const MAX_CA_FILE: u64 = 256 * 1024;
/// Longest token file, in bytes.
const MAX_TOKEN_FILE: u64 = 1024;
/// Longest answer that is held in memory, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Time to reach the server. Answers may take longer: a pull downloads.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

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
        self.json(self.request(Method::GET, path)).await
    }

    /// `GET` with a query.
    pub(super) async fn stream(&self, path: &str) -> anyhow::Result<Response> {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST` of JSON, answered with JSON.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` of JSON, whose answer is read as it comes.
    pub(super) async fn post_for_stream(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<Response> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `GET`, answered with text.
    pub(super) async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        let bytes = self.bytes(self.request(Method::GET, path)).await?;
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

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let bytes = self.bytes(request).await?;
        // What is wrong with it quotes the answer, which is a hostile server's: it forges no line.
        serde_json::from_slice(&bytes)
            .map_err(|error| anyhow::anyhow!("{}", plain(&error.to_string())))
            .context("cannot read the server's answer; do this program and the server have the same version?")
    }

    async fn bytes(&self, request: RequestBuilder) -> anyhow::Result<Vec<u8>> {
        let mut response = self.send(request).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.context("the server's answer was cut off; try again")?
        {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                bail!("the server's answer is longer than {MAX_ANSWER} bytes; give up");
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&text) {
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

    #[test]
    fn a_computer_name_with_letters_beyond_ascii_is_encoded_for_a_path() {
        assert_eq!(segment("büro-1.x"), "b%C3%BCro-1.x");
        assert_eq!(segment("a/b?c"), "a%2Fb%3Fc");
    }
}
