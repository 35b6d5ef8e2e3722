//! Who is at the other end of a connection, as the transport knows it. It is put into each request's extensions, so
//! that nothing has to trust a header for it.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;

use crate::source::network_of;

/// Longest part of the account list that is read, in bytes.
const MAX_ACCOUNTS_BYTES: u64 = 1024 * 1024;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Another computer or this one, over TCP.
    Network(IpAddr),
    /// An account of this computer, over a Unix socket; the operating system vouches for it.
    Local {
        /// The account's name, or `uid 1000` when it has none.
        account: String,
    },
}

impl Peer {
    /// The account that runs this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::Local { account: account_name(rustix::process::getuid().as_raw()) }
    }

    /// How logs and refusals name it.
    #[must_use]
    pub fn source(&self) -> String {
        match self {
            Self::Network(address) => address.to_canonical().to_string(),
            Self::Local { account } => account.clone(),
        }
    }

    /// The network that counts as one source: an IPv4 address, or an IPv6 /64. A local account has none.
    #[must_use]
    pub fn network(&self) -> Option<IpAddr> {
        match self {
            Self::Network(address) => Some(network_of(*address)),
            Self::Local { .. } => None,
        }
    }

    /// Whether it is on this computer.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Network(address) => address.to_canonical().is_loopback(),
            Self::Local { .. } => true,
        }
    }
}

/// The name of an account. Blocks for a small file.
pub(crate) fn account_name(uid: u32) -> String {
    let mut accounts = Vec::new();
    let read =
        File::open("/etc/passwd").and_then(|file| file.take(MAX_ACCOUNTS_BYTES).read_to_end(&mut accounts));
    let found = match read {
        Ok(_) => find_account(&String::from_utf8_lossy(&accounts), uid),
        Err(_) => None,
    };
    found.unwrap_or_else(|| format!("uid {uid}"))
}

fn find_account(accounts: &str, uid: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let _password = fields.next()?;
        let matches = fields.next()?.parse::<u32>() == Ok(uid);
        (matches && !name.is_empty()).then(|| name.chars().filter(|c| !c.is_control()).take(64).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_uid_and_a_missing_one_is_named_by_number() {
        let accounts = "root:x:0:0::/root:/bin/sh\nbroken\nanna:x:1000:1000::/home/anna:/bin/sh\n";
        assert_eq!(find_account(accounts, 1000).unwrap(), "anna");
        assert_eq!(find_account(accounts, 0).unwrap(), "root");
        assert!(find_account(accounts, 7).is_none());
    }
}
