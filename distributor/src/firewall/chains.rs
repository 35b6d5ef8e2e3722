//! What an input chain of nftables does with a new connection to a port, as far as its rules can be read.
//!
//! Invariants: three answers, and where a rule is not understood the careful one: it may match. Work is bounded, whatever the
//! rules are. Left out on purpose: elements of named sets and maps, and marks that one rule sets for another.

use std::collections::HashMap;

use serde_json::Value;

/// Deepest way through chains that call each other; the kernel allows 16.
const MAX_DEPTH: usize = 16;
/// Most rules that are looked at for one answer.
const MAX_RULES: usize = 200_000;
/// The numbers and names of TCP.
const TCP: [&str; 2] = ["tcp", "6"];

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

impl Version {
    /// Its words in nftables: family, protocol of the link, address of the source.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::V4 => ["ipv4", "ip"],
            Self::V6 => ["ipv6", "ip6"],
        }
    }
}

/// What a chain does with new connections from everywhere to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    /// Rules with further conditions accept or drop some of them.
    ToSome,
    /// No rule accepts them, and one drops all, or the chain's policy does.
    Closed,
}

/// A chain with its rules, each as the statements that nftables lists.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// It is called for what comes to this computer itself.
    pub(super) is_input: bool,
    pub(super) drops_by_policy: bool,
    pub(super) rules: Vec<Vec<Value>>,
}

/// The chains of one table by name.
pub(super) type Chains = HashMap<String, Chain>;

/// What the chain of this name does with new connections to a port.
pub(super) fn judge(chains: &Chains, name: &str, version: Version, port: u16) -> Passage {
    let mut walk = Walk { chains, version, port, left: MAX_RULES, accepts_some: false, drops_some: false };
    let policy = if chains.get(name).is_some_and(|chain| chain.drops_by_policy) {
        Ending::Dropped
    } else {
        Ending::Accepted
    };
    let ending = match walk.through(name, 0) {
        Ending::Left => policy,
        ending => ending,
    };
    match ending {
        Ending::Dropped if walk.accepts_some => Passage::ToSome,
        Ending::Dropped => Passage::Closed,
        Ending::Accepted | Ending::Left if walk.drops_some => Passage::ToSome,
        Ending::Accepted | Ending::Left => Passage::Open,
    }
}

/// How a connection leaves a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Accepted,
    Dropped,
    /// At its end, or sent back.
    Left,
}

/// What a rule does with what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Ends(Ending),
    Jump(String),
    Goto(String),
}

struct Walk<'c> {
    chains: &'c Chains,
    version: Version,
    port: u16,
    /// Rules that may still be looked at.
    left: usize,
    accepts_some: bool,
    drops_some: bool,
}

impl Walk<'_> {
    fn through(&mut self, name: &str, depth: usize) -> Ending {
        let chains = self.chains;
        let Some(chain) = chains.get(name).filter(|_| depth < MAX_DEPTH) else { return Ending::Left };
        for rule in &chain.rules {
            let Some(left) = self.left.checked_sub(1) else {
                self.accepts_some = true;
                return Ending::Left;
            };
            self.left = left;
            for (is_sure, verdict) in self.verdicts(rule) {
                let (ending, goes_back) = match verdict {
                    Verdict::Ends(ending) => (ending, false),
                    Verdict::Jump(to) => (self.through(&to, depth + 1), true),
                    Verdict::Goto(to) => (self.through(&to, depth + 1), false),
                };
                match (is_sure, ending) {
                    (true, Ending::Left) if goes_back => {}
                    (true, ending) => return ending,
                    (false, Ending::Accepted) => self.accepts_some = true,
                    // Every chain drops what is odd; only what names the port is told.
                    (false, Ending::Dropped) => self.drops_some |= names_a_port(rule),
                    (false, Ending::Left) => {}
                }
            }
        }
        Ending::Left
    }

    /// What a rule does with the connection, and whether it surely does so.
    fn verdicts(&self, rule: &[Value]) -> Vec<(bool, Verdict)> {
        let mut is_sure = true;
        for statement in rule {
            let Some((kind, about)) = statement.as_object().and_then(|parts| parts.iter().next()) else {
                continue;
            };
            let verdict = match kind.as_str() {
                "match" => {
                    match self.matches(about) {
                        Some(false) => return Vec::new(),
                        Some(true) => {}
                        None => is_sure = false,
                    }
                    continue;
                }
                "limit" | "xt" | "quota" => {
                    is_sure = false;
                    continue;
                }
                "vmap" => return self.mapped(about, is_sure),
                _ => verdict(statement),
            };
            if let Some(verdict) = verdict {
                return vec![(is_sure, verdict)];
            }
        }
        Vec::new()
    }

    /// The verdicts of a map by what the key may be.
    fn mapped(&self, map: &Value, is_sure: bool) -> Vec<(bool, Verdict)> {
        let field = self.field(&map["key"]);
        let Some(elements) = map["data"]["set"].as_array() else {
            // A named map, whose elements are not listed: it may do anything.
            return vec![(false, Verdict::Ends(Ending::Accepted))];
        };
        let mut found = Vec::new();
        for element in elements {
            let (key, verdict) = (&element[0], verdict(&element[1]));
            match (field.is_in(key), verdict) {
                (Some(true), Some(verdict)) => found.push((is_sure, verdict)),
                (None, Some(verdict)) => found.push((false, verdict)),
                (Some(false), _) | (_, None) => {}
            }
        }
        found
    }

    /// Whether the connection meets a condition; `None` where that depends on more than is known.
    fn matches(&self, condition: &Value) -> Option<bool> {
        let field = self.field(&condition["left"]);
        if matches!(field, Field::Absent) {
            return Some(false);
        }
        let right = &condition["right"];
        match condition["op"].as_str()? {
            "==" | "in" => field.is_in(right),
            "!=" => field.is_in(right).map(|is_in| !is_in),
            op => {
                let (Field::Number(number), Some(bound)) = (field, right.as_u64()) else { return None };
                let number = u64::from(number);
                match op {
                    "<" => Some(number < bound),
                    ">" => Some(number > bound),
                    "<=" => Some(number <= bound),
                    ">=" => Some(number >= bound),
                    _ => None,
                }
            }
        }
    }

    /// What the connection has there.
    fn field(&self, left: &Value) -> Field {
        let text = |path: &str| left.pointer(path).and_then(Value::as_str).unwrap_or_default();
        if !left["payload"].is_null() {
            let own = self.version.words()[1];
            return match (text("/payload/protocol"), text("/payload/field")) {
                ("tcp" | "th", "dport") => Field::Number(self.port),
                ("ip", "protocol") | ("ip6", "nexthdr") if text("/payload/protocol") == own => {
                    Field::Word(TCP)
                }
                ("ip" | "ip6", _) if text("/payload/protocol") != own => Field::Absent,
                ("" | "tcp" | "th" | "ip" | "ip6" | "ether" | "vlan", _) => Field::Unknown,
                // A field of UDP, ICMP or another protocol.
                _ => Field::Absent,
            };
        }
        match (text("/meta/key"), text("/ct/key")) {
            ("l4proto", _) => Field::Word(TCP),
            ("nfproto" | "protocol", _) => Field::Word(self.version.words()),
            ("iif" | "iifname", _) => Field::OtherThanLoopback,
            (_, "state") => Field::Word(["new", "8"]),
            _ => Field::Unknown,
        }
    }
}

/// What a new connection has in a field.
#[derive(Debug, Clone, Copy)]
enum Field {
    Number(u16),
    /// A word, which has two names.
    Word([&'static str; 2]),
    /// The name of a network card, and not that of the loopback.
    OtherThanLoopback,
    Unknown,
    /// It has no such field.
    Absent,
}

impl Field {
    /// Whether a value, or one of several, is meant; `None` where that is not known.
    fn is_in(self, right: &Value) -> Option<bool> {
        if let Some(values) = right.as_array() {
            return any(values.iter().map(|value| self.is_in(value)));
        }
        if let Some(parts) = right.as_object() {
            return match parts.iter().next().map(|(kind, value)| (kind.as_str(), value)) {
                Some(("set", values)) => self.is_in(values),
                Some(("elem", element)) => self.is_in(&element["val"]),
                Some(("range", range)) => {
                    let (Self::Number(number), Some(from), Some(to)) =
                        (self, range[0].as_u64(), range[1].as_u64())
                    else {
                        return None;
                    };
                    Some((from..=to).contains(&u64::from(number)))
                }
                _ => None,
            };
        }
        let text = match right {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        match self {
            // A named set.
            _ if text.starts_with('@') => None,
            Self::Number(number) => text.parse::<u64>().ok().map(|meant| meant == u64::from(number)),
            Self::Word(names) => Some(names.contains(&text.as_str())),
            Self::OtherThanLoopback if text == "lo" => Some(false),
            Self::OtherThanLoopback | Self::Unknown => None,
            Self::Absent => Some(false),
        }
    }
}

fn any(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut found = Some(false);
    for answer in answers {
        match answer {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
}

fn verdict(statement: &Value) -> Option<Verdict> {
    let (kind, about) = statement.as_object()?.iter().next()?;
    let target = || about["target"].as_str().map(str::to_owned);
    match kind.as_str() {
        // Of a queue a program decides.
        "accept" | "queue" => Some(Verdict::Ends(Ending::Accepted)),
        "drop" | "reject" => Some(Verdict::Ends(Ending::Dropped)),
        "return" => Some(Verdict::Ends(Ending::Left)),
        "jump" => target().map(Verdict::Jump),
        "goto" => target().map(Verdict::Goto),
        _ => None,
    }
}

/// Whether a rule has a condition on the port that a connection goes to.
fn names_a_port(rule: &[Value]) -> bool {
    rule.iter().any(|statement| {
        let field = |place: &str| statement.pointer(place).and_then(Value::as_str) == Some("dport");
        field("/match/left/payload/field") || field("/vmap/key/payload/field")
    })
}
