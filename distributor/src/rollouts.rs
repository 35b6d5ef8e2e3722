//! Lets rollouts go on: after each report, after whatever a person decides, and each minute.
//!
//! A reconciler: it reads where rollouts stand, does what is due, and forgets. What it counts itself is the time in which the
//! server ran, by a clock that nobody sets; a soak that was counted is noted in the ledger. A look at all computers is taken
//! only when a rollout waits for one, and at most every so often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use sealpost_files::with_causes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::commands::rollouts::{AdvanceRollouts, Advanced};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{MAX_PAGE, Recipients, Rollouts};
use sealpost_site::rules::rollouts::progress::{Population, Waiting};
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::rollouts::survey::Survey;
use tokio::time::timeout;

use crate::ports::clock::Clock;

/// Rollouts are looked at this often when nothing happens.
const ROUND: Duration = Duration::from_secs(60);
/// Several commits that come together are one round.
const TOGETHER: Duration = Duration::from_millis(100);
/// A rollout that waits for its computers has all of them looked at again after this.
const SURVEY_AGAIN: Duration = Duration::from_secs(600);

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
    /// When all computers were looked at for a rollout, in vain.
    surveyed: BTreeMap<u64, Instant>,
    /// What rollouts waited for in the last round.
    waiting: BTreeMap<u64, Waiting>,
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
        let live = ledger.query(Rollouts { before: None, open: true, limit: 1 }).await?;
        if live.is_empty() {
            *self = Self::default();
            return Ok(());
        }
        let elapsed = self.last.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last));
        let mut advanced = self.advance(ledger, clock, elapsed, BTreeMap::new()).await?;
        let wants = self.wants_survey(&advanced, now);
        if !wants.is_empty() {
            let populations = survey(ledger, clock, &wants).await?;
            advanced = self.advance(ledger, clock, Duration::ZERO, populations).await?;
            for number in wants {
                self.surveyed.insert(number, now);
            }
        }
        for number in &advanced.halted {
            tracing::warn!(rollout = number, "a rollout halted by itself: too many computers failed");
        }
        self.watched.retain(|number, _| advanced.waiting.contains_key(number));
        self.surveyed.retain(|number, _| advanced.waiting.contains_key(number));
        for number in advanced.waiting.keys() {
            self.watched.entry(*number).or_insert(now);
        }
        self.waiting = advanced.waiting;
        Ok(())
    }

    async fn advance(
        &self,
        ledger: &Ledger,
        clock: &dyn Clock,
        elapsed: Duration,
        populations: BTreeMap<u64, Vec<Population>>,
    ) -> Result<Advanced, LedgerError> {
        let now = clock.now();
        let since =
            |since: &Instant| SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
        let watched = self.watched.iter().map(|(number, at)| (*number, since(at))).collect();
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::ZERO);
        ledger.execute(now, AdvanceRollouts { now, elapsed, populations, watched }).await
    }

    /// The rollouts for which all computers have to be looked at now.
    fn wants_survey(&self, advanced: &Advanced, now: Instant) -> Vec<u64> {
        let is_due =
            |number: &u64| self.surveyed.get(number).is_none_or(|at| now.duration_since(*at) >= SURVEY_AGAIN);
        // A ring that opened since the last look is another question.
        let moved = |number: &u64, waiting: &Waiting| {
            self.waiting
                .get(number)
                .is_none_or(|before| std::mem::discriminant(before) != std::mem::discriminant(waiting))
        };
        let wants = advanced.waiting.iter().filter(|(number, waiting)| {
            **waiting == Waiting::Survey && (is_due(number) || moved(number, waiting))
        });
        wants.map(|(number, _)| *number).collect()
    }
}

/// Looks at all computers for these rollouts.
pub(crate) async fn survey(
    ledger: &Ledger,
    clock: &dyn Clock,
    numbers: &[u64],
) -> Result<BTreeMap<u64, Vec<Population>>, LedgerError> {
    let plan = ledger.query(LoadPlan {}).await?;
    let mut rollouts = ledger.query(Rollouts { before: None, open: true, limit: MAX_PAGE }).await?;
    rollouts.retain(|rollout| numbers.contains(&rollout.number));
    let mut survey = Survey::new(&plan, &rollouts, Salt::of(&ledger.server_id()), clock.now());
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), |row| survey.add(&row)).await?;
    Ok(survey.finish())
}
