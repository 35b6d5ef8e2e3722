//! A TCP relay between an agent and its server that counts what each exchange moves, both ways.
//!
//! It never decrypts: it reads the framing of TLS records (RFC 8446, section 5.1). HTTP/1.1 without pipelining lets requests
//! be told apart: what the client sends after the server has answered begins the next one.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

/// Application data in TLS.
const RECORD_APPLICATION_DATA: u8 = 23;
/// A client's first record of application data in TLS 1.3 ends its handshake.
const FINISHED_RECORDS: u32 = 1;

/// What one exchange moved, in bytes of TCP payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the client.
    pub up: u64,
    /// From the server.
    pub down: u64,
}

impl Moved {
    /// Both ways.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.up + self.down
    }
}

/// One connection: its handshake, and then each request with its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// Until the client's last message of the handshake.
    pub handshake: Moved,
    /// In the order in which they were sent.
    pub requests: Vec<Moved>,
}

impl Connection {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.iter().fold(self.handshake.total(), |sum, moved| sum + moved.total())
    }
}

/// A running relay; it ends with the process.
#[derive(Debug, Clone)]
pub struct Relay {
    port: u16,
    connections: Arc<Mutex<Vec<Counted>>>,
}

#[derive(Debug, Default)]
struct Counted {
    connection: Connection,
    from_client: Records,
    /// Whether the server has said something since the client's last request.
    is_answered: bool,
}

impl Relay {
    /// A relay in front of a loopback port.
    ///
    /// # Errors
    /// When no port is free.
    pub fn before(upstream_port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a free port")?;
        let port = listener.local_addr()?.port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let relay = Self { port, connections };
        let accepting = relay.clone();
        let upstream = SocketAddr::from(([127, 0, 0, 1], upstream_port));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let relay = accepting.clone();
                thread::spawn(move || relay.carry(&client, upstream));
            }
        });
        Ok(relay)
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The connections since they were taken last. One that is still open goes on in none: take them when all is quiet.
    #[must_use]
    pub fn take(&self) -> Vec<Connection> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections
            .iter_mut()
            .map(|counted| std::mem::take(&mut counted.connection))
            .filter(|taken| taken.total() > 0)
            .collect()
    }

    fn carry(&self, client: &TcpStream, upstream: SocketAddr) {
        let Ok(server) = TcpStream::connect(upstream) else { return };
        // Small records are not held back here: nothing that is counted depends on it.
        let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else { return };
        let number = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.push(Counted::default());
            connections.len() - 1
        };
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        let upward = self.clone();
        let up = thread::spawn(move || {
            carry(&from_client, &to_server, |bytes| upward.count(number, |counted| counted.up(bytes)));
            let _ = to_server.shutdown(Shutdown::Write);
        });
        carry(&server, client, |bytes| self.count(number, |counted| counted.down(bytes.len())));
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        let _ = up.join();
    }

    fn count(&self, number: usize, count: impl FnOnce(&mut Counted)) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = connections.get_mut(number) {
            count(counted);
        }
    }
}

/// Counted before it is passed on, so that no answer is counted before its request.
fn carry(mut from: &TcpStream, mut to: &TcpStream, count: impl Fn(&[u8])) {
    let mut buffer = [0u8; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

impl Counted {
    fn up(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let begins_record = self.from_client.take(*byte);
            // The handshake's last message is one record; tickets may answer it before the first request comes.
            let is_request = begins_record && self.from_client.begun > FINISHED_RECORDS;
            if is_request && (self.connection.requests.is_empty() || self.is_answered) {
                self.connection.requests.push(Moved::default());
                self.is_answered = false;
                // The five bytes of the record's head came before it was known whose they are.
                let before = match self.connection.requests.len() {
                    1 => Some(&mut self.connection.handshake),
                    length => self.connection.requests.get_mut(length - 2),
                };
                if let Some(before) = before {
                    before.up = before.up.saturating_sub(4);
                }
                if let Some(last) = self.connection.requests.last_mut() {
                    last.up += 4;
                }
            }
            self.current().up += 1;
        }
    }

    fn down(&mut self, bytes: usize) {
        self.current().down += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.is_answered = true;
    }

    fn current(&mut self) -> &mut Moved {
        let Connection { handshake, requests } = &mut self.connection;
        requests.last_mut().unwrap_or(handshake)
    }
}

/// Where a stream of TLS records stands.
#[derive(Debug, Default)]
struct Records {
    header: Vec<u8>,
    left: usize,
    /// Records of application data that began.
    begun: u32,
}

impl Records {
    /// Takes the next byte; whether with it a record of application data begins.
    fn take(&mut self, byte: u8) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.header.push(byte);
        let [kind, _, _, high, low] = *self.header.as_slice() else { return false };
        self.left = usize::from(u16::from_be_bytes([high, low]));
        self.header.clear();
        let is_application_data = kind == RECORD_APPLICATION_DATA;
        self.begun += u32::from(is_application_data);
        is_application_data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: u8) -> Vec<u8> {
        [vec![kind, 3, 3, 0, length], vec![0; usize::from(length)]].concat()
    }

    #[test]
    fn each_request_is_counted_with_its_answer_however_the_stream_is_cut() {
        for chunk in [1, 3, 7, 1000] {
            let mut counted = Counted::default();
            let up = |counted: &mut Counted, bytes: Vec<u8>| {
                bytes.chunks(chunk).for_each(|part| counted.up(part));
            };
            up(&mut counted, record(22, 95));
            counted.down(500);
            up(&mut counted, [record(20, 1), record(23, 15)].concat());
            counted.down(100);
            // A request of two records, its answer in two pieces, and another.
            up(&mut counted, [record(23, 45), record(23, 5)].concat());
            counted.down(30);
            counted.down(20);
            up(&mut counted, record(23, 25));
            counted.down(7);
            let expected = Connection {
                handshake: Moved { up: 126, down: 600 },
                requests: vec![Moved { up: 60, down: 50 }, Moved { up: 30, down: 7 }],
            };
            assert_eq!(counted.connection, expected, "in pieces of {chunk}");
            assert_eq!(counted.connection.total(), 873);
        }
    }
}
