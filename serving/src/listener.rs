//! Where connections come from: TCP, TLS over TCP, or a Unix socket for the server's own account.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::limits::ConnectionLimits;
use crate::places::Places;
use crate::socket_path::SocketPath;
use crate::tls::{TlsError, TlsIdentity};

/// Mode of a socket file to which only its owner may connect.
const PRIVATE_SOCKET: u32 = 0o600;

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    /// The places that it shares with other listeners; none for one that has its own.
    shared: Option<Arc<Places>>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
    Unix(UnixListener),
}

/// A connection of which nothing was read yet.
pub(crate) enum Accepted {
    Tcp(TcpStream, IpAddr),
    Tls(TcpStream, IpAddr, Arc<ServerConfig>),
    /// From an account that may use the socket, by its uid.
    Unix(UnixStream, u32),
}

/// Makes listeners that present one identity and share the places for connections, whatever port they are on: the
/// process has so many file descriptors, however many ports it listens on.
#[derive(Debug, Clone)]
pub struct TlsListeners {
    config: Arc<ServerConfig>,
    places: Arc<Places>,
}

impl TlsListeners {
    /// With this certificate and key, which may be replaced later, and so many connections over all of them.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn of(identity: Arc<TlsIdentity>, limits: &ConnectionLimits) -> Result<Self, TlsError> {
        Ok(Self { config: identity.server_config()?, places: Arc::new(Places::new(limits)) })
    }

    /// HTTP over TLS on a listener.
    #[must_use]
    pub fn over(&self, listener: TcpListener) -> Listener {
        let kind = Kind::Tls(listener, Arc::clone(&self.config));
        Listener { kind, shared: Some(Arc::clone(&self.places)) }
    }
}

impl Listener {
    /// Plain HTTP: for what is signed anyway, or behind a reverse proxy.
    #[must_use]
    pub const fn tcp(listener: TcpListener) -> Self {
        Self { kind: Kind::Tcp(listener), shared: None }
    }

    /// HTTP over TLS, with this certificate and key.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn tls(listener: TcpListener, identity: Arc<TlsIdentity>) -> Result<Self, TlsError> {
        Ok(Self { kind: Kind::Tls(listener, identity.server_config()?), shared: None })
    }

    /// HTTP over a Unix socket, for root and the account that this process runs under.
    #[must_use]
    pub const fn unix(listener: UnixListener) -> Self {
        Self { kind: Kind::Unix(listener), shared: None }
    }

    /// The places for its connections: those that it shares, or ones of its own within these limits.
    pub(crate) fn places(&self, limits: &ConnectionLimits) -> Arc<Places> {
        self.shared.clone().unwrap_or_else(|| Arc::new(Places::new(limits)))
    }

    /// The next connection; `None` if an account that may not use the socket was turned away.
    pub(crate) async fn accept(&self) -> io::Result<Option<Accepted>> {
        let (stream, address, tls) = match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                (stream, address, None)
            }
            Kind::Tls(listener, tls) => {
                let (stream, address) = listener.accept().await?;
                (stream, address, Some(tls))
            }
            Kind::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                return Ok(allowed_uid(&stream).map(|uid| Accepted::Unix(stream, uid)));
            }
        };
        // Answers are written whole; waiting for more to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let source = address.ip().to_canonical();
        Ok(Some(match tls {
            None => Accepted::Tcp(stream, source),
            Some(tls) => Accepted::Tls(stream, source, Arc::clone(tls)),
        }))
    }
}

impl Accepted {
    /// The address that the connection counts for; a local account has none.
    pub(crate) const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, address) | Self::Tls(_, address, _) => Some(*address),
            Self::Unix(..) => None,
        }
    }
}

fn allowed_uid(stream: &UnixStream) -> Option<u32> {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw() => Some(peer.uid()),
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "an account that may not use the server's socket tried it");
            None
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot tell which account is at the server's socket"
            );
            None
        }
    }
}

/// Binds a Unix socket, mode 0600, however long its path is. A socket file that a killed server left behind is replaced.
///
/// # Errors
/// When something else is there, another server listens, or the folder cannot be written.
pub fn bind_private_socket(path: &Path) -> io::Result<UnixListener> {
    let short = SocketPath::of(path)?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(short.path()).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there"));
            }
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(short.path())?;
    // Nothing was accepted yet, and each peer is asked for its account besides.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(PRIVATE_SOCKET))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_deeper_than_an_address_can_say_is_bound_found_taken_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("admin.sock");
        let first = bind_private_socket(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE_SOCKET);
        let short = SocketPath::of(&path).unwrap();
        let (client, server) = tokio::join!(UnixStream::connect(short.path()), first.accept());
        drop((client.unwrap(), server.unwrap()));
        assert_eq!(bind_private_socket(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        drop(bind_private_socket(&path).unwrap());
    }

    #[tokio::test]
    async fn a_socket_file_that_nobody_listens_on_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = bind_private_socket(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE_SOCKET);
        assert_eq!(bind_private_socket(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists());
        drop(bind_private_socket(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "not a socket").unwrap();
        assert_eq!(bind_private_socket(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"not a socket");
    }
}
