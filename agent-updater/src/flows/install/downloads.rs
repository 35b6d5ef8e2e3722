//! Deltas among the downloads: under which names they lie, and how often one is applied.
//!
//! Invariant: a name says whether all of a delta is there (it has no signed length), and how often its applying began: one that
//! kills the agent is applied twice, and not for ever.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{sync_parent, with_causes};

use crate::domain::way::Hop;
use crate::home::Home;

/// What a delta is called as it gets on: all of it has come, it is applied, and applied once more.
const WHOLE: [&str; 3] = ["whole-delta", "tried-delta", "tried-again-delta"];

/// Where a delta lies while it comes. It has the digest of the wanted release in its name, so that it goes when that is assigned
/// no more.
pub fn part(home: &Home, hop: &Hop) -> PathBuf {
    let from = hop.from.map_or_else(|| "nothing".to_owned(), |from| from.short());
    let to = if hop.to == hop.end { String::new() } else { format!(".{}", hop.to.short()) };
    home.download(&format!("{from}{to}.{}.delta", hop.end))
}

/// Where a delta lies of which all has come.
pub fn whole(home: &Home, hop: &Hop) -> Option<PathBuf> {
    let part = part(home, hop);
    WHOLE.iter().map(|name| part.with_extension(name)).find(|path| fs::symlink_metadata(path).is_ok())
}

/// Says that all of a delta has come.
pub fn is_whole(home: &Home, hop: &Hop) -> io::Result<()> {
    let part = part(home, hop);
    fs::rename(&part, part.with_extension("whole-delta"))
}

/// Notes that a delta is applied now, and answers where it lies; `None` if it was applied twice before, or is not there.
pub(super) fn begin(home: &Home, hop: &Hop) -> io::Result<Option<PathBuf>> {
    let part = part(home, hop);
    for [now, then] in [["whole-delta", "tried-delta"], ["tried-delta", "tried-again-delta"]] {
        let (now, then) = (part.with_extension(now), part.with_extension(then));
        if fs::symlink_metadata(&now).is_ok() {
            fs::rename(&now, &then)?;
            sync_parent(&then)?;
            return Ok(Some(then));
        }
    }
    Ok(None)
}

/// Removes whatever there is of a delta.
pub fn forget(home: &Home, hop: &Hop) {
    let part = part(home, hop);
    for path in WHOLE.iter().map(|name| part.with_extension(name)).chain([part.clone()]) {
        remove(&path);
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = with_causes(&error), "a delta cannot be removed yet");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;

    use super::*;

    #[test]
    fn a_delta_is_applied_twice_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        fs::create_dir_all(home.downloads()).unwrap();
        let end = Sha256Digest::of(b"2");
        let hop = Hop { from: Some(Sha256Digest::of(b"1")), to: end, end, most_bytes: 9 };
        assert_eq!(begin(&home, &hop).unwrap(), None, "nothing has come");
        fs::write(part(&home, &hop), "delta").unwrap();
        assert_eq!(begin(&home, &hop).unwrap(), None, "a part of it has come");
        is_whole(&home, &hop).unwrap();
        for _ in 0..2 {
            let path = begin(&home, &hop).unwrap().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "delta");
            assert_eq!(whole(&home, &hop), Some(path));
        }
        assert_eq!(begin(&home, &hop).unwrap(), None, "it was tried twice");
        assert!(whole(&home, &hop).is_some(), "and is not fetched again");
        forget(&home, &hop);
        assert_eq!((whole(&home, &hop), fs::read_dir(home.downloads()).unwrap().count()), (None, 0));
    }

    #[test]
    fn each_delta_of_a_way_has_a_name_of_its_own_with_the_wanted_release_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        let [one, two, end] = ["1", "2", "3"].map(|text| Sha256Digest::of(text.as_bytes()));
        let hop = |from, to| part(&home, &Hop { from, to, end, most_bytes: 1 });
        let names = [hop(Some(one), end), hop(Some(one), two), hop(Some(two), end), hop(None, end)];
        for (number, name) in names.iter().enumerate() {
            assert!(name.to_str().unwrap().contains(&end.to_string()));
            assert!(!names[number + 1..].contains(name));
        }
    }
}
