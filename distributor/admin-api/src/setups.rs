//! `/api/v1/setups`: setup files for many computers, and where those that were issued stand.

use jiff::Timestamp;
use sealpost_manifests::ids::{ComputerName, Platform, ServerId};
use sealpost_manifests::setup::ServerRole;
use sealpost_manifests::wire::problem::Problem;
use sealpost_site::rows::SetupRow;
use sealpost_site::rules::setups::CodeState;
use serde::{Deserialize, Serialize};

/// The header of an answer with an install file that says the site's key, by which its signature is checked.
pub const SITE_KEY_HEADER: &str = "sealpost-site-key";
/// The header of such an answer that says after when its code is accepted no more.
pub const EXPIRES_HEADER: &str = "sealpost-code-expires";
/// The header of such an answer that is there if a code of before that nobody had used is void now.
pub const VOIDS_HEADER: &str = "sealpost-voids";
/// Most rows of one page.
pub const MAX_SETUPS: u32 = 1_000;

/// `POST /api/v1/clients/{name}/setup`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SetupRequest {
    /// Days for which the enrollment code is good; 7 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_days: Option<u16>,
    /// The part that this server plays for the computer; primary when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ServerRole>,
}

/// `POST /api/v1/clients/{name}/installer`. The answer is the four lines of a minisign signature, and then the install file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InstallerRequest {
    /// The computer's platform; may be absent where agents for one platform only are approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Days for which the enrollment code is good; 7 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_days: Option<u16>,
    /// The part that this server plays for the computer; primary when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ServerRole>,
    /// The server of the install file that the caller has in its place: that of another server is not replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_of: Option<ServerId>,
    /// The install file waits until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The text of an `agent.toml` that it brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Hooks that it brings, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookFile>,
}

/// A hook that an install file brings, a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookFile {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// `POST /api/v1/setups`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SetupsRequest {
    /// For whom, at most 100.
    #[serde(default)]
    pub wanted: Vec<SetupWanted>,
    /// Days for which the enrollment codes are good; 7 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_days: Option<u16>,
    /// The part that this server plays for the computers; primary when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ServerRole>,
    /// Whether computers that are enrolled get one too, to enroll again.
    #[serde(default)]
    pub again: bool,
    /// The pool of floating seats for a file that many computers use, which come and go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<String>,
}

/// A setup file that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupWanted {
    /// The computer's name.
    pub name: ComputerName,
    /// The file that the caller has for it: no new one is issued if that one is good, or another server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has: Option<HasSetup>,
}

/// A setup file that the caller has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HasSetup {
    /// Whose it is.
    pub server: ServerId,
    /// The end of its code, if it would serve as well as a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What became of the names, in the order in which they came. It holds secrets: the codes.
#[derive(Clone, Serialize, Deserialize)]
pub struct SetupsIssued {
    /// One for each.
    pub answers: Vec<SetupAnswer>,
    /// What is to be known before the files are carried around.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// What became of one name. Not `Debug`: it holds a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SetupAnswer {
    /// A setup file was issued; those of before are void.
    Issued {
        /// As the name holds its seat.
        name: ComputerName,
        /// The text of the file, which is written for its owner alone.
        setup: String,
        /// After it the code is accepted no more.
        expires_at: Timestamp,
        /// Whether one of before that nobody had used is void now.
        #[serde(default)]
        voids: bool,
    },
    /// The file that the caller has is good.
    Good {
        /// As the name holds its seat.
        name: ComputerName,
        /// After it the code is accepted no more.
        expires_at: Timestamp,
    },
    /// A computer of this name is enrolled, so none was issued.
    Enrolled {
        /// As the name holds its seat.
        name: ComputerName,
    },
    /// None was issued.
    Refused {
        /// As it was typed.
        name: ComputerName,
        /// Why.
        problem: Problem,
    },
}

/// The query of `GET /api/v1/setups`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SetupsQuery {
    /// Only those that stand so.
    pub state: Option<CodeState>,
    /// Only after this name.
    pub after: Option<ComputerName>,
    /// Most rows, at most [`MAX_SETUPS`].
    pub limit: Option<u32>,
}

/// A page of the newest setup files, by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetupsPage {
    /// The rows.
    pub setups: Vec<SetupLine>,
    /// The name to go on after; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ComputerName>,
}

/// The newest setup file of a name. Its code is told once, when it is issued, and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupLine {
    /// For which name.
    pub name: ComputerName,
    /// Where it stands.
    pub state: CodeState,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// After it the code is accepted no more.
    pub expires_at: Timestamp,
}

impl SetupLine {
    /// A row as it is told at `now`.
    #[must_use]
    pub fn new(row: SetupRow, now: Timestamp) -> Self {
        let SetupRow { name, issued_at, expires_at, used } = row;
        Self { name, state: CodeState::of(used, expires_at, now), issued_at, expires_at }
    }
}
