//! Making a delta in a child process, or checking one of the vendor, so that a package which needs too much memory, disk or
//! time costs a delta and not the server.
//!
//! The child bounds itself before it reads anything, makes the delta into a file that the server chose, and ends. The
//! server digests that file; the only other result is whether the child succeeded.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use close_fds::set_fds_cloexec_threadsafe;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use sealpost_deltas::{
    ApplyError, Base, Entry, EntryKind, FolderBase, Limits as DeltaLimits, Lists, MakeError, MakeSettings,
    Progress, Release, Summary, TargetWriter, Tree,
};
use sealpost_files::{Unfinished, open_regular, read_bounded};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, DocumentError, MAX_DOCUMENT_BYTES};
use sealpost_manifests::release::{Blob, FileKind, ReleaseManifest};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::trees::{MANIFEST, TREE};
use crate::config::Limits;
use crate::ports::staging::StagingError;

/// By how much a child that packs makes way for others.
const NICENESS: i32 = 10;
/// Name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "make-delta";
/// What stands in place of the folder of a base that is not needed: no release is ever unpacked there.
const FROM_NOTHING: &str = "/dev/null";
/// What stands in place of the length of a delta that is checked.
const CHECK: &str = "check";
/// The descriptor after standard input, output and error.
const FIRST_AFTER_STANDARD: i32 = 3;
/// Bytes of a delta beside what it makes.
const BESIDE_STREAMS: u64 = 1024 * 1024;
/// Upper bound on a child's error output that is kept, in bytes.
const MAX_ERROR_OUTPUT_BYTES: u64 = 4096;

/// Why a delta could not be made. The payload is delivered instead.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error("cannot unpack the releases of a delta")]
    Trees { source: Box<StagingError> },
    #[error("cannot {attempted} for a delta; check the limits of this process and the disk")]
    Io { attempted: &'static str, source: io::Error },
    #[error("a delta took longer than {} s and was stopped (limits.delta_time bounds this)", limit.as_secs())]
    TooSlow { limit: Duration },
    /// It failed, for example at its memory limit.
    #[error(
        "making a delta ended with {status} within {memory_bytes} bytes of memory (limits.delta_memory_mib): {said}"
    )]
    Failed { status: ExitStatus, memory_bytes: u64, said: String },
    /// It would have been larger than it may be.
    #[error("the delta has more than {most_bytes} bytes")]
    TooLarge { most_bytes: u64 },
    /// What was to be read or written was gone, or there was no room: another time it may go well.
    #[error(
        "making a delta lacks room: {needed} bytes beside {keep} that have to stay free (limits.keep_free_mib), and {free} bytes are free"
    )]
    NoRoom { needed: u64, keep: u64, free: u64 },
    #[error("an unpacked release was removed while a delta was made; it is made later")]
    Gone,
    #[error(
        "{SUBCOMMAND} is started by the server with BASE TARGET FILE MEMORY_BYTES and MOST_BYTES or {CHECK}"
    )]
    Usage,
    #[error("the delta of the vendor does not make its target")]
    Wrong {
        #[from]
        source: ApplyError,
    },
    #[error("the delta of the vendor has no list of files, as those of an older container")]
    NoList,
    #[error("cannot read the manifest of an unpacked release")]
    Manifest {
        #[from]
        source: DocumentError,
    },
    #[error("cannot make the delta")]
    Make {
        #[from]
        source: MakeError,
    },
}

impl ChildError {
    /// Whether it would end the same way again: at its bounds, or for what it read.
    pub(super) const fn is_for_good(&self) -> bool {
        match self {
            Self::TooSlow { .. } | Self::Failed { .. } | Self::TooLarge { .. } => true,
            Self::Trees { .. }
            | Self::Io { .. }
            | Self::NoRoom { .. }
            | Self::Gone
            | Self::Usage
            | Self::Wrong { .. }
            | Self::NoList
            | Self::Manifest { .. }
            | Self::Make { .. } => false,
        }
    }
}

/// A delta that was made, in a file without a final name.
#[derive(Debug)]
pub(super) struct MadeDelta {
    pub(super) file: Unfinished,
    pub(super) blob: Blob,
}

/// How the child is started.
#[derive(Debug, Clone)]
pub struct ChildCommand {
    pub program: PathBuf,
    /// Its first arguments; those of the task follow.
    pub arguments: Vec<OsString>,
}

impl ChildCommand {
    /// This very program, with the hidden subcommand.
    ///
    /// # Errors
    /// When the system does not say where this program is.
    pub fn of_this_program() -> io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, arguments: vec![SUBCOMMAND.into()] })
    }

    /// Makes the delta between two folders of unpacked releases, or from nothing to one, into a new file below `scratch`, of at
    /// most so many bytes.
    pub(super) async fn make(
        &self,
        scratch: &Path,
        base: Option<&Path>,
        target: &Path,
        most_bytes: u64,
        limits: &Limits,
    ) -> Result<MadeDelta, ChildError> {
        let failed = |attempted| move |source| ChildError::Io { attempted, source };
        // The child runs in another folder, so relative paths would not be found there.
        let absolute = |path: &Path| std::path::absolute(path).map_err(failed("find a folder"));
        let (scratch, target) = (absolute(scratch)?, absolute(target)?);
        let base = base.map_or_else(|| Ok(FROM_NOTHING.into()), absolute)?;
        let file = Unfinished::new_in(&scratch).map_err(failed("make a file"))?;
        let most = most_bytes.to_string();
        let task = [base.as_os_str(), target.as_os_str(), file.path().as_os_str()];
        self.run(&scratch, task, OsStr::new(&most), limits).await.map_err(|error| match error {
            ChildError::Failed { status, .. } if status.signal() == Some(Signal::XFSZ.as_raw()) => {
                ChildError::TooLarge { most_bytes }
            }
            error => error,
        })?;
        let path = file.path().to_owned();
        let digested = tokio::task::spawn_blocking(move || Sha256Digest::of_reader(open_regular(&path)?));
        let (sha256, length) = digested
            .await
            .map_err(|error| ChildError::Io {
                attempted: "read the result",
                source: io::Error::other(error),
            })?
            .map_err(failed("read the result"))?;
        if length > most_bytes {
            return Err(ChildError::TooLarge { most_bytes });
        }
        Ok(MadeDelta { file, blob: Blob { sha256, length } })
    }

    /// Applies a delta, whose file this is, to an unpacked release; good if the files of the other one come out.
    pub(super) async fn check(
        &self,
        scratch: &Path,
        base: &Path,
        target: &Path,
        delta: &Path,
        limits: &Limits,
    ) -> Result<(), ChildError> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|source| ChildError::Io { attempted: "find a folder", source })
        };
        let (scratch, base) = (absolute(scratch)?, absolute(base)?);
        let (target, delta) = (absolute(target)?, absolute(delta)?);
        let task = [base.as_os_str(), target.as_os_str(), delta.as_os_str()];
        self.run(&scratch, task, OsStr::new(CHECK), limits).await
    }

    async fn run(
        &self,
        scratch: &Path,
        task: [&OsStr; 3],
        work: &OsStr,
        limits: &Limits,
    ) -> Result<(), ChildError> {
        let failed = |attempted| move |source| ChildError::Io { attempted, source };
        // The socket that systemd holds, and what whoever started the server had open, are not closed by themselves.
        set_fds_cloexec_threadsafe(FIRST_AFTER_STANDARD, &[]);
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(task)
            .arg(limits.delta_memory_bytes.to_string())
            .arg(work)
            .env_clear()
            .env("TMPDIR", scratch)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed("start a process"))?;
        let error_output = child.stderr.take();
        let ended = async {
            let mut said = Vec::new();
            if let Some(error_output) = error_output {
                // A child whose error output cannot be read may still have succeeded.
                let _ = error_output.take(MAX_ERROR_OUTPUT_BYTES).read_to_end(&mut said).await;
            }
            (child.wait().await, said)
        };
        let (status, said) = match timeout(limits.delta_time, ended).await {
            Ok((status, said)) => (status.map_err(failed("wait for a process"))?, said),
            // Dropping the child kills it.
            Err(_) => return Err(ChildError::TooSlow { limit: limits.delta_time }),
        };
        if !status.success() {
            let said = String::from_utf8_lossy(&said).trim().replace(char::is_control, " ");
            return Err(ChildError::Failed { status, memory_bytes: limits.delta_memory_bytes, said });
        }
        Ok(())
    }
}

/// What a child is to do: the arguments of the hidden subcommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildTask {
    /// Folder of the unpacked base release; `None`: from nothing.
    pub base: Option<PathBuf>,
    /// Folder of the unpacked target release.
    pub target: PathBuf,
    /// The file of the delta, which exists.
    pub file: PathBuf,
    /// Address space that the child may use, in bytes.
    pub memory_bytes: u64,
    pub work: ChildWork,
}

/// What a child does with the file of the delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildWork {
    /// Writes the delta there, of at most so many bytes. What it is made of lies in files that may be as long as the target.
    Make { most_bytes: u64 },
    /// Applies the delta that is there, and writes nothing.
    Check,
}

impl ChildTask {
    /// Reads the arguments that follow the subcommand: `BASE TARGET FILE MEMORY_BYTES`, and then `MOST_BYTES` or `check`;
    /// `/dev/null` is the base of a delta that needs none.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ChildError> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let [base, target, file, memory_bytes, work] = arguments.as_slice() else {
            return Err(ChildError::Usage);
        };
        let number =
            |text: &OsString| text.to_str().and_then(|text| text.parse().ok()).ok_or(ChildError::Usage);
        let memory_bytes = number(memory_bytes)?;
        let work =
            if work == CHECK { ChildWork::Check } else { ChildWork::Make { most_bytes: number(work)? } };
        let base = (base != FROM_NOTHING).then(|| base.into());
        Ok(Self { base, target: target.into(), file: file.into(), memory_bytes, work })
    }

    /// Does the work, in this process. To be called early in `main`, before threads are started: the limit counts for
    /// the whole process.
    ///
    /// # Errors
    /// [`ChildError`]. At the memory limit the process is aborted instead, and at that of its files the system ends it, which
    /// the server sees.
    pub fn run(&self) -> Result<Summary, ChildError> {
        let failed = |attempted| move |source| ChildError::Io { attempted, source };
        // Address space alone would not count the parts of an arena that are reserved already.
        for resource in [Resource::As, Resource::Data] {
            bound(resource, self.memory_bytes).map_err(failed("limit the memory"))?;
        }
        // Nobody waits for a packed release, so everything else on the machine comes first.
        if self.base.is_none() {
            let _ = rustix::process::nice(NICENESS);
        }
        bound(Resource::Core, 0).map_err(failed("switch off core dumps"))?;
        let (target, new) = read_tree(&self.target)?;
        let most_written = match self.work {
            ChildWork::Make { most_bytes } => most_bytes.max(most_in_streams(&target)),
            ChildWork::Check => 0,
        };
        bound(Resource::Fsize, most_written).map_err(failed("limit what is written"))?;
        let (base, old) = match &self.base {
            Some(base) => read_tree(base)?,
            // Of a tree without files no file is read, wherever it is.
            None => (Tree { root: target.root.clone(), entries: Vec::new() }, Vec::new()),
        };
        let base = Release { tree: &base, manifest: &old };
        let target = Release { tree: &target, manifest: &new };
        match self.work {
            ChildWork::Make { .. } => self.make(&base, &target),
            ChildWork::Check => check(&base, &target, &self.file),
        }
    }

    fn make(&self, base: &Release<'_>, target: &Release<'_>) -> Result<Summary, ChildError> {
        let failed = |attempted| move |source| ChildError::Io { attempted, source };
        let out = fs::OpenOptions::new().write(true).truncate(true).open(&self.file);
        let out = out.map_err(failed("open the result"))?;
        let writer = io::BufWriter::new(out.try_clone().map_err(failed("open the result"))?);
        // The rest is for the program itself.
        let settings = MakeSettings { memory_bytes: self.memory_bytes / 4 * 3, ..MakeSettings::default() };
        let (limits, go_on) = (DeltaLimits::default(), &mut |_: Progress| true);
        let summary = sealpost_deltas::make(base, target, writer, &limits, &settings, go_on)?;
        out.sync_all().map_err(failed("flush the result"))?;
        Ok(summary)
    }
}

/// Applies a delta, and keeps nothing of what comes out: its list of files has to be the manifest of the target, and each file
/// is compared with that on the way.
fn check(base: &Release<'_>, target: &Release<'_>, delta: &Path) -> Result<Summary, ChildError> {
    let delta = open_regular(delta)
        .map_err(|source| ChildError::Io { attempted: "open the delta of the vendor", source })?;
    let files = FolderBase::new(&base.tree.root);
    let origin = Base { files: &files, list: base.manifest, entries: &base.tree.entries };
    let mut has_list = false;
    let mut vet = |list: &[u8]| {
        has_list = list == target.manifest;
        if has_list { Ok(target.tree.entries.clone()) } else { Err("it makes another manifest".into()) }
    };
    let mut nowhere = Nowhere { made: &target.tree.root };
    let (limits, go_on) = (DeltaLimits::default(), &mut |_: Progress| true);
    let lists = &mut Lists::Manifest(&mut vet);
    let summary =
        sealpost_deltas::apply(&origin, io::BufReader::new(delta), lists, &mut nowhere, &limits, go_on)?;
    if has_list { Ok(summary) } else { Err(ChildError::NoList) }
}

/// Takes files that were compared with the manifest, and lets go of them: the same ones lie in the target's tree.
struct Nowhere<'a> {
    made: &'a Path,
}

impl TargetWriter for Nowhere<'_> {
    fn create_file(
        &mut self,
        _path: &str,
        _mode: u32,
        _length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        io::copy(content, &mut io::sink()).map(drop)
    }

    fn create_symlink(&mut self, _path: &str, _target: &str) -> io::Result<()> {
        Ok(())
    }

    fn reopen(&mut self, path: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(open_regular(&self.made.join(path))?))
    }
}

/// Most bytes that a file has in which a delta to this tree is put together, and the delta itself.
fn most_in_streams(target: &Tree) -> u64 {
    let lengths = target.entries.iter().map(|entry| match &entry.kind {
        EntryKind::File { length, .. } => *length,
        EntryKind::Symlink { .. } => 0,
    });
    lengths.fold(BESIDE_STREAMS, u64::saturating_add)
}

fn bound(resource: Resource, bytes: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(bytes), maximum: Some(bytes) })?)
}

/// An unpacked release with the list of its files, and the verified manifest beside it that the list is from. Every byte of
/// the tree is compared with it while the delta is made.
fn read_tree(folder: &Path) -> Result<(Tree, Vec<u8>), ChildError> {
    let text = read_bounded(&folder.join(MANIFEST), MAX_DOCUMENT_BYTES)
        .and_then(|text| text.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(|source| ChildError::Io { attempted: "read a manifest", source })?;
    let manifest: ReleaseManifest = document::read(&text)?;
    let entries = manifest.files.into_iter().map(|entry| {
        let kind = match entry.kind {
            FileKind::File { executable, length, sha256 } => {
                let mode = if executable { 0o755 } else { 0o644 };
                EntryKind::File { length, sha256: *sha256.as_bytes(), mode }
            }
            FileKind::Symlink { target } => EntryKind::Symlink { target },
        };
        Entry { path: entry.path.into(), kind }
    });
    Ok((Tree { root: folder.join(TREE), entries: entries.collect() }, text))
}

#[cfg(test)]
#[path = "make_delta_tests.rs"]
mod tests;
