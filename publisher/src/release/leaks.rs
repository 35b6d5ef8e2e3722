//! What must never be published: a folder that holds a home of ours, or lies in one, and files that are secret keys.
//!
//! A release of the folder above a vendor's home once published every private key of the vendor. Homes are recognized by
//! the files that each program puts there, keys by their content, wherever they lie and whatever they are called.
//! Invariant: links are not followed, as in a payload; of each file only the beginning is read.
//! Left out on purpose: secrets of other programs, except private keys in PEM, which TLS and SSH use too.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sealpost_files::open_regular;

/// How much of a file is looked at: a key file is much shorter, and a bundle of keys names the first one early.
const LOOKED_AT_BYTES: u64 = 64 * 1024;
/// How homes are told: by all of these files or folders together.
const HOMES: [(&str, &[&str]); 5] = [
    ("a vendor's home", &["vendor.toml", "license.db"]),
    ("a vendor's home", &["vendor.toml", "keys"]),
    ("a Primary Server's home", &["distributor.toml", "keys"]),
    ("a Primary Server's home", &["ledger.db", "keys"]),
    ("an agent's home", &["state", "keys/client.key"]),
];
/// How the second line of a minisign secret key begins, in base64: its algorithms, with and without encryption.
const MINISIGN_SECRET: [&str; 2] = ["RWRTY0Iy", "RWQAAEIy"];
/// The first line of a sealing key.
const SEALING_KEY: &str = "sealpost-sealing-key ";

/// A private key in PEM can be meant: of a demonstration, or for tests. Keys of ours never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    Ours(&'static str),
    Pem,
}

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

/// Whether a file is a secret key, by its content.
pub(super) fn secret_in_file(path: &Path) -> io::Result<Option<Secret>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(LOOKED_AT_BYTES).read_to_end(&mut bytes)?;
    Ok(secret_in(&bytes))
}

/// Whether bytes are a secret key, or hold one in PEM.
pub(super) fn secret_in(bytes: &[u8]) -> Option<Secret> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
    if first.starts_with(b"untrusted comment:")
        && MINISIGN_SECRET.iter().any(|begin| second.starts_with(begin.as_bytes()))
    {
        return Some(Secret::Ours("a minisign secret key"));
    }
    if first.starts_with(SEALING_KEY.as_bytes()) {
        return Some(Secret::Ours("a secret sealing key"));
    }
    let is_pem = |line: &[u8]| line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----");
    [first, second].into_iter().chain(lines).any(is_pem).then_some(Secret::Pem)
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{Passphrase, SealingKey, SigningKey, key_file};

    use super::*;

    #[test]
    fn secret_keys_are_told_by_their_content_and_public_ones_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let key = SigningKey::generate().unwrap();
        key_file::write_secret(&path("plain"), &key, None).unwrap();
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        key_file::write_secret(&path("encrypted"), &key, Some(&passphrase)).unwrap();
        key_file::write_public(&path("public"), &key.public()).unwrap();
        SealingKey::generate().unwrap().write_file(&path("sealing")).unwrap();
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        fs::write(path("pem"), format!("some text\r\n{}", pem.replace('\n', "\r\n"))).unwrap();
        let certificate = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap().cert.pem();
        fs::write(path("certificate"), certificate).unwrap();
        fs::write(path("empty"), "").unwrap();
        let found = |name: &str| secret_in_file(&path(name)).unwrap();
        assert_eq!(found("plain"), Some(Secret::Ours("a minisign secret key")));
        assert_eq!(found("encrypted"), Some(Secret::Ours("a minisign secret key")));
        assert_eq!(found("sealing"), Some(Secret::Ours("a secret sealing key")));
        assert_eq!(found("pem"), Some(Secret::Pem));
        for public in ["public", "certificate", "empty"] {
            assert_eq!(found(public), None, "{public}");
        }
    }

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
