//! Strangers at work: so many connections that each do what the attack says, again and again until they are stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::attacks::{Attack, Carrier, Then};
use crate::server::Server;

/// How long an answer is waited for.
const READ_WITHIN: Duration = Duration::from_millis(500);
/// How long a stranger waits before it begins anew, and one that wants to hold a connection, of whom there are thousands.
const PAUSE: Duration = Duration::from_millis(100);
const HOLD_PAUSE: Duration = Duration::from_secs(1);
/// The first address of strangers is 127.0.0.2.
const FIRST_HOST: u8 = 2;

/// What came of it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counted {
    /// Connections that were begun.
    pub(super) tries: usize,
    /// Answers of any status.
    pub(super) answered: usize,
    /// Of these, answers of success: of paths and hidden requests there must be none but of `/healthz` asked in the open.
    pub(super) good_answers: usize,
    /// Connections that were open at the end.
    pub(super) held: usize,
}

/// An attack with its aim.
pub(super) struct Stranger {
    attack: Attack,
    to: SocketAddr,
    tls: TlsConnector,
    tries: AtomicUsize,
    answered: AtomicUsize,
    good_answers: AtomicUsize,
    held: AtomicUsize,
}

impl Stranger {
    pub(super) fn of(server: &Server, attack: Attack, files: usize) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(server.ca())?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let to = server.url().strip_prefix("https://").context("the server does not speak TLS")?.parse()?;
        let attack = Attack { lines: attack.lines.min(files), ..attack };
        let zero = AtomicUsize::default;
        Ok(Self {
            attack,
            to,
            tls: TlsConnector::from(Arc::new(config)),
            tries: zero(),
            answered: zero(),
            good_answers: zero(),
            held: zero(),
        })
    }

    pub(super) const fn name(&self) -> &'static str {
        self.attack.name
    }

    pub(super) async fn go_on(self: Arc<Self>, stopped: watch::Receiver<bool>) -> Counted {
        let lines = (0..self.attack.lines).map(|line| {
            let (this, mut stopped) = (Arc::clone(&self), stopped.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = this.line(line) => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
            })
        });
        let lines: Vec<_> = lines.collect();
        let mut all = stopped;
        // An error means that nobody measures any more, which is the end as well.
        let _ = all.wait_for(|stopped| *stopped).await;
        let held = self.held.load(Ordering::Relaxed);
        drop(join_all(lines).await);
        let read = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        Counted {
            tries: read(&self.tries),
            answered: read(&self.answered),
            good_answers: read(&self.good_answers),
            held,
        }
    }

    async fn line(&self, line: usize) {
        let mut turn = line;
        loop {
            // Turned away or cut off: that is what is tried.
            let _ = self.once(line, turn).await;
            turn += 1;
            tokio::time::sleep(if self.attack.then == Then::Hold { HOLD_PAUSE } else { PAUSE }).await;
        }
    }

    async fn once(&self, line: usize, turn: usize) -> anyhow::Result<()> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        let host = u8::try_from(line % usize::from(self.attack.sources.max(1))).unwrap_or(0);
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(Ipv4Addr::new(127, 0, 0, FIRST_HOST + host).into(), 0))?;
        let stream = socket.connect(self.to).await?;
        match self.attack.carrier {
            Carrier::Tcp => self.on(stream, turn).await,
            Carrier::Tls => {
                let name = ServerName::IpAddress(self.to.ip().into());
                self.on(self.tls.connect(name, stream).await?, turn).await
            }
        }
    }

    async fn on(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, turn: usize) -> anyhow::Result<()> {
        let payload = self.attack.payloads.get(turn % self.attack.payloads.len().max(1));
        let _held = Held::of(&self.held);
        if let Some(payload) = payload {
            stream.write_all(payload).await?;
            stream.flush().await?;
        }
        match self.attack.then {
            Then::Read => self.read(&mut stream).await,
            Then::Hold if payload.is_some_and(|payload| payload.len() > 1_024) => {
                // It asked for much, and takes nothing of it; the server ends that.
                std::future::pending::<()>().await;
            }
            Then::Hold => {
                let mut nothing = [0; 64];
                while stream.read(&mut nothing).await? > 0 {}
            }
            Then::SendOn => {
                let chunk = vec![b' '; 64 * 1024];
                while stream.write_all(&chunk).await.is_ok() {}
                self.read(&mut stream).await;
            }
        }
        Ok(())
    }

    /// Reads until the end or for a short time, and counts the answers in it.
    async fn read(&self, stream: &mut (impl AsyncRead + Unpin)) {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(READ_WITHIN, stream.read(&mut buffer)).await {
            answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        let answer = String::from_utf8_lossy(&answer);
        self.answered.fetch_add(answer.matches("HTTP/1.1 ").count(), Ordering::Relaxed);
        self.good_answers.fetch_add(answer.matches("HTTP/1.1 2").count(), Ordering::Relaxed);
    }
}

/// One more connection that is open.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn of(held: &'a AtomicUsize) -> Self {
        held.fetch_add(1, Ordering::Relaxed);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
