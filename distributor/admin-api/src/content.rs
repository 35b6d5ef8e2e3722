//! `/api/v1/content`: how old the signature files are that computers run.

use jiff::Timestamp;
use sealpost_manifests::ids::PackageName;
use sealpost_site::rules::content_age::Age;
use sealpost_site::rules::rollouts::groups::GroupName;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/content`. What a look at all computers found counts for some time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContentView {
    /// The server's license time.
    pub now: Timestamp,
    /// By package; of each first all computers, then its groups.
    pub content: Vec<ContentAge>,
}

/// How old the signature files of one package are, since they arrived at this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentAge {
    /// The package.
    pub package: PackageName,
    /// The group of these computers; all computers when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Computers that run a revision that arrived here.
    pub computers: u64,
    /// Computers that run one that never did.
    #[serde(default)]
    pub unknown: u64,
    /// The age that half of the computers do not exceed, in seconds.
    pub p50_secs: i64,
    /// The age that 95 of 100 do not exceed.
    pub p95_secs: i64,
    /// The age of the oldest.
    pub oldest_secs: i64,
}

impl From<Age> for ContentAge {
    fn from(age: Age) -> Self {
        let Age { package, group, computers, unknown, p50, p95, oldest } = age;
        Self {
            package,
            group,
            computers,
            unknown,
            p50_secs: p50.as_secs(),
            p95_secs: p95.as_secs(),
            oldest_secs: oldest.as_secs(),
        }
    }
}

/// A revision of a signature package that a computer runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsContent {
    /// The package.
    pub package: PackageName,
    /// When the revision arrived here.
    pub arrived_at: Timestamp,
    /// How old it is, in seconds.
    pub age_secs: i64,
}
