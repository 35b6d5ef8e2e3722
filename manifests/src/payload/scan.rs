//! Looks through a folder that is to become a payload, and names everything wrong with it at once.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::format::MAX_FILE_BYTES;
use crate::digest::Sha256Digest;
use crate::ids::RelativePath;
use crate::release::{FileEntry, FileKind, MAX_FILES, link_stays_inside};

/// Most problems listed: a person reads no more, and a wrong folder may have millions.
const MAX_PROBLEMS: usize = 200;

/// A folder that can become a payload, and the list of what is in it.
#[derive(Debug, Clone)]
pub struct PayloadSource {
    root: PathBuf,
    files: Vec<FileEntry>,
}

/// One thing that keeps a folder from becoming a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadProblem {
    /// Where, relative to the folder; control characters and bytes that are not text are escaped.
    pub path: String,
    /// What, and what to do.
    pub problem: String,
}

impl fmt::Display for PayloadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Everything that keeps a folder from becoming a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a payload of {}: {}", folder.display(), list(problems))]
pub struct PayloadProblems {
    /// The folder that was looked through.
    pub folder: PathBuf,
    /// What is wrong with it, sorted by path; at most 200.
    pub problems: Vec<PayloadProblem>,
}

fn list(problems: &[PayloadProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl PayloadSource {
    /// Looks at and hashes everything in a folder.
    ///
    /// # Errors
    /// Everything that a payload cannot hold, all at once.
    pub fn scan(root: impl Into<PathBuf>) -> Result<Self, PayloadProblems> {
        let root = root.into();
        let mut scan = Scan { root: &root, files: Vec::new(), problems: Vec::new() };
        scan.run();
        let Scan { mut files, mut problems, .. } = scan;
        if files.is_empty() && problems.is_empty() {
            problems.push(PayloadProblem {
                path: ".".to_owned(),
                problem: "there are no files in it".to_owned(),
            });
        }
        if problems.is_empty() {
            files.sort_by(|a, b| a.path.as_str().as_bytes().cmp(b.path.as_str().as_bytes()));
            return Ok(Self { root, files });
        }
        problems.sort_by(|a, b| a.path.cmp(&b.path));
        Err(PayloadProblems { folder: root, problems })
    }

    /// What is in it, sorted by the bytes of the paths: a manifest's list of files.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The folder that the files are in.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

struct Scan<'a> {
    root: &'a Path,
    files: Vec<FileEntry>,
    problems: Vec<PayloadProblem>,
}

impl Scan<'_> {
    fn run(&mut self) {
        let mut waiting = vec![self.root.to_owned()];
        while let Some(folder) = waiting.pop() {
            match self.folder(&folder, &mut waiting) {
                Ok(0) if folder != self.root => {
                    self.problem(
                        &folder,
                        "an empty folder cannot be delivered; put a file in it or remove it",
                    );
                }
                Ok(_) => {}
                Err(error) => self.problem(&folder, format!("the folder cannot be read ({error})")),
            }
            if self.is_full() {
                return;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS || self.files.len() > MAX_FILES
    }

    /// Looks at what is in one folder; how many things that were.
    fn folder(&mut self, folder: &Path, waiting: &mut Vec<PathBuf>) -> io::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(folder)? {
            let place = entry?.path();
            count += 1;
            if let Err(error) = self.entry(&place, waiting) {
                self.problem(&place, format!("it cannot be read ({error})"));
            }
            if self.files.len() > MAX_FILES {
                self.problem(folder, format!("more than {MAX_FILES} files; split the package"));
            }
            if self.is_full() {
                break;
            }
        }
        Ok(count)
    }

    fn entry(&mut self, place: &Path, waiting: &mut Vec<PathBuf>) -> io::Result<()> {
        let metadata = fs::symlink_metadata(place)?;
        let kind = metadata.file_type();
        let path = match self.relative(place) {
            Ok(path) => path,
            Err(problem) => {
                self.problem(place, problem);
                return Ok(());
            }
        };
        if kind.is_dir() {
            waiting.push(place.to_owned());
        } else if kind.is_symlink() {
            self.link(place, path)?;
        } else if kind.is_file() {
            let mode = metadata.permissions().mode();
            if mode & 0o7000 != 0 {
                self.problem(place, "it has a set-user-id, set-group-id or sticky bit; remove the bit");
            } else if metadata.len() > MAX_FILE_BYTES {
                self.problem(place, "it is 8 GiB or larger; split it");
            } else {
                let (sha256, length) = Sha256Digest::of_reader(open_plain(place)?)?;
                let kind = FileKind::File { executable: mode & 0o100 != 0, length, sha256 };
                self.files.push(FileEntry { path, kind });
            }
        } else {
            let what = match () {
                () if kind.is_fifo() => "a named pipe",
                () if kind.is_socket() => "a socket",
                () if kind.is_block_device() || kind.is_char_device() => "a device",
                () => "neither a file nor a link",
            };
            self.problem(place, format!("{what} cannot be delivered; remove it"));
        }
        Ok(())
    }

    fn link(&mut self, place: &Path, path: RelativePath) -> io::Result<()> {
        let target = fs::read_link(place)?;
        let Some(target) = target.to_str() else {
            self.problem(place, "the link's text is not UTF-8");
            return Ok(());
        };
        if link_stays_inside(path.as_str(), target) {
            self.files.push(FileEntry { path, kind: FileKind::Symlink { target: target.to_owned() } });
        } else {
            self.problem(
                place,
                format!("the link leads out of the folder, or climbs after a name ({target:?}); make it relative and direct"),
            );
        }
        Ok(())
    }

    fn relative(&self, place: &Path) -> Result<RelativePath, String> {
        let relative = place.strip_prefix(self.root).unwrap_or(place);
        let text = relative.to_str().ok_or("its name is not UTF-8; rename it")?;
        RelativePath::new(text).map_err(|error| error.to_string())
    }

    fn problem(&mut self, place: &Path, problem: impl Into<String>) {
        let relative = place.strip_prefix(self.root).unwrap_or(place);
        let path = match relative.to_string_lossy().escape_debug().to_string() {
            root if root.is_empty() => ".".to_owned(),
            path => path,
        };
        self.problems.push(PayloadProblem { path, problem: problem.into() });
    }
}

/// Opens a file that was just seen to be a regular one: a link or named pipe that was put in its place
/// meanwhile is not followed and not waited for.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "no longer a regular file"))
}
