//! How a release would go out.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::word::Word;
use sealpost_site::rules::rollouts::forecast::NoLatest;
use sealpost_site::rules::rollouts::links::load::{LinkLoad, minute};
use sealpost_site::rules::rollouts::strategy::{OnFailure, Strategy};
use sealpost_site::rules::rollouts::what_if::RingLook;
use sealpost_site::rules::text::{bytes, counted, span};
use serde::{Deserialize, Serialize};

/// How a release would go out if it was approved now: `GET /api/v1/updates/{manifest}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Preview {
    /// The name of the strategy.
    pub strategy: Word,
    /// What happens past an error threshold.
    pub on_failure: OnFailure,
    /// Its rings, in the order in which they open.
    pub rings: Vec<PreviewRing>,
    /// Bytes that travel to all computers together, by what they run now and the deltas that are here.
    pub bytes: u64,
    /// What of it travels over which link; absent where no link is set, or nobody is behind one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkLoad>,
    /// When the first computer can install it at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_at: Option<Timestamp>,
    /// When the last one has begun to install it at the latest; absent when one has no latest time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_at: Option<Timestamp>,
    /// Why some have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_latest: Vec<WithoutLatest>,
}

/// One ring of a preview.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviewRing {
    /// Its name.
    pub name: Word,
    /// Which computers it takes, for people.
    pub takes: String,
    /// How many they are, with those that run it already and those that get signature files later.
    pub members: u64,
    /// Those of them that were heard of lately.
    pub heard_of: u64,
    /// How long after the approval it opens at the earliest, in seconds.
    pub opens_after_secs: i64,
    /// The first hundred of its computers, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computers: Vec<ComputerName>,
    /// Whether there are more than these.
    #[serde(default)]
    pub computers_cut: bool,
    /// When its first computer can install it at the earliest; absent when there is none that can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_at: Option<Timestamp>,
    /// When the last one of those that have a latest time has begun to install it; absent when none has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_at: Option<Timestamp>,
    /// Why the others have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_latest: Vec<WithoutLatest>,
    /// Bytes that travel to its computers.
    #[serde(default)]
    pub bytes: u64,
    /// What of it travels over which link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<RingLoad>,
}

/// Computers without a latest time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithoutLatest {
    /// A stable code, such as `no_deadline`.
    pub code: String,
    /// Why, in words.
    pub reason: String,
    /// How many they are.
    pub computers: u64,
}

/// What has to travel over a link for one ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingLoad {
    /// Which link, how fast, for whom, and how much.
    #[serde(flatten)]
    pub load: LinkLoad,
    /// How long the link needs for it, in seconds.
    pub takes_secs: i64,
}

impl Preview {
    /// Of a strategy with what each ring would have, if it was approved at `now`.
    #[must_use]
    pub fn new(name: Word, strategy: &Strategy, looks: Vec<RingLook>, bytes: u64, now: Timestamp) -> Self {
        let on_failure = strategy.on_failure();
        let links = together(looks.iter().flat_map(|look| &look.links));
        let earliest_at = looks.iter().filter_map(|look| look.times.first).min();
        let mut without: Vec<(NoLatest, u64)> = Vec::new();
        for (why, count) in looks.iter().flat_map(|look| &look.times.without) {
            match without.iter_mut().find(|(known, _)| known == why) {
                Some((_, counted)) => *counted += count,
                None => without.push((*why, *count)),
            }
        }
        let latest_at =
            looks.iter().filter_map(|look| look.times.latest).max().filter(|_| without.is_empty());
        let no_latest = without.into_iter().map(WithoutLatest::from).collect();
        let rings = strategy.rings().iter().zip(looks).map(|(ring, look)| {
            let RingLook { computers, heard_of, bytes, links, times } = look;
            PreviewRing {
                name: ring.name,
                takes: ring.takes.to_string(),
                members: computers.count,
                heard_of,
                opens_after_secs: times.opens.duration_since(now).as_secs(),
                computers_cut: computers.count > computers.names.len() as u64,
                computers: computers.names,
                earliest_at: times.first,
                latest_at: times.latest,
                no_latest: times.without.into_iter().map(WithoutLatest::from).collect(),
                bytes,
                links: links.into_iter().map(RingLoad::from).collect(),
            }
        });
        let rings = rings.collect();
        Self { strategy: name, on_failure, rings, bytes, links, earliest_at, latest_at, no_latest }
    }

    /// When everybody has it, in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let first = self.earliest_at.map_or_else(
            || "nobody can install it".to_owned(),
            |at| format!("the first computer installs it at {} at the earliest", minute(at)),
        );
        let last = match (self.latest_at, self.no_latest.is_empty()) {
            (Some(at), _) => format!("the last one at {} at the latest", minute(at)),
            (None, false) => format!("there is no latest time for {}", why(&self.no_latest)),
            (None, true) => "nobody has to".to_owned(),
        };
        format!("{first}; {last}")
    }
}

impl PreviewRing {
    /// When its last computer has begun to install it at the latest, in words.
    #[must_use]
    pub fn latest(&self) -> String {
        match (self.latest_at, self.no_latest.is_empty()) {
            (None, true) => "-".to_owned(),
            (None, false) => "none".to_owned(),
            (Some(at), true) => minute(at),
            (Some(at), false) => {
                let none: u64 = self.no_latest.iter().map(|without| without.computers).sum();
                format!("{}; none for {none}", minute(at))
            }
        }
    }

    /// For whom there is no latest time, and why; absent when there is one for each.
    #[must_use]
    pub fn without_latest(&self) -> Option<String> {
        (!self.no_latest.is_empty())
            .then(|| format!("{}: no latest time for {}", self.name, why(&self.no_latest)))
    }

    /// What travels over each link for it, and from when to when that takes at the earliest, in words.
    pub fn loads(&self) -> impl Iterator<Item = String> {
        self.links.iter().map(|RingLoad { load, .. }| {
            let (computers, takes) = (counted(load.computers, "computer", "computers"), load.takes());
            let when = self.earliest_at.map_or_else(String::new, |from| {
                let done = from.checked_add(takes).unwrap_or(Timestamp::MAX);
                format!(", from {} to about {}", minute(from), minute(done))
            });
            let (name, link, rate) = (&self.name, &load.link, load.rate);
            format!(
                "{name}: {computers} behind {link}, {rate}: {} take {}{when}",
                bytes(load.bytes),
                span(takes)
            )
        })
    }
}

/// "3 computers (no deadline is set) and 1 computer (…)".
fn why(without: &[WithoutLatest]) -> String {
    let each = without.iter().map(|WithoutLatest { reason, computers, .. }| {
        format!("{} ({reason})", counted(*computers, "computer", "computers"))
    });
    each.collect::<Vec<_>>().join(" and ")
}

impl From<(NoLatest, u64)> for WithoutLatest {
    fn from((why, computers): (NoLatest, u64)) -> Self {
        Self { code: why.code().to_owned(), reason: why.to_string(), computers }
    }
}

impl From<LinkLoad> for RingLoad {
    fn from(load: LinkLoad) -> Self {
        Self { takes_secs: load.takes().as_secs(), load }
    }
}

/// What all rings together move over each link.
fn together<'a>(loads: impl Iterator<Item = &'a LinkLoad>) -> Vec<LinkLoad> {
    let mut all: Vec<LinkLoad> = Vec::new();
    for load in loads {
        match all.iter_mut().find(|known| known.link == load.link) {
            Some(known) => {
                known.computers += load.computers;
                known.bytes = known.bytes.saturating_add(load.bytes);
            }
            None => all.push(load.clone()),
        }
    }
    all.sort_by_key(|load| load.link);
    all
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use sealpost_site::rules::leaving::Named;
    use sealpost_site::rules::rollouts::forecast::Times;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_hours(hours)).unwrap()
    }

    fn look(count: u64, opens: i64, latest: Option<i64>, without: &[(NoLatest, u64)]) -> RingLook {
        let names = (0..count.min(100)).map(|number| ComputerName::new(format!("pc-{number}")).unwrap());
        let load = LinkLoad {
            link: Word::known("branch"),
            rate: "1 MB/s".parse().unwrap(),
            concurrent: 2,
            computers: count,
            bytes: count * 60_000_000,
        };
        RingLook {
            computers: Named { names: names.collect(), count },
            heard_of: count,
            bytes: count * 60_000_000,
            links: vec![load],
            times: Times {
                opens: at(opens),
                first: Some(at(opens)),
                latest: latest.map(at),
                without: without.to_vec(),
            },
        }
    }

    fn preview(looks: Vec<RingLook>) -> Preview {
        Preview::new(Word::known("normal"), &Strategy::normal(), looks, 7, at(0))
    }

    #[test]
    fn each_ring_says_who_when_and_how_much_over_which_link_and_the_whole_says_it_together() {
        let without = [(NoLatest::NoDeadline, 3), (NoLatest::ByPerson, 1)];
        let found = preview(vec![
            look(1, 0, Some(4), &[]),
            look(9, 1, None, &without),
            look(250, 5, Some(9), &without),
        ]);
        assert_eq!(
            found.rings.iter().map(|ring| ring.opens_after_secs / 3600).collect::<Vec<_>>(),
            [0, 1, 5]
        );
        let named: Vec<(usize, bool)> =
            found.rings.iter().map(|ring| (ring.computers.len(), ring.computers_cut)).collect();
        assert_eq!(named, [(1, false), (9, false), (100, true)], "an answer stays small");
        assert_eq!(
            (found.links.len(), found.links[0].computers, found.links[0].bytes),
            (1, 260, 15_600_000_000)
        );
        assert_eq!(found.rings[1].links[0].takes_secs, 540);
        assert_eq!(
            found.rings[1].loads().collect::<Vec<_>>(),
            [
                "early: 9 computers behind branch, 1 MB/s: 540.0 MB take 9 min, from 1970-01-01 01:00 UTC to about \
              1970-01-01 01:09 UTC"
            ]
        );
        let latest: Vec<String> = found.rings.iter().map(PreviewRing::latest).collect();
        assert_eq!(latest, ["1970-01-01 04:00 UTC", "none", "1970-01-01 09:00 UTC; none for 4"]);
        assert_eq!(found.latest_at, None);
        assert_eq!(
            found.sentence(),
            "the first computer installs it at 1970-01-01 00:00 UTC at the earliest; there is no latest time for 6 \
             computers (no deadline is set) and 2 computers (manual: when the person there starts it)"
        );
    }

    #[test]
    fn the_whole_is_done_at_the_latest_when_its_last_ring_is() {
        let found =
            preview(vec![look(1, 0, Some(4), &[]), look(9, 1, Some(30), &[]), look(2, 5, Some(29), &[])]);
        assert_eq!(found.latest_at, Some(at(30)));
        assert!(
            found.sentence().ends_with("the last one at 1970-01-02 06:00 UTC at the latest"),
            "{}",
            found.sentence()
        );
        assert!(found.no_latest.is_empty());
    }
}
