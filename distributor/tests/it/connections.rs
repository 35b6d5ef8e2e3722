//! What must hold before a request exists: deadlines, bounds, the socket's mode, a clean start after a kill.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sealpost_distributor::home::Home;
use sealpost_serving::{ConnectionLimits, bind_private_socket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::site::Site;
use crate::vendor::start_vendor;

/// Far longer than the limits under test, and shorter than any default that could end a connection in their place.
const BOUND: Duration = Duration::from_secs(8);

fn short() -> ConnectionLimits {
    ConnectionLimits {
        handshake_within: Duration::from_millis(100),
        head_within: Duration::from_millis(100),
        ..ConnectionLimits::default()
    }
}

/// Reads until the server ends the connection.
async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let read = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server kept the connection");
    answer
}

#[tokio::test]
async fn a_request_head_that_never_ends_and_a_handshake_that_never_begins_are_cut_off() {
    let vendor = start_vendor(1).await;
    let site = Site::start_with(&vendor, Some(short())).await;
    let silent = TcpStream::connect(site.server.address()).await.unwrap();
    assert!(read_to_end(silent).await.is_empty());

    let mut slow = UnixStream::connect(Home::at(site.home()).admin_socket()).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
    let answer = read_to_end(slow).await;
    assert!(!String::from_utf8_lossy(&answer).contains("200"));
    assert_eq!(site.http.get(site.url("/healthz")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_of_a_source_are_dropped_and_places_come_back() {
    let vendor = start_vendor(1).await;
    // Nothing but the limit ends a connection here in time.
    let limits = ConnectionLimits {
        per_source: 2,
        handshake_within: Duration::from_secs(3600),
        ..ConnectionLimits::default()
    };
    let site = Site::start_with(&vendor, Some(limits)).await;
    let first = TcpStream::connect(site.server.address()).await.unwrap();
    let second = TcpStream::connect(site.server.address()).await.unwrap();
    let third = TcpStream::connect(site.server.address()).await.unwrap();
    assert!(read_to_end(third).await.is_empty());
    drop((first, second));
    // The places come back when the server has seen the two connections end.
    while site.http.get(site.url("/healthz")).send().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_admin_socket_is_for_its_owner_alone_and_one_left_by_a_killed_server_is_replaced() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let socket = Home::at(site.home()).admin_socket();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let site = site.restart().await;
    assert!(socket.exists());
    let again = bind_private_socket(&socket);
    assert!(again.is_err(), "a running server's socket was taken");
    site.server.stop().await.unwrap();
    assert!(!socket.exists());
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    bind_private_socket(&socket).unwrap();
}
