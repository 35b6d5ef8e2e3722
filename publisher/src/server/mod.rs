//! The vendor's server: the repository's files, the license endpoint, and a page for registration codes.
//!
//! The files are plain; any web server could serve them. They are read for each request, so that a release made by
//! another process is served at once. Everything from outside is bounded: connections, header time, bodies, names.
//!
//! Left out on purpose: any way to change the repository over the network.

mod certificate;
mod files;
mod form;
mod license;
mod limits;
mod page;
mod proxy;
mod refused;
mod router;
mod running;

pub use certificate::{CertificateFiles, Served};
pub use form::{Form, FormError, read_form};
pub use license::{Carrier, Licenses, Licensing};
pub use limits::connection_limits;
pub use router::router;
pub use running::{Keeping, Running, RunningError};
