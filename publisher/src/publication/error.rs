//! Why the published repository could not be read or changed.

use std::io;
use std::path::PathBuf;

use sealpost_manifests::document::DocumentError;
use sealpost_manifests::ids::{NameError, TargetName};
use sealpost_repository::{EditError, LoadError, PublishError, SignError};

use crate::home::HomeError;

/// What to do about a target that is not what it should be.
pub(super) const RESTORE: &str = "; restore it from the published copy, and see `publisher lint`";

/// Why the repository could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicationError {
    #[error("cannot open the repository of the vendor")]
    Home(#[from] HomeError),
    /// The pinned root could not be read.
    #[error("cannot read {}; restore it: it is metadata/1.root.json of the published repository", path.display())]
    Root {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot load the published repository")]
    Load(#[from] LoadError),
    /// A listed target is absent, or not what is listed; `problem` says what to do.
    #[error("cannot go on with the published target {name}: {problem}")]
    Target { name: String, problem: String },
    /// A published document was refused.
    #[error("cannot accept the published document {name}; see `publisher lint`")]
    Document {
        name: String,
        #[source]
        source: DocumentError,
    },
    /// A new document could not be written.
    #[error("cannot write the document {name}")]
    Write {
        name: String,
        #[source]
        source: DocumentError,
    },
    /// A target name that is too long, once put together.
    #[error("cannot name a target")]
    Name(#[from] NameError),
    #[error("cannot change the repository")]
    Edit(#[from] EditError),
    /// Signing failed. Nothing was written.
    #[error("cannot sign the repository")]
    Sign(#[from] SignError),
    /// Writing failed. Readers see the repository as it was.
    #[error("cannot write the repository")]
    Publish(#[from] PublishError),
}

impl PublicationError {
    /// A target that is read, and is not listed.
    pub(crate) fn not_listed(name: &TargetName) -> Self {
        Self::Target { name: name.to_string(), problem: format!("it is not listed{RESTORE}") }
    }
}
