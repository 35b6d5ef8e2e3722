//! Who holds a TCP port on this computer: named when a server cannot listen there.
//!
//! Reads what `/proc` has of processes, and nothing else of it, since the unit hides the rest (`ProcSubset=pid`).
//! Programs of other accounts are seen as "another account". Left out on purpose: everything but Linux.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// State of a listening socket in `/proc/self/net/tcp`.
const LISTEN: &str = "0A";

/// Why the system refuses to listen on an address, for people; with the address of a TCP port, who holds it. `None` for
/// an error that says it itself.
#[must_use]
pub fn reason(error: &io::Error, address: Option<SocketAddr>) -> Option<String> {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => {
            return Some(address.and_then(holder).map_or_else(
                || "another program uses it".to_owned(),
                |holder| format!("{holder} listens there"),
            ));
        }
        io::ErrorKind::PermissionDenied => "this account may not use it; ports below 1024 are root's",
        io::ErrorKind::AddrNotAvailable => "this computer has no such address",
        _ => return None,
    };
    Some(reason.to_owned())
}

/// The program that listens on a port: its name and process id, or that it is another account's; `None` if nobody seems
/// to. Looks at every process, which takes milliseconds.
#[must_use]
pub fn holder(address: SocketAddr) -> Option<String> {
    let inodes: Vec<String> = ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, address.port()))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    Some(program_with(&inodes).unwrap_or_else(|| "a program of another account".to_owned()))
}

/// The sockets that listen on a port, by their inodes.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = lines.filter(|fields| {
        fields.get(1).is_some_and(|local| local.ends_with(&wanted)) && fields.get(3) == Some(&LISTEN)
    });
    listening.filter_map(|fields| fields.get(9).map(|inode| (*inode).to_owned())).collect()
}

/// The first program that has one of these sockets open.
fn program_with(inodes: &[String]) -> Option<String> {
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = open.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| links.iter().any(|link| Path::new(link) == target))
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", sealpost_files::escape(name.trim())));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_listens_is_named_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let named = holder(listener.local_addr().unwrap()).unwrap();
        assert!(named.ends_with(&format!("(process {})", std::process::id())), "{named}");
    }

    #[test]
    fn a_connection_on_a_port_does_not_hold_it() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:4182 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0\n   \
             1: 0100007F:4183 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4\n";
        assert_eq!(listening_inodes(table, 0x4182), ["111"]);
        assert!(listening_inodes(table, 0x4183).is_empty());
    }
}
