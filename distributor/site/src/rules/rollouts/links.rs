//! Links: lines that several computers share, such as the one to a branch. A link is a set of subnets with a rate and a number
//! of downloads at one time.
//!
//! Invariant: a link that exists leaves each of its downloads more than the agents give up below; an address is behind one link
//! at the most: the one whose subnet with the longest prefix holds it.
//! Left out on purpose: holding anything back. `bucket` and `line` say when a byte and a download are due, the server's
//! HTTP floor waits for that; and what computers say of their own address: the one that counts is the one that the
//! server sees.

pub mod bucket;
pub mod line;
pub mod load;
pub mod short;
pub mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

/// Most subnets of one link.
pub const MAX_SUBNETS: usize = 256;
/// Most subnets of all links together.
pub const MAX_ALL_SUBNETS: usize = 4_096;
/// Most downloads of one link at one time.
pub const MAX_CONCURRENT: u16 = 1_000;
/// What a link has to leave each of its downloads, in bytes per second: eight times what agents give up below.
pub const LEAST_EACH: u64 = 8_000;
/// The highest rate of a link, in bytes per second.
const MAX_RATE: u64 = 100_000_000_000;
/// Longest part of a text that is repeated in an error, in characters.
const MAX_SHOWN: usize = 60;

/// The units of a rate, with the bytes that each stands for in a second.
const UNITS: [(&str, u64); 7] = [
    ("GB/s", 1_000_000_000),
    ("MB/s", 1_000_000),
    ("kB/s", 1_000),
    ("B/s", 1),
    ("Gbit/s", 125_000_000),
    ("Mbit/s", 125_000),
    ("kbit/s", 125),
];

/// Bytes per second, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(u64);

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate: write a number and a unit, as in `2 MB/s` or `16 Mbit/s`, from 1 B/s to 100 GB/s")]
pub struct RateError(String);

impl Rate {
    /// So many bytes per second, from 1 to 100 GB.
    ///
    /// # Errors
    /// [`RateError`].
    pub fn new(bytes_per_second: u64) -> Result<Self, RateError> {
        match bytes_per_second {
            1..=MAX_RATE => Ok(Self(bytes_per_second)),
            _ => Err(RateError(format!("{bytes_per_second} B/s"))),
        }
    }

    /// Bytes in one second.
    #[must_use]
    pub const fn bytes_per_second(self) -> u64 {
        self.0
    }

    /// How long so many bytes take.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes).saturating_mul(1_000_000_000) / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let refused = || RateError(text.chars().take(MAX_SHOWN).collect());
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, bytes)| Some((text.strip_suffix(name)?.trim_end(), *bytes)))
            .ok_or_else(refused)?;
        // Thousandths, so that `2.5 MB/s` can be written.
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return Err(refused());
        }
        let whole: u64 = whole.parse().map_err(|_| refused())?;
        let part: u64 = format!("{part:0<3}").parse().map_err(|_| refused())?;
        let thousandths = whole.checked_mul(1_000).and_then(|whole| whole.checked_add(part));
        let bytes = thousandths.and_then(|thousandths| thousandths.checked_mul(unit)).ok_or_else(refused)?;
        Self::new(bytes / 1_000).map_err(|_| refused())
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let (name, bytes) = whole.copied().unwrap_or(("B/s", 1));
        f.pad(&format!("{} {name}", self.0 / bytes))
    }
}

/// A range of addresses: those that share the first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// It is of another form.
    #[error("`{0}` is no subnet: write an address and how many of its bits count, as in `10.2.0.0/16`")]
    Form(String),
    /// Bits behind the prefix are set, so that it is not said which of two is meant.
    #[error("`{given}` names one address of a subnet: write `{meant}`")]
    HostBits {
        /// What was written.
        given: String,
        /// The subnet around it.
        meant: String,
    },
}

impl Subnet {
    /// The addresses whose first `prefix` bits are those of `address`.
    ///
    /// # Errors
    /// [`SubnetError`].
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, SubnetError> {
        let address = address.to_canonical();
        let given = || format!("{address}/{prefix}");
        if prefix > width(address) {
            return Err(SubnetError::Form(given()));
        }
        let subnet = Self { address: masked(address, prefix), prefix };
        if subnet.address != address {
            return Err(SubnetError::HostBits { given: given(), meant: subnet.to_string() });
        }
        Ok(subnet)
    }

    /// Its first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits all its addresses share.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it holds every address of the other one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.holds(other.address)
    }

    /// Whether an address is in it. An IPv4 address that is written as an IPv6 one is the IPv4 one.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with only its first bits.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let refused = || SubnetError::Form(text.chars().take(MAX_SHOWN).collect());
        let (address, prefix) = text.split_once('/').ok_or_else(refused)?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let prefix: u8 = prefix.parse().ok().filter(|_| digits).ok_or_else(refused)?;
        // Of an IPv4 address in an IPv6 one nobody can say what the prefix counts.
        if address.to_canonical() != address {
            return Err(refused());
        }
        Self::new(address, prefix)
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.prefix))
    }
}

/// A line that several computers share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Link {
    subnets: BTreeSet<Subnet>,
    rate: Rate,
    concurrent: u16,
}

/// A link as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    subnets: Vec<Subnet>,
    rate: Rate,
    concurrent: u16,
}

impl Link {
    /// A link of these subnets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(subnets: Vec<Subnet>, rate: Rate, concurrent: u16) -> Result<Self, String> {
        match subnets.len() {
            0 => return Err("it names no subnet".to_owned()),
            1..=MAX_SUBNETS => {}
            count => return Err(format!("it names {count} subnets, and may name {MAX_SUBNETS}")),
        }
        if concurrent == 0 || concurrent > MAX_CONCURRENT {
            return Err(format!("`concurrent` is 1 to {MAX_CONCURRENT}, and here {concurrent}"));
        }
        let least = LEAST_EACH.saturating_mul(u64::from(concurrent));
        if rate.bytes_per_second() < least {
            return Err(format!(
                "{rate} for {concurrent} downloads at one time leaves each less than {} kB/s, which agents give up: raise the \
                 rate, or lower `concurrent`",
                LEAST_EACH / 1_000
            ));
        }
        let count = subnets.len();
        let subnets: BTreeSet<Subnet> = subnets.into_iter().collect();
        if subnets.len() < count {
            return Err("it names a subnet twice".to_owned());
        }
        Ok(Self { subnets, rate, concurrent })
    }

    /// Its subnets.
    #[must_use]
    pub const fn subnets(&self) -> &BTreeSet<Subnet> {
        &self.subnets
    }

    /// What all downloads over it share.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// How many downloads go over it at one time.
    #[must_use]
    pub const fn concurrent(&self) -> u16 {
        self.concurrent
    }
}

impl TryFrom<Parts> for Link {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        Self::new(parts.subnets, parts.rate, parts.concurrent)
    }
}

impl From<Link> for Parts {
    fn from(link: Link) -> Self {
        Self { subnets: link.subnets.into_iter().collect(), rate: link.rate, concurrent: link.concurrent }
    }
}

/// What is wrong with links beside each other: the name of a link, and why it cannot be.
#[must_use]
pub fn conflicts(links: &BTreeMap<Word, Link>) -> Vec<(Word, String)> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<Subnet, Word> = BTreeMap::new();
    let mut count = 0;
    for (name, link) in links {
        count += link.subnets.len();
        if count > MAX_ALL_SUBNETS {
            problems.push((*name, format!("all links together may name {MAX_ALL_SUBNETS} subnets")));
            break;
        }
        for subnet in &link.subnets {
            if let Some(other) = seen.insert(*subnet, *name) {
                problems.push((*name, format!("the link {other} has the subnet {subnet} too")));
            }
        }
    }
    problems
}

/// Which link an address is behind.
#[derive(Debug, Clone, Default)]
pub struct LinkTable {
    /// Subnets with their links, by prefix, the longest first.
    by_prefix: Vec<(u8, HashMap<IpAddr, Word>)>,
}

impl LinkTable {
    /// The table of these links.
    #[must_use]
    pub fn new(links: &BTreeMap<Word, Link>) -> Self {
        let mut by_prefix: BTreeMap<u8, HashMap<IpAddr, Word>> = BTreeMap::new();
        for (name, link) in links {
            for subnet in &link.subnets {
                by_prefix.entry(subnet.prefix).or_default().insert(subnet.address, *name);
            }
        }
        Self { by_prefix: by_prefix.into_iter().rev().collect() }
    }

    /// The link that an address is behind, if it is behind one.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<Word> {
        let address = address.to_canonical();
        let mut fitting = self.by_prefix.iter().filter(|(prefix, _)| *prefix <= width(address));
        fitting.find_map(|(prefix, subnets)| subnets.get(&masked(address, *prefix)).copied())
    }

    /// Whether there is no link at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }
}

#[cfg(test)]
mod asking;
#[cfg(test)]
mod dice;
#[cfg(test)]
mod tests;
