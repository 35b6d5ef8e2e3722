//! How people name an update: `PACKAGE:VERSION[:PLATFORM]`, or the beginning of its manifest's digest.

use anyhow::bail;
use sealpost_admin_api::updates::Update;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// Shortest beginning of a digest: short enough to type, long enough to mean one.
const MIN_DIGEST_CHARS: usize = 12;

/// The one update that a reference names.
///
/// # Errors
/// When it names none or several, with what there is.
pub(super) fn find<'a>(reference: &str, updates: &'a [Update]) -> anyhow::Result<&'a Update> {
    let reference = reference.strip_prefix("sha256:").unwrap_or(reference);
    let found: Vec<&Update> = updates.iter().filter(|row| names(reference, row)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let hint = if updates.is_empty() {
                "there is none yet; run `distributor pull`".to_owned()
            } else {
                format!(
                    "name it PACKAGE:VERSION[:PLATFORM] or by {MIN_DIGEST_CHARS} or more digits of its manifest digest; \
                     `distributor updates list` shows them"
                )
            };
            let what = format!("no update is called {reference:?}");
            Err(Problem::new(ProblemCode::NotFound, what, hint).into())
        }
        several => {
            let names: Vec<String> =
                several.iter().map(|row| format!("{} [{}]", row.release, row.manifest.short())).collect();
            bail!(
                "{reference:?} names {} updates: {}; add the platform, or use the digest",
                names.len(),
                names.join(", ")
            )
        }
    }
}

fn names(reference: &str, row: &Update) -> bool {
    let is_digest =
        reference.len() >= MIN_DIGEST_CHARS && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest && row.manifest.to_string().starts_with(&reference.to_ascii_lowercase()) {
        return true;
    }
    let mut parts = reference.splitn(3, ':');
    let (package, version, platform) = (parts.next(), parts.next(), parts.next());
    package == Some(row.release.package.as_str())
        && version == Some(row.release.version.as_str())
        && platform.is_none_or(|platform| platform == row.release.platform.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use sealpost_site::rules::release::ReleaseState;

    fn row(version: &str, platform: &str) -> Update {
        Update {
            release: ReleaseId {
                package: PackageName::new("acme-av").unwrap(),
                version: Version::new(version).unwrap(),
                platform: Platform::new(platform).unwrap(),
            },
            manifest: Sha256Digest::of(format!("{version} {platform}").as_bytes()),
            kind: PackageKind::Program,
            counter: serde_json::from_str::<ReleaseCounter>("1").unwrap(),
            severity: Severity::Normal,
            state: ReleaseState::Staged,
            channels: Vec::new(),
            offered: None,
            approved_for: Vec::new(),
            rollback: false,
            attempt: 1,
            signer: None,
            payload_bytes: 0,
            staged_at: Timestamp::UNIX_EPOCH,
            decided: None,
            reason: None,
            rollout: None,
            voided: false,
            assigned: 0,
            installed: 0,
            to_come: None,
            failed: 0,
            deltas: Vec::new(),
            payload_missing: None,
            waiting: None,
            deferred: None,
            test_load: None,
        }
    }

    #[test]
    fn an_update_is_found_by_name_by_platform_or_by_the_beginning_of_its_digest() {
        let rows = [row("1.0", "linux-x86_64"), row("1.0", "any"), row("2.0", "any")];
        assert_eq!(find("acme-av:2.0", &rows).unwrap().manifest, rows[2].manifest);
        assert_eq!(find("acme-av:1.0:any", &rows).unwrap().manifest, rows[1].manifest);
        assert_eq!(find(&rows[0].manifest.short(), &rows).unwrap().manifest, rows[0].manifest);
        assert_eq!(find(&format!("sha256:{}", rows[0].manifest), &rows).unwrap().manifest, rows[0].manifest);
    }

    #[test]
    fn a_reference_to_none_or_to_several_says_what_to_do() {
        let rows = [row("1.0", "linux-x86_64"), row("1.0", "any")];
        assert!(find("acme-av:1.0", &rows).unwrap_err().to_string().contains("add the platform"));
        assert!(find("acme-av", &rows).is_err());
        assert!(find(&rows[0].manifest.to_string()[..11], &rows).is_err());
        assert!(find("x:1", &[]).unwrap_err().to_string().contains("distributor pull"));
    }
}
