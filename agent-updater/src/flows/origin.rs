//! Where the vendor's metadata and downloads come from: a server that answered, or a folder.

use std::path::PathBuf;
use std::sync::Arc;

use sealpost_files::with_causes;

use crate::download::{Origin, Place};
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::server::{Access, AccessToken, Endpoint};

use super::context::Context;

/// What an answered contact can be followed by: from where its releases are read.
#[derive(Debug, Clone)]
pub(super) enum Reads {
    Server(Access),
    /// The folder of the releases.
    Folder(PathBuf),
}

impl Reads {
    /// The place, for work on another thread. Fails with the reason.
    pub(super) fn place(
        &self,
        context: &Context,
        holdings: &Holdings,
        progress: &Progress,
    ) -> Result<Place, String> {
        match self {
            Self::Server(access) => {
                // A client of its own, because the metadata is read on another thread.
                let enrollment = &holdings.enrollment;
                let floors = &progress.computer.floors;
                let times = context.host.tls_times(enrollment.setup_issued_at, floors);
                let endpoint = access.endpoint.again(&times).map_err(|error| with_causes(&error))?;
                Ok(Place::Server(origin_of(context, &endpoint, &access.token)))
            }
            Self::Folder(path) => Ok(Place::Folder(path.clone())),
        }
    }
}

pub(super) fn origin_of(context: &Context, endpoint: &Endpoint, token: &AccessToken) -> Origin {
    Origin {
        client: endpoint.client().clone(),
        base: endpoint.api(),
        token: Some(token.as_str().to_owned()),
        pace: Arc::clone(&context.pace),
    }
}
