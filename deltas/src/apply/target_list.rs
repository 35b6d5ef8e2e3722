//! The list of a tree's target: the first group makes it out of the base's.
//!
//! Invariant: entries that come out of here were accepted by whoever verifies their list, and are a tree. The bytes that
//! [`read_list`] gives are nobody's word yet.

use std::io::{self, Read};

use super::file::{Counted, other_base};
use super::maker::begin;
use super::{ApplyError, Base, BaseFiles, Control, Lists, Ticker};
use crate::container::layout::{Head, Subject};
use crate::container::read::read_head;
use crate::digest::sha256;
use crate::limits::Limits;
use crate::list::{self, folder_list};
use crate::read_at::ReadAt;
use crate::tree::{self, Entry};

/// Makes the target's list out of the base's, and has it verified.
pub(crate) fn read_target_list(
    base: &Base<'_>,
    head: &Head,
    delta: &mut Counted<impl Read>,
    lists: &mut Lists<'_>,
    limits: &Limits,
    control: &mut dyn Control,
) -> Result<Vec<Entry>, ApplyError> {
    let wanted = match lists {
        Lists::Folder => Subject::Folder,
        Lists::Manifest(_) => Subject::Manifest,
    };
    let bytes = make_list(base.list, head, wanted, delta, limits, control)?;
    let entries = match lists {
        Lists::Folder => list::parse(&bytes, limits.entries).map_err(ApplyError::of)?,
        Lists::Manifest(read) => read(&bytes).map_err(ApplyError::List)?,
    };
    if entries.len() > limits.entries {
        let limit = u64::try_from(limits.entries).unwrap_or(u64::MAX);
        return Err(ApplyError::TooLarge { what: "files", limit });
    }
    tree::check_entries(&entries).map_err(ApplyError::UnsafeTree)?;
    Ok(entries)
}

/// The list of the target of a delta between two releases, made out of the base's: the first bytes of the delta are enough. What
/// it says is not verified; the caller knows its digest, or a signature.
///
/// # Errors
/// Why the delta leads from this base to no list within the limits; also when it is of version 1, which has no such list.
pub fn read_list(
    base: &[u8],
    delta: impl Read,
    limits: &Limits,
    control: &mut dyn Control,
) -> Result<Vec<u8>, ApplyError> {
    let mut delta = Counted::new(delta);
    let head = read_head(&mut delta, limits.head_bytes).map_err(ApplyError::of)?;
    make_list(base, &head, Subject::Manifest, &mut delta, limits, control)
}

fn make_list(
    base: &[u8],
    head: &Head,
    wanted: Subject,
    delta: &mut Counted<impl Read>,
    limits: &Limits,
    control: &mut dyn Control,
) -> Result<Vec<u8>, ApplyError> {
    let name = |subject| match subject {
        Subject::File => "a file",
        Subject::Folder => "a folder",
        Subject::Manifest => "a signed release",
    };
    if head.subject != wanted {
        return Err(ApplyError::AnotherSubject { made_for: name(head.subject), wanted: name(wanted) });
    }
    if head.target_length > limits.list_bytes {
        return Err(ApplyError::TooLarge { what: "bytes in its list of files", limit: limits.list_bytes });
    }
    if let Some(error) = other_base(head, &sha256(base).0, base.length()) {
        return Err(error);
    }
    let group = head.groups.first().ok_or(ApplyError::Damaged)?;
    let mut maker = begin(&group.codec, &base, head.target_length, delta).map_err(ApplyError::of)?;
    // A list is no part of the target: it is asked how long it takes, not how far it is.
    let mut ticker = Ticker::new(control, 0);
    // Grows with what really comes.
    let mut bytes = Vec::new();
    let mut window = Vec::new();
    loop {
        maker.fill(&mut window).map_err(ApplyError::of)?;
        if window.is_empty() {
            break;
        }
        bytes.extend_from_slice(&window);
        ticker.made(0).map_err(ApplyError::of)?;
    }
    maker.finish().map_err(ApplyError::of)?;
    if bytes.length() != head.target_length || !sha256(&bytes).0.starts_with(&head.target_check) {
        return Err(ApplyError::Damaged);
    }
    Ok(bytes)
}

/// The entries of the target of a folder's delta.
pub(crate) fn read_folder_list(
    base: &[Entry],
    head: &Head,
    delta: &mut Counted<impl Read>,
    limits: &Limits,
) -> Result<Vec<Entry>, ApplyError> {
    struct NoFiles;
    impl BaseFiles for NoFiles {
        fn open(&self, _path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    let base = Base { files: &NoFiles, list: &folder_list(base), entries: base };
    read_target_list(&base, head, delta, &mut Lists::Folder, limits, &mut |_| true)
}
