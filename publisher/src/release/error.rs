//! Why nothing was released.

use std::io;
use std::path::PathBuf;

use sealpost_keys::TrustedCommentError;
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::ids::{ChannelName, NameError, PackageName};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_repository::ThresholdError;

use super::permit::Question;
use crate::home::{HomeError, KeyringError};
use crate::payload::BuildError;
use crate::publication::PublicationError;

/// Why nothing was released. The repository is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The order makes no sense, or the repository forbids it; every reason at once, each with what to do.
    #[error("cannot release {release}:{}", listed(problems))]
    Refused { release: ReleaseId, problems: Vec<String> },
    /// A slip most of the time; each with the option that says that it is meant.
    #[error("cannot release {release} without being told that it is meant:{}", asked(questions))]
    Questions { release: ReleaseId, questions: Vec<Question> },
    /// The same of a channel.
    #[error(
        "cannot set channel {channel} of {package} without being told that it is meant:{}",
        asked(questions)
    )]
    ChannelQuestions { package: PackageName, channel: ChannelName, questions: Vec<Question> },
    /// All that is secret in it would be published.
    #[error(
        "cannot release {}: {} is {what}, with its secret keys; put what is to be released into a folder of its own",
        folder.display(),
        home.display()
    )]
    InHome { folder: PathBuf, home: PathBuf, what: &'static str },
    #[error("cannot read {}, which is to be released; {}", path.display(), look_hint(source))]
    Look {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The channel cannot point there; `problem` says why not, and what to do.
    #[error("cannot change channel {channel} of {package}: {problem}")]
    Channel { package: PackageName, channel: ChannelName, problem: String },
    #[error("there is no package {package}; see `publisher channel show` for those that there are")]
    NoSuchPackage { package: PackageName },
    #[error("{package} {version} was not released; `publisher releases list {package}` lists what was")]
    NoSuchVersion { package: PackageName, version: Version },
    /// It cannot be withdrawn; `problem` says why not, and what to do.
    #[error("cannot withdraw {package} {version}: {problem}")]
    Withdraw { package: PackageName, version: Version, problem: String },
    /// The version cannot be mandatory; `problem` says why not, and what to do.
    #[error("cannot make {package} {version} mandatory: {problem}")]
    Mandatory { package: PackageName, version: Version, problem: String },
    /// The minimum counter cannot be that; `problem` says why not, and what to do.
    #[error("cannot set the minimum counter of {package}: {problem}")]
    Minimum { package: PackageName, problem: String },
    /// A document that was to be published beside the release.
    #[error(
        "cannot copy the attachment {} into the home; check its path, its permissions and the free space",
        path.display()
    )]
    Attachment {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot build the payload of {release}")]
    Payload {
        release: ReleaseId,
        #[source]
        source: Box<BuildError>,
    },
    /// Nobody could take what would be published; each with what renews it.
    #[error("cannot publish anything of {package}, because nobody would take it:{}", listed(ended))]
    Ended { package: PackageName, ended: Vec<String> },
    #[error("cannot sign the release")]
    Keys(#[from] KeyringError),
    #[error("cannot delegate to the package")]
    Threshold(#[from] ThresholdError),
    #[error("cannot release")]
    Home(#[from] HomeError),
    /// A target name that is too long, once put together.
    #[error("cannot name the release's files; use a shorter version or platform")]
    Name(#[from] NameError),
    #[error("cannot write the manifest")]
    Manifest(#[source] DocumentError),
    #[error("cannot sign the manifest")]
    Comment(#[from] TrustedCommentError),
    #[error("cannot publish")]
    Publication(#[from] PublicationError),
}

fn look_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "there is nothing; check the path",
        io::ErrorKind::NotADirectory => "give a folder",
        _ => "check its permissions",
    }
}

fn asked(questions: &[Question]) -> String {
    listed(&questions.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn listed(problems: &[String]) -> String {
    match problems {
        [problem] => format!(" {problem}"),
        problems => problems.iter().map(|problem| format!("\n  - {problem}")).collect(),
    }
}
