//! What makes a manifest sound: every defect of a signed manifest is named at once, before anything is built on it.

use std::collections::BTreeSet;

use crate::ids::PackageName;
use crate::release::manifest::{FileKind, PackageKind, ReleaseManifest};
use crate::release::payload::Encoding;
use crate::version::Revision;

/// The path of the program in a release of the agent.
pub const AGENT_PROGRAM: &str = "agent-updater";
/// Most files in one release.
pub const MAX_FILES: usize = 100_000;
/// Longest notes, in bytes.
pub const MAX_NOTES_BYTES: usize = 64 * 1024;
/// Most packages that one release may require.
pub const MAX_REQUIREMENTS: usize = 64;
/// Most documents beside one release.
pub const MAX_ATTACHMENTS: usize = 32;
/// Largest document beside a release, in bytes.
pub const MAX_ATTACHMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Most vulnerabilities that one release names.
const MAX_FIXES: usize = 1_000;
/// Longest id of a vulnerability, in bytes.
const MAX_FIX_BYTES: usize = 64;
/// Longest web address, in bytes.
const MAX_URL_BYTES: usize = 1_000;
/// Most compressed forms of one payload; one is known today.
const MAX_ENCODINGS: usize = 16;
/// Most problems of single files that are listed: a person reads no more, and a hostile list has millions.
const MAX_FILE_PROBLEMS: usize = 200;

impl ReleaseManifest {
    /// Every defect at once; empty when the manifest is sound. To be called after every parse.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match (self.kind, self.revision) {
            (PackageKind::Signatures, revision) => match Revision::from_version(&self.release.version) {
                Ok(named) if revision == Some(named) => {}
                Ok(named) => problems.push(format!("revision is {revision:?}, but the version says {named}")),
                Err(error) => problems.push(error.to_string()),
            },
            (PackageKind::Other(kind), _) => problems.push(format!(
                "it is of the kind {kind}, which this version does not know; update this program"
            )),
            (kind, Some(_)) => problems.push(format!("a release of the kind {kind} has no revision")),
            (_, None) => {}
        }
        self.check_agent(&mut problems);
        if self.files.is_empty() {
            problems.push("it has no files".to_owned());
        }
        problems.extend(notes_problem(&self.notes));
        if self.payload.encoding(Encoding::Gzip).is_none() {
            problems.push("the payload has no gzip encoding".to_owned());
        }
        if self.payload.encodings.len() > MAX_ENCODINGS {
            let count = self.payload.encodings.len();
            problems.push(format!("{count} encodings of the payload are more than {MAX_ENCODINGS}"));
        }
        self.check_requires(&mut problems);
        self.check_attachments(&mut problems);
        self.check_security(&mut problems);
        if self.files.len() > MAX_FILES {
            problems.push(format!("{} files are more than {MAX_FILES}", self.files.len()));
        } else {
            problems.extend(self.file_problems().take(MAX_FILE_PROBLEMS));
        }
        let total = self.installed_bytes();
        if total > self.payload.tar.length {
            problems.push(format!(
                "files of {total} bytes do not fit a tar of {} bytes",
                self.payload.tar.length
            ));
        }
        problems
    }

    /// A release of the agent has the agent's name, and a program where every agent looks for it.
    fn check_agent(&self, problems: &mut Vec<String>) {
        let package = &self.release.package;
        match (self.kind == PackageKind::Agent, package.is_agent()) {
            (true, true) => {}
            (false, false) => return,
            (true, false) => problems.push(format!(
                "a release of the kind agent is of the package {}, and this one is of {package}",
                PackageName::agent()
            )),
            (false, true) => {
                return problems.push(format!(
                    "the package {package} is the agent's own: release it with --kind agent, or name yours otherwise"
                ));
            }
        }
        let program = self.files.iter().find(|entry| entry.path.as_str() == AGENT_PROGRAM);
        if !program.is_some_and(|entry| matches!(entry.kind, FileKind::File { executable: true, .. })) {
            problems.push(format!(
                "a release of the kind agent has its program, an executable file, at {AGENT_PROGRAM}"
            ));
        }
    }

    fn check_requires(&self, problems: &mut Vec<String>) {
        if self.requires.len() > MAX_REQUIREMENTS {
            let count = self.requires.len();
            return problems.push(format!("{count} required packages are more than {MAX_REQUIREMENTS}"));
        }
        let mut seen = BTreeSet::from([&self.release.package]);
        for required in &self.requires {
            if !seen.insert(&required.package) {
                problems.push(format!("it requires {} twice, or itself", required.package));
            }
        }
    }

    fn check_attachments(&self, problems: &mut Vec<String>) {
        let count = self.attachments.len();
        if count > MAX_ATTACHMENTS {
            return problems.push(format!("{count} attachments are more than {MAX_ATTACHMENTS}"));
        }
        let mut seen = BTreeSet::new();
        for attachment in &self.attachments {
            let target = &attachment.target;
            if !seen.insert(target) {
                problems.push(format!("the attachment {target} stands twice"));
            }
            if !self.release.is_attachment(target) {
                problems.push(format!("the attachment {target} is not named after its release"));
            }
            if attachment.blob.length > MAX_ATTACHMENT_BYTES {
                let length = attachment.blob.length;
                problems.push(format!(
                    "the attachment {target} of {length} bytes is over the limit of {MAX_ATTACHMENT_BYTES}"
                ));
            }
        }
    }

    fn check_security(&self, problems: &mut Vec<String>) {
        let Some(security) = &self.security else { return };
        if security.fixes.len() > MAX_FIXES {
            problems.push(format!("{} fixes are more than {MAX_FIXES}", security.fixes.len()));
        }
        let odd = security.fixes.iter().take(MAX_FIXES).find(|fix| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
            fix.is_empty() || fix.len() > MAX_FIX_BYTES || !fix.bytes().all(plain)
        });
        if let Some(odd) = odd {
            problems.push(format!("{odd:?} is no id of a vulnerability; an example is CVE-2026-1234"));
        }
        if let Some(url) = &security.advisory_url {
            let plain = url.len() <= MAX_URL_BYTES && url.bytes().all(|byte| byte.is_ascii_graphic());
            if !plain || !(url.starts_with("https://") || url.starts_with("http://")) {
                problems.push("the advisory's address is no plain web address".to_owned());
            }
        }
    }

    /// What is wrong with single files; lazily, so that a hostile list costs no more than is looked at.
    fn file_problems(&self) -> impl Iterator<Item = String> {
        let unsorted = self.files.windows(2).filter_map(|pair| {
            let [first, second] = pair else { return None };
            let sorted = first.path.as_str().as_bytes() < second.path.as_str().as_bytes();
            (!sorted).then(|| format!("{} is not sorted before {}, or stands twice", first.path, second.path))
        });
        let leaves: BTreeSet<&str> = self.files.iter().map(|entry| entry.path.as_str()).collect();
        let misplaced = self.files.iter().filter_map(move |entry| {
            let path = entry.path.as_str();
            let mut folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            if let Some(folder) = folders.find(|folder| leaves.contains(folder)) {
                return Some(format!("{path} lies beneath {folder}, which is not a folder"));
            }
            match &entry.kind {
                FileKind::Symlink { target } if !link_stays_inside(path, target) => {
                    Some(format!("the link {path} leads out of the release, to {target:?}"))
                }
                FileKind::Symlink { .. } | FileKind::File { .. } => None,
            }
        });
        unsorted.chain(misplaced)
    }
}

/// Why notes cannot be published, if they cannot: too long, or with control characters, which could forge what the
/// terminal of a reviewer shows.
#[must_use]
pub fn notes_problem(notes: &str) -> Option<String> {
    if notes.len() > MAX_NOTES_BYTES {
        return Some(format!("the notes have {} bytes; shorten them to {MAX_NOTES_BYTES}", notes.len()));
    }
    let odd = notes.chars().find(|character| character.is_control() && !matches!(character, '\n' | '\t'))?;
    Some(format!("the notes have the control character {odd:?}; remove it"))
}

/// Whether a symbolic link at `path` with text `target` stays inside the tree, judged by its text alone.
///
/// A `..` may stand only before the first name, where it climbs real folders. After a name it would climb from
/// wherever another link has led: with `p/q/x` leading to the root, `p/q/x/..` is outside.
#[must_use]
pub fn link_stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.len() > 1024 || target.starts_with('/') {
        return false;
    }
    if target.chars().any(|character| character.is_control() || character == '\\') {
        return false;
    }
    let mut depth = path.matches('/').count();
    let mut named = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if named || depth == 0 => return false,
            ".." => depth -= 1,
            _ => named = true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_judged_from_where_it_stands() {
        assert!(link_stays_inside("lib/libx.so", "libx.so.1"));
        assert!(link_stays_inside("lib/a/x", "../../bin/x"));
        assert!(!link_stays_inside("lib/a/x", "../../../etc/passwd"));
        assert!(!link_stays_inside("x", "/etc/passwd"));
        assert!(!link_stays_inside("x", "a/../../b"));
        assert!(link_stays_inside("p/q/x", "../.."));
        assert!(!link_stays_inside("y", "p/q/x/.."));
    }
}
