//! The right to read from a server for a while, as an answered contact gives it.

use std::fmt;

use jiff::Timestamp;

use super::endpoint::Endpoint;
use super::token::AccessToken;

#[derive(Clone)]
pub struct Access {
    /// The address that answered.
    pub endpoint: Endpoint,
    pub token: AccessToken,
    pub until: Timestamp,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("endpoint", &self.endpoint.address()).finish_non_exhaustive()
    }
}
