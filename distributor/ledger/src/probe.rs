//! Writes that are made to find out whether the ledger can be written: only a write tells, and waiting repairs no disk.
//!
//! Invariant: between two of them lies some time, however many ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sealpost_site::changes::Note;
use tokio::sync::oneshot;

use crate::error::LedgerError;
use crate::job::{Job, Transaction, WriteError};
use crate::store::StoreError;

/// How long it is believed that the ledger can be written.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long it is believed that it cannot: shorter, so that it is soon known when somebody made room.
const BAD_FOR: Duration = Duration::from_secs(1);

/// What such a write found.
pub(crate) struct Probe {
    at: Instant,
    found: Result<(), Arc<LedgerError>>,
}

impl Probe {
    /// What has just been found.
    pub(crate) fn now(found: Result<(), LedgerError>) -> Self {
        Self { at: Instant::now(), found: found.map_err(Arc::new) }
    }

    /// Whether it still counts; `failed_since` is whether the last write of all failed.
    pub(crate) fn is_good(&self, failed_since: bool) -> bool {
        match self.found {
            Ok(()) => !failed_since && self.at.elapsed() < GOOD_FOR,
            Err(_) => self.at.elapsed() < BAD_FOR,
        }
    }

    pub(crate) fn answer(&self) -> Result<(), LedgerError> {
        match &self.found {
            Ok(()) => Ok(()),
            Err(error) if matches!(**error, LedgerError::Closed) => Err(LedgerError::Closed),
            Err(error) => Err(LedgerError::Failed {
                attempted: "be written a moment ago",
                source: Box::new(Arc::clone(error)),
            }),
        }
    }
}

/// Writes what is there already, to find out whether the disk accepts writes again.
pub(crate) struct ProbeWrite {
    outcome: Result<(), LedgerError>,
    reply: oneshot::Sender<Result<(), LedgerError>>,
}

impl ProbeWrite {
    const ATTEMPTED: &'static str = "write to its disk";

    pub(crate) const fn new(reply: oneshot::Sender<Result<(), LedgerError>>) -> Self {
        Self { outcome: Ok(()), reply }
    }
}

impl Job for ProbeWrite {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let floor = transaction.time.floor();
        transaction.write(Vec::new(), vec![Note::TimeFloor { floor }])
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Err(LedgerError::failed(Self::ATTEMPTED, error));
    }

    fn answer(self: Box<Self>, committed: Result<(), &Arc<StoreError>>) {
        let answer = committed
            .map_err(|error| LedgerError::Failed {
                attempted: Self::ATTEMPTED,
                source: Box::new(Arc::clone(error)),
            })
            .and(self.outcome);
        let _ = self.reply.send(answer);
    }
}
