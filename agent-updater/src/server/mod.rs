//! Connections to a Primary Server: pinned, with bounded answers and the server's own refusals.
//!
//! Invariant: nothing is sent to a server whose certificate chain does not end at a site CA that the setup file
//! or the signed server list pins; redirects are not followed and proxies of the environment are not used. What a server answers is unverified.

mod access;
mod connections;
mod endpoint;
mod error;
pub mod pin;
mod token;
pub mod wake;

pub use access::Access;
pub use connections::Connections;
pub use endpoint::Endpoint;
pub use error::ServerError;
pub use token::AccessToken;
