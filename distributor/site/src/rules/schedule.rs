//! When an agent is installed on a computer, and over which way.
//!
//! Invariant: what a server keeps of it opens no computer: a name at a host, the host's public key, and times. Whoever holds a
//! credential runs the install; see `docs/SECURITY.md`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest target, in bytes.
const MAX_TARGET_BYTES: usize = 255;
/// Longest host key, in bytes: an RSA key of 8192 bits has about 1,400.
const MAX_HOST_KEY_BYTES: usize = 2_048;
/// Kinds of host keys, as OpenSSH names them. Hosts have others, which are certificates, or weak.
const HOST_KEYS: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// An install that is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Not before this time.
    pub at: Timestamp,
    /// How the computer is reached; absent where an install file is carried there, which waits by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshAccess>,
}

/// How a computer is reached over ssh, without anything that lets one in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshAccess {
    /// Whom to ask for where.
    pub target: SshTarget,
    /// The host's key; another one is refused.
    pub host_key: SshHostKey,
    /// Whether the install needs `sudo` there.
    pub sudo: bool,
}

/// `USER@HOST`, `HOST` or `USER@HOST:PORT`; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshTarget {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// Why a text names nobody at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an ssh target is USER@HOST, HOST or USER@HOST:PORT, of letters, digits, `.`, `_` and `-`, for example root@pc-17.example:22"
)]
pub struct SshTargetError;

impl SshTarget {
    /// As whom; absent for what ssh itself would take.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; absent for what ssh itself would take.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for SshTarget {
    type Err = SshTargetError;

    fn from_str(text: &str) -> Result<Self, SshTargetError> {
        if text.len() > MAX_TARGET_BYTES {
            return Err(SshTargetError);
        }
        let (user, rest) = match text.split_once('@') {
            Some((user, rest)) => (Some(plain(user)?), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']').ok_or(SshTargetError)?;
                host.parse::<Ipv6Addr>().map_err(|_| SshTargetError)?;
                let port = match behind {
                    "" => None,
                    behind => Some(behind.strip_prefix(':').ok_or(SshTargetError)?),
                };
                (host.to_owned(), port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (plain(host)?, Some(port)),
                None => (plain(rest)?, None),
            },
        };
        let port = match port {
            Some(port) if port.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(port.parse().ok().filter(|port| *port != 0).ok_or(SshTargetError)?)
            }
            Some(_) => return Err(SshTargetError),
            None => None,
        };
        Ok(Self { user, host, port })
    }
}

/// A name that no program takes for an option, and no shell for anything but a word.
fn plain(text: &str) -> Result<String, SshTargetError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(is_plain) {
        return Err(SshTargetError);
    }
    Ok(text.to_owned())
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for SshTarget {
    type Error = SshTargetError;

    fn try_from(text: String) -> Result<Self, SshTargetError> {
        text.parse()
    }
}

impl From<SshTarget> for String {
    fn from(target: SshTarget) -> Self {
        target.to_string()
    }
}

/// The public key of a host, as OpenSSH writes it: its kind and its Base64 text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshHostKey(String);

/// Why a text is no host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a host key is its kind and its text, as in the host's /etc/ssh/ssh_host_ed25519_key.pub: `ssh-ed25519 AAAA…`"
)]
pub struct SshHostKeyError;

impl SshHostKey {
    /// Kind and text, with one space between them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SshHostKey {
    type Err = SshHostKeyError;

    /// Reads a line of a public key file; the remark at its end is left out.
    fn from_str(line: &str) -> Result<Self, SshHostKeyError> {
        let mut words = line.split_ascii_whitespace();
        let (kind, text) = (words.next(), words.next());
        let (Some(kind), Some(text)) = (kind, text) else { return Err(SshHostKeyError) };
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let is_key = HOST_KEYS.contains(&kind)
            && text.len() <= MAX_HOST_KEY_BYTES
            && text.starts_with("AAAA")
            && text.bytes().all(is_base64);
        if !is_key {
            return Err(SshHostKeyError);
        }
        Ok(Self(format!("{kind} {text}")))
    }
}

impl TryFrom<String> for SshHostKey {
    type Error = SshHostKeyError;

    fn try_from(text: String) -> Result<Self, SshHostKeyError> {
        text.parse()
    }
}

impl From<SshHostKey> for String {
    fn from(key: SshHostKey) -> Self {
        key.0
    }
}

/// What became of a try to install an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallOutcome {
    /// It goes on.
    Started,
    /// The computer enrolled.
    Installed,
    /// The host did not answer, or let nobody in.
    Unreachable,
    /// The host has another key than the one that was pinned.
    HostKeyChanged,
    /// The install itself failed.
    Failed,
}

impl InstallOutcome {
    /// Its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Installed => "installed",
            Self::Unreachable => "unreachable",
            Self::HostKeyChanged => "host_key_changed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for InstallOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for InstallOutcome {
    type Err = InstallOutcomeError;

    fn from_str(word: &str) -> Result<Self, InstallOutcomeError> {
        let all = [Self::Started, Self::Installed, Self::Unreachable, Self::HostKeyChanged, Self::Failed];
        all.into_iter().find(|outcome| outcome.as_str() == word).ok_or(InstallOutcomeError)
    }
}

/// Why a word is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is none of started, installed, unreachable, host_key_changed and failed")]
pub struct InstallOutcomeError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_written_and_nothing_else_is_one() {
        for text in ["pc-1", "root@pc-1.example", "a_b.c@192.0.2.1:2222", "[2001:db8::1]", "x@[::1]:22"] {
            let target: SshTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
        let target: SshTarget = "admin@[2001:db8::1]:2222".parse().unwrap();
        assert_eq!((target.user(), target.host(), target.port()), (Some("admin"), "2001:db8::1", Some(2222)));
        let long = format!("{}.example", "a".repeat(MAX_TARGET_BYTES));
        for text in [
            "",
            "@",
            "root@",
            "@pc-1",
            "-oProxyCommand=sh",
            "root@-oProxyCommand=sh",
            "-l@pc-1",
            "a b@pc-1",
            "root@pc 1",
            "root@pc-1;id",
            "root@pc-1:",
            "root@pc-1:0",
            "root@pc-1:65536",
            "root@pc-1:+22",
            "root@pc-1:22:22",
            "a@b@c",
            "[::1",
            "[pc-1]",
            "[::1]22",
            "[::1]:",
            "::1",
            "root@pc-1\n",
            "ssh://pc-1",
            "pc-ä",
            &long,
        ] {
            assert_eq!(text.parse::<SshTarget>(), Err(SshTargetError), "{text:?}");
        }
    }

    #[test]
    fn a_host_key_is_kind_and_text_without_its_remark() {
        let line =
            "ssh-ed25519  AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl root@pc-1\n";
        let key: SshHostKey = line.parse().unwrap();
        assert_eq!(
            key.as_str(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
        );
        let long = format!("ssh-rsa AAAA{}", "A".repeat(MAX_HOST_KEY_BYTES));
        for line in [
            "",
            "ssh-ed25519",
            "AAAA",
            "ssh-dss AAAAB3Nz",
            "@cert-authority * ssh-ed25519 AAAA",
            "ssh-ed25519 BBBB",
            "ssh-ed25519 AAAA\u{1b}",
            "* AAAA",
            &long,
        ] {
            assert_eq!(line.parse::<SshHostKey>(), Err(SshHostKeyError), "{line:?}");
        }
    }

    #[test]
    fn an_outcome_is_one_word_in_a_table_and_in_an_entry() {
        for outcome in [
            InstallOutcome::Started,
            InstallOutcome::Installed,
            InstallOutcome::Unreachable,
            InstallOutcome::HostKeyChanged,
            InstallOutcome::Failed,
        ] {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
        assert!("done".parse::<InstallOutcome>().is_err());
    }
}
