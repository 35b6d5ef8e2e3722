//! What a vendor should know today: what ends when, and whether there is a newer version of this program.
//!
//! Nothing is changed, no key is opened and no other publisher waited for. Left out on purpose: defects of the repository,
//! which `publisher lint` finds.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::version::Version;
use sealpost_serving::tls::{self, TlsError};
use serde::Serialize;

use crate::authority::{Authority, AuthorityError};
use crate::expiries::{self, Expiry, Level, Nearness};
use crate::home::{Exposed, Keyring, Vendor, exposed_secrets};
use crate::publication::{PublicationError, PublicationView};

/// The package in which a vendor publishes this program, if it does.
const OWN_PACKAGE: &str = "publisher";

/// What a vendor should know.
#[derive(Debug, Clone)]
pub struct Status {
    pub vendor: String,
    pub version: &'static str,
    /// What ends, the vendor's own first; of grants only those that end soon.
    pub expiries: Vec<Expiry>,
    /// What somebody has to do; empty if all is well.
    pub warnings: Vec<Warning>,
    /// A newer version of this program that was published in the vendor's own repository.
    pub newer_publisher: Option<Version>,
    /// Bytes of the files of the published repository, from which nothing is ever removed.
    pub repository_bytes: u64,
}

/// Something that somebody has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// For programs; it never changes its meaning.
    pub code: &'static str,
    pub level: Level,
    pub message: String,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    #[error("cannot say what ends in the repository")]
    Publication(#[from] PublicationError),
    #[error("cannot say which grants end")]
    Authority(#[from] AuthorityError),
}

impl Status {
    /// Whether something is to be done now; a site's status ends with 1 in the same case.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.warnings.iter().any(|warning| warning.level == Level::Urgent)
    }
}

/// Reads it all.
///
/// # Errors
/// [`StatusError`]. A certificate that cannot be read is a warning: the rest is still to be said.
pub fn status(vendor: &Vendor, keyring: &Keyring, now: Timestamp) -> Result<Status, StatusError> {
    let publication = PublicationView::read(vendor)?;
    let mut expiries = expiries::of_repository(vendor, keyring, publication.editor());
    let newer_publisher = newer_publisher(&publication)?;
    let mut problems = empty_channels(&publication)?;
    drop(publication);
    match certificate_end(vendor) {
        None => {}
        Some(Ok(end)) => expiries.push(end),
        Some(Err(problem)) => problems.push(problem),
    }
    problems.extend(exposed_secrets(vendor).iter().map(exposed_secret));
    problems.extend(exposed_tls_key(vendor));
    let grants = Authority::open(&vendor.license_database())?.serials()?;
    let grants = grants.iter().filter_map(Expiry::of_grant);
    expiries.extend(grants.filter(|grant| grant.nearness(now) != Nearness::Far));
    let warned = |end: &Expiry| {
        let code = if end.nearness(now) == Nearness::Ended { "ended" } else { "ends" };
        end.warning(now).map(|message| Warning { code, level: end.level(now), message })
    };
    let mut warnings: Vec<Warning> = expiries.iter().filter_map(warned).collect();
    warnings.extend(problems);
    let repository_bytes = bytes_of(&vendor.repository());
    let vendor = vendor.settings().vendor.clone();
    let version = env!("CARGO_PKG_VERSION");
    Ok(Status { vendor, version, expiries, warnings, newer_publisher, repository_bytes })
}

/// Channels whose release was withdrawn and that nobody pointed at another since: who follows them gets nothing new.
fn empty_channels(publication: &PublicationView) -> Result<Vec<Warning>, PublicationError> {
    let mut warnings = Vec::new();
    for package in publication.editor().packages() {
        for channel in &publication.channels(package)?.emptied {
            warnings.push(Warning {
                code: "channel_empty",
                level: Level::Warning,
                message: format!(
                    "the channel {channel} of {package} points at nothing, since its release was withdrawn; point it at \
                     another with `publisher channel set {package} {channel} VERSION`, or remove it with `publisher channel \
                     remove {package} {channel}`"
                ),
            });
        }
    }
    Ok(warnings)
}

/// What the repository takes on disk. A file that cannot be looked at counts nothing: it is lint's to report.
fn bytes_of(repository: &Path) -> u64 {
    let folders = ["metadata", "targets"].map(|name| repository.join(name));
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    files.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

/// When the certificate of `publisher serve` ends; `None` if the settings name none.
#[must_use]
pub fn certificate_end(vendor: &Vendor) -> Option<Result<Expiry, Warning>> {
    let path = vendor.certificate()?;
    Some(match end_of_certificate(&path) {
        Ok(Some(at)) => Ok(Expiry::of_certificate(&path, at)),
        Ok(None) => Err(unreadable(format!(
            "{} is no certificate that this program understands; put another in its place",
            path.display()
        ))),
        Err(error) => Err(unreadable(error.to_string())),
    })
}

/// The certificate or its key cannot be used as it is.
fn unreadable(message: String) -> Warning {
    Warning { code: "certificate_unreadable", level: Level::Urgent, message }
}

/// A secret of the home's that others than its owner can read. No command uses such a key.
fn exposed_secret(Exposed { path, mode }: &Exposed) -> Warning {
    Warning {
        code: "secret_exposed",
        level: Level::Urgent,
        message: format!(
            "others than its owner can read or change {} (mode {mode:03o}); run `chmod 600` on it, and find out who could \
             have copied it",
            path.display()
        ),
    }
}

/// The TLS key of the settings, if others can read or change it. A group may read it: that is how a host shares one key
/// with several servers.
fn exposed_tls_key(vendor: &Vendor) -> Option<Warning> {
    let key = vendor.certificate_key()?;
    let message = match tls::check_key_file(&key) {
        Ok(true) => format!(
            "everybody on this computer can read the TLS key {} and be this server; run `chmod 600` on it",
            key.display()
        ),
        Err(error @ TlsError::Exposed { .. }) => error.to_string(),
        Err(error) => return Some(unreadable(with_causes(&error))),
        Ok(false) => return None,
    };
    Some(Warning { code: "secret_exposed", level: Level::Urgent, message })
}

/// When the first certificate of a chain ends; `None` if it cannot be understood.
fn end_of_certificate(path: &Path) -> Result<Option<Timestamp>, TlsError> {
    let chain = tls::certificates(path)?;
    let end = chain.first().and_then(|certificate| {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
    });
    Ok(end)
}

/// The highest version of the vendor's own package of this program that is above this one's.
fn newer_publisher(publication: &PublicationView) -> Result<Option<Version>, PublicationError> {
    let package = PackageName::new(OWN_PACKAGE)?;
    let Ok(own) = Version::new(env!("CARGO_PKG_VERSION")) else { return Ok(None) };
    if !publication.knows(&package) {
        return Ok(None);
    }
    let channels = publication.channels(&package)?;
    let newest = publication.releases(&package, &publication.trust()?)?.into_iter().rfind(|published| {
        published.is_trusted()
            && published.manifest.kind == PackageKind::Server
            && channels.withdrawn_reason(&published.manifest.release).is_none()
    });
    Ok(newest
        .map(|published| published.manifest.release.version.clone())
        .filter(|newest| newest.precedence(&own).is_gt()))
}
