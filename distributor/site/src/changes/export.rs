//! The check of what an exported log says, one entry after the other. That the entries are those under a signed head is
//! the file's own part, see [`ExportReader`](sealpost_manifests::log::ExportReader).
//!
//! Invariant: the first entry binds the log to its server, and the sequence numbers follow each other from 1.

use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::LogHead;

use super::activity::Change;
use super::chain::{LogCheck, LogDamage, ReadEntry, Witnessed, read};
use super::tables::TablesCheck;

/// The check of an exported log.
#[derive(Debug)]
pub struct ExportCheck {
    server_id: ServerId,
    /// Heads that others hold, the smallest at the end.
    witnessed: Witnessed,
    entries: u64,
    newer: u64,
    damage: Option<LogDamage>,
}

impl ExportCheck {
    /// `server_id` is whose log it should be; `witnessed` are heads that the log must have had.
    #[must_use]
    pub fn new(server_id: ServerId, witnessed: Vec<LogHead>) -> Self {
        Self { server_id, witnessed: Witnessed::new(witnessed), entries: 0, newer: 0, damage: None }
    }

    /// Looks at the next entry; `head` is that of the log up to it. The first damage is kept.
    pub fn next(&mut self, bytes: &[u8], head: LogHead) {
        self.entries += 1;
        if self.damage.is_some() {
            return;
        }
        let what = self.entry_damage(bytes).or_else(|| self.witnessed.differs(head));
        self.damage = what.map(|what| LogDamage { sequence: self.entries, what });
    }

    /// The result; `head` is that of the whole log.
    #[must_use]
    pub fn finish(self, head: LogHead) -> LogCheck {
        let Self { witnessed, entries, newer, mut damage, .. } = self;
        if let (None, Some(seen)) = (&damage, witnessed.beyond()) {
            let what = format!(
                "the log ends at entry {entries}, and it had {} entries when its head was seen: the export is older, or \
                 the rest was cut off, or other entries stand in the place of some of these; which is the first that \
                 differs is not known",
                seen.size
            );
            damage = Some(LogDamage { sequence: entries.saturating_add(1), what });
        }
        LogCheck { entries, head, damage, newer, tables: TablesCheck::default() }
    }

    fn entry_damage(&mut self, bytes: &[u8]) -> Option<String> {
        let expected = self.entries;
        let Ok(entry) = read(bytes) else {
            return Some(format!("entry {expected} cannot be read"));
        };
        if entry.sequence() != expected {
            return Some(format!(
                "in place {expected} stands entry {}: entries were moved",
                entry.sequence()
            ));
        }
        if matches!(entry, ReadEntry::Newer(_)) {
            self.newer += 1;
        }
        if expected > 1 {
            return None;
        }
        match entry.change() {
            Some(Change::ServerInitialized { server_id, .. }) if *server_id == self.server_id => None,
            Some(Change::ServerInitialized { server_id, .. }) => {
                Some(format!("the first entry binds the log to server {server_id}, which is another one"))
            }
            _ => Some("the first entry does not bind the log to a server".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;
    use std::path::PathBuf;

    use jiff::Timestamp;
    use sealpost_keys::SigningKey;
    use sealpost_keys::note::LogKey;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::document::SignedDocument;
    use sealpost_manifests::log::{Checkpoint, ExportReader, Frontier, LogExport, LogKeyCertificate, origin};

    use super::*;
    use crate::changes::{Actor, chain};

    fn golden() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../manifests/tests/golden/log_export.v2.jsonl")
    }

    /// The export of a log of these changes under a new site key.
    fn export(server: Option<ServerId>, changes: Vec<Change>) -> Vec<u8> {
        let site = SigningKey::generate().unwrap();
        let server_id = ServerId::of_site_key(&site.public());
        let first = Change::ServerInitialized {
            server_id: server.unwrap_or_else(|| server_id.clone()),
            site_key: site.public(),
        };
        let mut log = Frontier::empty();
        let at: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        let mut lines = Vec::new();
        for change in std::iter::once(first).chain(changes) {
            lines.extend(chain::link(&mut log, at, Actor::socket("alice"), change).unwrap().bytes);
            lines.push(b'\n');
        }
        let log_key = LogKey::generate(&origin(&server_id)).unwrap();
        let certificate = LogKeyCertificate {
            server_id: server_id.clone(),
            log_key: log_key.public().clone(),
            issued_at: at,
        };
        let header = LogExport {
            server_id,
            site_key: site.public(),
            log_key: SignedDocument::sign(&certificate, &site).unwrap(),
            checkpoint: Checkpoint::sign(&log.head(), &log_key).unwrap(),
        };
        [header.write().unwrap().into_bytes(), vec![b'\n'], lines].concat()
    }

    fn failed(reason: &str) -> Change {
        Change::PullFailed { reason: reason.to_owned() }
    }

    fn check(file: &[u8], witnessed: Vec<LogHead>) -> LogCheck {
        let mut reader = ExportReader::open(Cursor::new(file), None).unwrap();
        let mut check = ExportCheck::new(reader.about().server_id.clone(), witnessed);
        while let Some(entry) = reader.next_entry().unwrap() {
            check.next(&entry, reader.head());
        }
        check.finish(reader.head())
    }

    #[test]
    fn the_golden_export_is_whole() {
        let path = golden();
        if std::env::var_os("SEALPOST_WRITE_GOLDEN_LOG").is_some() && !path.exists() {
            fs::write(
                &path,
                export(None, vec![failed("no route"), failed("läßt \"—\" grüßen"), failed("again")]),
            )
            .unwrap();
        }
        let checked = check(&fs::read(&path).unwrap(), Vec::new());
        assert_eq!((checked.entries, checked.newer, checked.damage), (4, 0, None));
    }

    #[test]
    fn a_log_that_is_bound_to_another_server_or_to_none_is_damaged() {
        let other = export(Some(ServerId::from_random([7; 16])), Vec::new());
        assert!(check(&other, Vec::new()).damage.unwrap().what.contains("which is another one"));
    }

    #[test]
    fn a_head_from_elsewhere_shows_a_replaced_log_and_one_that_ends_before_it() {
        let file = export(None, vec![failed("a"), failed("b")]);
        let whole = check(&file, Vec::new()).head;
        assert_eq!(check(&file, vec![whole]).damage, None);
        let other = LogHead { size: 2, root: Sha256Digest::of(b"another log") };
        assert!(check(&file, vec![other]).damage.unwrap().what.contains("was replaced"));
        let later = LogHead { size: 4, ..other };
        let damage = check(&file, vec![later]).damage.unwrap();
        assert_eq!(damage.sequence, 4);
        assert!(damage.what.contains("it had 4 entries"));
    }
}
