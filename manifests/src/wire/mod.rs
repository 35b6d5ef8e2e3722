//! What goes over the wire, by conversation. Everything here is unverified until its signed part is verified.

pub mod contact;
pub mod enroll;
pub mod problem;
pub mod report;
pub mod sync;

/// Path prefix of the agent API.
pub const AGENT_API: &str = "/agent/v1";
/// Path prefix of a publisher's license endpoint.
pub const LICENSE_API: &str = "/license/v1";
/// Largest body of a contact or enrollment request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;
/// The header that carries an enrollment code for the few reads that are allowed before a lease.
pub const ENROLLMENT_CODE_HEADER: &str = "sealpost-enrollment-code";
