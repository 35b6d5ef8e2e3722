//! Notes by other implementations as values, and hostile notes.

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::*;
use crate::key_file::{read_secret, write_secret};
use crate::key_id::KeyId;
use crate::passphrase::PassphraseSource;
use crate::signer::SigningKey;

/// The example of the specification.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// A head of the Go checksum database.
const SUMDB_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const SUMDB: &str = "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n\
\u{2014} sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n";

/// The seed of RFC 8032, section 7.1, test 1.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

fn key(text: &str) -> LogPublicKey {
    text.parse().unwrap()
}

fn refusal(note: &str, key: &LogPublicKey) -> NoteError {
    match SignedNote::parse(note) {
        Ok(note) => note.verify(key).unwrap_err(),
        Err(error) => error,
    }
}

/// The key of the seed, under a name.
fn log_key(name: &str) -> LogKey {
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(&HEXLOWER.decode(SEED.as_bytes()).unwrap());
    LogKey::new(name, SigningKey::from_seed(KeyId::from_bytes([1; 8]), seed).unwrap()).unwrap()
}

#[test]
fn notes_of_other_implementations_verify_and_keep_their_text() {
    for (text, vkey) in [(EXAMPLE, EXAMPLE_KEY), (SUMDB, SUMDB_KEY)] {
        let note = SignedNote::parse(text).unwrap();
        let (signed, _) = text.split_once("\n\n").unwrap();
        assert_eq!(*note.verify(&key(vkey)).unwrap(), format!("{signed}\n"));
        assert_eq!(key(vkey).to_string(), vkey);
        assert_eq!(note.as_str(), text);
    }
}

#[test]
fn a_note_is_signed_as_another_implementation_signs_it() {
    let key = log_key("example.com/log");
    let public = key.public();
    assert_eq!(public.to_string(), "example.com/log+cc714670+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea");
    let text = "example.com/log\n1\n+++\n\nlast line\n";
    let note = SignedNote::sign(text, &key).unwrap();
    let expected = format!(
        "{text}\n\u{2014} example.com/log \
         zHFGcBbiqNhL8dbVay4wdFcnkyV2rsPwZu0VGJ9Ne6Xlo3eYgXs7gg+l858MTZCKGAt6zg2EuG7OeE/lYr+PiTWHMgY=\n"
    );
    assert_eq!(note.as_str(), expected);
    assert_eq!(*note.verify(public).unwrap(), text);
    let json = serde_json::to_string(&(&note, public)).unwrap();
    let (note, public): (SignedNote, LogPublicKey) = serde_json::from_str(&json).unwrap();
    assert_eq!(*note.verify(&public).unwrap(), text);
}

#[test]
fn a_text_that_would_not_survive_as_a_note_is_not_signed() {
    let key = log_key("log");
    for text in ["", "no newline", "a tab\t\n", "a return\r\n", "\0\n", &"x\n".repeat(MAX_NOTE_BYTES / 2)] {
        assert!(SignedNote::sign(text, &key).is_err(), "{text:?}");
    }
    for text in ["\n", "\n\n", "a\n\n", "\u{2014} log AAAA\n"] {
        assert_eq!(*SignedNote::sign(text, &key).unwrap().verify(key.public()).unwrap(), text);
    }
}

#[test]
fn no_flipped_bit_and_no_cut_of_a_note_is_accepted_with_another_text() {
    let key = key(EXAMPLE_KEY);
    for at in 0..EXAMPLE.len() {
        assert!(
            SignedNote::parse(&String::from_utf8_lossy(&EXAMPLE.as_bytes()[..at])).is_err(),
            "cut at {at}"
        );
        for bit in 0..8 {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let note = String::from_utf8_lossy(&bytes).into_owned();
            refusal(&note, &key);
        }
    }
}

#[test]
fn lines_of_other_keys_are_passed_over_and_one_bad_line_of_the_key_refuses_the_note() {
    let (text, line) = EXAMPLE.split_once("\n\n").unwrap();
    let key = key(EXAMPLE_KEY);
    let same_name = line.replacen("Uw2QOk", "Uw2QPk", 1);
    let same_id = line.replacen("foo", "bar", 1);
    let bad = line.replacen("n8srV1", "n8srV2", 1);
    let short = "\u{2014} example.com/foo Uw2QOkn8\n";
    let note = |lines: &[&str]| format!("{text}\n\n{}", lines.concat());

    for lines in [[same_name.as_str(), &same_id, line], [line, &same_id, line]] {
        let note = SignedNote::parse(&note(&lines)).unwrap();
        assert_eq!(*note.verify(&key).unwrap(), "This is an example message.\n");
    }
    let expected = || EXAMPLE_KEY.to_owned();
    assert_eq!(refusal(&note(&[&same_name, &same_id]), &key), NoteError::NotSigned { expected: expected() });
    for lines in [[line, bad.as_str()], [&bad, line], [line, short], [short, line]] {
        assert_eq!(refusal(&note(&lines), &key), NoteError::BadSignature { expected: expected() });
    }
}

#[test]
fn a_note_of_another_shape_is_refused_before_anything_is_kept_of_it() {
    let key = key(EXAMPLE_KEY);
    let (text, line) = EXAMPLE.split_once("\n\n").unwrap();
    for wrong in [
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        "text\n\n\n",
        &format!("{text}\n{line}"),
        &format!("{EXAMPLE}\n"),
        &format!("{EXAMPLE}more\n"),
        EXAMPLE.trim_end(),
        &EXAMPLE.replace('\u{2014}', "-"),
        &EXAMPLE.replace("foo Uw", "foo  Uw"),
        &EXAMPLE.replace("foo Uw", "f+o Uw"),
        &EXAMPLE.replace("foo Uw", "f\u{a0}o Uw"),
        &EXAMPLE.replace("aQM=", "aQM"),
        &EXAMPLE.replace("aQM=", "aQN="),
        &EXAMPLE.replace(" Uw", "\tUw"),
        "text\n\n\u{2014} example.com/foo Uw2QOg==\n",
        "text\n\n\u{2014}  Uw2QOkn8\n",
    ] {
        let refused = refusal(wrong, &key);
        assert!(
            matches!(refused, NoteError::Malformed | NoteError::ControlCharacter),
            "{wrong:?}: {refused}"
        );
    }
    for control in ["\r\n", "\0", "\u{1b}[2J", "\t"] {
        assert_eq!(refusal(&EXAMPLE.replace(" is", control), &key), NoteError::ControlCharacter);
    }
}

#[test]
fn a_note_may_have_sixteen_signatures_and_a_bounded_length() {
    let key = key(EXAMPLE_KEY);
    let (_, line) = EXAMPLE.split_once("\n\n").unwrap();
    let with = |others: usize| format!("{EXAMPLE}{}", line.replacen("foo", "bar", 1).repeat(others));
    assert!(SignedNote::parse(&with(15)).unwrap().verify(&key).is_ok());
    assert_eq!(refusal(&with(16), &key), NoteError::TooManySignatures { found: 17 });
    // The text ends at the last empty line, so that newlines in front of it count as text.
    let long = "\n".repeat(MAX_NOTE_BYTES);
    assert_eq!(refusal(&long, &key), NoteError::Malformed);
    assert_eq!(refusal(&format!("{long}\n"), &key), NoteError::TooLong { bytes: MAX_NOTE_BYTES + 1 });
}

#[test]
fn a_key_text_with_another_id_type_name_or_encoding_is_refused() {
    let whole = EXAMPLE_KEY;
    for wrong in [
        "",
        "+",
        "++",
        &whole[1..],
        &whole.replace("530d903a", "530d903b"),
        &whole.replace("530d903a", "530D903A"),
        &whole.replace("+530d903a", ""),
        &whole.replace("foo", "fo o"),
        &whole.replace("+AekyeRrm", "+AukyeRrm"),
        &format!("{whole}="),
        &format!("{whole}\n"),
        &whole[..whole.len() - 4],
        &format!("{}{whole}", "x".repeat(300)),
    ] {
        assert!(wrong.parse::<LogPublicKey>().is_err(), "{wrong}");
    }
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{1b}b", &"x".repeat(256)] {
        assert!(matches!(LogKey::generate(name), Err(NoteKeyError::Name { .. })), "{name:?}");
    }
}

#[test]
fn a_key_of_small_order_is_no_key_of_a_log() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert!(matches!(LogPublicKey::new("log", neutral), Err(NoteKeyError::Unsound { .. })));
    assert!(matches!(LogPublicKey::new("log", [0xff; 32]), Err(NoteKeyError::Unsound { .. })));
}

#[test]
fn a_log_key_survives_in_a_private_file_and_does_not_show_in_debug_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.key");
    let key = log_key("example.com/log");
    write_secret(&path, key.signing_key(), None).unwrap();
    let read = LogKey::new("example.com/log", read_secret(&path, &PassphraseSource::None).unwrap()).unwrap();
    assert_eq!(read.public(), key.public());
    assert_eq!(format!("{read:?}"), format!("LogKey({}, secret not shown)", key.public()));
}
