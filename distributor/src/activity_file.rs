//! The activity log as a text file, for people and log shippers: one line per entry, rotated by size.
//!
//! Invariant: each line is written once, in order, across restarts, kills and rotations, whoever rotates. How far it is, a
//! note beside the file says; what was about to be written when the process was killed is looked up in the file and its
//! rotated copies. A line that was cut is written again. The file is only ever appended to, so that a copy that was emptied behind it has
//! no hole; before each write it is looked whether the file of that name is still the one that is open.
//! The ledger is the record; this file proves nothing, so it is not flushed to disk line by line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealpost_files::{PRIVATE, PRIVATE_FOLDER, escape, make_folder, read_bounded, with_causes};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::queries::Activity;
use tokio::sync::watch;

use crate::config::Storage;

/// Name of the newest file; older ones have `.1`, `.2`, … after it.
pub const FILE_NAME: &str = "activity.log";
/// Name of the note that says how far it is.
const NOTE: &str = "activity.position";
/// Longest note, in bytes: more than two numbers and a line's end.
const MAX_NOTE_BYTES: u64 = 64;
/// Entries that are read and written at once.
const PAGE: u32 = 500;
/// Pause after a failure, before writing is tried again without a new entry.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);
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

impl RotationLimits {
    #[must_use]
    pub const fn of(storage: &Storage) -> Self {
        Self { file_bytes: storage.log_file_bytes, files: storage.log_files }
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

/// Keeps the text log beside a ledger until that closes. That it cannot be opened is logged.
pub async fn keep(ledger: Arc<Ledger>, folder: PathBuf, limits: watch::Receiver<RotationLimits>) {
    if let Err(error) = follow(ledger, folder, limits).await {
        tracing::error!(error = with_causes(&error), "the text log of activity has ended");
    }
}

/// Follows a ledger until it closes. Safe to stop at any time and to start again. When limits are sent, also the same
/// ones, the file is opened anew.
///
/// A failure after the start, for example a full disk, is logged, and writing is tried again with the next entry, and from
/// time to time.
///
/// # Errors
/// [`ActivityFileError`] when the file cannot be opened at the start.
pub async fn follow(
    ledger: Arc<Ledger>,
    folder: PathBuf,
    mut limits: watch::Receiver<RotationLimits>,
) -> Result<(), ActivityFileError> {
    let mut news = ledger.subscribe();
    let open = async |limits| blocking(&folder, move |folder| ActivityFile::open(folder, limits)).await;
    let now = *limits.borrow_and_update();
    let mut file = Some(open(now).await?);
    loop {
        let _ = news.borrow_and_update();
        let opened = match file.take() {
            Some(opened) => Ok(opened),
            None => {
                let now = *limits.borrow_and_update();
                open(now).await
            }
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
        tokio::select! {
            changed = news.changed() => if changed.is_err() {
                return Ok(());
            },
            // Without a sender there is nobody to reload; the ledger goes on.
            Ok(()) = limits.changed() => file = None,
            // Nobody need do anything for the file to catch up once there is room again.
            () = tokio::time::sleep(TRY_AGAIN_AFTER), if file.is_none() => {}
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
    /// Sequence number of the last whole line that was written, in whichever file it is now.
    written: u64,
}

impl ActivityFile {
    /// Opens the newest file, cuts off an unfinished line, and finds which entry was written last.
    fn open(folder: &Path, limits: RotationLimits) -> io::Result<Self> {
        make_folder(folder, PRIVATE_FOLDER)?;
        let path = folder.join(FILE_NAME);
        let file = open_file(&path)?;
        let (bytes, last) = last_whole_line(&mut open_file(&path)?)?;
        if file.metadata()?.len() > bytes {
            file.set_len(bytes)?;
        }
        let written = match noted(folder)? {
            Some((done, about)) if done < about => {
                // Killed in the middle. A ledger that was restored may have left higher numbers in older files.
                let furthest = last.max(last_rotated(folder)?).filter(|last| (done..=about).contains(last));
                furthest.unwrap_or(done)
            }
            Some((done, _)) => done,
            None => last.max(last_rotated(folder)?).unwrap_or(0),
        };
        let opened = Self { folder: folder.to_owned(), limits, file, bytes, written };
        opened.note(written)?;
        Ok(opened)
    }

    fn append(mut self, entries: &[LoggedEntry]) -> io::Result<Self> {
        self.follow_rotation()?;
        let mut text = String::new();
        let mut pending = self.written;
        for entry in entries {
            let line = line(entry);
            let bytes = self.bytes.saturating_add(length(&text));
            if bytes > 0 && bytes.saturating_add(length(&line)) > self.limits.file_bytes {
                self.write(&text, pending)?;
                text.clear();
                self.rotate()?;
            }
            text.push_str(&line);
            pending = entry.entry.sequence();
        }
        self.write(&text, pending)?;
        Ok(self)
    }

    /// Whoever rotates may have renamed the file, or copied and emptied it.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let path = self.folder.join(FILE_NAME);
        let open = self.file.metadata()?;
        let is_same = match std::fs::metadata(&path) {
            Ok(named) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_same {
            self.bytes = open.len();
            return Ok(());
        }
        self.file = open_file(&path)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }

    /// Writes whole lines; `last` is the sequence number of the last one.
    fn write(&mut self, text: &str, last: u64) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.note(last)?;
        self.file.write_all(text.as_bytes())?;
        self.bytes = self.bytes.saturating_add(length(text));
        self.written = last;
        self.note(last)
    }

    /// Notes how far it is, and how far it is about to be.
    fn note(&self, about: u64) -> io::Result<()> {
        let text = format!("{} {about}\n", self.written);
        // In place: emptied first, it would be lost on a disk that has become full.
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).clone();
        let mut note = options.open(self.folder.join(NOTE))?;
        note.write_all(text.as_bytes())?;
        note.set_len(length(&text))
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

/// How far it is, and was about to be, as noted; `None` if there is no note, or it was cut.
fn noted(folder: &Path) -> io::Result<Option<(u64, u64)>> {
    let bytes = read_bounded(&folder.join(NOTE), MAX_NOTE_BYTES)?.unwrap_or_default();
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n')?.split_once(' '));
    Ok(text.and_then(|(done, about)| Some((done.parse().ok()?, about.parse().ok()?))))
}

/// The last line of the files to which somebody rotated: `activity.log.1`, `activity.log-20270115`. Compressed ones have
/// no line that can be read; the note speaks for those.
fn last_rotated(folder: &Path) -> io::Result<Option<u64>> {
    let mut furthest = None;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_rotated = name.to_str().is_some_and(|name| name.starts_with(FILE_NAME) && name != FILE_NAME);
        if !is_rotated || !entry.file_type()?.is_file() {
            continue;
        }
        match File::open(entry.path()) {
            Ok(mut file) => furthest = last_whole_line(&mut file)?.1.max(furthest),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(furthest)
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(PRIVATE).open(path)
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
