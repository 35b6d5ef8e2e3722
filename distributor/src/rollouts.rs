//! Lets rollouts go on: after each report, after whatever a person decides, and each minute.
//!
//! A reconciler: it reads where rollouts stand, does what is due, and forgets. What it counts itself is the time in which the
//! server ran, by a clock that nobody sets; a soak that was counted is noted in the ledger. A look at all computers is taken
//! only when a rollout waits for one, and counts for some minutes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use sealpost_files::with_causes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::commands::rollouts::{AdvanceRollouts, Advanced, Place};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{MAX_PAGE, Rollouts};
use sealpost_site::rules::rollouts::progress::{Population, Waiting};
use tokio::time::timeout;

use crate::ports::clock::Clock;

/// Rollouts are looked at this often when nothing happens.
const ROUND: Duration = Duration::from_secs(60);
/// Several commits that come together are one round.
const TOGETHER: Duration = Duration::from_millis(100);
/// What a look at all computers found counts for so long.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// Lets rollouts go on until the ledger closes.
pub async fn keep(ledger: Arc<Ledger>, clock: Arc<dyn Clock>) {
    let mut commits = ledger.subscribe();
    let mut rounds = Rounds::default();
    loop {
        // Everything up to here is seen by this round.
        let _ = *commits.borrow_and_update();
        match rounds.round(&ledger, &*clock).await {
            Ok(()) => {}
            Err(LedgerError::Closed) => return,
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "rollouts could not go on; it is tried again in a minute"
                );
            }
        }
        match timeout(rounds.wait(), commits.changed()).await {
            Ok(Err(_)) => return,
            Ok(Ok(())) => tokio::time::sleep(TOGETHER).await,
            Err(_) => {}
        }
    }
}

/// What one process knows of the rollouts that it lets go on.
#[derive(Debug, Default)]
struct Rounds {
    /// When the last round was.
    last: Option<Instant>,
    /// Since when each rollout has been watched.
    watched: BTreeMap<u64, Instant>,
    /// What a look at all computers found for a rollout.
    looked: BTreeMap<u64, Looked>,
    /// What rollouts waited for in the last round.
    waiting: BTreeMap<u64, Waiting>,
    /// How far silent computers of each rollout were looked for.
    looked_to: BTreeMap<u64, Place>,
}

/// What a look at all computers found for one rollout.
#[derive(Debug)]
struct Looked {
    at: Instant,
    /// What it found of each ring.
    populations: Vec<Population>,
}

impl Rounds {
    /// How long nothing has to be done: until the next soak ends, at most a minute, and longer where no rollout is live.
    fn wait(&self) -> Duration {
        let soaks = self.waiting.values().filter_map(|waiting| match waiting {
            Waiting::Soak { left, .. } => Duration::try_from(*left).ok(),
            _ => None,
        });
        soaks.min().map_or(ROUND, |left| left.min(ROUND)).max(Duration::from_millis(20))
    }

    async fn round(&mut self, ledger: &Ledger, clock: &dyn Clock) -> Result<(), LedgerError> {
        let now = Instant::now();
        let plan = ledger.query(LoadPlan {}).await?;
        if !plan.rollouts.iter().any(|rollout| rollout.state.is_live()) {
            *self = Self::default();
            return Ok(());
        }
        let elapsed = self.last.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last));
        self.looked.retain(|_, looked| now.duration_since(looked.at) < LOOK_AGAIN);
        let mut advanced = self.advance(ledger, clock, elapsed).await?;
        let wants = |number: &u64| advanced.waiting.get(number) == Some(&Waiting::Survey);
        if advanced.waiting.keys().any(wants) {
            let mut rollouts = ledger.query(Rollouts { before: None, open: true, limit: MAX_PAGE }).await?;
            rollouts.retain(|rollout| wants(&rollout.number));
            let found = ledger.survey(&plan, &rollouts, clock.now()).await?;
            let found =
                found.into_iter().map(|(number, populations)| (number, Looked { at: now, populations }));
            self.looked.extend(found);
            advanced = self.advance(ledger, clock, Duration::ZERO).await?;
        }
        for number in &advanced.halted {
            tracing::warn!(rollout = number, "a rollout halted by itself: too many computers failed");
        }
        self.watched.retain(|number, _| advanced.waiting.contains_key(number));
        // Whether a further ring has any computer is asked anew: some may have come since.
        self.looked.retain(|number, _| !advanced.opened && advanced.waiting.contains_key(number));
        for number in advanced.waiting.keys() {
            self.watched.entry(*number).or_insert(now);
        }
        (self.waiting, self.looked_to) = (advanced.waiting, advanced.looked_to);
        Ok(())
    }

    async fn advance(
        &self,
        ledger: &Ledger,
        clock: &dyn Clock,
        elapsed: Duration,
    ) -> Result<Advanced, LedgerError> {
        let now = clock.now();
        let since =
            |since: &Instant| SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
        let watched = self.watched.iter().map(|(number, at)| (*number, since(at))).collect();
        let looked = self.looked.iter();
        let populations = looked.map(|(number, looked)| (*number, looked.populations.clone())).collect();
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::ZERO);
        let after = self.looked_to.clone();
        ledger.execute(now, AdvanceRollouts { now, elapsed, populations, watched, after }).await
    }
}
