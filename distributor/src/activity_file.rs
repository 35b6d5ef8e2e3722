//! The activity log as a text file, for people and log shippers: one line per entry, rotated by size.
//!
//! Invariant: each line is written once, in order, across restarts and kills: the last whole line of the file says how
//! far it is, and a line that was cut is written again. The ledger is the record; this file proves nothing, so it is not
//! flushed to disk line by line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_files::{PRIVATE, PRIVATE_FOLDER, escape, make_folder, with_causes};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::queries::Activity;

/// Name of the newest file; older ones have `.1`, `.2`, … after it.
pub const FILE_NAME: &str = "activity.log";
/// Entries that are read and written at once.
const PAGE: u32 = 500;
/// How much of a file's end is read to find its last line, in bytes: longer than the longest line.
const TAIL_BYTES: u64 = 64 * 1024;

/// How large the files grow, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationLimits {
    /// A file is rotated when the next line would make it longer than this, in bytes.
    pub file_bytes: u64,
    /// Files that are kept, the newest included.
    pub files: u32,
}

impl Default for RotationLimits {
    /// 100 MiB in all, which is weeks of a busy site.
    fn default() -> Self {
        Self { file_bytes: 10 * 1024 * 1024, files: 10 }
    }
}

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ActivityFileError {
    #[error("cannot write the activity log in {folder}; check the folder's owner and free disk space")]
    File { folder: PathBuf, source: io::Error },
    #[error("cannot read the activity for the text file")]
    Ledger(#[from] LedgerError),
}

/// Keeps the text log beside a ledger until that closes. `file` is the newest file; that it cannot be opened is logged.
pub async fn keep(ledger: Arc<Ledger>, file: PathBuf, limits: RotationLimits) {
    let folder = file.parent().unwrap_or(&file).to_owned();
    if let Err(error) = follow(ledger, folder, limits).await {
        tracing::error!(error = with_causes(&error), "the text log of activity has ended");
    }
}

/// Follows a ledger until it closes. Safe to stop at any time and to start again.
///
/// A failure after the start, for example a full disk, is logged, and writing is tried again with the next entry.
///
/// # Errors
/// [`ActivityFileError`] when the file cannot be opened at the start.
pub async fn follow(
    ledger: Arc<Ledger>,
    folder: PathBuf,
    limits: RotationLimits,
) -> Result<(), ActivityFileError> {
    let mut news = ledger.subscribe();
    let mut file = Some(blocking(&folder, move |folder| ActivityFile::open(folder, limits)).await?);
    loop {
        let _ = news.borrow_and_update();
        let opened = match file.take() {
            Some(opened) => Ok(opened),
            None => blocking(&folder, move |folder| ActivityFile::open(folder, limits)).await,
        };
        let caught_up = match opened {
            Ok(opened) => catch_up(&ledger, &folder, opened).await,
            Err(error) => Err(error),
        };
        match caught_up {
            Ok(written) => file = Some(written),
            Err(ActivityFileError::Ledger(LedgerError::Closed)) => return Ok(()),
            Err(error) => {
                tracing::error!(error = with_causes(&error), "the text log of activity is behind the ledger");
            }
        }
        if news.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Writes everything that the file does not hold yet.
async fn catch_up(
    ledger: &Ledger,
    folder: &Path,
    mut file: ActivityFile,
) -> Result<ActivityFile, ActivityFileError> {
    let head = ledger.head();
    // The ledger may have been restored from an older state than this file; then continue from there.
    file.written = file.written.min(head.size);
    loop {
        let filter = Activity { after: file.written, limit: Some(PAGE), ..Activity::default() };
        let entries = ledger.query(filter).await?;
        if entries.is_empty() {
            return Ok(file);
        }
        file = blocking(folder, move |_| file.append(&entries)).await?;
    }
}

async fn blocking<F>(folder: &Path, work: F) -> Result<ActivityFile, ActivityFileError>
where
    F: FnOnce(&Path) -> io::Result<ActivityFile> + Send + 'static,
{
    let owned = folder.to_owned();
    let result = match tokio::task::spawn_blocking(move || work(&owned)).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    };
    result.map_err(|source| ActivityFileError::File { folder: folder.to_owned(), source })
}

/// The newest file, open at its end.
#[derive(Debug)]
struct ActivityFile {
    folder: PathBuf,
    limits: RotationLimits,
    file: File,
    bytes: u64,
    /// Sequence number of the last whole line.
    written: u64,
}

impl ActivityFile {
    /// Opens the newest file, cuts off an unfinished line, and finds which entry was written last.
    fn open(folder: &Path, limits: RotationLimits) -> io::Result<Self> {
        make_folder(folder, PRIVATE_FOLDER)?;
        let mut file = open_file(&folder.join(FILE_NAME))?;
        let (bytes, last) = last_whole_line(&mut file)?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        let written = match last {
            Some(sequence) => sequence,
            None => match File::open(rotated(folder, 1)) {
                Ok(mut older) => last_whole_line(&mut older)?.1.unwrap_or(0),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            },
        };
        Ok(Self { folder: folder.to_owned(), limits, file, bytes, written })
    }

    fn append(mut self, entries: &[LoggedEntry]) -> io::Result<Self> {
        let mut text = String::new();
        for entry in entries {
            let line = line(entry);
            let pending = self.bytes.saturating_add(length(&text));
            if pending > 0 && pending.saturating_add(length(&line)) > self.limits.file_bytes {
                self.write(&text)?;
                text.clear();
                self.rotate()?;
            }
            text.push_str(&line);
        }
        self.write(&text)?;
        if let Some(last) = entries.last() {
            self.written = last.entry.sequence();
        }
        Ok(self)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.bytes = self.bytes.saturating_add(length(text));
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let kept = self.limits.files.max(1);
        for number in (1..kept).rev() {
            let newer =
                if number == 1 { self.folder.join(FILE_NAME) } else { rotated(&self.folder, number - 1) };
            match std::fs::rename(&newer, rotated(&self.folder, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open_file(&self.folder.join(FILE_NAME))?;
        if kept == 1 {
            self.file.set_len(0)?;
        }
        self.bytes = 0;
        Ok(())
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(path)
}

fn rotated(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{FILE_NAME}.{number}"))
}

/// Where the last whole line ends, and its sequence number.
fn last_whole_line(file: &mut File) -> io::Result<(u64, Option<u64>)> {
    let end = file.seek(SeekFrom::End(0))?;
    let start = end.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let Some(newline) = tail.iter().rposition(|byte| *byte == b'\n') else {
        // No line is that long: the file is not ours, or was cut in its first line.
        return Ok((start, None));
    };
    let whole = tail.get(..newline).unwrap_or_default();
    let line = whole.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let sequence = std::str::from_utf8(first).ok().and_then(|text| text.parse().ok());
    let end_of_line = start.saturating_add(u64::try_from(newline).unwrap_or(0)).saturating_add(1);
    Ok((end_of_line, sequence))
}

/// `sequence time kind summary`. Times have one width, so that columns line up. The summary has no control characters,
/// so that it cannot forge a line.
fn line(logged: &LoggedEntry) -> String {
    let entry = &logged.entry;
    format!("{} {:.3} {} {}\n", entry.sequence(), entry.at(), escape(entry.kind()), logged.summary)
}

#[cfg(test)]
mod tests;
