//! firewalld: the port, or a rich rule for each subnet, in the default zone; in what runs now and in what is kept, without a
//! reload, which would drop what an admin has set for now only.

use sealpost_site::rules::rollouts::links::Subnet;

use super::parts::{Change, Report, Standing, Step, subnet_of};

pub(super) const TOOL: &str = "firewall-cmd";
/// Most lines of an answer that are read.
const MAX_LINES: usize = 10_000;
/// Longest name of a zone; firewalld's own bound is shorter.
const MAX_ZONE: usize = 64;
/// Most rules or zones that are named.
const MAX_NAMED: usize = 8;

/// What firewalld says of the default zone.
#[derive(Debug)]
pub struct Seen {
    zone: String,
    now: Rules,
    kept: Rules,
    /// The zone accepts whatever no rule is about.
    lets_in: bool,
    /// Other zones that network cards or sources are in.
    other_zones: Vec<String>,
}

/// What is in the zone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Rules {
    /// Ports for everybody, such as `22/tcp` and `8000-8080/tcp`.
    ports: Vec<String>,
    rich: Vec<String>,
}

/// The name of a zone, if it can be one.
pub(super) fn zone_name(said: &str) -> Option<String> {
    let name = said.trim();
    let plain = name.chars().all(|one| one.is_ascii_alphanumeric() || "_-/".contains(one));
    (plain && !name.is_empty() && !name.starts_with('-') && name.len() <= MAX_ZONE).then(|| name.to_owned())
}

/// What is asked of a zone; [`parse`] reads the answers.
pub(super) fn questions(zone: &str) -> [Step; 6] {
    let zone = format!("--zone={zone}");
    [
        Step::new(TOOL, [zone.as_str(), "--list-ports"]),
        Step::new(TOOL, [zone.as_str(), "--list-rich-rules"]),
        Step::new(TOOL, ["--permanent", zone.as_str(), "--list-ports"]),
        Step::new(TOOL, ["--permanent", zone.as_str(), "--list-rich-rules"]),
        Step::new(TOOL, ["--permanent", zone.as_str(), "--get-target"]),
        Step::new(TOOL, ["--get-active-zones"]),
    ]
}

/// Reads the answers to [`questions`].
pub(super) fn parse(zone: String, said: &[String]) -> Seen {
    let answer = |number: usize| said.get(number).map(String::as_str).unwrap_or_default();
    let rules = |ports: &str, rich: &str| Rules {
        ports: ports.split_whitespace().take(MAX_LINES).map(str::to_owned).collect(),
        rich: rich
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(MAX_LINES)
            .map(str::to_owned)
            .collect(),
    };
    // A zone is a line at the edge, `public` or `public (default)`; what is in it stands below, indented.
    let zones = answer(5).lines().filter(|line| !line.starts_with(char::is_whitespace));
    let zones = zones.filter_map(|line| zone_name(line.split_whitespace().next()?));
    let other_zones = zones.filter(|name| *name != zone).take(MAX_NAMED).collect();
    Seen {
        now: rules(answer(0), answer(1)),
        kept: rules(answer(2), answer(3)),
        lets_in: answer(4).trim() == "ACCEPT",
        other_zones,
        zone,
    }
}

impl Rules {
    fn has_port(&self, port: u16) -> bool {
        self.ports.contains(&format!("{port}/tcp"))
    }

    /// The subnets that rules of our form open a port for, with those rules.
    fn subnets(&self, port: u16) -> Vec<(Subnet, &str)> {
        self.rich.iter().filter_map(|rule| Some((subnet_in(rule, port)?, rule.as_str()))).collect()
    }

    /// What else concerns a port.
    fn others(&self, port: u16) -> Vec<&str> {
        let holds = |one: &str| {
            let Some((from, to)) = one.strip_suffix("/tcp").and_then(|range| range.split_once('-')) else {
                return false;
            };
            let (Ok(from), Ok(to)) = (from.parse::<u16>(), to.parse::<u16>()) else { return false };
            (from..=to).contains(&port)
        };
        let ports = self.ports.iter().map(String::as_str).filter(|one| holds(one));
        let named = format!("port=\"{port}\"");
        let rich = self.rich.iter().map(String::as_str);
        let rich = rich.filter(|rule| rule.contains(&named) && subnet_in(rule, port).is_none());
        ports.chain(rich).take(MAX_NAMED).collect()
    }

    /// What makes them what is wanted, as options of the tool.
    fn changes(&self, port: u16, wanted: Wanted<'_>) -> Vec<String> {
        let mut changes = Vec::new();
        let (is_for_all, from) = match wanted {
            Wanted::Nobody => (false, [].as_slice()),
            Wanted::Everybody => (true, [].as_slice()),
            Wanted::Only(from) => (false, from),
        };
        let there = self.subnets(port);
        // Whoever stays let in is not kept out in between.
        for subnet in from.iter().filter(|one| !there.iter().any(|(subnet, _)| subnet == *one)) {
            changes.push(format!("--add-rich-rule={}", rich_rule(*subnet, port)));
        }
        match (is_for_all, self.has_port(port)) {
            (true, false) => changes.push(format!("--add-port={port}/tcp")),
            (false, true) => changes.push(format!("--remove-port={port}/tcp")),
            (true, true) | (false, false) => {}
        }
        for (_, rule) in there.into_iter().filter(|(subnet, _)| !from.contains(subnet)) {
            changes.push(format!("--remove-rich-rule={rule}"));
        }
        changes
    }
}

/// For whom a port is to be open.
#[derive(Debug, Clone, Copy)]
enum Wanted<'s> {
    Nobody,
    Everybody,
    Only(&'s [Subnet]),
}

fn rich_rule(subnet: Subnet, port: u16) -> String {
    let family = if subnet.address().is_ipv4() { "ipv4" } else { "ipv6" };
    format!(
        "rule family=\"{family}\" source address=\"{subnet}\" port port=\"{port}\" protocol=\"tcp\" accept"
    )
}

/// The subnet for which a rule of our form opens a port.
fn subnet_in(rule: &str, port: u16) -> Option<Subnet> {
    let rest = rule.strip_prefix("rule family=\"ipv")?;
    let (_, rest) = rest.split_once("\" source address=\"")?;
    let (subnet, rest) = rest.split_once('"')?;
    let is_ours = rest == format!(" port port=\"{port}\" protocol=\"tcp\" accept");
    subnet_of(subnet).filter(|_| is_ours)
}

/// What is run for a change: now, and kept.
pub(super) fn plan(seen: &Seen, change: &Change) -> Vec<Step> {
    let (port, wanted) = match change {
        Change::Close { port } => (*port, Wanted::Nobody),
        Change::Open(opening) if opening.from().is_empty() => (opening.port(), Wanted::Everybody),
        Change::Open(opening) => (opening.port(), Wanted::Only(opening.from())),
    };
    let zone = format!("--zone={}", seen.zone);
    let now = seen.now.changes(port, wanted);
    let kept = seen.kept.changes(port, wanted);
    let now = now.iter().map(|change| Step::new(TOOL, [zone.as_str(), change]));
    let kept = kept.iter().map(|change| Step::new(TOOL, ["--permanent", zone.as_str(), change]));
    now.chain(kept).collect()
}

/// What it says of a port.
pub(super) fn report(seen: &Seen, port: u16) -> Report {
    let standing = |rules: &Rules| {
        let mut subnets: Vec<Subnet> = rules.subnets(port).into_iter().map(|(subnet, _)| subnet).collect();
        subnets.sort_unstable();
        match (rules.has_port(port), subnets.is_empty()) {
            (true, _) => Standing::Everybody,
            (false, false) => Standing::Only(subnets),
            (false, true) => Standing::NotOpened,
        }
    };
    let now = standing(&seen.now);
    let zone = &seen.zone;
    let (mut obstacles, mut notes) = (Vec::new(), vec![format!("this is about the default zone, {zone}")]);
    if now != standing(&seen.kept) {
        notes.push(
            "it will be another after a restart of firewalld: what is kept is not what runs now".to_owned(),
        );
    }
    for one in seen.now.others(port) {
        let said = format!("the zone {zone} also has `{one}`");
        if matches!(now, Standing::NotOpened) { notes.push(said) } else { obstacles.push(said) }
    }
    if seen.lets_in {
        let said = format!("the zone {zone} lets in what no rule is about (its target is ACCEPT)");
        if matches!(now, Standing::Only(_)) { obstacles.push(said) } else { notes.push(said) }
    }
    if !seen.other_zones.is_empty() {
        notes.push(format!(
            "what comes through other zones is not touched ({}): `firewall-cmd --get-active-zones`",
            seen.other_zones.join(", ")
        ));
    }
    Report { standing: now, obstacles, notes }
}
