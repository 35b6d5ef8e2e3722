//! Where the vendor's metadata and downloads come from, given the address of a server that answered.

use crate::download::Origin;
use crate::server::Endpoint;

pub(super) fn origin_of(endpoint: &Endpoint, token: Option<String>) -> Origin {
    Origin { client: endpoint.client().clone(), base: endpoint.api(), token }
}
