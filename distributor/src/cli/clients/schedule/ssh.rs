//! One install over the system's ssh: its arguments, what it runs there, and what becomes of it.
//!
//! Invariants: the install file, which holds a secret, goes through standard input alone; what runs there is a constant text.
//! The host is the one whose key was pinned, or ssh refuses it. Nothing of this account goes along: no agent, no ticket, no
//! forwarding. What the host prints is bounded, and so is how long it may take; ssh is ended with all that it started. Those
//! bounds hold also when this program is killed: the host ends the install, and ssh is ended, by the system's `timeout`. So no try
//! goes on when the server gives it to another.
//! Left out on purpose: keys and passwords. ssh finds them as it does for whoever types it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use sealpost_service::text::plain;
use sealpost_site::rules::install_tries::MAX_REASON_CHARS;
use sealpost_site::rules::schedule::{InstallOutcome, SshAccess};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long one install may take, with the connection and all.
pub(super) const MAX_TIME: Duration = Duration::from_secs(15 * 60);
/// When ssh is ended by `timeout` if nobody else did: not before this program would have.
const OUTLIVES: Duration = Duration::from_secs(30);
/// How long what was asked to end has for it, before it is killed.
const KILLED_AFTER: Duration = Duration::from_secs(15);
/// How long what ssh left may keep the pipes open after its end.
const PIPES_CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Most bytes that a host may print; an install prints some lines.
const MAX_PRINTED: u64 = 4 * 1024 * 1024;
/// How much of the end is kept, in bytes.
const KEPT: usize = 8 * 1024;
/// The name under which the pinned key stands for ssh: whatever the host is called, there is no other.
const ALIAS: &str = "sealpost-pinned-host";
/// ssh's own exit status: it could not connect, or was refused.
const SSH_FAILED: i32 = 255;
/// What is set for ssh, whatever this account's configuration says. An older ssh passes over what it does not know, which are
/// further locks on doors that it does not have; this account's configuration may name what only others know.
const SETTINGS: &[&str] = &[
    "IgnoreUnknown=*",
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "NoHostAuthenticationForLocalhost=no",
    "KnownHostsCommand=none",
    "VerifyHostKeyDNS=no",
    "CheckHostIP=no",
    "UpdateHostKeys=no",
    "ConnectTimeout=20",
    "ConnectionAttempts=1",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "HostbasedAuthentication=no",
    "NumberOfPasswordPrompts=0",
    "ForwardAgent=no",
    "ForwardX11=no",
    // Debian's: with it Kerberos vouches for a host instead of its key.
    "GSSAPIKeyExchange=no",
    "GSSAPIDelegateCredentials=no",
    "ClearAllForwardings=yes",
    "Tunnel=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "SessionType=default",
    "ForkAfterAuthentication=no",
    "StdinNull=no",
    "ControlMaster=no",
    "ControlPath=none",
    "ControlPersist=no",
    "RequestTTY=no",
    // With less it does not say that a host has no key of the pinned kind, or that a connection broke off.
    "LogLevel=INFO",
];
/// What it says there first, so that the banner and whatever a login prints are not taken for its own words.
const BEGINS: &str = "sealpost-install-begins";
/// What runs there, as root: it takes the install file from standard input into a file that has no name any more, so that
/// nothing stays there however this ends, looks whether it is whole, and runs it. Only root can write in these folders, so a name that
/// can be guessed is none's to take. One line, without a single quote.
///
/// A file is run by the name that it has below /proc. Where there is none, it keeps its own until the end. It has 14 minutes, so that
/// it ends before ssh does; a host without a `timeout` lets it go on as long as it takes.
const REMOTE: &str = "umask 077; echo sealpost-install-begins >&2; \
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; work=; \
end() { [ -z \"$work\" ] || rm -rf \"$work\"; }; trap end EXIT; \
trap \"exit 129\" HUP; trap \"exit 130\" INT; trap \"exit 141\" PIPE; trap \"exit 143\" TERM; \
[ \"$(id -u)\" -eq 0 ] || { echo \"whoever logs in is not root, and sudo is not used\" >&2; exit 77; }; \
for parent in /var/lib /run /usr/local/lib; do \
work=\"$parent/.sealpost-ssh.$$\"; mkdir \"$work\" 2>/dev/null && break; work=; done; \
[ -n \"$work\" ] || { echo \"there is no room in /var/lib, /run and /usr/local/lib\" >&2; exit 73; }; \
file=\"$work/install.sh\"; exec 3>\"$file\" 4<\"$file\" || exit 74; \
if [ -f /proc/self/fd/4 ]; then file=/proc/self/fd/4; rm -rf \"$work\"; work=; fi; \
read -r size || { echo \"nothing came\" >&2; exit 74; }; \
cat >&3 || exit 74; exec 3>&-; \
[ \"$(wc -c <\"$file\")\" -eq \"$size\" ] || { echo \"the install file broke off on its way\" >&2; exit 74; }; \
bound=; for one in \"timeout -k 15 840\" \"timeout 840\"; do \
$one true 2>/dev/null && bound=$one && break; done; \
$bound sh \"$file\" --json 4<&4 </dev/null; status=$?; \
[ \"$status\" -ne 124 ] || echo \"it did not end within 14 minutes\" >&2; exit \"$status\"";

/// What became of an install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) outcome: InstallOutcome,
    /// Why; empty when it went well.
    pub(super) reason: String,
}

impl Ended {
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: InstallOutcome::Failed, reason: cut(&reason.into()) }
    }
}

/// The system's ssh, and how this account uses it.
#[derive(Debug)]
pub(super) struct Ssh {
    program: PathBuf,
    /// Ends it in time, also when this program does not live to do so; not every system has one.
    timeout: Option<PathBuf>,
    identity: Option<PathBuf>,
}

impl Ssh {
    /// Looks for it before anything is begun.
    pub(super) fn find(search: Option<&OsStr>, identity: Option<&Path>) -> anyhow::Result<Self> {
        let named = |name: &str| {
            let folders = search.map(std::env::split_paths).into_iter().flatten();
            let paths = folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
            paths.into_iter().find(|path| path.is_file())
        };
        let program = named("ssh").context(
            "cannot install over ssh: there is no program named ssh; install OpenSSH's client, as `apt install openssh-client`",
        )?;
        let identity = identity.map(|identity| {
            let attempted = || format!("cannot use the key {}", identity.display());
            let identity = identity.canonicalize().with_context(attempted)?;
            if !identity.is_file() {
                bail!("{}: it is no file", attempted());
            }
            plain_path(&identity).with_context(attempted)?;
            Ok(identity)
        });
        Ok(Self { program, timeout: named("timeout"), identity: identity.transpose()? })
    }

    /// Installs by an install file, which begins with its size; `stop` breaks it off.
    pub(super) async fn install(
        &self,
        access: &SshAccess,
        file: File,
        mut stop: watch::Receiver<bool>,
    ) -> Ended {
        let folder = match known_hosts(access) {
            Ok(folder) => folder,
            Err(error) => return Ended::failed(format!("cannot pin the host's key: {error:#}")),
        };
        let mut command = self.command();
        command.args(arguments(access, &folder.path().join(KNOWN_HOSTS), self.identity.as_deref()));
        command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ended::failed(format!("cannot start {}: {error}", self.program.display())),
        };
        let mut running = Running::new(child);
        tokio::select! {
            ended = running.end() => match ended {
                Ok(Some(said)) => judged(said.code, &said.complaint, &said.output),
                Ok(None) => Ended::failed(format!("it printed more than {} MiB", MAX_PRINTED >> 20)),
                Err(error) => Ended::failed(format!("cannot wait for ssh: {error}")),
            },
            () = tokio::time::sleep(MAX_TIME) => {
                Ended::failed(format!("it did not end within {} minutes", MAX_TIME.as_secs() / 60))
            }
            _ = stop.wait_for(|stop| *stop) => Ended::failed("it was broken off"),
        }
    }

    /// ssh, below what ends it in time.
    fn command(&self) -> Command {
        let Some(timeout) = &self.timeout else { return Command::new(&self.program) };
        let mut command = Command::new(timeout);
        let within = MAX_TIME.saturating_add(OUTLIVES).as_secs();
        command.arg("-k").arg(KILLED_AFTER.as_secs().to_string()).arg(within.to_string()).arg(&self.program);
        command
    }
}

/// The file with the pinned key.
const KNOWN_HOSTS: &str = "known_hosts";

/// A folder of this account alone with the pinned key.
fn known_hosts(access: &SshAccess) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("sealpost-ssh-").tempdir()?;
    plain_path(folder.path()).context("TMPDIR has to name a folder with a plain path")?;
    let line = format!("{ALIAS} {}\n", access.host_key.as_str());
    sealpost_files::write_new(&folder.path().join(KNOWN_HOSTS), line.as_bytes(), sealpost_files::PRIVATE)?;
    Ok(folder)
}

/// ssh expands `%`, `~` and `${}` in paths, and ends them at a blank.
fn plain_path(path: &Path) -> anyhow::Result<()> {
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+,:@=".contains(character);
    match path.to_str() {
        Some(text) if text.chars().all(is_plain) => Ok(()),
        _ => bail!("the path {} has characters that ssh takes for something else", path.display()),
    }
}

/// How ssh is called.
fn arguments(access: &SshAccess, known_hosts: &Path, identity: Option<&Path>) -> Vec<OsString> {
    let SshAccess { target, host_key, sudo } = access;
    let kind = host_key.as_str().split(' ').next().unwrap_or_default();
    // A key of RSA signs with a hash that the name of its kind does not say.
    let algorithms = if kind == "ssh-rsa" { "rsa-sha2-512,rsa-sha2-256" } else { kind };
    let mut arguments: Vec<OsString> = vec!["-T".into()];
    let mut set = |setting: String| arguments.extend([OsString::from("-o"), setting.into()]);
    for setting in SETTINGS {
        set((*setting).to_owned());
    }
    set(format!("UserKnownHostsFile={}", known_hosts.display()));
    set(format!("HostKeyAlias={ALIAS}"));
    set(format!("HostKeyAlgorithms={algorithms}"));
    if let Some(identity) = identity {
        set("IdentitiesOnly=yes".to_owned());
        arguments.extend([OsString::from("-i"), identity.into()]);
    }
    if let Some(port) = target.port() {
        arguments.extend([OsString::from("-p"), port.to_string().into()]);
    }
    if let Some(user) = target.user() {
        arguments.extend([OsString::from("-l"), user.into()]);
    }
    arguments.extend([OsString::from("--"), target.host().into(), remote(*sudo).into()]);
    arguments
}

/// What the login shell there gets, whichever it is.
fn remote(sudo: bool) -> String {
    let root = if sudo { "sudo -n -- " } else { "" };
    format!("exec {root}/bin/sh -c '{REMOTE}'")
}

/// How ssh ended, and the ends of what came.
struct Said {
    code: Option<i32>,
    output: String,
    complaint: String,
}

/// An ssh that runs, in a process group of its own.
struct Running {
    child: Child,
    group: Option<Pid>,
    output: JoinHandle<Vec<u8>>,
    complaint: JoinHandle<Vec<u8>>,
    too_much: Arc<Notify>,
}

impl Running {
    fn new(mut child: Child) -> Self {
        let too_much = Arc::new(Notify::new());
        let output = tokio::spawn(tail(child.stdout.take(), Arc::clone(&too_much)));
        let complaint = tokio::spawn(tail(child.stderr.take(), Arc::clone(&too_much)));
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { child, group, output, complaint, too_much }
    }

    /// Waits for its end; `None` if it printed too much.
    async fn end(&mut self) -> io::Result<Option<Said>> {
        let status = tokio::select! {
            status = self.child.wait() => status?,
            () = self.too_much.notified() => return Ok(None),
        };
        let text = |read: Option<Vec<u8>>| String::from_utf8_lossy(&read.unwrap_or_default()).into_owned();
        let read = async { (Some((&mut self.output).await), Some((&mut self.complaint).await)) };
        // What ssh started may go on and keep the pipes.
        let (output, complaint) = timeout(PIPES_CLOSE_WITHIN, read).await.unwrap_or((None, None));
        if output.is_some() {
            // Nobody is left in it, and its number may be another's.
            self.group = None;
        }
        let done = |read: Option<Result<Vec<u8>, _>>| read.and_then(Result::ok);
        Ok(Some(Said { code: status.code(), output: text(done(output)), complaint: text(done(complaint)) }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.output.abort();
        self.complaint.abort();
    }
}

/// The end of what a pipe brings.
async fn tail(pipe: Option<impl AsyncRead + Unpin>, too_much: Arc<Notify>) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let (mut kept, mut part, mut all) = (Vec::new(), [0; 4096], 0_u64);
    loop {
        let read = match pipe.read(&mut part).await {
            Ok(0) | Err(_) => return kept,
            Ok(read) => read,
        };
        all += read as u64;
        kept.extend_from_slice(part.get(..read).unwrap_or_default());
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
        if all > MAX_PRINTED {
            too_much.notify_one();
            return kept;
        }
    }
}

/// What became of it, by ssh's exit status and what came last.
fn judged(code: Option<i32>, complaint: &str, output: &str) -> Ended {
    let own = complaint.rsplit_once(BEGINS).map(|(_, own)| own);
    let line = last_line(own.unwrap_or(complaint)).or_else(|| last_line(output));
    let last = line.unwrap_or_else(|| "it said nothing".to_owned());
    // ssh's last words: whatever came before them may be a banner.
    let has_other_key = own.is_none()
        && (last.starts_with("Host key verification failed")
            || last.contains("no matching host key type found. Their offer: "));
    match code {
        Some(0) => Ended { outcome: InstallOutcome::Installed, reason: String::new() },
        Some(SSH_FAILED) if has_other_key => Ended {
            outcome: InstallOutcome::HostKeyChanged,
            reason: "the host shows another key than the one that was pinned".to_owned(),
        },
        Some(SSH_FAILED) => Ended { outcome: InstallOutcome::Unreachable, reason: cut(&last) },
        Some(code) => Ended::failed(format!("exit status {code}: {last}")),
        None => Ended::failed(format!("ssh was killed: {last}")),
    }
}

/// What a program says of its failure when JSON is asked for.
#[derive(Deserialize)]
struct Failure {
    message: String,
}

fn last_line(said: &str) -> Option<String> {
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(serde_json::from_str::<Failure>(line).map_or_else(|_| line.to_owned(), |failure| failure.message))
}

/// As much as is kept, without anything that a terminal acts on.
fn cut(said: &str) -> String {
    // Made harmless it only gets longer.
    let begin: String = said.chars().take(MAX_REASON_CHARS).collect();
    plain(&begin).chars().take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests;
