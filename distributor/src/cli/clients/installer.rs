//! `distributor clients setup NAME --installer FILE`: one executable that brings a computer up.
//!
//! Invariant: the file is written for its owner alone, whole or not at all, and replaces only an earlier one of the same computer.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::setups::{
    EXPIRES_HEADER, HOLDS_HEADER, HookFile, InstallerRequest, SITE_KEY_HEADER, VOIDS_HEADER,
};
use sealpost_files::{PUBLIC, Unfinished, read_input, sync_parent};
use sealpost_keys::MAX_MINISIG_BYTES;
use sealpost_manifests::ids::{ComputerName, Platform, ServerId};
use sealpost_manifests::setup::ServerRole;
use sealpost_site::rules::installer::MAX_HOOKS;
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::setups::{Holds, taken_over as taken_over_by};
use serde::Serialize;

use super::setup_files::{unfinished, void};
use crate::cli::api::{AdminApi, next_part, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{Bar, plain, print_json, print_line, seconds, tell};
use crate::cli::when;

/// Most bytes of hooks and configuration together: all of them go into one request.
const MAX_TEXT: u64 = 128 * 1024;
/// Mode of an install file: it holds a secret, and its owner runs it.
const OWN_EXECUTABLE: u32 = 0o700;
/// How an install file begins; the computer's name follows.
const FIRST_LINE: &str = "#!/bin/sh\n# Sealpost install file of the computer ";
/// Where its second line names the server.
const BY_SERVER: &str = " by the server ";
/// How a signature begins.
const SIGNATURE_BEGINS: &str = "untrusted comment:";
/// What is read of a file that lies there, in bytes.
const MAX_HEAD: u64 = 512;
/// What is said of an answer that cannot be.
const OTHER_VERSION: &str = "the server answered with no install file; are both programs up to date?";

/// What belongs to an install file alone.
#[derive(Debug, Args)]
pub(super) struct InstallerOptions {
    /// Write an install file instead: one executable with the agent, the setup file and the service, which root runs on the
    /// computer. It holds a secret and is written for you alone, its signature beside it as FILE.minisig.
    #[arg(help_heading = "An install file", long, value_name = "FILE", conflicts_with_all = ["out", "folder", "from", "group", "ephemeral"])]
    pub(super) installer: Option<PathBuf>,
    /// The computer's platform, such as linux-x86_64 [default: the only one with an approved agent].
    #[arg(help_heading = "An install file", long, requires = "installer")]
    platform: Option<Platform>,
    /// An agent.toml that it brings; one that is on the computer stays.
    #[arg(help_heading = "An install file", long, value_name = "FILE", requires = "installer")]
    agent_config: Option<PathBuf>,
    /// A folder with hooks that it brings; they come to /usr/local/lib/sealpost-hooks.
    #[arg(help_heading = "An install file", long, value_name = "FOLDER", requires = "installer")]
    hooks: Option<PathBuf>,
    /// It waits until then, such as "2026-12-01 22:00" in UTC, and must be started before.
    #[arg(help_heading = "An install file", long, value_name = "TIME", requires = "installer")]
    not_before: Option<String>,
}

#[derive(Debug, Serialize)]
struct Printed<'p> {
    name: &'p ComputerName,
    installer: &'p Path,
    signature: &'p Path,
    site_key: &'p str,
    expires_at: Timestamp,
}

pub(super) async fn run(
    api: &AdminApi,
    name: &str,
    out: &Path,
    options: &InstallerOptions,
    (valid_days, role, json): (Option<u16>, Option<ServerRole>, bool),
) -> anyhow::Result<Outcome> {
    let typed = ComputerName::new(name).context("cannot make an install file")?;
    let name = canonical(&typed);
    let attempted = || format!("cannot write the install file {}", out.display());
    let signature = signature_of(out);
    let has_of = earlier(out, &signature, &name).with_context(attempted)?;
    let request = InstallerRequest {
        platform: options.platform.clone(),
        valid_days,
        role,
        has_of,
        not_before: options.not_before.as_deref().map(not_before).transpose()?,
        config: options.agent_config.as_deref().map(text).transpose()?,
        hooks: options.hooks.as_deref().map(hooks).transpose()?.unwrap_or_default(),
    };
    let texts =
        request.hooks.iter().map(|hook| hook.text.len()).chain(request.config.as_ref().map(String::len));
    let bytes: usize = texts.sum();
    if bytes as u64 > MAX_TEXT {
        bail!(
            "{}: hooks and configuration have {bytes} bytes, and an install file brings {MAX_TEXT} at most",
            attempted()
        );
    }
    // Both places are found before the code is issued.
    let (mut file, mut beside) = places(out, &signature).with_context(attempted)?;
    let path = format!("/clients/{}/installer", segment(typed.as_str()));
    let mut response = api.post_for_stream(&path, &request).await?;
    let said = |header| response.headers().get(header).and_then(|value| value.to_str().ok());
    let site_key = said(SITE_KEY_HEADER).context(OTHER_VERSION)?;
    let site_key = plain(site_key).to_string();
    let expires_at = said(EXPIRES_HEADER).and_then(|time| time.parse().ok()).context(OTHER_VERSION)?;
    let voids = said(VOIDS_HEADER).is_some();
    let taken_over = said(HOLDS_HEADER).and_then(Holds::from_word);
    let taken_over = taken_over.and_then(|holds| taken_over_by(holds, Some(&name), 1));
    let total = response.content_length().unwrap_or_default();
    let bar = Bar::bytes("making the install file");
    let (mut lines, mut head, mut done) = (0, Vec::new(), 0_u64);
    while let Some(part) = next_part(&mut response).await.context("the install file broke off on its way")? {
        done += part.len() as u64;
        bar.at(done, total);
        let mut rest = &part[..];
        while let (true, Some((byte, more))) = (lines < 4, rest.split_first()) {
            head.push(*byte);
            lines += u8::from(*byte == b'\n');
            rest = more;
            if head.len() as u64 > MAX_MINISIG_BYTES {
                bail!("{}: the server's answer begins with no signature", attempted());
            }
        }
        file.file_mut().write_all(rest).with_context(attempted)?;
    }
    bar.end();
    if lines < 4 {
        bail!("{}: the server's answer broke off", attempted());
    }
    beside.file_mut().write_all(&head).with_context(attempted)?;
    let placed = || {
        beside.finish(PUBLIC)?;
        file.finish(OWN_EXECUTABLE)?;
        file.replace(out)?;
        beside.replace(&signature)?;
        sync_parent(out)
    };
    placed().with_context(attempted)?;
    if json {
        print_json(&Printed {
            name: &name,
            installer: out,
            signature: &signature,
            site_key: &site_key,
            expires_at,
        })?;
        return Ok(Outcome::Done);
    }
    print_line(out.display())?;
    if let Some(taken_over) = taken_over {
        tell(taken_over);
    }
    if voids {
        tell(void(1));
    }
    tell(format_args!(
        "carry it and {} to the computer. A changed file cannot check itself, so check it there before it runs:",
        signature.display()
    ));
    tell(format_args!("minisign -V -P {site_key} -m {}", word(&out.to_string_lossy())));
    tell(format_args!(
        "then run it as root; with --dry-run it says what it would do. It holds a secret, good until {}",
        seconds(expires_at)
    ));
    Ok(Outcome::Done)
}

/// A path as one word of a shell.
fn word(path: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_/.,+=:@%".contains(character);
    if !path.is_empty() && path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

fn not_before(text: &str) -> anyhow::Result<Timestamp> {
    when::to_come("--not-before", text, Timestamp::now())
}

fn text(path: &Path) -> anyhow::Result<String> {
    let attempted = || format!("cannot bring {}", path.display());
    let bytes = read_input(path, MAX_TEXT).with_context(attempted)?;
    String::from_utf8(bytes).with_context(|| format!("{}: it is no text in UTF-8", attempted()))
}

fn hooks(folder: &Path) -> anyhow::Result<Vec<HookFile>> {
    let attempted = || format!("cannot bring the hooks in {}", folder.display());
    let mut hooks = Vec::new();
    for entry in fs::read_dir(folder).with_context(attempted)? {
        let entry = entry.with_context(attempted)?;
        if !entry.path().is_file() {
            continue;
        }
        let Ok(name) = entry.file_name().into_string() else {
            bail!("{}: a name in it is no text", attempted());
        };
        hooks.push(HookFile { name, text: text(&entry.path())? });
        if hooks.len() > MAX_HOOKS {
            bail!("{}: it has more than {MAX_HOOKS} files", attempted());
        }
    }
    if hooks.is_empty() {
        bail!("{}: it has no files", attempted());
    }
    hooks.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(hooks)
}

fn signature_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

fn places(out: &Path, signature: &Path) -> io::Result<(Unfinished, Unfinished)> {
    Ok((unfinished(out)?, unfinished(signature)?))
}

/// Whose install file lies there, if one does. What is there is replaced only if it is an earlier one of the same computer, with
/// its signature.
fn earlier(out: &Path, signature: &Path, name: &ComputerName) -> anyhow::Result<Option<ServerId>> {
    if head(signature)?.is_some_and(|head| !head.starts_with(SIGNATURE_BEGINS)) {
        bail!("{} is there already and is no signature; name another file", signature.display());
    }
    let Some(head) = head(out)? else { return Ok(None) };
    let server = head.strip_prefix(&format!("{FIRST_LINE}{name}, made ")).and_then(|rest| {
        let line = rest.lines().next()?;
        ServerId::new(line.split_once(BY_SERVER)?.1.strip_suffix('.')?).ok()
    });
    let problem = || format!("it is there already and is no install file of {name}; name another file");
    server.map(Some).with_context(problem)
}

/// The beginning of a file; `None` where nothing is. What is no file has an empty one.
fn head(path: &Path) -> io::Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => return Ok(Some(String::new())),
        Ok(_) => {}
    }
    let mut head = Vec::new();
    fs::File::open(path)?.take(MAX_HEAD).read_to_end(&mut head)?;
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(word("/tmp/büro-7.sh"), "/tmp/büro-7.sh");
        for path in ["", "a b", "it's", "$(id)", "a;b", "`id`", "*", "a\nb", "a\\b", "\"", "~x", "#x", "!x"] {
            let mut shell = std::process::Command::new("sh");
            let said = shell.arg("-c").arg(format!("printf %s {}", word(path))).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), path);
        }
    }
}
