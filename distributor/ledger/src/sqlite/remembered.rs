//! What the connection that writes has read and nothing changed since: the releases that go to clients, and how far rings are.
//! Contacts ask for both each time, and most contacts change neither.
//!
//! Invariant: only the writer remembers, because only it sees each change before anybody reads again. It forgets before a change
//! is applied unless the change is known to leave the rows alone, and whenever something is undone.

use std::cell::RefCell;
use std::sync::Arc;

use sealpost_site::changes::{Change, Note};
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::LiveRings;

use crate::store::StoreError;

/// As the module says.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    approved: RefCell<Option<Arc<Vec<KnownRelease>>>>,
    live: RefCell<Option<Arc<LiveRings>>>,
}

impl Remembered {
    /// The approved releases; `read` reads them.
    pub(super) fn approved(
        &self,
        read: impl FnOnce() -> Result<Vec<KnownRelease>, StoreError>,
    ) -> Result<Arc<Vec<KnownRelease>>, StoreError> {
        remember(&self.approved, read)
    }

    /// The rings of live rollouts; `read` reads them.
    pub(super) fn live(
        &self,
        read: impl FnOnce() -> Result<LiveRings, StoreError>,
    ) -> Result<Arc<LiveRings>, StoreError> {
        remember(&self.live, read)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.approved.replace(None);
        self.live.replace(None);
    }

    /// Forgets what a change may touch.
    pub(super) fn before_change(&self, change: &Change) {
        if !leaves_releases(change) {
            self.approved.replace(None);
        }
        if !leaves_rings(change) {
            self.live.replace(None);
        }
    }

    /// Forgets what a note may touch: no note is about releases.
    pub(super) fn before_note(&self, note: &Note) {
        let leaves = matches!(
            note,
            Note::ContactAnswered { .. }
                | Note::ClientSeen { .. }
                | Note::LeaseSent { .. }
                | Note::AssignmentSent { .. }
        );
        if !leaves {
            self.live.replace(None);
        }
    }
}

fn remember<T>(
    known: &RefCell<Option<Arc<T>>>,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<Arc<T>, StoreError> {
    if let Some(known) = known.borrow().as_ref() {
        return Ok(Arc::clone(known));
    }
    let found = Arc::new(read()?);
    known.replace(Some(Arc::clone(&found)));
    Ok(found)
}

/// Whether a change writes no row of a release: what contacts bring is about computers.
const fn leaves_releases(change: &Change) -> bool {
    matches!(
        change,
        Change::LeaseIssued { .. }
            | Change::AssignmentChanged { .. }
            | Change::StepReported { .. }
            | Change::DeliveriesChanged { .. }
            | Change::DriftReported { .. }
            | Change::SeatReserved { .. }
            | Change::SetupIssued { .. }
            | Change::ClientEnrolled { .. }
    )
}

/// Whether a change writes no row of a ring: what says nothing of a rollout.
const fn leaves_rings(change: &Change) -> bool {
    matches!(
        change,
        Change::LeaseIssued { .. }
            | Change::DriftReported { .. }
            | Change::StepReported { delivery: None, .. }
            | Change::SeatReserved { .. }
            | Change::SetupIssued { .. }
    )
}
