//! How old the signature files are that computers run, as a look at all computers found it.
//!
//! Invariant: looks take at most a hundredth of the time, however often somebody asks, and no contact looks. Ages are those of
//! the moment at which they are asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sealpost_admin_api::content::{ContentAge, RunsContent};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{MAX_PAGE, Recipients, Revisions};
use sealpost_site::rows::{RecipientRow, RevisionRow};
use sealpost_site::rules::content_age::Contents;
use tokio::sync::Mutex;

/// What was found counts for so many times as long as the look took: a site of a hundred computers is looked at whenever
/// somebody asks, one of a hundred thousand once in some minutes.
const COUNTS_FOR: u32 = 100;
/// And no longer than this.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// What the last look found, and until when it counts. Who asks while somebody looks waits for the same look.
#[derive(Debug, Default)]
pub(crate) struct ContentLook(Mutex<Option<(Instant, Arc<Contents>)>>);

impl ContentLook {
    /// How old they are at this time.
    pub(crate) async fn ages(&self, ledger: &Ledger, now: Timestamp) -> Result<Vec<ContentAge>, LedgerError> {
        Ok(self.look(ledger).await?.ages(now).into_iter().map(ContentAge::from).collect())
    }

    /// What a look finds, now or minutes ago.
    pub(crate) async fn look(&self, ledger: &Ledger) -> Result<Arc<Contents>, LedgerError> {
        let mut last = self.0.lock().await;
        let begun = Instant::now();
        if let Some((until, found)) = &*last
            && begun < *until
        {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(look_now(ledger).await?);
        let counts = begun.elapsed().saturating_mul(COUNTS_FOR).min(LOOK_AGAIN);
        *last = Some((Instant::now() + counts, Arc::clone(&found)));
        Ok(found)
    }
}

/// How old those are that one computer runs.
pub(crate) fn of(contents: &Contents, installed: &[InstalledPackage], now: Timestamp) -> Vec<RunsContent> {
    let runs = installed.iter().filter(|runs| runs.kind == PackageKind::Signatures);
    let known = runs.filter_map(|runs| {
        let arrived_at = contents.arrived(&runs.manifest)?;
        let age_secs = now.duration_since(arrived_at).as_secs().max(0);
        Some(RunsContent { package: runs.package().clone(), arrived_at, age_secs })
    });
    known.collect()
}

async fn look_now(ledger: &Ledger) -> Result<Contents, LedgerError> {
    let mut found = Contents::default();
    let page = |after| Revisions { after, limit: MAX_PAGE };
    let mut any = false;
    let each = |row: RevisionRow| {
        any = true;
        found.revision(&row);
    };
    ledger.each(page, |row| row.manifest, each).await?;
    if !any {
        return Ok(found);
    }
    let plan = ledger.query(LoadPlan {}).await?;
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    let each = |row: RecipientRow| {
        found.computer(&row.installed, &row.groups_in(&plan, &row.listed));
    };
    ledger.each(page, |row| row.name.clone(), each).await?;
    Ok(found)
}
