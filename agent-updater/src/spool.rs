//! Reports that wait for a server: on disk with rising ids until they are acknowledged.
//!
//! Invariant: an id is never used twice, and only this computer counts: no server can raise an id. The spool is bounded;
//! when it is full, the oldest report is dropped and counted, since the newest ones say what the computer runs. After a
//! crash a step may be reported twice. Nothing is decided by reports, so a damaged spool is put aside and stops neither
//! installs nor a rollback.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_files::{PRIVATE, with_causes};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::contact::MAX_REPORTS;
use sealpost_manifests::wire::report::{
    InstallStep, MAX_DETAIL_BYTES, MAX_RING_BYTES, Outcome, ReasonCode, Report, TransferredBytes, Way,
};
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store::{self, StoreError};

/// Upper bound on waiting reports.
const MAX_WAITING: usize = 512;
/// Largest share of a contact that reports take, in bytes; a contact has at most 256 KiB.
const MAX_BATCH_BYTES: usize = 128 * 1024;
/// Highest id that ids begin anew above, in milliseconds since 1970: some thousand years from now, and half of what a
/// server accepts.
const HIGHEST_BEGINNING: u64 = 1 << 47;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    last_id: u64,
    dropped: u64,
    waiting: VecDeque<Report>,
}

/// What a report is about.
#[derive(Debug, Clone)]
pub struct Subject {
    pub release: ReleaseId,
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
    /// 0 when a person at the computer asked.
    pub rollout: u64,
    pub attempt: u32,
    /// The ring of the rollout.
    pub ring: Option<String>,
}

/// What was measured of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    pub way: Option<Way>,
    pub bytes: Option<TransferredBytes>,
    pub duration: Option<Duration>,
}

#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    content: Content,
    is_on_disk: bool,
}

impl Spool {
    /// Opens the spool of a home.
    ///
    /// # Errors
    /// [`StoreError`], also when it is damaged.
    pub fn open(home: &Home) -> Result<Self, StoreError> {
        let path = home.state("reports");
        let content = store::load(&path)?.unwrap_or_default();
        Ok(Self { path, content, is_on_disk: true })
    }

    /// Opens the spool; one that is damaged is put aside, and ids go on from the clock, far above those that it had. They
    /// go on above `acknowledged`, the highest that a server has, whatever became of the spool.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or not put aside.
    pub fn open_or_begin_anew(home: &Home, now: Timestamp, acknowledged: u64) -> Result<Self, StoreError> {
        let mut spool = match Self::open(home) {
            Err(
                error @ (StoreError::Damaged { .. }
                | StoreError::Foreign { .. }
                | StoreError::TooOld { .. }
                | StoreError::Newer { .. }),
            ) => {
                let path = home.state("reports");
                tracing::error!(
                    error = with_causes(&error),
                    "reports that the server has not seen are put aside"
                );
                store::put_aside(&path)?;
                let mut spool = Self { path, content: Content::default(), is_on_disk: false };
                spool.begin_above_clock(now);
                spool
            }
            other => other?,
        };
        spool.begin_above(acknowledged);
        Ok(spool)
    }

    /// Ids go on from the clock, far above those that were given before: for a computer that enrolls, whose server may
    /// have seen higher ones before its disk was restored.
    pub fn begin_above_clock(&mut self, now: Timestamp) {
        self.begin_above(u64::try_from(now.as_millisecond()).unwrap_or(0).min(HIGHEST_BEGINNING));
    }

    fn begin_above(&mut self, id: u64) {
        if id > self.content.last_id {
            self.content.last_id = id;
            self.is_on_disk = false;
        }
    }

    /// Adds a report; durable at return.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add(
        &mut self,
        at: Timestamp,
        about: &Subject,
        what: (InstallStep, Outcome, ReasonCode),
        detail: &str,
    ) -> Result<(), StoreError> {
        self.add_measured(at, about, what, detail, Measured::default())
    }

    /// As [`Spool::add`], with what was measured of the step.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_measured(
        &mut self,
        at: Timestamp,
        about: &Subject,
        (step, outcome, reason): (InstallStep, Outcome, ReasonCode),
        detail: &str,
        measured: Measured,
    ) -> Result<(), StoreError> {
        let mut cut = detail.len().min(MAX_DETAIL_BYTES);
        while !detail.is_char_boundary(cut) {
            cut -= 1;
        }
        self.content.last_id = self.content.last_id.saturating_add(1);
        self.content.waiting.push_back(Report {
            id: self.content.last_id,
            at,
            release: about.release.clone(),
            manifest: about.manifest,
            rollout: about.rollout,
            attempt: about.attempt,
            step,
            outcome,
            reason,
            detail: detail[..cut].to_owned(),
            // A server refuses a contact with a longer one.
            ring: about.ring.clone().filter(|ring| ring.len() <= MAX_RING_BYTES),
            way: measured.way,
            bytes: measured.bytes,
            duration_ms: measured.duration.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        });
        while self.content.waiting.len() > MAX_WAITING {
            self.content.waiting.pop_front();
            self.content.dropped = self.content.dropped.saturating_add(1);
        }
        self.save()
    }

    /// The highest id that was given.
    #[must_use]
    pub const fn last_id(&self) -> u64 {
        self.content.last_id
    }

    /// The oldest reports above an id, as many as go into one contact.
    #[must_use]
    pub fn batch(&self, above: u64) -> Vec<Report> {
        let mut bytes = 0usize;
        self.content
            .waiting
            .iter()
            .filter(|report| report.id > above)
            .take(MAX_REPORTS)
            .take_while(|report| {
                // JSON needs at most six bytes for each byte of the detail; the rest of a report is under 1 KiB.
                bytes += 1_024 + report.detail.len() * 6;
                bytes <= MAX_BATCH_BYTES
            })
            .cloned()
            .collect()
    }

    /// Removes the reports that the server has stored. An id that was never given removes what waits, and nothing else.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledge(&mut self, up_to: u64) -> Result<(), StoreError> {
        let before = self.content.waiting.len();
        self.content.waiting.retain(|report| report.id > up_to);
        if before == self.content.waiting.len() { Ok(()) } else { self.save() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.content.waiting.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.waiting.is_empty()
    }

    /// Writes what could not be written before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.is_on_disk { Ok(()) } else { self.save() }
    }

    fn save(&mut self) -> Result<(), StoreError> {
        self.is_on_disk = false;
        store::save(&self.path, &self.content, PRIVATE)?;
        self.is_on_disk = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::version::Version;

    use super::*;

    fn about() -> (Subject, (InstallStep, Outcome, ReasonCode)) {
        let about = Subject {
            release: ReleaseId {
                package: PackageName::new("acme").unwrap(),
                version: Version::new("1").unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(b"m"),
            rollout: 1,
            attempt: 0,
            ring: None,
        };
        (about, (InstallStep::Check, Outcome::Ok, ReasonCode::Done))
    }

    fn add(spool: &mut Spool, detail: &str) {
        let (about, what) = about();
        spool.add(Timestamp::UNIX_EPOCH, &about, what, detail).unwrap();
    }

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        (folder, home)
    }

    #[test]
    fn reports_wait_across_restarts_until_they_are_acknowledged() {
        let (_folder, home) = home();
        let mut spool = Spool::open(&home).unwrap();
        add(&mut spool, "one");
        add(&mut spool, "two");
        let mut spool = Spool::open(&home).unwrap();
        assert_eq!(spool.batch(0).iter().map(|report| report.id).collect::<Vec<_>>(), [1, 2]);
        spool.acknowledge(1).unwrap();
        add(&mut spool, "three");
        let spool = Spool::open(&home).unwrap();
        assert_eq!(spool.batch(0).iter().map(|report| report.id).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn the_spool_and_its_batches_are_bounded() {
        let (_folder, home) = home();
        let mut spool = Spool::open(&home).unwrap();
        add(&mut spool, &"ü".repeat(3_000));
        // As many as the spool holds, by one write.
        let one = spool.content.waiting[0].clone();
        let many = (1u64..).map(|id| Report { id, ..one.clone() }).take(MAX_WAITING - 5);
        spool.content = Content { last_id: MAX_WAITING as u64 - 5, dropped: 0, waiting: many.collect() };
        for _ in 0..15 {
            add(&mut spool, &"ü".repeat(3_000));
        }
        assert_eq!((spool.content.dropped, spool.content.waiting[0].id), (10, 11), "the oldest go");
        let spool = Spool::open(&home).unwrap();
        assert_eq!(spool.len(), MAX_WAITING);
        assert!(spool.batch(0).iter().all(|report| report.detail.len() <= MAX_DETAIL_BYTES));
        assert!(serde_json::to_string(&spool.batch(0)).unwrap().len() <= 256 * 1024);
        assert!(!spool.batch(0).is_empty());
    }

    #[test]
    fn what_was_measured_is_sent_and_a_ring_that_no_server_takes_is_left_out() {
        let (_folder, home) = home();
        let mut spool = Spool::open(&home).unwrap();
        let (about, what) = about();
        let bytes = TransferredBytes { metadata: 1, manifest: 2, payload: 3 };
        let duration = Some(Duration::from_millis(1_500));
        let measured = Measured { way: Some(Way::Delta), bytes: Some(bytes), duration };
        for ring in ["pilot".to_owned(), "r".repeat(MAX_RING_BYTES + 1)] {
            let about = Subject { ring: Some(ring), ..about.clone() };
            spool.add_measured(Timestamp::UNIX_EPOCH, &about, what, "", measured).unwrap();
        }
        let reports = Spool::open(&home).unwrap().batch(0);
        assert_eq!(
            reports.iter().map(|report| report.ring.as_deref()).collect::<Vec<_>>(),
            [Some("pilot"), None]
        );
        for report in reports {
            let told = (report.way, report.bytes, report.duration_ms);
            assert_eq!(told, (Some(Way::Delta), Some(bytes), Some(1_500)));
        }
    }

    #[test]
    fn the_record_keeps_its_form() {
        let digest = Sha256Digest::of(b"m");
        let golden = format!(
            r#"{{"last_id":7,"dropped":2,"waiting":[{{"id":7,"at":"2026-01-01T00:00:00Z","release":{{"package":"acme","version":"1","platform":"any"}},"manifest":"{digest}","rollout":1,"attempt":0,"step":"check","outcome":"refused","reason":"action_unknown","detail":"why"}}]}}"#
        );
        let content: Content = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&content).unwrap(), golden);
    }

    #[test]
    fn no_acknowledgement_raises_an_id() {
        let (_folder, home) = home();
        let mut spool = Spool::open(&home).unwrap();
        add(&mut spool, "one");
        for claimed in [70, 1 << 62, u64::MAX] {
            spool.acknowledge(claimed).unwrap();
            assert!(spool.is_empty());
        }
        add(&mut spool, "two");
        assert_eq!(spool.batch(0)[0].id, 2);
    }

    #[test]
    fn ids_go_on_above_what_a_server_has_and_above_the_clock_of_an_enrollment() {
        let (_folder, home) = home();
        let now: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        let mut spool = Spool::open_or_begin_anew(&home, now, 70).unwrap();
        add(&mut spool, "one");
        assert_eq!(spool.batch(70)[0].id, 71);
        spool.begin_above_clock(now);
        spool.flush().unwrap();
        let mut spool = Spool::open_or_begin_anew(&home, now, 70).unwrap();
        add(&mut spool, "two");
        assert_eq!(spool.batch(71)[0].id, u64::try_from(now.as_millisecond()).unwrap() + 1);
        spool.begin_above_clock(Timestamp::MAX);
        assert!(spool.last_id() < 1 << 48, "a server takes no id from there on");
        spool.begin_above_clock(Timestamp::UNIX_EPOCH);
        assert!(spool.last_id() > 1_000_000, "and a clock that was reset takes none back");
    }

    #[test]
    fn the_record_has_its_frozen_form() {
        let (_folder, home) = home();
        let mut spool = Spool::open(&home).unwrap();
        spool.content.last_id = 40;
        spool.content.dropped = 3;
        add(&mut spool, "cafe\u{301} \u{7}\"");
        let (about, _) = about();
        let what = (InstallStep::TestLoad, Outcome::Failed, ReasonCode::HookFailed);
        spool.add("2026-11-20T08:00:00.123456Z".parse().unwrap(), &about, what, "").unwrap();
        let golden = include_bytes!("../tests/golden/reports.v3.json");
        let written = std::fs::read(home.state("reports")).unwrap();
        assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(golden));
        sealpost_files::replace(&home.state("reports"), golden, PRIVATE).unwrap();
        let read = Spool::open(&home).unwrap();
        assert_eq!((read.last_id(), read.content.dropped, read.len()), (42, 3, 2));
        assert_eq!(read.batch(40), spool.batch(40));
    }

    #[test]
    fn a_damaged_spool_is_put_aside_and_its_ids_are_not_used_again() {
        let (_folder, home) = home();
        add(&mut Spool::open(&home).unwrap(), "one");
        std::fs::write(home.state("reports"), b"sealpost-record 3 2 00\n{}").unwrap();
        assert!(Spool::open(&home).is_err());
        let now: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        let mut spool = Spool::open_or_begin_anew(&home, now, 0).unwrap();
        add(&mut spool, "two");
        assert!(spool.batch(0)[0].id > 1_000_000);
        assert_eq!(Spool::open_or_begin_anew(&home, now, 0).unwrap().len(), 1);
        assert_eq!(std::fs::read(home.state("reports.damaged")).unwrap().len(), 25);
    }

    #[test]
    fn a_report_that_could_not_be_written_is_written_by_the_next_flush() {
        let (_folder, home) = home();
        let mut spool = Spool::open(&home).unwrap();
        // A folder in the place of the file.
        let in_the_way = home.state("reports");
        std::fs::create_dir(&in_the_way).unwrap();
        let (about, what) = about();
        assert!(spool.add(Timestamp::UNIX_EPOCH, &about, what, "one").is_err());
        std::fs::remove_dir(&in_the_way).unwrap();
        spool.flush().unwrap();
        assert_eq!(Spool::open(&home).unwrap().len(), 1);
    }
}
