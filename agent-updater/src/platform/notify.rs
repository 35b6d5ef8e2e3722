//! Telling a service manager that the agent is up, by the socket that it named; without one, nothing happens.
//!
//! Left out on purpose: whatever else can be told; only a watchdog of a new program uses this.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variables by which a service manager says where and how it wants to be told. A child must not see them: the
/// manager listens to its own process only.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Tells the service manager that this process is ready, and alive.
pub fn ready_and_alive() {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        // A manager that does not listen needs not be told.
        let _ = tell(&socket, b"READY=1\nWATCHDOG=1");
    }
}

fn tell(socket: &OsString, what: &[u8]) -> std::io::Result<usize> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(what, &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_with_a_path_and_one_with_an_abstract_name_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("sealpost-test-{}", std::process::id());
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
                format!("@{name}").into(),
            ),
        ];
        for (listening, address) in sockets {
            tell(&address, b"READY=1").unwrap();
            let mut told = [0; 16];
            let length = listening.recv(&mut told).unwrap();
            assert_eq!(&told[..length], b"READY=1");
        }
        assert!(tell(&"/nonexistent/socket".into(), b"READY=1").is_err());
    }
}
