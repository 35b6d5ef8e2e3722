//! Paths in the image of another computer, where an absolute link means a place in the image.
//!
//! Invariant: what comes out has no link above its last part, and lies in the image. Left out on purpose: an image that
//! somebody changes meanwhile.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Most links on one way, as many as the system follows.
const MAX_LINKS: usize = 40;

/// Where an absolute path leads in the image that lies at `root`. Its last part is not followed.
///
/// # Errors
/// The system's, and too many links.
pub(super) fn beneath(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let parts = |path: &Path| -> VecDeque<OsString> {
        let parts = path.components().filter_map(|part| match part {
            Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        });
        parts.collect()
    };
    // Parts of the way from the root, all real.
    let mut found: Vec<OsString> = Vec::new();
    let (mut rest, mut links) = (parts(path), 0);
    let at = |found: &[OsString]| found.iter().fold(root.to_owned(), |at, part| at.join(part));
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            // Above a root is the root.
            found.pop();
            continue;
        }
        found.push(part);
        let here = at(&found);
        let is_link = fs::symlink_metadata(&here).is_ok_and(|about| about.is_symlink());
        if rest.is_empty() || !is_link {
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::other(format!("more than {MAX_LINKS} links")));
        }
        let target = fs::read_link(&here)?;
        found.pop();
        if target.is_absolute() {
            found.clear();
        }
        for part in parts(&target).into_iter().rev() {
            rest.push_front(part);
        }
    }
    Ok(at(&found))
}
