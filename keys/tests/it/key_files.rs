//! Key files: whose they are, who may read them, what damage is found.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealpost_keys::key_file::{read_public, read_secret, write_public, write_secret};
use sealpost_keys::{KeyFileError, Passphrase, PassphraseSource, SigningKey};

use crate::{golden, golden_key, golden_public, private_copy};

#[test]
fn the_frozen_key_files_stay_readable() {
    assert_eq!(golden_key().public(), golden_public());
    let folder = tempfile::tempdir().unwrap();
    let path = private_copy("encrypted.key", folder.path());
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, "golden pass").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let key = read_secret(&path, &PassphraseSource::File(passphrase)).unwrap();
    assert_eq!(key.public(), golden_public());
}

#[test]
fn an_unencrypted_key_reads_back_without_being_asked_for_a_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    let key = SigningKey::generate().unwrap();
    write_secret(&path, &key, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let unset = PassphraseSource::Env("SEALPOST_NO_SUCH_VARIABLE".into());
    assert_eq!(read_secret(&path, &unset).unwrap().public(), key.public());
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    let key = SigningKey::generate().unwrap();
    write_secret(&path, &key, Some(&Passphrase::new("right").unwrap())).unwrap();

    let from = |text: &str| {
        let file = folder.path().join(text);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        PassphraseSource::File(file)
    };
    assert_eq!(read_secret(&path, &from("right")).unwrap().public(), key.public());
    assert!(matches!(read_secret(&path, &from("wrong")), Err(KeyFileError::WrongPassphrase { .. })));
    let none = read_secret(&path, &PassphraseSource::None);
    assert!(matches!(none, Err(KeyFileError::PassphraseNeeded { .. })));
    let secret = fs::read_to_string(&path).unwrap();
    let plain = folder.path().join("plain.key");
    write_secret(&plain, &key, None).unwrap();
    let tail = fs::read_to_string(&plain).unwrap().lines().nth(1).unwrap()[80..120].to_owned();
    assert!(!secret.contains(&tail), "the secret is not in the encrypted file");
}

#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    write_secret(&path, &SigningKey::generate().unwrap(), None).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = read_secret(&path, &PassphraseSource::None).unwrap_err();
        assert!(matches!(refused, KeyFileError::Exposed { .. }), "{refused}");
    }
}

#[test]
fn a_named_pipe_in_the_place_of_a_key_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let refused = read_secret(&path, &PassphraseSource::None).unwrap_err();
    assert!(matches!(refused, KeyFileError::Read { .. }), "{refused}");
    assert!(read_public(&path).is_err());
    assert!(PassphraseSource::File(path).obtain("a key").is_err());
}

#[test]
fn a_key_file_is_never_overwritten_and_a_refused_write_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, public) = (folder.path().join("a.key"), folder.path().join("a.pub"));
    let key = SigningKey::generate().unwrap();
    write_secret(&secret, &key, None).unwrap();
    write_public(&public, &key.public()).unwrap();
    assert_eq!(read_public(&public).unwrap(), key.public());

    let other = SigningKey::generate().unwrap();
    assert!(matches!(write_secret(&secret, &other, None), Err(KeyFileError::Exists { .. })));
    assert!(matches!(write_public(&public, &other.public()), Err(KeyFileError::Exists { .. })));
    assert_eq!(read_secret(&secret, &PassphraseSource::None).unwrap().public(), key.public());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn every_cut_and_every_changed_character_of_a_secret_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    let whole = fs::read(private_copy("unencrypted-by-minisign.key", folder.path())).unwrap();
    let write = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let first_line = whole.iter().position(|&byte| byte == b'\n').unwrap();
    for end in 0..whole.len() - 1 {
        write(&whole[..end]);
        assert!(read_secret(&path, &PassphraseSource::None).is_err(), "cut at {end}");
    }
    // The id (which a signature names, and no more) and the unused salt may change unseen; the key may not.
    let id_end = first_line + 1 + (54 + 8) / 3 * 4 + 4;
    let sum_begin = first_line + 1 + (54 + 8 + 64) / 3 * 4;
    for index in id_end..sum_begin {
        let mut changed = whole.clone();
        changed[index] ^= 2;
        write(&changed);
        assert!(read_secret(&path, &PassphraseSource::None).is_err(), "changed at {index}");
    }
    write(&vec![b'A'; 1 << 20]);
    assert!(matches!(read_secret(&path, &PassphraseSource::None), Err(KeyFileError::NotASecretKey { .. })));
    assert!(read_public(&golden("message")).is_err());
}

#[test]
fn a_signing_key_does_not_show_its_secret() {
    let shown = format!("{:?}", golden_key());
    assert_eq!(shown, format!("SigningKey({}, secret not shown)", golden_public().id()));
}
