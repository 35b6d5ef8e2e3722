//! The daemon's control socket: one line in, one line of JSON out. For the agent's own command line on this computer;
//! only root and the agent's user can use it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use sealpost_manifests::ids::PackageName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 256;
/// Longest answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;
/// How long a caller may take to write its line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a caller could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Whether a person means to go back to a release that the vendor withdrew, or that this computer was led away from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToUnwanted {
    Refuse,
    Allow,
}

/// What a daemon can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Contact the server now.
    Check,
    /// Go back to the previous release.
    Rollback(PackageName, ToUnwanted),
    /// Put a package right that is not as it was signed; every one if none is named.
    Repair(Option<PackageName>),
    /// Forget that releases of a package were given up, and contact the server now.
    Retry(PackageName),
    /// Put off what waits to be installed, or end that; of every package if none is named.
    Hold(Option<PackageName>, HoldFor),
    /// Start what waits for a person; of every package if none is named.
    Install(Option<PackageName>),
}

/// For how long something is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldFor {
    Seconds(u32),
    End,
}

impl Request {
    fn to_line(&self) -> String {
        match self {
            Self::Check => "check\n".to_owned(),
            Self::Rollback(package, ToUnwanted::Refuse) => format!("rollback {package}\n"),
            // Named after the first reason for it: a daemon of before that understands it too.
            Self::Rollback(package, ToUnwanted::Allow) => format!("rollback-withdrawn {package}\n"),
            Self::Repair(None) => "repair\n".to_owned(),
            Self::Repair(Some(package)) => format!("repair {package}\n"),
            Self::Retry(package) => format!("retry {package}\n"),
            Self::Hold(package, HoldFor::Seconds(secs)) => {
                format!("hold {} {secs}\n", or_all(package.as_ref()))
            }
            Self::Hold(package, HoldFor::End) => format!("hold-end {}\n", or_all(package.as_ref())),
            Self::Install(package) => format!("install {}\n", or_all(package.as_ref())),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_suffix('\n')?;
        let rollback = |package, to| Some(Self::Rollback(PackageName::new(package).ok()?, to));
        match line.split_once(' ') {
            None if line == "check" => Some(Self::Check),
            None if line == "repair" => Some(Self::Repair(None)),
            Some(("rollback", package)) => rollback(package, ToUnwanted::Refuse),
            Some(("rollback-withdrawn", package)) => rollback(package, ToUnwanted::Allow),
            Some(("repair", package)) => PackageName::new(package).ok().map(Some).map(Self::Repair),
            Some(("retry", package)) => PackageName::new(package).ok().map(Self::Retry),
            Some(("hold", what)) => {
                let (package, secs) = what.split_once(' ')?;
                Some(Self::Hold(one_or_all(package)?, HoldFor::Seconds(secs.parse().ok()?)))
            }
            Some(("hold-end", package)) => Some(Self::Hold(one_or_all(package)?, HoldFor::End)),
            Some(("install", package)) => one_or_all(package).map(Self::Install),
            _ => None,
        }
    }
}

/// Stands for every package; no package has such a name.
const ALL: &str = "*";

fn or_all(package: Option<&PackageName>) -> &str {
    package.map_or(ALL, PackageName::as_str)
}

/// `None` if it is neither a package nor all of them.
fn one_or_all(text: &str) -> Option<Option<PackageName>> {
    if text == ALL { Some(None) } else { PackageName::new(text).ok().map(Some) }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether the request succeeded.
    pub ok: bool,
    /// What became of it, for programs; a daemon of before there were codes gives none.
    #[serde(default)]
    pub code: AnswerCode,
    pub lines: Vec<String>,
}

/// The codes of [`Answer`]. One that is not known here is read as [`AnswerCode::Other`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerCode {
    UpToDate,
    /// The server assigns nothing to this computer.
    NothingAssigned,
    /// Something is not as it should be: a line says what.
    NotUpToDate,
    RolledBack,
    /// The agent's previous program is on trial.
    OnTrial,
    NothingToGoBackTo,
    /// What was gone back to does not work here.
    RollbackFailed,
    Repaired,
    NotRepaired,
    NothingGivenUp,
    /// The vendor withdrew what would be gone back to.
    Withdrawn,
    /// The site led this computer away from what would be gone back to, or it failed here.
    LeftBefore,
    /// What waits is put off.
    PutOff,
    /// Not all of it can be put off: a line says why.
    NotPutOff,
    HoldEnded,
    /// Nothing waits for a person.
    NothingWaits,
    /// It could not even begin.
    Failed,
    Stopping,
    #[default]
    #[serde(other)]
    Other,
}

/// A request, with the channel to its caller.
#[derive(Debug)]
pub struct PendingRequest {
    pub request: Request,
    pub reply: oneshot::Sender<Answer>,
}

/// Opens the socket; one that an ended daemon left is replaced. The caller holds the daemon's lock.
///
/// # Errors
/// The system's.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let short = ShortPath::of(path)?;
    let listener = UnixListener::bind(&short.path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A path of a socket that is short however long the path of its folder is: an address of a Unix socket has 108 bytes.
struct ShortPath {
    path: PathBuf,
    /// Open as long as the path is used.
    _folder: OwnedFd,
}

impl ShortPath {
    fn of(path: &Path) -> io::Result<Self> {
        let missing = || io::Error::from(io::ErrorKind::InvalidInput);
        let (folder, name) = (path.parent().ok_or_else(missing)?, path.file_name().ok_or_else(missing)?);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(folder, flags, Mode::empty())?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _folder: folder })
    }
}

/// Whether a daemon listens on a socket; `None` for who may not ask it, as other users than root and the agent's.
#[must_use]
pub fn is_listening(path: &Path) -> Option<bool> {
    let connected = ShortPath::of(path).and_then(|short| std::os::unix::net::UnixStream::connect(short.path));
    match connected {
        Ok(_) => Some(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(_) => Some(false),
    }
}

/// Serves the socket, one caller after another, until the daemon ends.
pub async fn serve(listener: UnixListener, requests: mpsc::Sender<PendingRequest>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely out of file descriptors; accepting again at once would use the whole thread.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let requests = requests.clone();
        drop(tokio::spawn(async move {
            if let Err(error) = serve_one(stream, &requests).await {
                tracing::debug!(%error, "a caller of the control socket went away");
            }
        }));
    }
}

async fn serve_one(stream: UnixStream, requests: &mpsc::Sender<PendingRequest>) -> io::Result<()> {
    // The mode of the socket keeps others out; this check also works where a file system ignores the mode.
    let peer = stream.peer_cred()?.uid();
    let me = rustix::process::geteuid().as_raw();
    if peer != me && peer != 0 {
        return Ok(());
    }
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(MAX_REQUEST_BYTES));
    let read = tokio::time::timeout(REQUEST_TIMEOUT, reader.read_line(&mut line)).await;
    if !matches!(read, Ok(Ok(count)) if count > 0) {
        return Ok(());
    }
    let refused = |code, line: &str| Answer { ok: false, code, lines: vec![line.to_owned()] };
    let stopping = || refused(AnswerCode::Stopping, "the agent is stopping; ask again when it runs");
    let answer = match Request::parse(&line) {
        None => {
            refused(AnswerCode::Other, "not understood; use the agent-updater command of the same version")
        }
        Some(request) => {
            let (reply, answer) = oneshot::channel();
            match requests.send(PendingRequest { request, reply }).await {
                Ok(()) => answer.await.unwrap_or_else(|_| stopping()),
                Err(_) => stopping(),
            }
        }
    };
    let mut text = serde_json::to_vec(&answer).map_err(io::Error::other)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Asks a running daemon; `None` if none runs.
///
/// # Errors
/// The system's, once a daemon was reached.
pub async fn ask(path: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let Ok(short) = ShortPath::of(path) else { return Ok(None) };
    let Ok(mut stream) = UnixStream::connect(&short.path).await else { return Ok(None) };
    stream.write_all(request.to_line().as_bytes()).await?;
    let mut text = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut text).await?;
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the agent stopped before it answered"));
    }
    serde_json::from_slice(&text).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_and_nothing_else_is_understood() {
        let acme = || PackageName::new("acme").unwrap();
        for request in [
            Request::Check,
            Request::Rollback(acme(), ToUnwanted::Refuse),
            Request::Rollback(acme(), ToUnwanted::Allow),
            Request::Repair(None),
            Request::Repair(Some(acme())),
            Request::Retry(acme()),
            Request::Hold(Some(acme()), HoldFor::Seconds(7_200)),
            Request::Hold(None, HoldFor::Seconds(0)),
            Request::Hold(Some(acme()), HoldFor::End),
            Request::Hold(None, HoldFor::End),
            Request::Install(Some(acme())),
            Request::Install(None),
        ] {
            assert_eq!(Request::parse(&request.to_line()), Some(request));
        }
        for bad in [
            "",
            "check",
            "check \n",
            "rollback ../x\n",
            "rollback\n",
            "stop\n",
            "retry\n",
            "repair ../x\n",
            "hold acme\n",
            "hold acme -1\n",
            "hold acme 4294967296\n",
            "hold ../x 1\n",
            "hold-end\n",
            "install\n",
            "install **\n",
        ] {
            assert_eq!(Request::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_answer_without_a_code_or_with_a_later_one_is_read() {
        for text in [r#"{"ok":true,"lines":[]}"#, r#"{"ok":true,"code":"of_a_later_agent","lines":[]}"#] {
            assert_eq!(serde_json::from_str::<Answer>(text).unwrap().code, AnswerCode::Other);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_folder_whose_path_is_longer_than_an_address_of_a_socket_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("agent.sock");
        assert_eq!(is_listening(&path), Some(false));
        let listener = listen(&path).unwrap();
        assert!(path.exists() && is_listening(&path) == Some(true));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (sender, mut requests) = mpsc::channel(1);
        drop(tokio::spawn(serve(listener, sender)));
        let daemon = async {
            let pending = requests.recv().await.unwrap();
            let answer = Answer { ok: true, code: AnswerCode::UpToDate, lines: Vec::new() };
            pending.reply.send(answer).unwrap();
        };
        // The first caller only looked whether somebody listens, and went away.
        let (answer, ()) = tokio::join!(ask(&path, &Request::Check), daemon);
        assert!(answer.unwrap().unwrap().ok);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_caller_gets_the_daemons_answer_and_a_dead_socket_is_no_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        assert_eq!(ask(&path, &Request::Check).await.unwrap(), None);
        drop(listen(&path).unwrap());
        assert_eq!(ask(&path, &Request::Check).await.unwrap(), None);
        let listener = listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (sender, mut requests) = mpsc::channel(1);
        drop(tokio::spawn(serve(listener, sender)));
        let daemon = async {
            let pending = requests.recv().await.unwrap();
            assert_eq!(pending.request, Request::Check);
            pending
                .reply
                .send(Answer { ok: true, code: AnswerCode::UpToDate, lines: vec!["up to date".to_owned()] })
                .unwrap();
        };
        let (answer, ()) = tokio::join!(ask(&path, &Request::Check), daemon);
        assert_eq!(answer.unwrap().unwrap().lines, ["up to date"]);
    }
}
