//! A whole log as a file that anybody can check without the server: one line that says whose it is and where it ends, and
//! then its entries, byte for byte, one on each line.
//!
//! Invariants: what came out of an [`ExportReader`] counts only when [`ExportReader::next_entry`] has answered `None`: then the
//! entries are those under the checkpoint's root, all of them and no other. Nothing longer than a bound is held in memory.
//! Left out on purpose: what the entries say, which is bytes here; and whose the site key is. A file names its own, and a
//! reader who has it from elsewhere gives that one.

use std::io::{self, BufRead, Read};

use sealpost_keys::note::{LogPublicKey, SignedNote};
use sealpost_keys::{PublicKey, Verified};
use serde::{Deserialize, Serialize};

use crate::document::{self, Document, DocumentError, SignedDocument};
use crate::ids::ServerId;

use super::certificate::{CertificateError, LogKeyCertificate};
use super::checkpoint::{Checkpoint, CheckpointError};
use super::merkle::{Frontier, LogHead, leaf_hash};

/// Longest first line, in bytes: a certificate, and a checkpoint with many cosignatures.
pub const MAX_EXPORT_HEADER_BYTES: usize = 512 * 1024;
/// Longest entry, in bytes.
pub const MAX_EXPORT_ENTRY_BYTES: usize = 4 * 1024 * 1024;

/// The first line of an export. Unverified.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogExport {
    /// Whose log it is.
    pub server_id: ServerId,
    /// The site's key. Whether it is that of the expected site, the file cannot say.
    pub site_key: PublicKey,
    /// The site key's [`LogKeyCertificate`].
    pub log_key: SignedDocument,
    /// The head of the log with which the file ends, signed with the log key.
    pub checkpoint: SignedNote,
}

/// What the first line of an export proves, given the site key.
#[derive(Debug, Clone)]
pub struct ExportedLog {
    /// Whose log it is.
    pub server_id: ServerId,
    /// The site key that certified the log key.
    pub site_key: PublicKey,
    /// The key that signs the log's heads.
    pub log_key: LogPublicKey,
    /// How many entries follow, and their root.
    pub head: LogHead,
}

/// Why an export is not a whole log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The file cannot be read.
    #[error("the export cannot be read")]
    Io(#[from] io::Error),
    /// A line is longer than any.
    #[error("line {line} of the export is over the limit of {limit} bytes")]
    TooLong {
        /// From 1.
        line: u64,
        /// In bytes.
        limit: usize,
    },
    /// The first line cannot be read or written.
    #[error("the first line of the export cannot be read")]
    Header(#[from] DocumentError),
    /// Another site's.
    #[error("the export is of the site key {found}, and {expected} was given")]
    OtherSiteKey {
        /// The id of the key that was given.
        expected: String,
        /// The id of the key in the file.
        found: String,
    },
    /// The site key does not vouch for the log key.
    #[error("the export's certificate is not accepted by its site key")]
    Certificate(#[from] CertificateError),
    /// The certificate is for another server than the first line says.
    #[error("the export says that it is of server {named}, and its certificate is for {certified}")]
    OtherServer {
        /// The server in the first line.
        named: ServerId,
        /// The server in the certificate.
        certified: ServerId,
    },
    /// The checkpoint is not the log's.
    #[error("the export's checkpoint is not accepted")]
    Checkpoint(#[from] CheckpointError),
    /// Entries are missing at the end.
    #[error("the export is cut: it ends after {entries} entries, and its checkpoint says {size}")]
    Cut {
        /// Whole entries that are there.
        entries: u64,
        /// Entries that the checkpoint covers.
        size: u64,
    },
    /// More lines than entries.
    #[error("the export goes on after the {size} entries that its checkpoint covers")]
    GoesOn {
        /// Entries that the checkpoint covers.
        size: u64,
    },
    /// Some entry was changed, removed, added or moved.
    #[error(
        "the export's entries are not those that its checkpoint covers: some of them were changed, removed, added or moved"
    )]
    OtherRoot,
}

impl LogExport {
    /// Reads the first line; nothing is verified.
    ///
    /// # Errors
    /// [`ExportError`] when it is too long, or none.
    pub fn read(bytes: &[u8]) -> Result<Self, ExportError> {
        if bytes.len() > MAX_EXPORT_HEADER_BYTES {
            return Err(ExportError::TooLong { line: 1, limit: MAX_EXPORT_HEADER_BYTES });
        }
        Ok(document::read(bytes)?)
    }

    /// The first line, without its line feed.
    ///
    /// # Errors
    /// [`ExportError`] when nobody could read it.
    pub fn write(&self) -> Result<String, ExportError> {
        let text = document::write(self)?;
        if text.len() > MAX_EXPORT_HEADER_BYTES {
            return Err(ExportError::TooLong { line: 1, limit: MAX_EXPORT_HEADER_BYTES });
        }
        Ok(text)
    }

    /// Checks that the site key certified the log key of this server, and that the log key signed the head. Without a site
    /// key from elsewhere the file's own is used: then it is not shown whose it is.
    ///
    /// # Errors
    /// [`ExportError`] with the first step that fails.
    pub fn check(&self, site_key: Option<&PublicKey>) -> Result<Verified<ExportedLog>, ExportError> {
        if let Some(expected) = site_key.filter(|expected| **expected != self.site_key) {
            let (expected, found) = (expected.id().to_string(), self.site_key.id().to_string());
            return Err(ExportError::OtherSiteKey { expected, found });
        }
        let certificate = LogKeyCertificate::verify(&self.log_key, &self.site_key)?;
        if certificate.server_id != self.server_id {
            let (named, certified) = (self.server_id.clone(), certificate.server_id.clone());
            return Err(ExportError::OtherServer { named, certified });
        }
        let log_key = certificate.log_key.clone();
        let checkpoint = Checkpoint::verify(&self.checkpoint, &log_key, log_key.name())?;
        checkpoint.try_map(|Checkpoint { head, .. }| {
            let (server_id, site_key) = (self.server_id.clone(), self.site_key.clone());
            Ok(ExportedLog { server_id, site_key, log_key, head })
        })
    }
}

/// Not signed as a whole: the checkpoint pins every entry, and the certificate the log key.
impl Document for LogExport {
    const TYPE: &'static str = "log_export";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        "log_export".to_owned()
    }
}

/// Reads an export from its first byte to its last.
#[derive(Debug)]
pub struct ExportReader<R> {
    lines: R,
    about: Verified<ExportedLog>,
    log: Frontier,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads and checks the first line; `site_key` is one from elsewhere.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn open(mut lines: R, site_key: Option<&PublicKey>) -> Result<Self, ExportError> {
        let header = line(&mut lines, 1, MAX_EXPORT_HEADER_BYTES)?;
        let header = match header {
            Line::Whole(header) => header,
            // An empty or cut line is no document, and its reader says so.
            Line::Cut | Line::End => Vec::new(),
        };
        let about = LogExport::read(&header)?.check(site_key)?;
        Ok(Self { lines, about, log: Frontier::empty() })
    }

    /// What the first line proves.
    #[must_use]
    pub fn about(&self) -> &ExportedLog {
        &self.about
    }

    /// The head of what was read so far.
    #[must_use]
    pub fn head(&self) -> LogHead {
        self.log.head()
    }

    /// The bytes of the next entry; `None` when all are there and their root is the checkpoint's. Until then nothing that
    /// was read is proven.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn next_entry(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        let (entries, size) = (self.log.size(), self.about.head.size);
        let number = entries.saturating_add(2);
        let entry = line(&mut self.lines, number, MAX_EXPORT_ENTRY_BYTES)?;
        match entry {
            Line::Cut if entries >= size => Err(ExportError::GoesOn { size }),
            Line::Cut | Line::End if entries < size => Err(ExportError::Cut { entries, size }),
            Line::End if self.log.head() != self.about.head => Err(ExportError::OtherRoot),
            Line::Cut | Line::End => Ok(None),
            Line::Whole(_) if entries >= size => Err(ExportError::GoesOn { size }),
            Line::Whole(entry) => {
                let _ = self.log.append(leaf_hash(&entry));
                Ok(Some(entry))
            }
        }
    }
}

/// What a file has next.
enum Line {
    /// Without its line feed.
    Whole(Vec<u8>),
    /// Bytes without a line feed behind them.
    Cut,
    End,
}

fn line(lines: &mut impl BufRead, number: u64, limit: usize) -> Result<Line, ExportError> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    lines.by_ref().take(most).read_until(b'\n', &mut bytes)?;
    if bytes.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Line::Whole(bytes));
    }
    if bytes.len() > limit {
        return Err(ExportError::TooLong { line: number, limit });
    }
    Ok(if bytes.is_empty() { Line::End } else { Line::Cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Cursor;

    use sealpost_keys::SigningKey;
    use sealpost_keys::note::LogKey;

    use super::super::checkpoint::origin;

    const GOLDEN: &str = include_str!("../../tests/golden/log_export.v2.jsonl");

    fn read_all(file: &[u8], site_key: Option<&PublicKey>) -> Result<Vec<Vec<u8>>, ExportError> {
        let mut reader = ExportReader::open(Cursor::new(file), site_key)?;
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    #[test]
    fn the_golden_export_is_read_and_its_first_line_is_written_as_it_was() {
        let entries = read_all(GOLDEN.as_bytes(), None).unwrap();
        assert_eq!(entries.len(), GOLDEN.lines().count() - 1);
        let header = GOLDEN.lines().next().unwrap();
        assert_eq!(LogExport::read(header.as_bytes()).unwrap().write().unwrap(), header);
    }

    #[test]
    fn every_flipped_byte_of_an_entry_and_every_cut_is_found() {
        let header = GOLDEN.find('\n').unwrap();
        for at in header + 1..GOLDEN.len() {
            let mut file = GOLDEN.as_bytes().to_vec();
            file[at] ^= 1;
            assert!(read_all(&file, None).is_err(), "byte {at}");
        }
        for end in 0..GOLDEN.len() {
            assert!(read_all(&GOLDEN.as_bytes()[..end], None).is_err(), "cut at {end}");
        }
        let more = format!("{GOLDEN}{{}}\n");
        assert!(matches!(read_all(more.as_bytes(), None), Err(ExportError::GoesOn { .. })));
        let rest = format!("{GOLDEN}no end");
        assert!(matches!(read_all(rest.as_bytes(), None), Err(ExportError::GoesOn { .. })));
        let mut lines: Vec<&str> = GOLDEN.lines().collect();
        lines.swap(2, 3);
        let swapped = lines.join("\n") + "\n";
        assert!(matches!(read_all(swapped.as_bytes(), None), Err(ExportError::OtherRoot)));
    }

    #[test]
    fn an_export_of_another_site_or_with_another_key_in_it_is_refused() {
        let other = SigningKey::generate().unwrap();
        let refused = read_all(GOLDEN.as_bytes(), Some(&other.public()));
        assert!(matches!(refused, Err(ExportError::OtherSiteKey { .. })));
        let mut header = LogExport::read(GOLDEN.lines().next().unwrap().as_bytes()).unwrap();
        // A whole log of somebody else's, under the id of this server.
        header.site_key = other.public();
        assert!(matches!(header.check(None), Err(ExportError::Certificate(_))));
        let certificate = LogKeyCertificate {
            server_id: ServerId::from_random([9; 16]),
            log_key: LogKey::generate(&origin(&ServerId::from_random([9; 16]))).unwrap().public().clone(),
            issued_at: jiff::Timestamp::UNIX_EPOCH,
        };
        header.log_key = SignedDocument::sign(&certificate, &other).unwrap();
        assert!(matches!(header.check(None), Err(ExportError::OtherServer { .. })));
        header.server_id = ServerId::from_random([9; 16]);
        assert!(matches!(header.check(None), Err(ExportError::Checkpoint(_))));
    }

    #[test]
    fn a_line_that_never_ends_is_given_up_at_its_bound() {
        let header = GOLDEN.lines().next().unwrap();
        let endless = format!("{header}\n").into_bytes();
        let stream = Cursor::new(endless).chain(io::repeat(b'x'));
        let mut reader = ExportReader::open(io::BufReader::new(stream), None).unwrap();
        assert!(matches!(reader.next_entry(), Err(ExportError::TooLong { line: 2, .. })));
        let stream = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(ExportReader::open(stream, None), Err(ExportError::TooLong { line: 1, .. })));
    }
}
