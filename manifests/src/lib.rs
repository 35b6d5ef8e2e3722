//! Every signed document and every wire type of Sealpost, and the payload tar.
//!
//! Depends on `files` and `keys` only, and reaches no network. The three programs speak to each other in these types
//! and no others.
//! Invariant: a value that came from outside is either a plain wire type (unverified) or a
//! [`Verified`](sealpost_keys::Verified) document; there is no third way to obtain a document.

#![warn(missing_docs)]

pub mod assignment;
pub mod channels;
pub mod contact_answer;
mod crockford;
pub mod digest;
pub mod document;
pub mod grant;
pub mod ids;
pub mod lease;
pub mod license_time;
pub mod log;
pub mod order;
pub mod payload;
pub mod release;
pub mod server_list;
pub mod setup;
pub mod text_code;
pub mod trust;
pub mod version;
pub mod wire;
pub mod word;
