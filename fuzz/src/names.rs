//! Names, ids and codes: each is a text that only its parser can make. Also what is judged by a text alone.

use sealpost_keys::{KeyId, SealingKeyId, TokenDigest};
use sealpost_manifests::assignment::{Action, Start, Urgency};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EnrollmentCode, EraId, Nonce, PackageName, Platform, RelativePath,
    RequestId, SerialNumber, ServerId, SetupId, TargetName,
};
use sealpost_manifests::log::ConsistencyProof;
use sealpost_manifests::release::{PackageKind, ReleaseId, link_stays_inside, notes_problem};
use sealpost_manifests::trust::{KeyStatus, KeyUse};
use sealpost_manifests::version::{Revision, Version};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_manifests::word::{MAX_WORD_BYTES, Word};
use sealpost_site::rules::text;

use crate::reading::{assert_harmless, parsed, text as utf8};

/// Parses a text as every kind of name.
pub(crate) fn names(data: &[u8]) -> bool {
    let Some(text) = utf8(data) else { return false };
    let mut accepted = [parsed_names(text), parsed_ids(text), code(text)].contains(&true);
    if let Some(version) = parsed::<Version>(text)
        && let Ok(revision) = Revision::from_version(&version)
    {
        assert_eq!(revision.to_string(), text);
    }
    if let Some(release) = ReleaseId::from_manifest_target(text) {
        assert_eq!(release.manifest_target().map(String::from).ok().as_deref().unwrap_or(text), text);
    }
    if let Some((path, target)) = text.split_once('\n') {
        accepted |= link(path, target);
    }
    drop(notes_problem(text));
    let shown = text::escape(text);
    assert_harmless(&shown);
    assert_harmless(&sealpost_files::escape(text));
    accepted
}

fn parsed_names(text: &str) -> bool {
    let names = [
        parsed::<PackageName>(text).map(String::from),
        parsed::<ChannelName>(text).map(String::from),
        parsed::<Platform>(text).map(String::from),
        parsed::<TargetName>(text).map(String::from),
        parsed::<RelativePath>(text).map(String::from),
    ];
    for name in names.iter().flatten() {
        assert_eq!(name, text, "these names have one spelling");
    }
    let computer = parsed::<ComputerName>(text);
    if let Some(name) = &computer {
        let name = name.as_str();
        assert!(name.len() <= 128 && !name.contains(['/', '\\', '\0']) && !name.starts_with('.'), "{name:?}");
        assert_harmless(name);
    }
    computer.is_some() || names.iter().any(Option::is_some)
}

fn parsed_ids(text: &str) -> bool {
    let ids = [
        parsed::<ClientId>(text).map(String::from),
        parsed::<ServerId>(text).map(String::from),
        parsed::<RequestId>(text).map(String::from),
        parsed::<SetupId>(text).map(String::from),
        parsed::<EraId>(text).map(String::from),
        parsed::<Nonce>(text).map(String::from),
        parsed::<Sha256Digest>(text).map(String::from),
        parsed::<KeyId>(text).map(|id| id.to_string()),
        parsed::<SealingKeyId>(text).map(|id| id.to_string()),
        parsed::<TokenDigest>(text).map(|digest| digest.to_string()),
        parsed::<ConsistencyProof>(text).map(String::from),
    ];
    for id in ids.iter().flatten() {
        assert_eq!(id, text, "an id has one spelling");
    }
    let serial = parsed::<SerialNumber>(text);
    assert!(serial.as_ref().is_none_or(|serial| serial.as_str().len() == 23));
    let code = EnrollmentCode::new(text);
    if let Ok(code) = &code {
        assert_eq!(EnrollmentCode::new(code.as_str()).as_ref(), Ok(code), "there is one canonical form");
    }
    code.is_ok() || serial.is_some() || ids.iter().any(Option::is_some)
}

/// Codes of open sets: known or not, each is written as it came.
fn code(text: &str) -> bool {
    let word = Word::new(text).ok();
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let is_code = !text.is_empty() && text.len() <= MAX_WORD_BYTES && text.bytes().all(plain);
    assert_eq!(word.as_ref().map(Word::as_str), is_code.then_some(text));
    for code in [
        parsed::<Action>(text).map(|code| code.to_string()),
        parsed::<Start>(text).map(|code| code.to_string()),
        parsed::<Urgency>(text).map(|code| code.to_string()),
        parsed::<PackageKind>(text).map(|code| code.to_string()),
        parsed::<KeyUse>(text).map(|code| code.to_string()),
        parsed::<KeyStatus>(text).map(|code| code.to_string()),
        parsed::<ProblemCode>(text).map(|code| code.to_string()),
        parsed::<ReasonCode>(text).map(|code| code.to_string()),
    ] {
        assert_eq!(code.as_deref(), is_code.then_some(text), "every code is kept as it came");
    }
    is_code
}

/// A link that is said to stay inside is followed by its text: it never climbs above the top, and climbs only real
/// folders.
fn link(path: &str, target: &str) -> bool {
    if RelativePath::new(path).is_err() || !link_stays_inside(path, target) {
        return false;
    }
    let mut at: Vec<&str> = path.split('/').collect();
    at.pop();
    let mut named = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => assert!(!named && at.pop().is_some(), "{path:?} leads out by {target:?}"),
            _ => named = true,
        }
    }
    true
}
