//! A TCP proxy between two programs that misbehaves on demand: it loses replies, and cuts downloads.
//!
//! It never decrypts. For a lost reply it needs to know that the server has *answered*, so it reads the framing of TLS
//! records (RFC 8446, section 5.1), waits for a request with a body, and withholds what comes back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

/// Application data in TLS.
const RECORD_APPLICATION_DATA: u8 = 23;
/// A request of at least so many bytes has a body: those that only read are a few hundred bytes long.
const BODY_REQUEST_BYTES: u64 = 700;
/// A record from the server of at least so many bytes is an answer, and not one of the tickets that TLS sends
/// by itself.
const ANSWER_RECORD_BYTES: usize = 250;

/// What to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// The next answers to requests with a body: the server has answered, the client never hears it.
    Replies(u32),
    /// Whichever connection brings the so-many-th byte from the server, and so on.
    After {
        /// Bytes from the server that still come through before each cut.
        bytes: u64,
        /// How many cuts.
        times: u32,
    },
}

/// A running proxy; it ends with the process.
#[derive(Debug, Clone)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    cut: Mutex<Cut>,
    cuts_made: AtomicU32,
    /// Bytes since the last cut, or since cuts were ordered.
    since_cut: Mutex<u64>,
    from_server: AtomicU64,
    requests: Mutex<Vec<u8>>,
}

impl Proxy {
    /// A proxy in front of a loopback port.
    ///
    /// # Errors
    /// When no port is free.
    pub fn before(upstream_port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a free port")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from(([127, 0, 0, 1], upstream_port)),
            cut: Mutex::new(Cut::Nothing),
            cuts_made: AtomicU32::new(0),
            since_cut: Mutex::new(0),
            from_server: AtomicU64::new(0),
            requests: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.carry(&client));
            }
        });
        Ok(Self { port, shared })
    }

    /// A proxy in front of a URL such as `http://127.0.0.1:8080`, and the URL that leads through it.
    ///
    /// # Errors
    /// When the URL has no port.
    pub fn before_url(url: &str) -> Result<(Self, String)> {
        let (start, port) = url.trim_end_matches('/').rsplit_once(':').context("a URL with a port")?;
        let proxy = Self::before(port.parse().context("a port")?)?;
        let url = format!("{start}:{}", proxy.port);
        Ok((proxy, url))
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Orders cuts.
    pub fn cut(&self, cut: Cut) {
        *self.shared.since_cut.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        *self.shared.cut.lock().unwrap_or_else(PoisonError::into_inner) = cut;
    }

    /// How many cuts were made.
    #[must_use]
    pub fn cuts_made(&self) -> u32 {
        self.shared.cuts_made.load(Ordering::SeqCst)
    }

    /// Bytes that came from the server so far.
    #[must_use]
    pub fn bytes_from_server(&self) -> u64 {
        self.shared.from_server.load(Ordering::SeqCst)
    }

    /// What clients sent, as text; readable where the connection is plain HTTP.
    #[must_use]
    pub fn requests(&self) -> String {
        let bytes = self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, client: &TcpStream) {
        let Ok(server) = TcpStream::connect(self.upstream) else { return };
        let pending = Arc::new(Pending::default());
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        let (upward, watched) = (Arc::clone(self), Arc::clone(&pending));
        let up = thread::spawn(move || upward.carry_up(from_client, to_server, &watched));
        self.carry_down(&server, client, &pending);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        let _ = up.join();
    }

    fn carry_up(&self, mut client: TcpStream, mut server: TcpStream, pending: &Pending) {
        let mut buffer = [0u8; 16 * 1024];
        let mut records = Records::default();
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            pending.sent(records.application_bytes(&buffer[..length]));
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.extend_from_slice(&buffer[..length]);
            drop(requests);
            if server.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    }

    fn carry_down(&self, mut server: &TcpStream, mut client: &TcpStream, pending: &Pending) {
        let mut buffer = [0u8; 16 * 1024];
        let mut withholding = false;
        let mut records = Records::default();
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            let count = u64::try_from(length).unwrap_or(u64::MAX);
            self.from_server.fetch_add(count, Ordering::SeqCst);
            records.application_bytes(&buffer[..length]);
            let longest = std::mem::take(&mut records.longest);
            if withholding || (pending.has_body() && self.loses_replies()) {
                withholding = true;
                if longest >= ANSWER_RECORD_BYTES && self.take_reply() {
                    return;
                }
                continue;
            }
            // Tickets may come while a request is on its way; they answer nothing. Noted before the client
            // can see the answer and send its next request.
            if longest >= ANSWER_RECORD_BYTES {
                pending.answered();
            }
            let let_through = self.let_through(length);
            if client.write_all(&buffer[..let_through]).is_err() || let_through < length {
                return;
            }
        }
    }

    /// How many of so many bytes come through; if not all, the connection is to be cut.
    fn let_through(&self, length: usize) -> usize {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let Cut::After { bytes, times: left @ 1.. } = *cut else { return length };
        let mut since_cut = self.since_cut.lock().unwrap_or_else(PoisonError::into_inner);
        let room = usize::try_from(bytes.saturating_sub(*since_cut)).unwrap_or(usize::MAX);
        if room >= length {
            *since_cut += u64::try_from(length).unwrap_or(u64::MAX);
            return length;
        }
        *since_cut = 0;
        *cut = if left == 1 { Cut::Nothing } else { Cut::After { bytes, times: left - 1 } };
        self.cuts_made.fetch_add(1, Ordering::SeqCst);
        room
    }

    fn loses_replies(&self) -> bool {
        matches!(*self.cut.lock().unwrap_or_else(PoisonError::into_inner), Cut::Replies(1..))
    }

    fn take_reply(&self) -> bool {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let Cut::Replies(left @ 1..) = *cut else { return false };
        *cut = if left == 1 { Cut::Nothing } else { Cut::Replies(left - 1) };
        self.cuts_made.fetch_add(1, Ordering::SeqCst);
        true
    }
}

/// Bytes of requests since the server last said something.
#[derive(Debug, Default)]
struct Pending {
    bytes: AtomicU64,
    seen_body: AtomicBool,
}

impl Pending {
    fn sent(&self, bytes: u64) {
        if self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes >= BODY_REQUEST_BYTES {
            self.seen_body.store(true, Ordering::SeqCst);
        }
    }

    fn has_body(&self) -> bool {
        self.seen_body.load(Ordering::SeqCst)
    }

    fn answered(&self) {
        self.bytes.store(0, Ordering::SeqCst);
        self.seen_body.store(false, Ordering::SeqCst);
    }
}

/// Where a stream of TLS records stands.
#[derive(Debug, Default)]
struct Records {
    header: Vec<u8>,
    left: usize,
    is_application_data: bool,
    /// Longest record of application data that began.
    longest: usize,
}

impl Records {
    /// How many of these bytes are application data.
    fn application_bytes(&mut self, mut bytes: &[u8]) -> u64 {
        let mut count = 0u64;
        while !bytes.is_empty() {
            if self.left == 0 {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                if let [kind, _, _, high, low] = *self.header.as_slice() {
                    self.is_application_data = kind == RECORD_APPLICATION_DATA;
                    self.left = usize::from(u16::from_be_bytes([high, low]));
                    if self.is_application_data {
                        self.longest = self.longest.max(self.left);
                    }
                    self.header.clear();
                }
                continue;
            }
            let part = self.left.min(bytes.len());
            if self.is_application_data {
                count += u64::try_from(part).unwrap_or(u64::MAX);
            }
            self.left -= part;
            bytes = &bytes[part..];
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_application_data_is_counted_however_the_stream_is_cut() {
        let mut stream = vec![22, 3, 1, 0, 3, 9, 9, 9];
        stream.extend([23, 3, 3, 0, 4, 1, 2, 3, 4]);
        stream.extend([23, 3, 3, 0, 2, 1, 2]);
        for chunk in 1..stream.len() {
            let mut records = Records::default();
            let counted: u64 = stream.chunks(chunk).map(|part| records.application_bytes(part)).sum();
            assert_eq!(counted, 6);
        }
    }

    #[test]
    fn a_connection_is_cut_after_the_ordered_number_of_bytes_and_the_next_is_not() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::before(server.local_addr().unwrap().port()).unwrap();
        thread::spawn(move || {
            for stream in server.incoming().flatten() {
                let mut stream = stream;
                let _ = stream.write_all(&[7u8; 5000]);
            }
        });
        proxy.cut(Cut::After { bytes: 1000, times: 1 });
        for expected in [1000, 5000] {
            let mut bytes = Vec::new();
            let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            let _ = stream.read_to_end(&mut bytes);
            assert_eq!(bytes.len(), expected);
        }
        assert_eq!(proxy.cuts_made(), 1);
    }
}
