//! How a computer's last contact came: over the network from an address, or as a file.
//!
//! Left out on purpose: what a computer says of its own addresses, and what a proxy says of them: nobody vouches for that.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The word for a contact by file.
const FILE: &str = "file";

/// As the module says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CameBy {
    /// From this address, as the connection shows it.
    Network(IpAddr),
    /// As a file: through a folder, or by hand.
    File,
}

/// Why a text is no way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is neither an address nor `{FILE}`")]
pub struct CameByError;

impl CameBy {
    /// Over the network. An IPv4 address that is written as an IPv6 one is the IPv4 one.
    #[must_use]
    pub fn network(address: IpAddr) -> Self {
        Self::Network(address.to_canonical())
    }

    /// The address, of a contact over the network.
    #[must_use]
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Network(address) => Some(address),
            Self::File => None,
        }
    }
}

impl FromStr for CameBy {
    type Err = CameByError;

    fn from_str(text: &str) -> Result<Self, CameByError> {
        match text {
            FILE => Ok(Self::File),
            _ => text.parse().map(Self::network).map_err(|_| CameByError),
        }
    }
}

impl TryFrom<String> for CameBy {
    type Error = CameByError;

    fn try_from(text: String) -> Result<Self, CameByError> {
        text.parse()
    }
}

impl From<CameBy> for String {
    fn from(way: CameBy) -> Self {
        way.to_string()
    }
}

impl fmt::Display for CameBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => f.pad(&address.to_string()),
            Self::File => f.pad(FILE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_file_are_written_and_read_again() {
        for text in ["10.2.0.7", "2001:db8::7", "file"] {
            assert_eq!(text.parse::<CameBy>().unwrap().to_string(), text);
        }
        assert_eq!("::ffff:10.2.0.7".parse::<CameBy>().unwrap().to_string(), "10.2.0.7");
        assert!("fax".parse::<CameBy>().is_err());
    }
}
