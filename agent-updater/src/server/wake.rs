//! The wake stream: server-sent events, of which one is known, `contact`: contact the server now.
//!
//! A stream can cause a contact and nothing else; it carries no decision, and nothing in it is trusted.

use futures_util::StreamExt;
use sealpost_manifests::wire::WAKE_EVENT;

use super::endpoint::Endpoint;
use super::error::ServerError;
use super::token::AccessToken;

/// Longest line that is kept; a longer one is cut, and then is no known event.
const MAX_LINE_BYTES: usize = 1024;

/// How a stream ended.
#[derive(Debug)]
pub enum StreamEnd {
    /// The server closed it, or the connection broke.
    Closed,
    /// It could not be opened; if the token was refused, a contact is needed first.
    NotOpened(ServerError),
}

/// Listens until the stream ends. Calls `opened` once it is open, and `wake` for each `contact` event.
pub async fn listen(
    endpoint: &Endpoint,
    token: &AccessToken,
    mut opened: impl FnMut(),
    mut wake: impl FnMut(),
) -> StreamEnd {
    let response = match endpoint.get("wake", token).await {
        Ok(Some(response)) => response,
        Ok(None) => {
            let address = endpoint.address().to_owned();
            return StreamEnd::NotOpened(ServerError::Strange { address, status: 404 });
        }
        Err(error) => return StreamEnd::NotOpened(error),
    };
    opened();
    let mut events = EventParser::default();
    let mut chunks = response.bytes_stream();
    // The client's read timeout ends a stream that is silent for longer than three keep-alives.
    while let Some(Ok(chunk)) = chunks.next().await {
        for byte in chunk {
            if events.push(byte) {
                wake();
            }
        }
    }
    StreamEnd::Closed
}

/// The parser of an event stream, as far as the `contact` event needs it.
#[derive(Debug, Default)]
struct EventParser {
    line: Vec<u8>,
    is_contact: bool,
}

impl EventParser {
    /// Takes one byte; `true` when it completes a `contact` event.
    fn push(&mut self, byte: u8) -> bool {
        if byte != b'\n' {
            if self.line.len() < MAX_LINE_BYTES {
                self.line.push(byte);
            }
            return false;
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            return std::mem::take(&mut self.is_contact);
        }
        if let Some(value) = line.strip_prefix(b"event:") {
            self.is_contact = value.trim_ascii() == WAKE_EVENT.as_bytes();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wakes(stream: &[u8]) -> usize {
        let mut events = EventParser::default();
        stream.iter().filter(|byte| events.push(**byte)).count()
    }

    #[test]
    fn only_a_complete_contact_event_wakes() {
        assert_eq!(wakes(b":\n\nevent: contact\ndata: now\n\n:\n\n"), 1);
        assert_eq!(wakes(b"event:contact\r\ndata: now\r\n\r\n"), 1);
        assert_eq!(wakes(b"event: contact\ndata: now\n"), 0);
        assert_eq!(wakes(b"event: other\ndata: contact\n\n\n"), 0);
        assert_eq!(wakes(b"event: contact\n\nevent: contact\n\n"), 2);
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut events = EventParser::default();
        for _ in 0..10 * MAX_LINE_BYTES {
            events.push(b'x');
        }
        assert_eq!(events.line.len(), MAX_LINE_BYTES);
    }
}
