//! Whether a Primary Server of this computer can be reached, as the watchdog sees it: over TLS, with the pin, and without
//! any contact of its own, which would take the nonces from the program that it watches.
//!
//! Invariant: it asks by every way by which a contact would: the server may have moved since this computer was set up, and
//! a program on trial that cannot contact it would else never be given back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use sealpost_files::with_causes;
use tokio::time::Instant;

use crate::flows::context::{Context, Host};
use crate::flows::ways::ways;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::server::{Connections, Endpoint};

use super::blocking::on_disk;
use super::error::LaunchError;

/// Longest wait for one address.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many are asked at once: a list may begin with many that lead nowhere.
const AT_ONCE: usize = 8;
/// How long the addresses of one look at the records are used: reading them verifies signatures, and they change seldom.
const USED_FOR: Duration = Duration::from_secs(60);

/// Where the server is looked for.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) known: Known,
    read_at: Option<Instant>,
}

/// What the records say of the server's addresses.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Every address, in the order of a contact; none if the records do not say.
    pub(super) endpoints: Vec<Endpoint>,
    /// Why these are not all.
    pub(super) problem: Option<String>,
}

impl Reach {
    /// Reads the records again, if that is due.
    ///
    /// # Errors
    /// [`LaunchError::Panicked`].
    pub(super) async fn renew(&mut self, context: &Arc<Context>) -> Result<(), LaunchError> {
        if self.read_at.is_some_and(|at| at.elapsed() < USED_FOR) {
            return Ok(());
        }
        let known = on_disk(context, known).await?;
        if let Some(problem) = known.problem.as_ref().filter(|_| known.problem != self.known.problem) {
            tracing::warn!("not every address of the server is asked: {problem}");
        }
        (self.known, self.read_at) = (known, Some(Instant::now()));
        Ok(())
    }

    /// Whether an address answers and is healthy.
    pub(super) async fn is_reachable(&self) -> bool {
        let asked = stream::iter(self.known.endpoints.clone()).map(is_healthy).buffer_unordered(AT_ONCE);
        let mut healthy = asked.filter(|is_healthy| std::future::ready(*is_healthy)).boxed();
        healthy.next().await.is_some()
    }
}

async fn is_healthy(endpoint: Endpoint) -> bool {
    let asked = endpoint.client().get(format!("{}/healthz", endpoint.address())).timeout(TIMEOUT).send();
    asked.await.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

/// What the records of this computer say now.
pub(super) fn known(host: &Host) -> Known {
    let progress = match Progress::load(&host.home) {
        Ok(progress) => progress,
        Err(error) => return Known { endpoints: Vec::new(), problem: Some(with_causes(&error)) },
    };
    let (endpoints, problem) = match Holdings::load(&host.home, &progress, host.now()) {
        Ok(holdings) => match ways(host, &Connections::default(), &holdings, &progress) {
            Ok(ways) => (Some(ways.into_iter().map(|way| way.endpoint).collect()), None),
            Err(error) => (None, Some(with_causes(&error))),
        },
        // The program on trial may have spoiled what a contact needs; that must not keep it.
        Err(error) => (of_setup_file(host, &progress), Some(with_causes(&error))),
    };
    Known { endpoints: endpoints.unwrap_or_default(), problem }
}

fn of_setup_file(host: &Host, progress: &Progress) -> Option<Vec<Endpoint>> {
    let enrollment = ServerRecords::of(&host.home, progress.authority()?).enrollment().ok()??;
    let times = host.tls_times(enrollment.setup_issued_at, &progress.computer.floors);
    Endpoint::of_server(&enrollment.server, &times).ok()
}
