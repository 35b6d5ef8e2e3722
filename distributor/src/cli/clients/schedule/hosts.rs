//! Hosts of installs: their keys as people give them, their fingerprints, and which of them this account has planned or confirmed.
//!
//! Invariant: the list is this account's own. What a server says about hosts adds nothing to it, so a server that somebody took
//! over cannot turn a timer's ssh to another host.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use data_encoding::{BASE64, BASE64_NOPAD};
use sealpost_files::{PRIVATE, PRIVATE_FOLDER, make_folder, read_bounded, read_input};
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::rules::schedule::{SshAccess, SshHostKey};
use serde::{Deserialize, Serialize};

/// Longest file with a host's keys, in bytes.
const MAX_KEY_FILE: u64 = 64 * 1024;
/// Longest list, in bytes: some hundred thousand hosts.
const MAX_LIST: u64 = 64 * 1024 * 1024;
/// Where it lies below the folder of this account's state.
const LIST: &str = "sealpost/ssh-hosts.jsonl";

/// A host's public key that somebody typed: the key itself, a public key file, or what `ssh-keyscan` prints.
pub(super) fn host_key(text: &str) -> anyhow::Result<SshHostKey> {
    let is_key = text.trim_start().starts_with("ssh-") || text.trim_start().starts_with("ecdsa-");
    let content = if is_key {
        text.to_owned()
    } else {
        let bytes = read_input(Path::new(text), MAX_KEY_FILE)
            .with_context(|| format!("cannot read the host key {text}"))?;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut keys: Vec<SshHostKey> = Vec::new();
    for key in content.lines().filter_map(key_in) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    match keys.as_slice() {
        [key] => Ok(key.clone()),
        [] => bail!(
            "cannot use --host-key: there is no host key in it; it is a line such as `ssh-ed25519 AAAA…`, from \
             /etc/ssh/ssh_host_ed25519_key.pub on the host or from `ssh-keyscan -t ed25519 HOST`"
        ),
        keys => {
            bail!("cannot use --host-key: there are {} keys in it, and one is pinned; give one", keys.len())
        }
    }
}

/// The key in a line, with or without a host before it.
fn key_in(line: &str) -> Option<SshHostKey> {
    let line = line.trim();
    if line.starts_with(['#', '@']) {
        return None;
    }
    let behind_host = line.split_once([' ', '\t']).map(|(_, rest)| rest);
    [Some(line), behind_host].into_iter().flatten().find_map(|text| {
        let key: SshHostKey = text.parse().ok()?;
        says_its_kind(&key).then_some(key)
    })
}

/// Whether a key's bytes begin with the kind that stands before them.
fn says_its_kind(key: &SshHostKey) -> bool {
    let (kind, bytes) = parts(key);
    let Ok(length) = u32::try_from(kind.len()) else { return false };
    bytes.is_some_and(|bytes| bytes.starts_with(&[&length.to_be_bytes(), kind.as_bytes()].concat()))
}

fn parts(key: &SshHostKey) -> (&str, Option<Vec<u8>>) {
    let (kind, text) = key.as_str().split_once(' ').unwrap_or((key.as_str(), ""));
    (kind, BASE64.decode(text.as_bytes()).ok())
}

/// A key as ssh shows it: `ssh-ed25519 SHA256:…`.
pub(super) fn fingerprint(key: &SshHostKey) -> String {
    let (kind, bytes) = parts(key);
    match bytes {
        Some(bytes) => format!("{kind} SHA256:{}", BASE64_NOPAD.encode(Sha256Digest::of(&bytes).as_bytes())),
        None => format!("{kind}, whose text is damaged"),
    }
}

/// What somebody of this account agreed to: this site's install file, as this name, on this host with this key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Pinned {
    site_key: String,
    name: String,
    target: String,
    host_key: String,
    sudo: bool,
}

impl Pinned {
    pub(super) fn new(site_key: &PublicKey, name: &ComputerName, ssh: &SshAccess) -> Self {
        let SshAccess { target, host_key, sudo } = ssh;
        Self {
            site_key: site_key.to_base64(),
            name: name.to_string(),
            target: target.to_string(),
            host_key: host_key.as_str().to_owned(),
            sudo: *sudo,
        }
    }
}

/// The list of this account. It grows by whole lines only, so that programs which run at once do not harm it.
#[derive(Debug)]
pub(super) struct Hosts {
    path: PathBuf,
    known: BTreeSet<Pinned>,
}

impl Hosts {
    /// Reads the list; an account without one has confirmed nothing.
    pub(super) fn of_this_account() -> anyhow::Result<Self> {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self::at(place(var("XDG_STATE_HOME"), var("HOME"))?)
    }

    fn at(path: PathBuf) -> anyhow::Result<Self> {
        let attempted = || format!("cannot read {}", path.display());
        let text = read_bounded(&path, MAX_LIST).with_context(attempted)?.unwrap_or_default();
        // A line that a killed program left half confirms nothing.
        let known = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        Ok(Self { known: known.collect(), path })
    }

    pub(super) fn knows(&self, pinned: &Pinned) -> bool {
        self.known.contains(pinned)
    }

    /// Adds a host, on disk too.
    pub(super) fn confirm(&mut self, pinned: Pinned) -> anyhow::Result<()> {
        if self.known.contains(&pinned) {
            return Ok(());
        }
        let attempted = || format!("cannot write {}", self.path.display());
        let line = format!("\n{}\n", serde_json::to_string(&pinned)?);
        append(&self.path, line.as_bytes()).with_context(attempted)?;
        self.known.insert(pinned);
        Ok(())
    }
}

fn place(state: Option<OsString>, home: Option<OsString>) -> anyhow::Result<PathBuf> {
    let state = state.map(PathBuf::from).filter(|state| state.is_absolute());
    let home = home.map(PathBuf::from).filter(|home| home.is_absolute());
    let folder = state.or_else(|| home.map(|home| home.join(".local/state")));
    let folder = folder.context(
        "cannot remember hosts: this account has no home; set HOME or XDG_STATE_HOME to a folder of its own",
    )?;
    Ok(folder.join(LIST))
}

fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder, PRIVATE_FOLDER)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(PRIVATE).open(path)?;
    file.write_all(line)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn a_host_key_is_given_as_text_as_a_file_or_as_a_scan_prints_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let path = file.to_str().unwrap();
        for content in [
            format!("{KEY} root@pc-1\n"),
            format!("# pc-1:22 SSH-2.0-OpenSSH_9.2\npc-1 {KEY}\n"),
            format!("[pc-1]:2222 {KEY}\npc-1,192.0.2.1 {KEY}\n\n"),
        ] {
            std::fs::write(&file, &content).unwrap();
            assert_eq!(host_key(path).unwrap().as_str(), KEY, "{content}");
        }
        assert_eq!(host_key(&format!(" {KEY} remark")).unwrap().as_str(), KEY);
        assert!(fingerprint(&host_key(KEY).unwrap()).starts_with("ssh-ed25519 SHA256:"));
        let other = KEY.replace("GKJl", "GKJm");
        for content in [
            String::new(),
            "hello\n".to_owned(),
            format!("# {KEY}"),
            format!("@cert-authority * {KEY}"),
            format!("{KEY}\n{other}\n"),
            // The kind is another one than the bytes say.
            KEY.replace("ssh-ed25519", "ssh-rsa"),
            "ssh-ed25519 AAAA====AAAA".to_owned(),
        ] {
            std::fs::write(&file, &content).unwrap();
            host_key(path).unwrap_err();
        }
        assert!(host_key("/nowhere/key").unwrap_err().to_string().contains("/nowhere/key"));
    }

    #[test]
    fn a_host_is_confirmed_as_it_is_and_not_with_another_key_name_or_site() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/sealpost/ssh-hosts.jsonl");
        let mut hosts = Hosts::at(path.clone()).unwrap();
        let pinned = Pinned {
            site_key: "RWQ".to_owned(),
            name: "pc-1".to_owned(),
            target: "root@pc-1".to_owned(),
            host_key: KEY.to_owned(),
            sudo: false,
        };
        assert!(!hosts.knows(&pinned));
        hosts.confirm(pinned.clone()).unwrap();
        // Another program was killed while it wrote.
        append(&path, b"{\"site_key\":\"RW").unwrap();
        let other = Pinned { target: "root@pc-2".to_owned(), ..pinned.clone() };
        Hosts::at(path.clone()).unwrap().confirm(other.clone()).unwrap();
        let hosts = Hosts::at(path.clone()).unwrap();
        assert!(hosts.knows(&pinned) && hosts.knows(&other));
        for changed in [
            Pinned { site_key: "RWX".to_owned(), ..pinned.clone() },
            Pinned { name: "pc-2".to_owned(), ..pinned.clone() },
            Pinned { target: "root@evil".to_owned(), ..pinned.clone() },
            Pinned { host_key: KEY.replace("GKJl", "GKJm"), ..pinned.clone() },
            Pinned { sudo: true, ..pinned },
        ] {
            assert!(!hosts.knows(&changed), "{changed:?}");
        }
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_list_that_cannot_be_used_is_said_with_its_path_and_confirms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| format!("{:#}", Hosts::at(path.to_owned()).unwrap_err());
        // Something else stands in its place, or in the way to it.
        assert!(said(folder.path()).starts_with(&format!("cannot read {}", folder.path().display())));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(said(&file.join("ssh-hosts.jsonl")).starts_with("cannot read "));
        let long = folder.path().join("long");
        std::fs::File::create(&long).unwrap().set_len(MAX_LIST + 1).unwrap();
        assert!(said(&long).starts_with(&format!("cannot read {}", long.display())));
        // What is no line of the list confirms nothing, and what follows it counts.
        let pinned = Pinned {
            site_key: "RWQ".to_owned(),
            name: "pc-1".to_owned(),
            target: "root@pc-1".to_owned(),
            host_key: KEY.to_owned(),
            sudo: false,
        };
        let line = serde_json::to_string(&pinned).unwrap();
        for bad in [&b"\xff\xfe"[..], b"[]", b"{}", b"\"pc-1\"", line.replace("false", "0").as_bytes()] {
            std::fs::write(&file, bad).unwrap();
            assert!(Hosts::at(file.clone()).unwrap().known.is_empty(), "{bad:?}");
            std::fs::write(&file, [bad, b"\n", line.as_bytes()].concat()).unwrap();
            assert!(Hosts::at(file.clone()).unwrap().knows(&pinned), "{bad:?}");
        }
        // The disk does not take it: then it is not taken for confirmed by this program either.
        std::fs::write(&file, "").unwrap();
        let mut hosts = Hosts { path: file.join("ssh-hosts.jsonl"), known: BTreeSet::new() };
        let error = format!("{:#}", hosts.confirm(pinned.clone()).unwrap_err());
        assert!(error.starts_with("cannot write ") && !hosts.knows(&pinned), "{error}");
    }

    #[test]
    fn the_list_lies_in_the_state_of_the_account() {
        let os = |text: &str| Some(OsString::from(text));
        assert_eq!(place(None, os("/h")).unwrap(), Path::new("/h/.local/state/sealpost/ssh-hosts.jsonl"));
        assert_eq!(place(os("/s"), os("/h")).unwrap(), Path::new("/s/sealpost/ssh-hosts.jsonl"));
        assert_eq!(place(os("s"), os("/h")).unwrap(), place(None, os("/h")).unwrap());
        assert!(place(None, None).is_err() && place(os("s"), os("h")).is_err());
    }
}
