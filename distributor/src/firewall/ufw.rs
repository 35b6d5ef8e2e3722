//! ufw: rules with a comment of our own. Those of others are named where they concern the port, and never changed.

use sealpost_site::rules::rollouts::links::Subnet;

use super::parts::{COMMENT, Change, Report, Standing, Step, subnet_of};

pub(super) const TOOL: &str = "ufw";
/// Most rules that are read; ufw itself takes seconds for so many.
const MAX_RULES: usize = 10_000;
/// Most rules of others that are named.
const MAX_NAMED: usize = 8;

/// What ufw lists of a computer.
#[derive(Debug)]
pub struct Seen {
    rules: Vec<Rule>,
    /// What no rule is about is let in.
    lets_in: bool,
}

/// A rule, as ufw would take it again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Ours {
        port: u16,
        what: What,
    },
    /// Its whole line, without `ufw`.
    Others(String),
}

/// What a rule of ours does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    AllowAll,
    Allow(Subnet),
    /// Behind those, where ufw lets in what no rule is about.
    DenyRest,
}

impl What {
    fn words(self, port: u16) -> Vec<String> {
        let (action, rest) = match self {
            Self::AllowAll => ("allow", format!("{port}/tcp")),
            Self::Allow(subnet) => ("allow", format!("proto tcp from {subnet} to any port {port}")),
            Self::DenyRest => ("deny", format!("{port}/tcp")),
        };
        [action].into_iter().chain(rest.split(' ')).map(str::to_owned).collect()
    }
}

/// Whether `ufw status verbose` says that it rules this computer.
pub(super) fn is_active(status: &str) -> bool {
    status.lines().any(|line| line.trim_end() == "Status: active")
}

/// Reads what `ufw status verbose` and `ufw show added` print.
pub(super) fn parse(status: &str, added: &str) -> Seen {
    let default = status.lines().find_map(|line| line.strip_prefix("Default: "));
    let lets_in = default.is_some_and(|default| default.starts_with("allow (incoming)"));
    let rules =
        added.lines().filter_map(|line| line.strip_prefix("ufw ")).take(MAX_RULES).map(rule).collect();
    Seen { rules, lets_in }
}

fn rule(line: &str) -> Rule {
    let others = || Rule::Others(line.trim().to_owned());
    let Some(ours) = line.trim_end().strip_suffix(&format!(" comment '{COMMENT}'")) else { return others() };
    let words: Vec<&str> = ours.split_whitespace().collect();
    let read = match words.as_slice() {
        ["allow", place] => place.strip_suffix("/tcp").map(|port| (port, Some(What::AllowAll))),
        ["deny", place] => place.strip_suffix("/tcp").map(|port| (port, Some(What::DenyRest))),
        ["allow", "from", subnet, "to", "any", "port", port, "proto", "tcp"] => {
            Some((*port, subnet_of(subnet).map(What::Allow)))
        }
        _ => None,
    };
    match read.map(|(port, what)| (port.parse(), what)) {
        Some((Ok(port), Some(what))) => Rule::Ours { port, what },
        _ => others(),
    }
}

impl Seen {
    /// What our rules do with a port, in their order.
    fn ours(&self, of: u16) -> Vec<What> {
        let of_port = |rule: &Rule| match rule {
            Rule::Ours { port, what } if *port == of => Some(*what),
            _ => None,
        };
        self.rules.iter().filter_map(of_port).collect()
    }

    /// The rules of others that name a port, up to a bound.
    fn others(&self, port: u16) -> Vec<&str> {
        let names = |word: &str| word == port.to_string() || word == format!("{port}/tcp");
        let of_port = |rule: &'_ Rule| match rule {
            Rule::Others(line) => line.split_whitespace().any(names),
            Rule::Ours { .. } => false,
        };
        let lines = self.rules.iter().filter(|rule| of_port(rule)).filter_map(|rule| match rule {
            Rule::Others(line) => Some(line.as_str()),
            Rule::Ours { .. } => None,
        });
        lines.take(MAX_NAMED).collect()
    }
}

/// What is run for a change: first what is not wanted any more is deleted, so that rules stand in the order in which they
/// are added.
pub(super) fn plan(seen: &Seen, change: &Change) -> Vec<Step> {
    let (port, wanted) = match change {
        Change::Close { port } => (*port, Vec::new()),
        Change::Open(opening) if opening.from().is_empty() => (opening.port(), vec![What::AllowAll]),
        Change::Open(opening) => {
            let mut wanted: Vec<What> = opening.from().iter().copied().map(What::Allow).collect();
            // A rule of somebody else about the same would be turned into ours.
            let is_taken = seen.others(opening.port()).iter().any(|line| is_about_all(line, opening.port()));
            wanted.extend((seen.lets_in && !is_taken).then_some(What::DenyRest));
            (opening.port(), wanted)
        }
    };
    let ours = seen.ours(port);
    let is_missing = wanted.iter().any(|one| !ours.contains(one));
    // What is added stands behind a rule that denies the rest, so that goes away and comes again.
    let goes = |one: &What| !wanted.contains(one) || (is_missing && *one == What::DenyRest);
    let (gone, kept): (Vec<What>, Vec<What>) = ours.into_iter().partition(goes);
    let step = |words: Vec<String>| Step { tool: TOOL, arguments: words, input: None };
    let mut steps: Vec<Step> = Vec::new();
    for one in gone {
        steps.push(step([vec!["delete".to_owned()], one.words(port)].concat()));
    }
    for one in wanted.into_iter().filter(|one| !kept.contains(one)) {
        let words = ["comment".to_owned(), COMMENT.to_owned()];
        // ufw would take the comment over into a rule of somebody else about the same.
        if seen
            .others(port)
            .iter()
            .any(|line| line.split_whitespace().eq(one.listed(port).iter().map(String::as_str)))
        {
            continue;
        }
        steps.push(step([one.words(port), words.to_vec()].concat()));
    }
    steps
}

impl What {
    /// As `ufw show added` has it.
    fn listed(self, port: u16) -> Vec<String> {
        match self {
            Self::AllowAll | Self::DenyRest => self.words(port),
            Self::Allow(subnet) => {
                let whole = if subnet.address().is_ipv4() { 32 } else { 128 };
                let subnet =
                    if subnet.prefix() == whole { subnet.address().to_string() } else { subnet.to_string() };
                let line = format!("allow from {subnet} to any port {port} proto tcp");
                line.split(' ').map(str::to_owned).collect()
            }
        }
    }
}

/// Whether a rule is about everybody who comes to the port by TCP.
fn is_about_all(line: &str, port: u16) -> bool {
    matches!(line.split_whitespace().collect::<Vec<_>>().as_slice(), [_, place, ..] if *place == format!("{port}/tcp"))
}

/// What it says of a port.
pub(super) fn report(seen: &Seen, port: u16) -> Report {
    let ours = seen.ours(port);
    let subnets: Vec<Subnet> = ours
        .iter()
        .filter_map(|one| match one {
            What::Allow(subnet) => Some(*subnet),
            What::AllowAll | What::DenyRest => None,
        })
        .collect();
    let standing = match (ours.contains(&What::AllowAll), subnets.is_empty()) {
        (true, _) => Standing::Everybody,
        (false, false) => Standing::Only(subnets),
        (false, true) => Standing::NotOpened,
    };
    let (mut obstacles, mut notes) = (Vec::new(), Vec::new());
    for line in seen.others(port) {
        let opens = line.starts_with("allow ") || line.starts_with("limit ");
        let said = format!("ufw has another rule about port {port}: `ufw {line}`");
        match (&standing, opens) {
            (Standing::Only(_), true) => obstacles.push(format!(
                "{said}, so that not only the subnets are let in; without it: `ufw delete {line}`"
            )),
            (Standing::Everybody | Standing::Only(_), false) => {
                obstacles
                    .push(format!("{said}, which may keep computers out; without it: `ufw delete {line}`"));
            }
            _ => notes.push(said),
        }
    }
    if seen.lets_in {
        let said = "ufw lets in what no rule is about";
        match standing {
            Standing::Only(_) if !ours.contains(&What::DenyRest) => {
                obstacles.push(format!("{said}, so that not only the subnets are let in; without that: `ufw default deny incoming`"));
            }
            // A rule of ours keeps the rest out.
            Standing::Only(_) => {}
            _ => notes.push(said.to_owned()),
        }
    }
    Report { standing, obstacles, notes }
}
