//! nftables: a table of our own, `inet sealpost`, that is replaced and deleted whole; and what chains of others do with the
//! same port, since an accept in one table does not override a drop in another.
//!
//! Invariant: no other table is named in what is run. A table of this name with anything that is not ours is left alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use sealpost_site::rules::rollouts::links::Subnet;
use serde_json::Value;

use super::chains::{Chains, Passage, Version, judge};
use super::parts::{COMMENT, Change, Opening, PlanError, Report, Standing, Step, listed, subnet_of};

pub(super) const TOOL: &str = "nft";
/// Lists all tables as JSON, without the elements of named sets, which may be millions.
pub(super) const LIST: [&str; 4] = ["-j", "-t", "list", "ruleset"];
/// How a file begins that this program wrote.
pub const FILE_HEAD: &str = "# Written by `distributor firewall open`, which replaces it.\n";
/// Our table and its chain.
const FAMILY: &str = "inet";
const TABLE: &str = "sealpost";
const CHAIN: &str = "input";
/// Most chains of others that are named.
const MAX_NAMED: usize = 16;

/// What nftables lists of a computer.
#[derive(Debug)]
pub struct Seen {
    own: Own,
    /// Chains by family and name of their table; not our own.
    tables: BTreeMap<(String, String), Chains>,
    has_legacy_tables: bool,
}

/// What stands in our table.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Own {
    Absent,
    Ours(Opening),
    /// With what is there that is not ours.
    Foreign(String),
}

/// Reads what [`LIST`] prints. With `has_legacy_tables`, the older iptables has rules that are not in it.
pub(super) fn parse(text: &str, has_legacy_tables: bool) -> Result<Seen, String> {
    let listed: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON ({error})"))?;
    let listed = listed["nftables"].as_array().ok_or("it has no list `nftables`")?;
    let mut tables: BTreeMap<(String, String), Chains> = BTreeMap::new();
    let mut own = Vec::new();
    let mut has_own = false;
    for entry in listed {
        let Some((kind, about)) = entry.as_object().and_then(|parts| parts.iter().next()) else { continue };
        let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
        let table = if kind == "table" { text("name") } else { text("table") };
        if (text("family").as_str(), table.as_str()) == (FAMILY, TABLE) {
            has_own = true;
            own.push((kind.as_str(), about));
            continue;
        }
        let name = match kind.as_str() {
            "chain" => text("name"),
            "rule" => text("chain"),
            _ => continue,
        };
        let chain = tables.entry((text("family"), table)).or_default().entry(name).or_default();
        if kind == "rule" {
            chain.rules.push(about["expr"].as_array().cloned().unwrap_or_default());
        } else {
            chain.is_input = text("hook") == "input";
            chain.drops_by_policy = text("policy") == "drop";
        }
    }
    let own = if has_own { own_table(&own) } else { Own::Absent };
    Ok(Seen { own, tables, has_legacy_tables })
}

/// What stands in our table.
fn own_table(entries: &[(&str, &Value)]) -> Own {
    let (mut port, mut from, mut is_for_everybody) = (None, Vec::new(), false);
    for (kind, about) in entries {
        let name = about["name"].as_str().unwrap_or_default();
        match *kind {
            "table" => {}
            "chain" if name == CHAIN => {}
            "rule" if about["comment"] == COMMENT => match read_rule(about) {
                Some(Rule { port: of, .. }) if port.is_some_and(|port| port != of) => {
                    return Own::Foreign("rules for several ports".to_owned());
                }
                Some(Rule { port: of, whom }) => {
                    port = Some(of);
                    match whom {
                        Whom::Everybody => is_for_everybody = true,
                        Whom::Subnets(subnets) => from.extend(subnets),
                        Whom::Nobody | Whom::ThisComputer => {}
                    }
                }
                None => return Own::Foreign("a rule that it cannot read".to_owned()),
            },
            "rule" => return Own::Foreign("a rule without its comment".to_owned()),
            kind => return Own::Foreign(format!("a {kind} named {name}")),
        }
    }
    if is_for_everybody {
        from.clear();
    } else if port.is_some() && from.is_empty() {
        return Own::Foreign("a rule that closes the port to everybody".to_owned());
    }
    match port.map(|port| Opening::new(port, &from)) {
        Some(Ok(opening)) => Own::Ours(opening),
        Some(Err(error)) => Own::Foreign(error.to_string()),
        None => Own::Foreign("no rule".to_owned()),
    }
}

/// A rule of ours.
struct Rule {
    port: u16,
    whom: Whom,
}

enum Whom {
    Everybody,
    ThisComputer,
    Subnets(Vec<Subnet>),
    /// The rule drops what it matches.
    Nobody,
}

fn read_rule(rule: &Value) -> Option<Rule> {
    let (mut port, mut whom, mut accepts) = (None, Whom::Everybody, None);
    for statement in rule["expr"].as_array()? {
        let (kind, about) = statement.as_object()?.iter().next()?;
        match kind.as_str() {
            "accept" => accepts = Some(true),
            "drop" => accepts = Some(false),
            "match" => {
                let (left, right) = (&about["left"], &about["right"]);
                if about["op"] != "==" {
                    return None;
                }
                let key = left["payload"]["field"].as_str().or_else(|| left["meta"]["key"].as_str())?;
                match key {
                    "dport" => port = Some(u16::try_from(right.as_u64()?).ok()?),
                    "saddr" => whom = Whom::Subnets(subnets(right)?),
                    "iif" => whom = Whom::ThisComputer,
                    "nfproto" if right == "ipv4" => whom = Whom::Subnets(vec![subnet_of("0.0.0.0/0")?]),
                    "nfproto" if right == "ipv6" => whom = Whom::Subnets(vec![subnet_of("::/0")?]),
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    let whom = if accepts? { whom } else { Whom::Nobody };
    Some(Rule { port: port?, whom })
}

/// Subnets as nftables lists them: one, or a set of them; what touches each other has become a range.
fn subnets(right: &Value) -> Option<Vec<Subnet>> {
    if let Some(set) = right["set"].as_array() {
        return Some(set.iter().map(subnets).collect::<Option<Vec<_>>>()?.concat());
    }
    if let Some(address) = right.as_str() {
        return Some(vec![subnet_of(address)?]);
    }
    if let Some([from, to]) = right["range"].as_array().map(Vec::as_slice) {
        return range(from.as_str()?.parse().ok()?, to.as_str()?.parse().ok()?);
    }
    let prefix = &right["prefix"];
    let (address, length): (IpAddr, _) = (prefix["addr"].as_str()?.parse().ok()?, prefix["len"].as_u64()?);
    Some(vec![Subnet::new(address, u8::try_from(length).ok()?).ok()?])
}

/// The fewest subnets that are the addresses from one to another.
fn range(from: IpAddr, to: IpAddr) -> Option<Vec<Subnet>> {
    let (width, mut at, to) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (32, u128::from(from.to_bits()), u128::from(to.to_bits())),
        (IpAddr::V6(from), IpAddr::V6(to)) => (128, from.to_bits(), to.to_bits()),
        _ => return None,
    };
    let mut found = Vec::new();
    while at <= to {
        // The largest that begins here and does not end behind the last one.
        let subnet = (0..=width).find_map(|prefix| {
            let address = match u32::try_from(at) {
                Ok(bits) if width == 32 => IpAddr::V4(bits.into()),
                _ => IpAddr::V6(at.into()),
            };
            let rest = u128::MAX.checked_shr(u32::from(128 - width + prefix)).unwrap_or(0);
            let last = at.checked_add(rest).filter(|last| *last <= to)?;
            Some((Subnet::new(address, prefix).ok()?, last))
        });
        let (subnet, last) = subnet?;
        found.push(subnet);
        let Some(next) = last.checked_add(1) else { break };
        at = next;
    }
    Some(found)
}

/// What is run for a change.
pub(super) fn plan(seen: &Seen, change: &Change) -> Result<Vec<Step>, PlanError> {
    if let Own::Foreign(what) = &seen.own {
        return Err(PlanError::Foreign(what.clone()));
    }
    match (change, &seen.own) {
        (Change::Open(wanted), Own::Ours(opening)) if wanted == opening => Ok(Vec::new()),
        (Change::Open(wanted), _) => {
            let input = Some(table_text(wanted));
            Ok(vec![Step { input, ..Step::new(TOOL, ["-f", "-"]) }])
        }
        (Change::Close { port }, Own::Ours(opening)) if opening.port() != *port => {
            Err(PlanError::OtherPort { table: opening.port(), asked: *port })
        }
        (Change::Close { .. }, Own::Ours(_)) => Ok(vec![Step::new(TOOL, ["delete", "table", FAMILY, TABLE])]),
        (Change::Close { .. }, _) => Ok(Vec::new()),
    }
}

/// The file that opens the port at the start of a computer, as nftables reads it.
#[must_use]
pub fn file_text(opening: &Opening) -> String {
    format!("{FILE_HEAD}{}", table_text(opening))
}

/// Our table in one transaction that replaces what it was. The first line makes it, so that the second has what it deletes.
fn table_text(opening: &Opening) -> String {
    let port = opening.port();
    let mut rules = Vec::new();
    if opening.from().is_empty() {
        rules.push(format!("tcp dport {port} accept"));
    } else {
        // Programs on this computer, such as its own agent, come from no subnet.
        rules.push(format!("iif \"lo\" tcp dport {port} accept"));
        for (family, protocol) in [("ipv4", "ip"), ("ipv6", "ip6")] {
            let of_family = |one: &&Subnet| one.address().is_ipv4() == (family == "ipv4");
            let subnets: Vec<Subnet> = opening.from().iter().filter(of_family).copied().collect();
            match subnets.as_slice() {
                [] => {}
                // A set cannot have it in every version.
                [all] if all.prefix() == 0 => {
                    rules.push(format!("meta nfproto {family} tcp dport {port} accept"))
                }
                _ => {
                    rules.push(format!("{protocol} saddr {{ {} }} tcp dport {port} accept", listed(&subnets)))
                }
            }
        }
        rules.push(format!("tcp dport {port} drop"));
    }
    let mut text = format!(
        "table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\ntable {FAMILY} {TABLE} {{\n\tchain {CHAIN} {{\n\t\ttype filter hook input \
         priority -10; policy accept;\n"
    );
    for rule in rules {
        // Writing to a text does not fail.
        let _ = writeln!(text, "\t\t{rule} comment \"{COMMENT}\"");
    }
    text.push_str("\t}\n}\n");
    text
}

/// What it says of a port.
pub(super) fn report(seen: &Seen, port: u16) -> Report {
    let mut notes = Vec::new();
    let (standing, from) = match &seen.own {
        Own::Absent => (Standing::NotOpened, [].as_slice()),
        Own::Foreign(what) => {
            (Standing::Unclear(format!("the table inet sealpost has {what}")), [].as_slice())
        }
        Own::Ours(opening) if opening.port() != port => {
            notes.push(format!(
                "the table inet sealpost is about port {}, and not about {port}",
                opening.port()
            ));
            (Standing::NotOpened, [].as_slice())
        }
        Own::Ours(opening) if opening.from().is_empty() => (Standing::Everybody, opening.from()),
        Own::Ours(opening) => (Standing::Only(opening.from().to_vec()), opening.from()),
    };
    let mut obstacles = Vec::new();
    for ((family, table), chains) in &seen.tables {
        let mut names: Vec<&String> =
            chains.iter().filter(|(_, chain)| chain.is_input).map(|(name, _)| name).collect();
        names.sort();
        for name in names {
            let place = Place { family, table, chain: name };
            let versions = versions(family, from);
            let passages: Vec<(Version, Passage)> =
                versions.into_iter().map(|version| (version, judge(chains, name, version, port))).collect();
            place.tell(&passages, port, from, &mut obstacles, &mut notes);
        }
    }
    let more = obstacles.len().saturating_sub(MAX_NAMED);
    obstacles.truncate(MAX_NAMED);
    if more > 0 {
        obstacles.push(format!("{more} more chains drop it: `nft list ruleset`"));
    }
    notes.truncate(MAX_NAMED);
    if seen.has_legacy_tables {
        notes.push(
            "the older iptables has rules too, which nftables does not list: `iptables-legacy -S INPUT`, and `ip6tables-legacy -S INPUT`"
                .to_owned(),
        );
    }
    Report { standing, obstacles, notes }
}

/// The versions of IP that a table sees, and that somebody of these subnets uses.
fn versions(family: &str, from: &[Subnet]) -> Vec<Version> {
    let is_meant = |version: &Version| {
        let is_seen = match family {
            "inet" => true,
            "ip" => *version == Version::V4,
            "ip6" => *version == Version::V6,
            _ => false,
        };
        let comes = |one: &Subnet| one.address().is_ipv4() == (*version == Version::V4);
        is_seen && (from.is_empty() || from.iter().any(comes))
    };
    [Version::V4, Version::V6].into_iter().filter(is_meant).collect()
}

/// Where a chain of somebody else stands.
struct Place<'n> {
    family: &'n str,
    table: &'n str,
    chain: &'n str,
}

impl Place<'_> {
    fn tell(
        &self,
        passages: &[(Version, Passage)],
        port: u16,
        from: &[Subnet],
        obstacles: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) {
        let Place { family, table, chain } = self;
        let here = format!("the table {family} {table} has a chain {chain}");
        let of = |passage: Passage| -> Vec<Version> {
            passages.iter().filter(|(_, one)| *one == passage).map(|(version, _)| *version).collect()
        };
        let closed = of(Passage::Closed);
        if !closed.is_empty() {
            let lines: Vec<String> = self.accepting(&closed, port, from);
            let which = match (closed.as_slice(), passages.len()) {
                ([Version::V4], 2) => " over IPv4",
                ([Version::V6], 2) => " over IPv6",
                _ => "",
            };
            obstacles.push(format!(
                "{here} that drops connections to port {port}{which}, whatever another table accepts; to open it there too: {}",
                lines.join("; ")
            ));
        } else if !of(Passage::ToSome).is_empty() {
            notes.push(format!(
                "{here} that lets connections to port {port} through under conditions of its own: `nft list chain {family} {table} \
                 {chain}`"
            ));
        }
    }

    /// The lines that let in there whom ours lets in.
    fn accepting(&self, versions: &[Version], port: u16, from: &[Subnet]) -> Vec<String> {
        let Place { family, table, chain } = self;
        let insert = format!("nft insert rule {family} {table} {chain}");
        if from.is_empty() {
            return vec![format!("`{insert} tcp dport {port} accept`")];
        }
        let line = |version: &Version| {
            let of_version = |one: &&Subnet| one.address().is_ipv4() == (*version == Version::V4);
            let subnets: Vec<Subnet> = from.iter().filter(of_version).copied().collect();
            let protocol = if *version == Version::V4 { "ip" } else { "ip6" };
            format!("`{insert} {protocol} saddr '{{ {} }}' tcp dport {port} accept`", listed(&subnets))
        };
        versions.iter().map(line).collect()
    }
}
