//! How the HTTP floor asks for a test-load, from whoever runs them.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::rules::test_load::Wanted;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::TestLoads;

/// Most orders that wait.
const MAX_WAITING: usize = 4;

/// An order to load a release, with the channel to who gave it.
#[derive(Debug)]
pub struct TestOrder {
    pub manifest: Sha256Digest,
    pub package: PackageName,
    pub reply: oneshot::Sender<Result<(), Problem>>,
}

/// Where orders are given, and what is wanted.
#[derive(Debug, Clone)]
pub struct TestDesk {
    orders: mpsc::Sender<TestOrder>,
    configured: watch::Receiver<TestLoads>,
}

impl TestDesk {
    /// The desk, and where its orders arrive.
    #[must_use]
    pub fn open(configured: watch::Receiver<TestLoads>) -> (Self, mpsc::Receiver<TestOrder>) {
        let (orders, arriving) = mpsc::channel(MAX_WAITING);
        (Self { orders, configured }, arriving)
    }

    /// Whether releases of a package are loaded before one is approved, by the configuration as it is now.
    #[must_use]
    pub fn wanted(&self, package: &PackageName) -> Wanted {
        if self.configured.borrow().contains_key(package) { Wanted::TestLoad } else { Wanted::Nothing }
    }

    /// Has a release loaded now, and waits for that; what came of it stands in the ledger.
    ///
    /// # Errors
    /// Why it was not tried.
    pub async fn run(&self, manifest: Sha256Digest, package: PackageName) -> Result<(), Problem> {
        if self.wanted(&package) == Wanted::Nothing {
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!("no program is configured that loads {package} on this server"),
                format!("name one under [test_load.{package}] in distributor.toml"),
            ));
        }
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(TestOrder { manifest, package, reply }).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())?
    }
}

fn busy() -> Problem {
    Problem::new(
        ProblemCode::Busy,
        "the release is not loaded: others wait, or the server stops",
        "try again in a minute",
    )
}
