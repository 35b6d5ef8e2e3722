//! Deltas among the downloads: under which names they lie, and which of them are kept.
//!
//! Invariant: a name says whether all of a delta is there: it has no signed length.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;

use crate::domain::way::Hop;
use crate::home::Home;

/// What a delta is called while it comes.
const PART: &str = "delta";
/// What a delta is called once all of it has come.
const WHOLE: &str = "whole-delta";

/// Where a delta lies while it comes. It has the digest of the wanted release in its name, so that it goes when that is assigned
/// no more.
pub fn part(home: &Home, hop: &Hop) -> PathBuf {
    let from = hop.from.map_or_else(|| "nothing".to_owned(), |from| from.short());
    let to = if hop.to == hop.end { String::new() } else { format!(".{}", hop.to.short()) };
    home.download(&format!("{from}{to}.{}.{PART}", hop.end))
}

/// Where a delta lies of which all has come.
pub fn whole(home: &Home, hop: &Hop) -> Option<PathBuf> {
    let path = part(home, hop).with_extension(WHOLE);
    fs::symlink_metadata(&path).is_ok().then_some(path)
}

/// Says that all of a delta has come.
pub fn is_whole(home: &Home, hop: &Hop) -> io::Result<()> {
    let part = part(home, hop);
    fs::rename(&part, part.with_extension(WHOLE))
}

/// Removes whatever there is of deltas to a release, but of these: those of a way that is told no more would stay for as long as
/// the release is assigned.
pub fn forget_others(home: &Home, end: &Sha256Digest, hops: &[Hop]) {
    let kept: Vec<PathBuf> = hops.iter().map(|hop| part(home, hop)).collect();
    for path in of_release(home, end) {
        let is_delta = path.extension().is_some_and(|name| name == PART || name == WHOLE);
        if is_delta && !kept.contains(&path.with_extension(PART)) {
            remove(&path);
        }
    }
}

/// Removes whatever was downloaded for a release: it is built.
pub(super) fn forget_all(home: &Home, end: &Sha256Digest) {
    of_release(home, end).iter().for_each(|path| remove(path));
}

/// The downloads with the digest of a release in their names.
fn of_release(home: &Home, end: &Sha256Digest) -> Vec<PathBuf> {
    let end = end.to_string();
    let entries = fs::read_dir(home.downloads()).into_iter().flatten().flatten();
    let is_of_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.contains(&end))
    };
    entries.map(|entry| entry.path()).filter(is_of_it).collect()
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
    use super::*;

    #[test]
    fn what_is_there_of_other_ways_to_a_release_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        fs::create_dir_all(home.downloads()).unwrap();
        let [one, two, end, other] = ["1", "2", "3", "4"].map(|text| Sha256Digest::of(text.as_bytes()));
        let hop = |from, to, end| Hop { from: Some(from), to, end, most_bytes: 1 };
        let way = [hop(one, two, end), hop(two, end, end)];
        let others = [hop(one, end, end), hop(one, other, end), hop(other, end, end)];
        let elsewhere = hop(one, other, other);
        for hop in way.iter().chain(&others).chain([&elsewhere]) {
            fs::write(part(&home, hop), "delta").unwrap();
        }
        is_whole(&home, &way[0]).unwrap();
        is_whole(&home, &others[1]).unwrap();
        fs::write(home.download(&format!("{end}.tar.gz")), "payload").unwrap();
        let left = || fs::read_dir(home.downloads()).unwrap().count();
        forget_others(&home, &end, &way);
        assert_eq!(left(), 4, "the way, the payload, and what is of another release");
        assert!(whole(&home, &way[0]).is_some() && part(&home, &way[1]).exists());
        forget_all(&home, &end);
        assert_eq!((left(), part(&home, &elsewhere).exists()), (1, true));
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
