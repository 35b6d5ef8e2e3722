//! Folders that must never be published: one that holds a home of ours, or lies in one.
//!
//! A release of the folder above a vendor's home once published every private key of the vendor. Homes are recognized by
//! the files that each program puts there. Invariant: links are not followed, as in a payload.
//! Left out on purpose: single files that are secrets; they are the matter of `secrets`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How homes are told: by all of these files or folders together.
const HOMES: [(&str, &[&str]); 5] = [
    ("a vendor's home", &["vendor.toml", "license.db"]),
    ("a vendor's home", &["vendor.toml", "keys"]),
    ("a Primary Server's home", &["distributor.toml", "keys"]),
    ("a Primary Server's home", &["ledger.db", "keys"]),
    ("an agent's home", &["state", "keys/client.key"]),
];
/// The home that a folder is, lies in, or holds, and what it is.
pub(super) fn home_around(folder: &Path) -> io::Result<Option<(PathBuf, &'static str)>> {
    let folder = fs::canonicalize(folder)?;
    if let Some(found) = folder.ancestors().find_map(|above| Some((above.to_owned(), home_at(above)?))) {
        return Ok(Some(found));
    }
    let mut waiting = vec![folder];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let path = entry.path();
                if let Some(what) = home_at(&path) {
                    return Ok(Some((path, what)));
                }
                waiting.push(path);
            }
        }
    }
    Ok(None)
}

fn home_at(folder: &Path) -> Option<&'static str> {
    let has = |name: &&str| folder.join(name).symlink_metadata().is_ok();
    HOMES.iter().find(|(_, marks)| marks.iter().all(has)).map(|(what, _)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_found_above_below_and_at_a_folder_and_a_lone_settings_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (home, marks) in [
            ("vendor", ["vendor.toml", "license.db"]),
            ("server", ["distributor.toml", "keys/site.key"]),
            ("agent", ["state/record.json", "keys/client.key"]),
        ] {
            let home = path("above").join(home);
            for mark in marks {
                let mark = home.join(mark);
                fs::create_dir_all(mark.parent().unwrap()).unwrap();
                fs::write(mark, "").unwrap();
            }
            let inside = home.join("content/deep");
            fs::create_dir_all(&inside).unwrap();
            let at = fs::canonicalize(&home).unwrap();
            for looked_at in [&home, &inside, &path("above")] {
                assert_eq!(home_around(looked_at).unwrap().unwrap().0, at, "{}", looked_at.display());
            }
            fs::remove_dir_all(&home).unwrap();
        }
        fs::create_dir_all(path("product")).unwrap();
        fs::write(path("product/vendor.toml"), "").unwrap();
        assert_eq!(home_around(&path("product")).unwrap(), None);
    }
}
