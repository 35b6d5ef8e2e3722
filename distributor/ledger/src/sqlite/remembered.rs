//! What the connection that writes has read and nothing changed since: the releases that go to clients, and how far rings are.
//! Contacts ask for both each time, and most contacts change neither. And how many seats of each serial number are held, which
//! each reservation asks for: to count them anew each time would make ten thousand reservations a hundred million rows.
//!
//! Invariant: only the writer remembers, because only it sees each change before anybody reads again. It forgets before a change
//! is applied unless the change is known to leave the rows alone, or to add one; and whenever something is undone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use sealpost_manifests::ids::SerialNumber;
use sealpost_site::changes::{Change, Note};
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::LiveRings;

use crate::store::StoreError;

/// As the module says.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    approved: RefCell<Option<Arc<Vec<KnownRelease>>>>,
    live: RefCell<Option<Arc<LiveRings>>>,
    used: RefCell<BTreeMap<SerialNumber, u32>>,
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

    /// How many names hold a seat of a serial number; `read` counts them.
    pub(super) fn used(
        &self,
        serial: &SerialNumber,
        read: impl FnOnce() -> rusqlite::Result<u32>,
    ) -> rusqlite::Result<u32> {
        if let Some(known) = self.used.borrow().get(serial) {
            return Ok(*known);
        }
        let found = read()?;
        self.used.borrow_mut().insert(serial.clone(), found);
        Ok(found)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.used.borrow_mut().clear();
        self.approved.replace(None);
        self.live.replace(None);
    }

    /// Forgets what a change may touch.
    pub(super) fn before_change(&self, change: &Change) {
        // A seat is never freed: nothing else adds or removes a row. A seat that cannot be taken is undone, and all is forgotten.
        if let Change::SeatReserved { serial, .. } = change
            && let Some(used) = self.used.borrow_mut().get_mut(serial)
        {
            *used = used.saturating_add(1);
        }
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
