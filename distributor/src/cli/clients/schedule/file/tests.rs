use std::io::{Cursor, Read};

use axum::body::Bytes;
use axum::http;
use futures_util::stream;
use reqwest::Body;
use sealpost_keys::{SigningKey, TrustedComment};

use super::*;

const FILE: &[u8] = b"#!/bin/sh\nexit 0\nand what is packed \x00\xff\n";

/// A site with its key, and the comment that it signs an install file of pc-1 with.
fn site() -> (SigningKey, ComputerName, String) {
    let key = SigningKey::generate().unwrap();
    let comment = format!("install file computer=pc-1 server={}", ServerId::of_site_key(&key.public()));
    (key, ComputerName::new("pc-1").unwrap(), comment)
}

fn signed(key: &SigningKey, comment: &str, file: &[u8]) -> Vec<u8> {
    let comment = TrustedComment::new(comment).unwrap();
    let minisig = key.sign_reader(&mut Cursor::new(file), &comment).unwrap();
    [minisig.as_str().as_bytes(), file].concat()
}

/// An answer that comes in parts of this size; after the last one the connection ends, or breaks off.
fn answer(bytes: &[u8], part: usize, breaks_off: bool) -> Response {
    let parts: Vec<_> = bytes.chunks(part).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    let end = breaks_off.then(|| Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
    http::Response::new(Body::wrap_stream(stream::iter(parts.into_iter().chain(end)))).into()
}

/// What is said of an answer, from the cause inwards.
async fn refused(bytes: &[u8], key: &SigningKey, name: &ComputerName) -> String {
    let taken = take(answer(bytes, 7, false), name, &key.public(), MAX_FILE).await;
    format!("{:#}", taken.unwrap_err())
}

#[tokio::test]
async fn what_was_signed_is_kept_behind_its_size_however_it_is_cut_into_parts() {
    let (key, name, comment) = site();
    for part in [1, 7, 64, 100_000] {
        let came = answer(&signed(&key, &comment, FILE), part, false);
        let mut file = take(came, &name, &key.public(), FILE.len() as u64).await.unwrap();
        let mut kept = Vec::new();
        file.read_to_end(&mut kept).unwrap();
        let size = format!("{:<SIZE_DIGITS$}\n", FILE.len());
        assert_eq!(kept, [size.as_bytes(), FILE].concat(), "in parts of {part}");
    }
}

#[tokio::test]
async fn an_answer_without_a_signature_is_none_and_is_not_read_to_its_end() {
    let (key, name, _) = site();
    const NONE: &str = "the server's answer begins with no signature";
    let whole = String::from_utf8(signed(&key, "x", b"")).unwrap();
    for lines in [
        "a\nb\nc\nd\n".to_owned(),
        format!("{FIRST}\n\n\n\n", FIRST = "untrusted comment: x"),
        whole.replace("trusted comment:", "comment:"),
        whole.replacen("\nRU", "\nR!", 1),
    ] {
        let said = refused(lines.as_bytes(), &key, &name).await;
        assert!(said.starts_with(NONE), "{lines}: {said}");
    }
    assert!(refused(b"\xff\xfe\n\n\n\n", &key, &name).await.starts_with(NONE));
    // One line without an end: what comes is not kept for ever. Had it been read on, it would break off.
    let endless = vec![b'a'; 1024 * 1024];
    let taken = take(answer(&endless, 1_000, true), &name, &key.public(), MAX_FILE).await;
    assert_eq!(format!("{:#}", taken.unwrap_err()), NONE);
}

#[tokio::test]
async fn a_connection_that_breaks_off_anywhere_brings_no_file() {
    let (key, name, comment) = site();
    let whole = signed(&key, &comment, FILE);
    let head = whole.len() - FILE.len();
    for cut in (0..whole.len()).step_by(11).chain([head - 1, head, head + 1, whole.len() - 1]) {
        let taken = take(answer(&whole[..cut], 64, true), &name, &key.public(), MAX_FILE).await;
        let said = format!("{:#}", taken.unwrap_err());
        assert!(said.starts_with("the install file broke off on its way"), "at {cut}: {said}");
        // A proxy may end it as if it were whole.
        let said = refused(&whole[..cut], &key, &name).await;
        let wanted = if cut < head { "broke off on its way" } else { "not signed with the site's key" };
        assert!(said.contains(wanted), "at {cut}: {said}");
    }
}

#[tokio::test]
async fn a_file_that_was_changed_or_that_another_key_signed_is_none() {
    let (key, name, comment) = site();
    let unsigned = "the install file is not signed with the site's key";
    let whole = signed(&key, &comment, FILE);
    for at in whole.len() - FILE.len()..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(refused(&changed, &key, &name).await.starts_with(unsigned), "byte {at}");
    }
    assert!(refused(&[&whole[..], b"x"].concat(), &key, &name).await.starts_with(unsigned));
    let (other, _, _) = site();
    assert!(refused(&signed(&other, &comment, FILE), &key, &name).await.starts_with(unsigned));
    // The comment is signed too.
    let text = String::from_utf8_lossy(&whole).into_owned();
    assert!(text.contains("computer=pc-1 "));
    let mut renamed = text.replacen("computer=pc-1 ", "computer=pc-2 ", 1).into_bytes();
    renamed.truncate(whole.len() - FILE.len());
    renamed.extend_from_slice(FILE);
    assert!(refused(&renamed, &key, &name).await.starts_with(unsigned));
}

#[tokio::test]
async fn the_file_of_another_computer_or_server_and_any_other_that_the_key_signed_is_refused() {
    let (key, name, comment) = site();
    let (other, _, of_other) = site();
    assert_ne!(other.public(), key.public());
    for comment in [
        comment.replace("pc-1", "pc-2"),
        comment.replace("pc-1", "pc-10"),
        of_other,
        format!("{comment} x"),
        comment.replacen("install file ", "", 1),
        "checkpoint".to_owned(),
    ] {
        let said = refused(&signed(&key, &comment, FILE), &key, &name).await;
        assert_eq!(said, "the server sent the install file of another computer", "{comment}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_long_is_not_kept_to_its_end() {
    let (key, name, comment) = site();
    let most = FILE.len() as u64 - 1;
    let taken = take(answer(&signed(&key, &comment, FILE), 7, false), &name, &key.public(), most).await;
    let said = format!("{:#}", taken.unwrap_err());
    assert_eq!(said, format!("the install file is longer than {most} bytes, which none is"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_nothing_is_given_up() {
    let said = in_time(std::future::pending()).await.unwrap_err().to_string();
    assert_eq!(said, "the server did not send the install file within 300 s");
}
