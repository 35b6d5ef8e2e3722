//! The three tools as one: what was seen of a computer, by whichever rules it.

use super::parts::{Change, PlanError, Report, Step};
use super::{firewalld, nft, ufw};

/// The tool that rules this computer's packet filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Firewalld,
    Ufw,
    Nft,
}

impl Kind {
    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
            Self::Nft => "nftables",
        }
    }
}

/// What a tool said of this computer.
#[derive(Debug)]
pub enum Seen {
    Firewalld(firewalld::Seen),
    Ufw(ufw::Seen),
    Nft(nft::Seen),
}

impl Seen {
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Firewalld(_) => Kind::Firewalld,
            Self::Ufw(_) => Kind::Ufw,
            Self::Nft(_) => Kind::Nft,
        }
    }

    /// What is to be run for a change, in order; nothing where it is so already.
    pub fn plan(&self, change: &Change) -> Result<Vec<Step>, PlanError> {
        match self {
            Self::Firewalld(seen) => Ok(firewalld::plan(seen, change)),
            Self::Ufw(seen) => Ok(ufw::plan(seen, change)),
            Self::Nft(seen) => nft::plan(seen, change),
        }
    }

    /// What it says of a port.
    #[must_use]
    pub fn report(&self, port: u16) -> Report {
        match self {
            Self::Firewalld(seen) => firewalld::report(seen, port),
            Self::Ufw(seen) => ufw::report(seen, port),
            Self::Nft(seen) => nft::report(seen, port),
        }
    }
}
