//! What every tool is asked, told and said of: subnets, changes, calls and reports.

use std::fmt;
use std::net::IpAddr;

use sealpost_site::rules::rollouts::links::{MAX_SUBNETS, Subnet};

/// What marks a rule as ours, at nftables and at ufw.
pub(super) const COMMENT: &str = "sealpost";

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
    pub(super) fn new<'a>(tool: &'static str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
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

/// Subnets as people read them.
#[must_use]
pub fn listed(subnets: &[Subnet]) -> String {
    subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A subnet as tools write it: an address alone is one of its whole width.
pub(super) fn subnet_of(text: &str) -> Option<Subnet> {
    if text.contains('/') {
        return text.parse().ok();
    }
    let address: IpAddr = text.parse().ok()?;
    Subnet::new(address, if address.is_ipv4() { 32 } else { 128 }).ok()
}
