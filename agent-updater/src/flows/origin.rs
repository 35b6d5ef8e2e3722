//! Where the vendor's metadata and downloads come from, given the address of a server that answered.

use crate::download::Origin;
use crate::server::{AccessToken, Endpoint};

pub(super) fn origin_of(endpoint: &Endpoint, token: &AccessToken) -> Origin {
    Origin { client: endpoint.client().clone(), base: endpoint.api(), token: Some(token.as_str().to_owned()) }
}
