//! Where the vendor's metadata and downloads come from: a server that answered, or a folder.

use std::path::PathBuf;
use std::sync::Arc;

use crate::download::{Origin, Place};
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
    /// The place. What is asked of a server goes over the connection that the contact went over.
    pub(super) fn place(&self, context: &Context) -> Place {
        match self {
            Self::Server(access) => Place::Server(origin_of(context, &access.endpoint, &access.token)),
            Self::Folder(path) => Place::Folder(path.clone()),
        }
    }
}

pub(super) fn origin_of(context: &Context, endpoint: &Endpoint, token: &AccessToken) -> Origin {
    Origin {
        client: endpoint.client().clone(),
        base: endpoint.api(),
        token: Some(token.as_str().to_owned()),
        pace: Arc::clone(&context.pace),
        runtime: context.network.runtime().clone(),
    }
}
