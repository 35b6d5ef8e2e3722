//! The packet filter of this computer: what opens and closes the server's port in it, and what it says now.
//!
//! Invariants: only what this program wrote is changed, which is a table of its own (nftables), rules with its own comment
//! (ufw), and the port in the default zone (firewalld); what is run follows from what was seen, by pure functions, so that it
//! can be shown before; only [`run`] starts programs. Each answer of a tool is bounded before it is parsed.
//! Left out on purpose: packet filters in front of this computer, rules by which a bridge or a container forwards, hooks of
//! nftables before `input`, and other tools than the three.

mod chains;
mod firewalld;
mod nft;
mod run;
mod ufw;

use std::fmt;

use sealpost_site::rules::rollouts::links::{MAX_SUBNETS, Subnet};

pub use self::nft::{COMMENT, FILE_HEAD, file_text};
pub use self::run::{ToolError, Tools};

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

/// For whom the port is to be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    port: u16,
    /// The fewest that there can be, in order; empty for everybody.
    from: Vec<Subnet>,
}

/// Why a port cannot be opened so.
#[derive(Debug, thiserror::Error)]
#[error("{0} subnets are named, and at most {MAX_SUBNETS} may be; name larger ones with --from")]
pub struct TooManySubnets(usize);

impl Opening {
    /// Opens `port` for these subnets, or for everybody where there are none. Subnets that lie in another or are its halves are joined.
    pub fn new(port: u16, from: &[Subnet]) -> Result<Self, TooManySubnets> {
        if from.len() > MAX_SUBNETS {
            return Err(TooManySubnets(from.len()));
        }
        Ok(Self { port, from: joined(from) })
    }

    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn from(&self) -> &[Subnet] {
        &self.from
    }
}

/// The fewest subnets that hold the same addresses, in order. nftables lists them joined too, so that what was asked for and
/// what is there can be compared.
fn joined(subnets: &[Subnet]) -> Vec<Subnet> {
    let mut sorted = subnets.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<Subnet> = Vec::with_capacity(sorted.len());
    for subnet in sorted {
        // A subnet that holds others stands before them.
        if joined.last().is_some_and(|last| last.covers(&subnet)) {
            continue;
        }
        let mut whole = subnet;
        while let Some(both) = joined.last().and_then(|lower| halves(lower, &whole)) {
            joined.pop();
            whole = both;
        }
        joined.push(whole);
    }
    joined
}

/// The subnet of which these are the two halves.
fn halves(lower: &Subnet, upper: &Subnet) -> Option<Subnet> {
    // The lower half begins where the whole does.
    let whole = Subnet::new(lower.address(), lower.prefix().checked_sub(1)?).ok()?;
    (lower != upper && lower.prefix() == upper.prefix() && whole.covers(upper)).then_some(whole)
}

/// What is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Open(Opening),
    Close { port: u16 },
}

/// One call of a tool. As text it is what a person would type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub tool: &'static str,
    pub arguments: Vec<String>,
    /// What it reads on standard input.
    pub input: Option<String>,
}

impl Step {
    fn new<'a>(tool: &'static str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { tool, arguments: arguments.into_iter().map(str::to_owned).collect(), input: None }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tool)?;
        for argument in &self.arguments {
            let plain = |one: char| one.is_ascii_alphanumeric() || "-_=/.:,".contains(one);
            if !argument.is_empty() && argument.chars().all(plain) {
                write!(f, " {argument}")?;
            } else {
                write!(f, " '{}'", argument.replace('\'', "'\\''"))?;
            }
        }
        match &self.input {
            Some(input) => write!(f, " <<'END'\n{input}END"),
            None => Ok(()),
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

/// What was seen is not changed by this program.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "the table inet sealpost has {0}, which this command did not write, and is left alone; look at it with `nft list table inet sealpost`, and delete it by hand if nobody needs it"
    )]
    Foreign(String),
    #[error(
        "the table inet sealpost opens port {table}, and port {asked} was to be closed; name that one with `--port {table}`"
    )]
    OtherPort { table: u16, asked: u16 },
}

/// Whether the port is open by what this program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of this program is there.
    NotOpened,
    Everybody,
    Only(Vec<Subnet>),
    /// Something is there that it cannot read.
    Unclear(String),
}

/// What can be said of a port, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub standing: Standing,
    /// What keeps an opening from working, each with what to type.
    pub obstacles: Vec<String>,
    pub notes: Vec<String>,
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

/// The lines to type where none of the tools is here.
#[must_use]
pub fn by_hand(port: u16) -> [String; 4] {
    [
        format!(
            "nft insert rule inet filter input tcp dport {port} accept      # nftables, with the usual table and chain"
        ),
        format!("ufw allow {port}/tcp      # ufw"),
        format!("firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload      # firewalld"),
        format!("iptables -I INPUT -p tcp --dport {port} -j ACCEPT      # iptables; the same with ip6tables"),
    ]
}

/// Subnets as people read them.
#[must_use]
pub fn listed(subnets: &[Subnet]) -> String {
    subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A subnet as tools write it: an address alone is one of its whole width.
fn subnet_of(text: &str) -> Option<Subnet> {
    if text.contains('/') {
        return text.parse().ok();
    }
    let address: std::net::IpAddr = text.parse().ok()?;
    Subnet::new(address, if address.is_ipv4() { 32 } else { 128 }).ok()
}

#[cfg(test)]
mod tests;
