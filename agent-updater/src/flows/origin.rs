//! Where the vendor's metadata and downloads come from, given the address of a server that answered.

use std::sync::Arc;

use crate::download::Origin;
use crate::server::{AccessToken, Endpoint};

use super::context::Context;

pub(super) fn origin_of(context: &Context, endpoint: &Endpoint, token: &AccessToken) -> Origin {
    Origin {
        client: endpoint.client().clone(),
        base: endpoint.api(),
        token: Some(token.as_str().to_owned()),
        pace: Arc::clone(&context.pace),
    }
}
