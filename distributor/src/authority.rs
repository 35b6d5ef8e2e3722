//! The vendor's license authority over HTTP: `POST <vendor_url>/license/v1/register`.
//!
//! Nothing that comes back is trusted here; whoever asked verifies the grant. An answer that is no answer of a license
//! authority (a proxy's page, a 404 of a plain web server) counts as "cannot be reached", so that the code can go by
//! hand; a problem with a code is the vendor's word.
//!
//! What is unsigned in an answer, and what is believed of it:
//!
//! | field | believed |
//! |---|---|
//! | status | 2xx: the body is read as a grant; any other: as a problem. Redirects are not followed |
//! | body | at most 256 KiB of it are read; what is no JSON of the expected shape is no answer |
//! | `grant` | nothing before a license key of the TUF-verified trust document signed it, for this server and site key |
//! | `renewable_from` | shown to the admin who asked; decides nothing |
//! | `code` of a problem | shown to the admin who asked. `busy`, `internal`, `not_found` and unknown codes count as "cannot be reached"; no code changes anything here |
//! | `message`, `hint` of a problem | shown, as [`escape`] leaves them: cut, and without control characters |
//! | every other field | passed over |

use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, ClientBuilder, Response};
use sealpost_files::{escape, with_causes};
use sealpost_manifests::wire::LICENSE_API;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};

use crate::config::may_carry_a_serial;
use crate::ports::authority::{AuthorityError, LicenseAuthority};

/// Time for the whole conversation. An admin waits for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Longest answer, in bytes; a grant is about 2 KiB.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub struct OnlineAuthority {
    http: Client,
    url: String,
    /// Whether nobody on the way can read what is sent.
    is_private: bool,
}

impl OnlineAuthority {
    /// The authority beside the vendor's repository, reached with the client that
    /// [`vendor_client`](crate::config::vendor_client) makes.
    ///
    /// # Errors
    /// When there is no HTTP client to be had.
    pub fn new(vendor_url: &str, client: ClientBuilder) -> Result<Self, reqwest::Error> {
        let http = client.timeout(ANSWER_WITHIN).build()?;
        let url = format!("{}{LICENSE_API}/register", vendor_url.trim_end_matches('/'));
        Ok(Self { http, url, is_private: may_carry_a_serial(vendor_url) })
    }

    async fn ask(&self, request: &RegisterRequest) -> Result<RegisterAnswer, AuthorityError> {
        if !self.is_private {
            return Err(AuthorityError::Unreachable {
                reason: format!(
                    "a serial number is a secret, and is not sent over plain http to {}: set `vendor_url` in the \
                     configuration to the vendor's https address, and `vendor_ca` if its CA is not one that this system \
                     trusts; or carry the code by hand, as `distributor register --offline` prints it",
                    self.url
                ),
            });
        }
        let response =
            self.http.post(&self.url).json(request).send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let bytes = read(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|_| AuthorityError::Unreachable {
                reason: format!("{} is no license authority (its answer cannot be read)", self.url),
            });
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) if is_no(problem.code) => Err(AuthorityError::Refused(shown(problem))),
            Ok(problem) => Err(AuthorityError::Unreachable { reason: shown(problem).to_string() }),
            Err(_) => Err(AuthorityError::Unreachable { reason: format!("{} answered {status}", self.url) }),
        }
    }
}

impl LicenseAuthority for OnlineAuthority {
    fn register(&self, request: RegisterRequest) -> BoxFuture<'_, Result<RegisterAnswer, AuthorityError>> {
        Box::pin(async move { self.ask(&request).await })
    }

    fn page(&self) -> Option<String> {
        let (base, _) = self.url.split_once(LICENSE_API)?;
        may_carry_a_serial(&self.url).then(|| format!("{base}/register"))
    }
}

/// A decision, and not a server that has no time or no such path.
const fn is_no(code: ProblemCode) -> bool {
    !matches!(code, ProblemCode::Busy | ProblemCode::Internal | ProblemCode::NotFound | ProblemCode::Other(_))
}

/// The problem with texts that are safe to show.
fn shown(problem: Problem) -> Problem {
    Problem::new(problem.code, escape(&problem.message), escape(&problem.hint))
}

async fn read(mut response: Response) -> Result<Vec<u8>, AuthorityError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(AuthorityError::Unreachable { reason: "its answer is far too long".to_owned() });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreachable(error: &reqwest::Error) -> AuthorityError {
    AuthorityError::Unreachable { reason: with_causes(error) }
}
