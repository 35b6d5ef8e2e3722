//! Our signatures and keys in the hands of other people's tools, and theirs in ours.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use sealpost_keys::verify::verify;
use sealpost_keys::{Minisig, Passphrase, SigningKey, VerifyError, key_file};

use crate::{comment, covered_lines, golden, golden_key, golden_public};

const GOLDEN_COMMENT: &str = "package:acme-av version:1.2.3 platform:linux-x86_64";

#[test]
fn our_signature_is_the_one_that_minisign_made_with_the_same_key() {
    let message = fs::read(golden("message")).unwrap();
    let theirs = fs::read_to_string(golden("message.minisig")).unwrap();
    let ours = golden_key().sign(&message, &comment(GOLDEN_COMMENT));
    assert_eq!(covered_lines(ours.as_str()), covered_lines(&theirs));
    let frozen = fs::read_to_string(golden("message-by-us.minisig")).unwrap();
    assert_eq!(ours.as_str(), frozen);
}

#[test]
fn we_verify_the_signature_that_minisign_made_and_refuse_its_legacy_format() {
    let message = fs::read(golden("message")).unwrap();
    let read = |name: &str| Minisig::parse(&fs::read_to_string(golden(name)).unwrap()).unwrap();
    let verified = verify(message.clone(), &read("message.minisig"), &[golden_public()]).unwrap();
    assert_eq!(verified.comment, GOLDEN_COMMENT);
    let legacy = verify(message, &read("legacy.minisig"), &[golden_public()]);
    assert_eq!(legacy.unwrap_err(), VerifyError::LegacyAlgorithm);
}

#[test]
fn the_crate_minisign_verifies_ours_and_we_verify_its_signatures() {
    let message = b"both ways".as_slice();
    let key = golden_key();
    let ours = key.sign(message, &comment("ours"));
    let public = minisign::PublicKey::from_base64(&key.public().to_base64()).unwrap();
    let boxed = minisign::SignatureBox::from_string(ours.as_str()).unwrap();
    minisign::verify(&public, &boxed, std::io::Cursor::new(message), true, false, false).unwrap();

    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let theirs = minisign::sign(None, &pair.sk, message, Some("theirs"), None).unwrap().into_string();
    let trusted = sealpost_keys::PublicKey::from_base64(&pair.pk.to_base64()).unwrap();
    let verified = verify(message.to_vec(), &Minisig::parse(&theirs).unwrap(), &[trusted]).unwrap();
    assert_eq!(verified.comment, "theirs");
}

/// Whether the original tool is here; the complete test run installs it.
fn minisign_is_missing() -> bool {
    let missing = Command::new("minisign").arg("-v").output().is_err();
    if missing {
        sealpost_test_support::skips::needs("the program minisign (Debian: apt-get install minisign)")
            .unwrap();
    }
    missing
}

fn minisign_accepts(folder: &Path, key: &SigningKey) -> bool {
    Command::new("minisign")
        .args(["-V", "-H", "-m", "message", "-P", &key.public().to_base64()])
        .current_dir(folder)
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn the_program_minisign_accepts_our_signature_and_refuses_a_tampered_one() {
    if minisign_is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let minisig = key.sign(b"content", &comment("what it is"));
    fs::write(folder.path().join("message"), b"content").unwrap();
    fs::write(folder.path().join("message.minisig"), minisig.as_str()).unwrap();
    assert!(minisign_accepts(folder.path(), &key));

    let forged_comment = minisig.as_str().replace("what it is", "what it was");
    fs::write(folder.path().join("message.minisig"), forged_comment).unwrap();
    assert!(!minisign_accepts(folder.path(), &key));

    fs::write(folder.path().join("message.minisig"), minisig.as_str()).unwrap();
    fs::write(folder.path().join("message"), b"c0ntent").unwrap();
    assert!(!minisign_accepts(folder.path(), &key));
}

#[test]
fn the_program_minisign_signs_with_our_key_files() {
    if minisign_is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    fs::write(folder.path().join("message"), b"content").unwrap();
    for (name, passphrase) in [("plain.key", None), ("locked.key", Some("a passphrase"))] {
        let passphrase_given = passphrase.map(|text| Passphrase::new(text).unwrap());
        key_file::write_secret(&folder.path().join(name), &key, passphrase_given.as_ref()).unwrap();
        let mut signing = Command::new("minisign")
            .args(["-S", "-H", "-m", "message", "-t", "theirs", "-s", name])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = signing.stdin.take().unwrap();
        // An unencrypted key asks nothing: the tool may be gone before it is answered.
        let _ = writeln!(stdin, "{}", passphrase.unwrap_or_default());
        drop(stdin);
        assert!(signing.wait().unwrap().success(), "{name}");
        let minisig = folder.path().join("message.minisig");
        let text = fs::read_to_string(&minisig).unwrap();
        let ours = key.sign(b"content", &comment("theirs"));
        assert_eq!(covered_lines(&text), covered_lines(ours.as_str()), "{name}");
        fs::remove_file(minisig).unwrap();
    }
}
