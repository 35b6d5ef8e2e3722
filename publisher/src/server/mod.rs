//! The vendor's server: the repository's files, and the license endpoint.
//!
//! The files are plain; any web server could serve them. They are read for each request, so that a release made by
//! another process is served at once. Everything from outside is bounded: connections, header time, bodies, names.
//!
//! Left out on purpose: TLS (a reverse proxy adds it; what is served is signed) and any way to change the repository
//! over the network.

mod files;
mod license;
mod limits;
mod proxy;
mod refused;
mod router;

pub use license::Licensing;
pub use limits::connection_limits;
pub use router::router;
