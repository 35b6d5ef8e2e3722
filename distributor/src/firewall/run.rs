//! Finding the tools, and running them: by their absolute paths, without a shell, in an environment of three words, for a
//! bounded time, with bounded output.
//!
//! Invariant: a tool that others than root could change is not run.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use close_fds::set_fds_cloexec_threadsafe;
use sealpost_files::read_bounded;
use sealpost_hook_runner::ownership::{OwnershipError, ensure_not_writable_by_others};
use sealpost_service::text::plain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::parts::Step;
use super::seen::Seen;
use super::{firewalld, nft, ufw};

/// Where tools of root lie, also where the search path of this process does not say so.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The search path that the tools get; ufw calls others.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Most folders of a search path that are looked into.
const MAX_FOLDERS: usize = 64;
/// How long one call may take: firewalld waits 25 s for its bus, ufw for the lock of iptables.
const MAX_TIME: Duration = Duration::from_secs(60);
/// Longest answer that is read, in bytes. Rules of a computer with containers are some hundred KiB; elements of sets are
/// not asked for.
const MAX_OUTPUT_BYTES: u64 = 8 * 1024 * 1024;
/// Longest complaint that is read, in bytes.
const MAX_COMPLAINT_BYTES: u64 = 64 * 1024;
/// Longest complaint that is told, in characters.
const MAX_TOLD: usize = 512;
/// Names the tables of iptables' older half, which nftables does not list; empty where it is not used.
const LEGACY_TABLES: [&str; 2] = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
/// The descriptor after standard input, output and error.
const FIRST_AFTER_STANDARD: i32 = 3;

/// The tools of this computer.
#[derive(Debug, Clone)]
pub struct Tools {
    folders: Vec<PathBuf>,
}

/// Why a tool gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Root would run what others wrote.
    #[error("cannot use {tool}")]
    Ownership { tool: &'static str, source: OwnershipError },
    #[error("cannot run {tool}")]
    Io { tool: &'static str, source: io::Error },
    #[error("`{command}` ended with {status}: {said}")]
    Failed { command: String, status: ExitStatus, said: String },
    #[error("`{command}` did not end within {} s and was killed; type it by hand to see what it waits for", MAX_TIME.as_secs())]
    TooSlow { command: String },
    #[error("`{command}` prints more than {} MiB, which is not read; type it by hand", MAX_OUTPUT_BYTES >> 20)]
    TooLong { command: String },
    #[error("cannot read what `{command}` prints: {problem}; type it by hand")]
    Unreadable { command: String, problem: String },
    /// Some of what was to be run was run.
    #[error("what ran before stands; `distributor firewall show` says what is open now")]
    HalfDone(#[source] Box<Self>),
}

impl Tools {
    /// Those of a search path, and of the folders of the system.
    #[must_use]
    pub fn on(path: Option<&OsStr>) -> Self {
        let named = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
        let named = named.into_iter().filter(|folder| folder.is_absolute()).take(MAX_FOLDERS);
        Self { folders: named.chain(FOLDERS.map(PathBuf::from)).collect() }
    }

    /// What the tool says that rules this computer: firewalld where it runs, else ufw where it is active, else nftables;
    /// `None` where none of them is here.
    pub async fn look(&self) -> Result<Option<Seen>, ToolError> {
        if self.find(firewalld::TOOL).is_some() && self.firewalld_runs().await? {
            return Ok(Some(Seen::Firewalld(self.look_at_firewalld().await?)));
        }
        if self.find(ufw::TOOL).is_some() {
            let status = Step::new(ufw::TOOL, ["status", "verbose"]);
            let said = self.ask(&status).await?;
            if ufw::is_active(&said) {
                let added = self.ask(&Step::new(ufw::TOOL, ["show", "added"])).await?;
                return Ok(Some(Seen::Ufw(ufw::parse(&said, &added))));
            }
        }
        if self.find(nft::TOOL).is_none() {
            return Ok(None);
        }
        let list = Step::new(nft::TOOL, nft::LIST);
        let said = self.ask(&list).await?;
        let unreadable = |problem| ToolError::Unreadable { command: list.to_string(), problem };
        Ok(Some(Seen::Nft(nft::parse(&said, has_legacy_tables()).map_err(unreadable)?)))
    }

    /// Runs what was planned, in order, up to the first that fails.
    pub async fn carry_out(&self, steps: &[Step]) -> Result<(), ToolError> {
        for (number, step) in steps.iter().enumerate() {
            match self.ask(step).await {
                Ok(_) => {}
                Err(error) if number > 0 => return Err(ToolError::HalfDone(Box::new(error))),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn find(&self, tool: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(tool)).find(|path| path.is_file())
    }

    async fn firewalld_runs(&self) -> Result<bool, ToolError> {
        // It ends with an error where it does not run.
        let said = self.run(&Step::new(firewalld::TOOL, ["--state"])).await?;
        Ok(said.status.success() && said.output.trim() == "running")
    }

    async fn look_at_firewalld(&self) -> Result<firewalld::Seen, ToolError> {
        let zone = Step::new(firewalld::TOOL, ["--get-default-zone"]);
        let said = self.ask(&zone).await?;
        let problem = "it is no name of a zone".to_owned();
        let Some(name) = firewalld::zone_name(&said) else {
            return Err(ToolError::Unreadable { command: zone.to_string(), problem });
        };
        let mut said = Vec::new();
        for step in firewalld::questions(&name) {
            said.push(self.ask(&step).await?);
        }
        Ok(firewalld::parse(name, &said))
    }

    /// What a call printed that succeeded.
    async fn ask(&self, step: &Step) -> Result<String, ToolError> {
        let said = self.run(step).await?;
        if said.status.success() {
            return Ok(said.output);
        }
        let complaint = if said.complaint.trim().is_empty() { said.output } else { said.complaint };
        let complaint = complaint.trim().chars().take(MAX_TOLD).collect::<String>();
        Err(ToolError::Failed { command: command_line(step), status: said.status, said: plain(&complaint) })
    }

    async fn run(&self, step: &Step) -> Result<Said, ToolError> {
        let tool = step.tool;
        let failed = |source| ToolError::Io { tool, source };
        let path = self.find(tool).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        ensure_not_writable_by_others(&path).map_err(|source| ToolError::Ownership { tool, source })?;
        set_fds_cloexec_threadsafe(FIRST_AFTER_STANDARD, &[]);
        let mut child = Command::new(path)
            .args(&step.arguments)
            .env_clear()
            .envs([("LC_ALL", "C"), ("PATH", PATH), ("HOME", "/")])
            .current_dir("/")
            .stdin(if step.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (input, output, complaint) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let (Some(mut pipe), Some(text)) = (input, &step.input) {
                // One that ends before it has read says why by its status.
                let _ = pipe.write_all(text.as_bytes()).await;
            }
        };
        let all = async {
            let read =
                async { tokio::join!(read(output, MAX_OUTPUT_BYTES), read(complaint, MAX_COMPLAINT_BYTES)) };
            let ((), (output, complaint)) = tokio::join!(write, read);
            let ((output, Whole::Yes), (complaint, _)) = (output?, complaint?) else { return Ok(None) };
            io::Result::Ok(Some(Said { status: child.wait().await?, output, complaint }))
        };
        // Dropping the child kills it.
        match timeout(MAX_TIME, all).await {
            Ok(Ok(Some(said))) => Ok(said),
            Ok(Ok(None)) => Err(ToolError::TooLong { command: command_line(step) }),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(ToolError::TooSlow { command: command_line(step) }),
        }
    }
}

/// How a call ended, and what it said.
struct Said {
    status: ExitStatus,
    output: String,
    complaint: String,
}

/// The call without what it reads.
fn command_line(step: &Step) -> String {
    Step { input: None, ..step.clone() }.to_string()
}

/// Whether a pipe brought no more than was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

/// The first `most` bytes that a pipe brings.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<(String, Whole)> {
    let Some(mut pipe) = pipe else { return Ok((String::new(), Whole::Yes)) };
    let mut bytes = Vec::new();
    (&mut pipe).take(most).read_to_end(&mut bytes).await?;
    let whole = if pipe.read(&mut [0]).await? == 0 { Whole::Yes } else { Whole::No };
    Ok((String::from_utf8_lossy(&bytes).into_owned(), whole))
}

fn has_legacy_tables() -> bool {
    let names = |path: &str| read_bounded(Path::new(path), MAX_COMPLAINT_BYTES);
    LEGACY_TABLES.iter().any(|path| matches!(names(path), Ok(Some(names)) if !names.is_empty()))
}
