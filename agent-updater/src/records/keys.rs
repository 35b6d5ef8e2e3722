//! The keys that sign this computer's contacts: one for each server, made at the enrollment with it.
//!
//! Invariant: which file holds the key of a server is decided by the public key in its enrollment, never by a name alone: a
//! home of before, whose servers share the first key, goes on as it is, and so does one whose power went while it enrolled.
//! The first server's key is `keys/client.key`, that of another is `keys/ID.key`. A computer that is kept beside a copy of it makes
//! another key for that server, `keys/ID.next.key`, which takes the place of `keys/ID.key` once it counts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{remove_durably, sync_folder};
use sealpost_keys::key_file::read_secret;
use sealpost_keys::{KeyFileError, PassphraseSource, PublicKey, SigningKey};
use sealpost_manifests::ids::ServerId;

use crate::home::Home;

use super::server::ServerRecords;
use super::servers;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum ClientKeyError {
    #[error("the client key {0} is gone")]
    Missing(PathBuf),
    #[error("the client key {path} cannot be looked at")]
    Unseen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the client key {path} cannot be read")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: KeyFileError,
    },
    /// A key file that another one took the place of.
    #[error("{0} holds another key than this computer enrolled with")]
    Other(PathBuf),
}

/// The secret of the key that a server knows this computer by.
///
/// # Errors
/// [`ClientKeyError`]; none is made.
pub fn key_of(home: &Home, server: &ServerId, public: &PublicKey) -> Result<SigningKey, ClientKeyError> {
    let (mut unreadable, mut other) = (None, None);
    for path in [home.server_key(server), home.next_key(server), home.client_key()] {
        if !is_there(&path)? {
            continue;
        }
        match read_secret(&path, &PassphraseSource::None) {
            Ok(key) if key.public() == *public => return Ok(key),
            Ok(_) => other = Some(path),
            Err(source) => unreadable = Some(ClientKeyError::Unreadable { path, source }),
        }
    }
    let other = other.map(ClientKeyError::Other);
    Err(unreadable.or(other).unwrap_or_else(|| ClientKeyError::Missing(home.client_key())))
}

/// The file of the key to enroll with: that of the enrollment with this server, if there is one; else the first key, as long
/// as no other server is enrolled with it. One that cannot be looked at counts as there: it is not made anew.
#[must_use]
pub fn file_to_enroll_with(home: &Home, server: &ServerId) -> PathBuf {
    let own = home.server_key(server);
    let enrolled = ServerRecords::of(home, server).enrollment().ok().flatten();
    if enrolled.as_ref().is_some_and(|enrolled| holds(&home.next_key(server), &enrolled.client_key)) {
        return home.next_key(server);
    }
    if own.try_exists().unwrap_or(true) {
        return own;
    }
    if enrolled.is_some_and(|enrolled| key_of(home, server, &enrolled.client_key).is_ok()) {
        return home.client_key();
    }
    // Enrolling repairs a list that is damaged.
    let known = servers::load(home).unwrap_or_default();
    if known.first().is_none_or(|first| first == server) { home.client_key() } else { own }
}

/// Gives the newest key of a server its place, if the enrollment names it; one that came to nothing is removed. Durable at
/// return.
///
/// # Errors
/// When the keys folder cannot be changed.
pub fn settle(home: &Home, server: &ServerId, enrolled: &PublicKey) -> io::Result<()> {
    let next = home.next_key(server);
    if !next.try_exists()? {
        return Ok(());
    }
    if !holds(&next, enrolled) {
        return remove_durably(&next);
    }
    let own = home.server_key(server);
    fs::rename(&next, &own)?;
    own.parent().map_or(Ok(()), sync_folder)
}

/// Whether a file holds the secret of a key.
fn holds(path: &Path, public: &PublicKey) -> bool {
    read_secret(path, &PassphraseSource::None).is_ok_and(|key| key.public() == *public)
}

/// A key that cannot be looked at does not count as missing: it is the computer's identity.
fn is_there(path: &Path) -> Result<bool, ClientKeyError> {
    path.try_exists().map_err(|source| ClientKeyError::Unseen { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use sealpost_keys::key_file::write_secret;

    use super::*;

    fn server(number: u8) -> ServerId {
        ServerId::from_random([number; 16])
    }

    fn home(folder: &tempfile::TempDir) -> Home {
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        home
    }

    fn written(path: &Path) -> SigningKey {
        let key = SigningKey::generate().unwrap();
        write_secret(path, &key, None).unwrap();
        key
    }

    #[test]
    fn the_key_that_the_enrollment_names_is_used_whatever_its_file_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(&folder);
        let first = written(&home.client_key());
        // A home of before: the second server knows the first key.
        assert_eq!(key_of(&home, &server(2), &first.public()).unwrap().public(), first.public());
        let second = written(&home.server_key(&server(2)));
        for key in [&first, &second] {
            assert_eq!(key_of(&home, &server(2), &key.public()).unwrap().public(), key.public());
        }
        let error = key_of(&home, &server(1), &second.public()).unwrap_err();
        assert!(
            matches!(error, ClientKeyError::Other(_)),
            "the key of one server is not that of another: {error}"
        );
    }

    #[test]
    fn a_key_that_is_missing_or_damaged_is_said_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(&folder);
        let key = SigningKey::generate().unwrap().public();
        assert!(matches!(key_of(&home, &server(1), &key), Err(ClientKeyError::Missing(_))));
        assert_eq!(fs::read_dir(folder.path().join("keys")).unwrap().count(), 0);
        fs::write(home.client_key(), "damaged").unwrap();
        assert!(matches!(key_of(&home, &server(1), &key), Err(ClientKeyError::Unreadable { .. })));
        assert_eq!(fs::read(home.client_key()).unwrap(), b"damaged");
    }

    #[test]
    fn the_first_server_gets_the_first_key_and_each_other_one_a_key_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(&folder);
        let file = |number| file_to_enroll_with(&home, &server(number));
        assert_eq!(file(1), home.client_key(), "also before anything was answered");
        servers::prefer(&home, &server(1)).unwrap();
        assert_eq!((file(1), file(2)), (home.client_key(), home.server_key(&server(2))));
        // Whose answer was lost enrolls with the same key again, wherever it stands in the list.
        let _ = written(&home.server_key(&server(2)));
        servers::prefer(&home, &server(2)).unwrap();
        assert_eq!(file(2), home.server_key(&server(2)));
    }

    #[test]
    fn the_next_key_counts_once_the_enrollment_names_it_wherever_the_power_went() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(&folder);
        let first = written(&home.client_key());
        let next = written(&home.next_key(&server(1)));
        let names = |key: &SigningKey| key_of(&home, &server(1), &key.public()).unwrap().public();
        // Before and after the enrollment with it was kept.
        assert_eq!((names(&first), names(&next)), (first.public(), next.public()));
        settle(&home, &server(1), &next.public()).unwrap();
        assert_eq!(names(&next), next.public());
        assert!(home.server_key(&server(1)).exists() && !home.next_key(&server(1)).exists());
        settle(&home, &server(1), &next.public()).unwrap();
        // The next one takes its place, and the first key, which another server may know, stays.
        let third = written(&home.next_key(&server(1)));
        settle(&home, &server(1), &third.public()).unwrap();
        assert_eq!(names(&third), third.public());
        assert!(matches!(key_of(&home, &server(1), &next.public()), Err(ClientKeyError::Other(_))));
        assert_eq!(names(&first), first.public());
    }

    #[test]
    fn a_next_key_that_came_to_nothing_is_removed_and_the_key_that_counts_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(&folder);
        let first = written(&home.client_key());
        written(&home.next_key(&server(1)));
        settle(&home, &server(1), &first.public()).unwrap();
        assert!(!home.next_key(&server(1)).exists() && !home.server_key(&server(1)).exists());
        assert_eq!(key_of(&home, &server(1), &first.public()).unwrap().public(), first.public());
    }
}
