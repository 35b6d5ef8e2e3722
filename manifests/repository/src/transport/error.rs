//! Why bytes could not be fetched. No address in an error carries a credential.

use std::io;
use std::time::Duration;

/// Why bytes could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The server could not be reached, or the connection was cut.
    #[error("no answer from {location}; check name, network, proxy and certificate")]
    Unreachable {
        /// The address, without credentials.
        location: String,
        /// What the HTTP client says.
        #[source]
        source: reqwest::Error,
    },
    /// The server was silent for too long.
    #[error("{location} was silent for {seconds} s; try again later")]
    Silent {
        /// The address, without credentials.
        location: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The server sends, and too slowly to wait for it.
    #[error(
        "{location} sent {received} bytes in {seconds} s, which is slower than this program waits for; try again later, or \
         allow a slower line in the configuration"
    )]
    TooSlow {
        /// The address, without credentials.
        location: String,
        /// Bytes that came.
        received: u64,
        /// In how many seconds.
        seconds: u64,
    },
    /// The whole took too long.
    #[error(
        "{location} was not received in the time that there was; what came is kept, and it goes on there"
    )]
    TookTooLong {
        /// The address, without credentials.
        location: String,
    },
    /// The server answered, and neither with the file nor with "not found".
    #[error("{location} answered with status {status}; {hint}")]
    Status {
        /// The address, without credentials.
        location: String,
        /// The HTTP status code.
        status: u16,
        /// What to do about it.
        hint: &'static str,
    },
    /// The server is to be asked again later, and says when.
    #[error("{location} has no place for this download now and asks to come again in {} s", after.as_secs())]
    Later {
        /// The address, without credentials.
        location: String,
        /// In how long; between a second and an hour.
        after: Duration,
    },
    /// A web page came with status 200 instead of the file: of a proxy that wants a log-in, or of a server that answers
    /// every address.
    #[error(
        "{location} answered with a web page instead of the file; look at the address in a browser, and at the proxy between"
    )]
    WebPage {
        /// The address, without credentials.
        location: String,
    },
    /// The server, or a proxy between, compressed the file although only the file itself was asked for.
    #[error(
        "{location} came with the content encoding {encoding}, which was not asked for; turn compression off for the \
         repository at its server or proxy"
    )]
    Encoded {
        /// The address, without credentials.
        location: String,
        /// How the server encoded it.
        encoding: String,
    },
    /// More bytes than such a file may have.
    #[error(
        "{location} is larger than the {max_bytes} bytes that are allowed; the repository is wrong or hostile"
    )]
    TooLarge {
        /// The address, without credentials.
        location: String,
        /// Most bytes that the caller allows.
        max_bytes: u64,
    },
    /// The answer to a request for the rest of a file is not that rest.
    #[error("{location} answered with another part of the file than was asked for; start the download over")]
    WrongRange {
        /// The address, without credentials.
        location: String,
    },
    /// The server says that there is nothing at the offset.
    #[error("{location} has no bytes at the offset that was asked for; start the download over")]
    NoSuchRange {
        /// The address, without credentials.
        location: String,
    },
    /// A file of a folder could not be read.
    #[error("cannot read {location}; check the disk and permissions")]
    File {
        /// The path of the file.
        location: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A name that could leave the repository.
    #[error("{name:?} is not a name of a repository file")]
    Name {
        /// The name that was asked for.
        name: String,
    },
    /// A base address that is not one.
    #[error("{text:?} is not a base address of a repository; give an http or https URL without credentials")]
    Base {
        /// The text, without credentials.
        text: String,
    },
}
