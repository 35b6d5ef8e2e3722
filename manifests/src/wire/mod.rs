//! What goes over the wire, by conversation. Everything here is unverified until its signed part is verified.

mod bounded;
pub mod by_file;
pub mod coding;
pub mod contact;
pub mod enroll;
pub mod problem;
pub mod refresh;
pub mod report;
pub mod sync;

/// Path prefix of the agent API.
pub const AGENT_API: &str = "/agent/v1";
/// Path prefix of a publisher's license endpoint.
pub const LICENSE_API: &str = "/license/v1";
/// Largest body of a contact or enrollment request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;
/// The event of the wake stream (server-sent events) that means "contact now".
pub const WAKE_EVENT: &str = "contact";
/// A whole [`WAKE_EVENT`] as it is sent.
pub const WAKE_MESSAGE: &[u8] = b"event: contact\ndata: now\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wake_message_is_one_event_of_the_name_that_agents_look_for() {
        let expected = format!("event: {WAKE_EVENT}\ndata: now\n\n");
        assert_eq!(WAKE_MESSAGE, expected.as_bytes());
    }
}
