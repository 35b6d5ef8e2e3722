//! A syslog receiver: where messages go, and when they count as arrived.
//!
//! Invariants: nothing waits longer than a bound. Over a stream, which has no acknowledgements, that counts as arrived which
//! was read: the sending side is closed, and the other one has to follow without an error, as whoever reads to the end does.
//! Datagrams count when the system took them; of those over a network only that is noticed that nobody listens.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, lookup_host};
use tokio::time::timeout;

use crate::config::SyslogTarget;

/// Time to connect, and to write a message.
const WITHIN: Duration = Duration::from_secs(10);
/// Time in which the system has to know of everything that was sent, in milliseconds; after it the connection is dead.
const TAKEN_WITHIN_MILLIS: u32 = 8_000;
/// Time for the other end of a stream to close too: longer than [`TAKEN_WITHIN_MILLIS`], so that a dead connection ends with
/// its own error.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// Time for the word that nobody listens to come back.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);
/// Longest message over a stream, in bytes.
const MAX_STREAM_BYTES: usize = 64 * 1024;
/// Longest datagram, in bytes: what common receivers take.
const MAX_DATAGRAM_BYTES: usize = 8 * 1024;
/// Messages that may be on their way at once: over a stream to bound what is sent again, and of datagrams so that a
/// receiver is not flooded.
const STREAM_MESSAGES: u64 = 1_000;
const DATAGRAMS: u64 = 50;

/// An open way to a receiver.
#[derive(Debug)]
pub(super) enum Receiver {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Receiver {
    pub(super) async fn connect(target: &SyslogTarget) -> io::Result<Self> {
        match target {
            SyslogTarget::Tcp { host, port } => {
                let stream = in_time(TcpStream::connect((bare(host), *port))).await?;
                rustix::net::sockopt::set_tcp_user_timeout(&stream, TAKEN_WITHIN_MILLIS)?;
                Ok(Self::Tcp(stream))
            }
            SyslogTarget::Udp { host, port } => {
                let mut found = in_time(lookup_host((bare(host), *port))).await?;
                let to = found.next().ok_or_else(|| io::Error::other("the name has no address"))?;
                let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(own).await?;
                socket.connect(to).await?;
                Ok(Self::Udp(socket))
            }
            SyslogTarget::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    /// Longest message that it takes.
    pub(super) const fn most_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) => MAX_STREAM_BYTES,
            Self::Udp(_) | Self::Unix(_) => MAX_DATAGRAM_BYTES,
        }
    }

    /// Messages that may be sent before [`Receiver::arrived`] is asked.
    pub(super) const fn most_messages(&self) -> u64 {
        match self {
            Self::Tcp(_) => STREAM_MESSAGES,
            Self::Udp(_) | Self::Unix(_) => DATAGRAMS,
        }
    }

    /// Whether it stays open for what comes soon.
    pub(super) const fn waits(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                // RFC 6587: the length, and then the message, in which line feeds mean nothing.
                let mut framed = format!("{} ", message.len()).into_bytes();
                framed.extend_from_slice(message);
                in_time(stream.write_all(&framed)).await
            }
            Self::Udp(socket) => in_time(socket.send(message)).await.map(drop),
            Self::Unix(socket) => in_time(socket.send(message)).await.map(drop),
        }
    }

    /// Ends it; no error means that what was sent has arrived, as the module says.
    pub(super) async fn arrived(self) -> io::Result<()> {
        match self {
            Self::Tcp(mut stream) => {
                in_time(stream.shutdown()).await?;
                let mut rest = [0; 512];
                let closed = async {
                    // A receiver says nothing; what it says is passed over.
                    while stream.read(&mut rest).await? > 0 {}
                    Ok(())
                };
                // What nobody has read is in the hands of the system there, and lost when that program ends.
                timeout(CLOSED_WITHIN, closed)
                    .await
                    .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
            }
            Self::Udp(socket) => {
                tokio::time::sleep(REFUSED_WITHIN).await;
                socket.take_error()?.map_or(Ok(()), Err)
            }
            Self::Unix(_) => Ok(()),
        }
    }
}

/// An IPv6 address without the brackets of a URL.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(WITHIN, work).await {
        Ok(done) => done,
        Err(_late) => Err(io::ErrorKind::TimedOut.into()),
    }
}
