//! The server compares its ledger's tables with its log by itself: some minutes after the start, and then every so many
//! hours. So an edit of the database is told without anybody asking for it.
//!
//! Invariant: one comparison at a time, beside the writing server and behind everything else; a finding is an urgent problem
//! until a comparison finds nothing. Left out on purpose: an entry of the log. Whoever edits the database would write the
//! log too; what a finding says is in `status`, the metrics and the server's own log.

use std::sync::Arc;
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_ledger::Ledger;

use crate::ports::clock::Clock;

/// A start is the busiest time: every computer comes back.
const AFTER_START: Duration = Duration::from_secs(5 * 60);

/// Compares for as long as it is run.
pub async fn keep(ledger: Arc<Ledger>, clock: Arc<dyn Clock>, every: Duration) {
    tokio::time::sleep(AFTER_START).await;
    loop {
        match ledger.check_itself(clock.now()).await {
            Ok(edits) if edits.damage.is_some() || edits.differing > 0 => tracing::error!(
                damage = edits.damage,
                differing = edits.differing,
                first = edits.first,
                "the ledger was edited; run `distributor log verify`"
            ),
            Ok(edits) if edits.skipped.is_some() => {
                tracing::error!(why = edits.skipped, "the tables could not all be compared with the log");
            }
            Ok(_) => tracing::debug!("the tables are as the log says"),
            Err(error) => {
                tracing::error!(error = with_causes(&error), "the tables could not be compared with the log");
            }
        }
        tokio::time::sleep(every).await;
    }
}
