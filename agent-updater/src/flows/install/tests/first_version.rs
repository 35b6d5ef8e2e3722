//! Deltas of version 1, as servers of before send them: their list of files is nobody's word.

use std::fs;

use sealpost_files::faults::killed;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::FileKind;

use super::fixture::{But, Computer, ONE, Published, TWO, files_beneath};
use crate::domain::record::SlotId;
use crate::flows::install::ChangeEnd;

/// A file or link of a delta.
#[derive(Clone)]
enum Step {
    File(u32, Vec<u8>),
    /// The content of the base's file of this path.
    Same(u32, Vec<u8>),
    /// A file whose bytes are not those that the delta says.
    Torn,
    Link(String),
}

/// Raw deflate of few bytes, as they are.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let chunks = bytes.chunks(60_000);
    let last = chunks.len().max(1) - 1;
    let mut packed = Vec::new();
    for (number, chunk) in chunks.enumerate() {
        let length = u16::try_from(chunk.len()).unwrap();
        packed.push(u8::from(number == last));
        packed.extend(length.to_le_bytes().into_iter().chain((!length).to_le_bytes()));
        packed.extend(chunk);
    }
    packed
}

fn file(mode: u32, bytes: &[u8]) -> String {
    let sha256 = Sha256Digest::of(bytes);
    format!(r#"{{"mode":{mode},"length":{},"sha256":"{sha256}"}}"#, bytes.len())
}

/// A delta of version 1 that brings these files whole.
fn first_version(steps: &[(String, Step)]) -> Vec<u8> {
    let (mut listed, mut bodies) = (Vec::new(), Vec::new());
    for (path, step) in steps {
        listed.push(match step {
            Step::Link(target) => format!(r#"{{"path":"{path}","make":{{"link":{{"target":"{target}"}}}}}}"#),
            Step::File(mode, bytes) => {
                let body = stored(bytes);
                bodies.extend(&body);
                let file = file(*mode, bytes);
                format!(r#"{{"path":"{path}","make":{{"whole":{{"file":{file},"body":{}}}}}}}"#, body.len())
            }
            Step::Same(mode, bytes) => {
                format!(r#"{{"path":"{path}","make":{{"same":{{"file":{}}}}}}}"#, file(*mode, bytes))
            }
            Step::Torn => {
                let body = stored(b"torn");
                bodies.extend(&body);
                let file = file(0o644, b"whole");
                format!(r#"{{"path":"{path}","make":{{"whole":{{"file":{file},"body":{}}}}}}}"#, body.len())
            }
        });
    }
    let header = format!(r#"{{"removed":0,"steps":[{}]}}"#, listed.join(","));
    let packed = stored(header.as_bytes());
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let begin = [b"slpdelta\x01\x00", &length(&packed)[..], &length(header.as_bytes())].concat();
    [begin, Sha256Digest::of(&packed).as_bytes().to_vec(), packed, bodies].concat()
}

/// What a release has, as steps.
fn steps_of(release: &Published) -> Vec<(String, Step)> {
    let step = |path: &str, kind: &FileKind| match kind {
        FileKind::Symlink { target } => Step::Link(target.clone()),
        FileKind::File { executable, .. } => {
            let mode = if *executable { 0o755 } else { 0o644 };
            let bytes = fs::read(release.folder.join(path)).unwrap();
            if path == "lib/same" { Step::Same(mode, bytes) } else { Step::File(mode, bytes) }
        }
    };
    let files = release.manifest.files.iter();
    files.map(|entry| (entry.path.to_string(), step(entry.path.as_str(), &entry.kind))).collect()
}

/// A computer with 1, and 2, to which a delta leads.
fn computer_and_next() -> (Computer, Published) {
    let computer = Computer::new();
    computer.install(&mut computer.publish("1", 1, ONE), 0).unwrap();
    let next = computer.publish("2", 2, TWO);
    (computer, next)
}

#[test]
fn a_delta_of_version_1_with_the_files_of_the_release_is_applied() {
    let (computer, mut two) = computer_and_next();
    two.delta = Some(first_version(&steps_of(&two)));
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&two, "by a delta of version 1");
    assert_eq!(two.fetches, ["delta"]);
}

#[test]
fn nothing_comes_onto_the_disk_by_a_delta_of_version_1_that_the_vendor_did_not_sign() {
    let file = |mode, text: &str| Step::File(mode, text.as_bytes().to_vec());
    for (what, path, step) in [
        ("a file more", "a/more", file(0o755, "#!/bin/sh")),
        ("a link more", "a/more", Step::Link("b".to_owned())),
        ("another length", "bin/run", file(0o755, "loadable two and more")),
        ("another mode", "bin/run", file(0o644, TWO)),
        ("another type", "bin/run", Step::Link("../lib/same".to_owned())),
        ("a folder for a file", "bin", file(0o644, "")),
        ("another text of a link", "lib/link", Step::Link("../bin/run".to_owned())),
        ("a file for a link", "lib/link", file(0o644, "same")),
    ] {
        let (computer, mut two) = computer_and_next();
        // It ends in the middle, so that what was written is still there.
        let steps = [(path.to_owned(), step), ("z".to_owned(), Step::Torn)];
        two.delta = Some(first_version(&steps));
        let (slots, release) = (computer.host.settings.install_root.join("acme/slots"), two.clone());
        let before = files_beneath(&slots);
        let is_clean = || {
            assert_eq!(files_beneath(&slots), before, "{what}");
            Ok(())
        };
        let end = computer.install_from(&release, &mut But { payload: &is_clean, ..But::new(&mut two) });
        assert_eq!(end, ChangeEnd::Kept, "{what}");
        assert_eq!(two.fetches, ["delta", "payload"], "{what}");
        computer.assert_runs(&two, what);
    }
}

#[test]
fn whatever_ends_the_agent_no_slot_has_its_name_before_it_is_what_was_signed() {
    for nth in 30..300 {
        let (computer, mut two) = computer_and_next();
        let mut steps = steps_of(&two);
        // The right length and mode, and other bytes.
        steps[0].1 = Step::File(0o755, TWO.replace("loadable", "hostile!").into_bytes());
        two.delta = Some(first_version(&steps));
        let ran = killed(nth, || computer.install(&mut two, 0));
        let slot = SlotId::of(&two.manifest.release.version, &two.signed.digest());
        assert!(!computer.slots().has(&slot).unwrap(), "killed at step {nth}: {:?}", ran.failed);
        // Where the delta was given up before the kill all of its steps were tried.
        if two.fetches.contains(&"payload") {
            assert_eq!(two.fetches, ["delta", "payload"]);
            return;
        }
    }
    panic!("an install never ends");
}
