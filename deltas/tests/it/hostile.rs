//! Deltas that lie. Each is refused, or does exactly what an honest one does; none panics, and none
//! writes outside its folder.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use sealpost_deltas::{ApplyError, Limits};

use crate::{
    Listing, applied, applied_with, apply_to, folder, golden, listing, made, sha256, small_pair, tree,
};

const LIMITS: Limits =
    Limits { entries: 1000, list_bytes: 1 << 20, head_bytes: 1 << 20, target_bytes: 1 << 20 };

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A delta with this header and these bodies, and correct digests over whatever it says.
fn delta(header: &str, bodies: &[u8]) -> Vec<u8> {
    let body = packed(header.as_bytes());
    let mut delta = b"slpdelta\x01\x00".to_vec();
    delta.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    delta.extend_from_slice(&u32::try_from(header.len()).unwrap().to_le_bytes());
    delta.extend_from_slice(&sha256(&body));
    delta.extend_from_slice(&body);
    delta.extend_from_slice(bodies);
    delta
}

fn hex(bytes: [u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(&bytes)
}

fn whole(path: &str, content: &[u8], length: u64, body: usize) -> String {
    let sha = hex(sha256(content));
    format!(
        r#"{{"path":{path:?},"make":{{"whole":{{"file":{{"mode":420,"length":{length},"sha256":"{sha}"}},"body":{body}}}}}}}"#
    )
}

fn link(path: &str, target: &str) -> String {
    format!(r#"{{"path":{path:?},"make":{{"link":{{"target":{target:?}}}}}}}"#)
}

fn header(steps: &[String]) -> String {
    format!(r#"{{"removed":0,"steps":[{}]}}"#, steps.join(","))
}

fn outcome(bytes: &[u8]) -> Result<Listing, ApplyError> {
    let base = folder(&[("same", b"content")]);
    applied(base.path(), bytes, &LIMITS).map(|(listing, _)| listing)
}

#[test]
fn a_delta_built_by_hand_as_these_tests_do_is_accepted() {
    let body = packed(b"hello");
    let good = delta(&header(&[whole("a", b"hello", 5, body.len()), link("b", "a")]), &body);
    assert_eq!(outcome(&good).unwrap().len(), 2);
}

#[test]
fn a_delta_cut_at_any_byte_is_refused() {
    let (base, target) = small_pair();
    for delta in [made(base.path(), target.path()).0, golden("delta-v1.bin")] {
        for end in 0..delta.len() {
            assert!(applied(base.path(), &delta[..end], &LIMITS).is_err(), "cut at {end}");
        }
        let longer = [delta.as_slice(), b"x"].concat();
        assert!(matches!(applied(base.path(), longer.as_slice(), &LIMITS), Err(ApplyError::Damaged)));
    }
}

#[test]
fn a_flipped_bit_anywhere_gives_an_error_or_the_very_same_target() {
    let (base, target) = small_pair();
    let expected = listing(target.path());
    for delta in [made(base.path(), target.path()).0, golden("delta-v1.bin")] {
        for index in 0..delta.len() {
            for bit in [0x01, 0x80] {
                let mut changed = delta.clone();
                changed[index] ^= bit;
                if let Ok((result, _)) = applied(base.path(), changed.as_slice(), &LIMITS) {
                    assert_eq!(result, expected, "flipped at {index}");
                }
            }
        }
    }
}

#[test]
fn paths_and_links_out_of_the_target_are_refused_before_anything_is_written() {
    let body = packed(b"x");
    let file = |path: &str| whole(path, b"x", 1, body.len());
    for steps in [
        vec![file("../x")],
        vec![file("/x")],
        vec![file("a/../../x")],
        vec![file("a"), file("a")],
        vec![file("a"), file("a/b")],
        vec![link("a", "/etc"), file("b")],
        vec![link("a", ".."), file("b")],
        vec![link("a", "b"), file("a/b")],
        vec![link("p/q/x", "../.."), link("y", "p/q/x/..")],
        vec![file("a").replace("420", "2541")],
    ] {
        let out = tempfile::tempdir().unwrap();
        let base = folder(&[]);
        let bytes = delta(&header(&steps), &body);
        let refused = apply_to(base.path(), bytes.as_slice(), out.path(), &LIMITS);
        assert!(matches!(refused, Err(ApplyError::UnsafeTree(_))), "{steps:?}: {refused:?}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }
}

#[test]
fn base_paths_out_of_the_base_are_refused() {
    let sha = hex(sha256(b"secret"));
    for base_path in ["../secret", "/etc/hostname", "a/../../secret"] {
        let file = format!(r#"{{"mode":420,"length":6,"sha256":"{sha}"}}"#);
        let same = format!(r#"{{"path":"a","make":{{"same":{{"file":{file},"base":{base_path:?}}}}}}}"#);
        let base = format!(r#"{{"path":{base_path:?},"length":6,"sha256":"{sha}"}}"#);
        let diff = format!(r#"{{"path":"a","make":{{"bsdiff":{{"file":{file},"base":{base},"body":0}}}}}}"#);
        for step in [same, diff] {
            let refused = outcome(&delta(&header(&[step]), b""));
            assert!(matches!(refused, Err(ApplyError::UnsafeTree(_))), "{refused:?}");
        }
    }
}

#[test]
fn a_body_longer_or_shorter_than_promised_is_refused() {
    let body = packed(b"hello");
    for (length, said) in [(4, body.len()), (6, body.len()), (5, body.len() - 1), (5, body.len() + 1)] {
        let bytes = delta(&header(&[whole("a", b"hello", length, said)]), &[&body[..], b"tail"].concat());
        assert!(outcome(&bytes).is_err(), "length {length}, body {said}");
    }
    let other = delta(&header(&[whole("a", b"other", 5, body.len())]), &body);
    assert!(matches!(outcome(&other), Err(ApplyError::Content { .. })));
}

#[test]
fn bytes_behind_the_end_of_a_compressed_stream_are_refused() {
    let mut body = packed(b"hello");
    body.extend_from_slice(b"hidden");
    let bytes = delta(&header(&[whole("a", b"hello", 5, body.len())]), &body);
    assert!(matches!(outcome(&bytes), Err(ApplyError::Content { .. })));
}

#[test]
fn a_decompression_bomb_writes_no_more_than_it_promised() {
    let body = packed(&vec![0; 50 << 20]);
    let bytes = delta(&header(&[whole("a", &[0; 10], 10, body.len())]), &body);
    let base = folder(&[]);
    let out = tempfile::tempdir().unwrap();
    let refused = apply_to(base.path(), bytes.as_slice(), out.path(), &LIMITS);
    assert!(matches!(refused, Err(ApplyError::Content { .. })), "{refused:?}");
    assert!(fs::metadata(out.path().join("a")).unwrap().len() <= 10);

    // The same in the header: it is not unpacked beyond what it said.
    let json = vec![b' '; 50 << 20];
    let packed_json = packed(&json);
    let mut bomb = b"slpdelta\x01\x00".to_vec();
    bomb.extend_from_slice(&u32::try_from(packed_json.len()).unwrap().to_le_bytes());
    bomb.extend_from_slice(&100u32.to_le_bytes());
    bomb.extend_from_slice(&sha256(&packed_json));
    bomb.extend_from_slice(&packed_json);
    assert!(matches!(outcome(&bomb), Err(ApplyError::Damaged)));
}

#[test]
fn promises_over_the_limits_are_refused_before_anything_is_read() {
    let huge = whole("a", b"", 1 << 40, 10);
    assert!(matches!(outcome(&delta(&header(&[huge]), b"")), Err(ApplyError::TooLarge { .. })));
    let overflowing = [whole("a", b"", u64::MAX, 1), whole("b", b"", u64::MAX, 1)];
    assert!(matches!(outcome(&delta(&header(&overflowing), b"")), Err(ApplyError::TooLarge { .. })));
    let many: Vec<String> = (0..1001).map(|n| link(&format!("{n:05}"), "x")).collect();
    assert!(matches!(outcome(&delta(&header(&many), b"")), Err(ApplyError::TooLarge { .. })));
    // Refused by their number alone, before memory is taken for what they say.
    let worthless = vec!["0".to_owned(); 1001];
    assert!(matches!(outcome(&delta(&header(&worthless), b"")), Err(ApplyError::TooLarge { .. })));
    let sha = hex([0; 32]);
    let large_base = format!(
        r#"{{"path":"a","make":{{"bsdiff":{{"file":{{"mode":420,"length":1,"sha256":"{sha}"}},"base":{{"path":"a","length":20000000,"sha256":"{sha}"}},"body":1}}}}}}"#
    );
    assert!(matches!(outcome(&delta(&header(&[large_base]), b"")), Err(ApplyError::TooLarge { .. })));
    let mut lying_header = b"slpdelta\x01\x00".to_vec();
    lying_header.extend_from_slice(&[0xFF; 8]);
    lying_header.extend_from_slice(&[0; 32]);
    assert!(matches!(outcome(&lying_header), Err(ApplyError::TooLarge { .. })));
}

#[test]
fn another_base_than_the_one_the_delta_was_made_for_is_refused_by_name() {
    let (base, target) = small_pair();
    let (delta, _) = made(base.path(), target.path());
    for version in [delta, golden("delta-v1.bin")] {
        for (path, content) in [("data/same", b"unchanged c0ntent".as_slice()), ("bin/program", b"other")] {
            let (other, _) = small_pair();
            let list = tree(other.path());
            fs::write(other.path().join(path), content).unwrap();
            // The list says what was installed; the file has changed since.
            let refused = applied_with(&list, version.as_slice(), &LIMITS).unwrap_err();
            assert!(
                matches!(&refused, ApplyError::BaseDiffers { path: named } if named == path),
                "{refused}"
            );
            fs::remove_file(other.path().join(path)).unwrap();
            let refused = applied_with(&list, version.as_slice(), &LIMITS).unwrap_err();
            assert!(matches!(&refused, ApplyError::Base { .. }), "{refused}");
        }
    }
    let (delta, _) = made(base.path(), target.path());
    let refused = applied(target.path(), delta.as_slice(), &LIMITS).unwrap_err();
    assert!(matches!(&refused, ApplyError::AnotherBase { .. }), "{refused}");
}

#[test]
fn an_unknown_version_and_another_file_are_named_as_such() {
    let (base, target) = small_pair();
    let (mut delta, _) = made(base.path(), target.path());
    delta[2] = delta[2] & 0xf0 | 3;
    let later = applied(base.path(), delta.as_slice(), &LIMITS).unwrap_err();
    assert!(matches!(later, ApplyError::UnsupportedVersion { version: 3 }));
    let mut delta = golden("delta-v1.bin");
    delta[8] = 2;
    let later = applied(base.path(), delta.as_slice(), &LIMITS).unwrap_err();
    assert!(matches!(later, ApplyError::UnsupportedVersion { version: 2 }));
    assert!(matches!(outcome(b"PK\x03\x04 something else"), Err(ApplyError::NotADelta)));
}

#[test]
fn a_header_that_is_not_what_this_version_writes_is_refused() {
    for text in ["", "{}", "[]", r#"{"removed":0,"steps":[],"more":1}"#, &"[".repeat(100_000)] {
        assert!(matches!(outcome(&delta(text, b"")), Err(ApplyError::Damaged)), "{text:.40}");
    }
}

#[test]
fn a_target_that_cannot_be_written_is_told_apart_from_a_bad_delta() {
    let (base, target) = small_pair();
    let (delta, _) = made(base.path(), target.path());
    let out = tempfile::tempdir().unwrap();
    symlink("nowhere", out.path().join("data")).unwrap();
    let refused = apply_to(base.path(), delta.as_slice(), out.path(), &LIMITS);
    assert!(matches!(refused, Err(ApplyError::Target { .. })), "{refused:?}");
}
