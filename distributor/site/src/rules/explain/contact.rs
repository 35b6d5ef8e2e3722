//! What there is to say of how a computer comes: over the network or by file, called or by itself, and over which link.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::word::Word;

use super::held::ChangesWhen;
use crate::rules::came_by::CameBy;
use crate::rules::rollouts::delivery::Delivery;
use crate::rules::rollouts::links::line::Standing;
use crate::rules::rollouts::links::load::minute;
use crate::rules::rollouts::links::{Link, Rate};
use crate::rules::text::counted;

/// A computer that did not come for longer than this has lost contact: two of its usual four-hour contacts are missing.
const SILENT_AFTER: SignedDuration = SignedDuration::from_hours(9);

/// How a computer comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Comes {
    /// The server calls it.
    #[default]
    Called,
    /// By itself, at its next contact.
    ByItself,
    /// By file: somebody carries it, or it lies in a folder.
    ByFile,
}

impl Comes {
    /// By the method that the site chose, and by how the computer came last.
    #[must_use]
    pub const fn new(delivery: &Delivery, came_by: Option<CameBy>) -> Self {
        match (came_by, delivery) {
            (Some(CameBy::File), _) | (_, Delivery::Folder) => Self::ByFile,
            (_, Delivery::Poll) => Self::ByItself,
            _ => Self::Called,
        }
    }

    /// Of one that was never in contact.
    pub(super) const fn never(self) -> &'static str {
        match self {
            Self::Called | Self::ByItself => "it has not contacted the server yet",
            Self::ByFile => {
                "it comes by file, and no contact of it was answered yet: carry its contact here, or look at its folder with \
                 `distributor folder sync`"
            }
        }
    }

    /// Of one that was not heard of for long; `None` if it was.
    pub(super) fn silent(self, last_contact: Timestamp, now: Timestamp) -> Option<String> {
        let is_silent = now.duration_since(last_contact) > SILENT_AFTER;
        is_silent.then(|| match self {
            Self::Called | Self::ByItself => format!(
                "it was last heard of at {last_contact}: check that it is switched on and can reach the server"
            ),
            Self::ByFile => format!(
                "it comes by file, and its last file came at {last_contact}: carry the next one here, or look at its folder \
                 with `distributor folder sync`"
            ),
        })
    }

    /// Of one that was not told yet.
    pub(super) fn hears(self, last_contact: Timestamp) -> String {
        match self {
            Self::Called => "it hears of it at its next contact, or at once when it is connected".to_owned(),
            Self::ByItself => {
                "it hears of it at its next contact, which it makes by itself: it is not called".to_owned()
            }
            Self::ByFile => {
                format!(
                    "it hears of it with the answer to its next file; the last one came at {last_contact}"
                )
            }
        }
    }
}

/// Where a computer stands at the link that it is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtLink {
    /// The name of the link.
    pub name: Word,
    rate: Rate,
    concurrent: u16,
    standing: Standing,
}

impl AtLink {
    /// Its place in the line of a link.
    #[must_use]
    pub const fn new(name: Word, link: &Link, standing: Standing) -> Self {
        Self { name, rate: link.rate(), concurrent: link.concurrent(), standing }
    }

    /// When its download is over, as far as the link alone decides that.
    #[must_use]
    pub fn done_at(&self, now: Timestamp) -> Timestamp {
        let left = SignedDuration::try_from(self.rate.time_for(self.standing.bytes));
        left.ok().and_then(|left| now.checked_add(left).ok()).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn sentence(&self, now: Timestamp) -> (String, ChangesWhen) {
        let Self { name, rate, concurrent, standing } = self;
        let done = minute(self.done_at(now));
        let text = match standing.ahead {
            None => format!("it downloads over the link {name} ({rate} for all), done at about {done}"),
            Some(ahead) => format!(
                "it waits for its turn on the link {name} ({rate}, {concurrent} at a time): {} before it, done at about {done}",
                counted(ahead as u64, "computer waits", "computers wait")
            ),
        };
        (text, ChangesWhen::Contact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn who_comes_by_file_is_never_told_to_be_switched_on() {
        let (last, now) = (at("2026-03-01T08:00:00Z"), at("2026-03-03T08:00:00Z"));
        let by_file = Comes::new(&Delivery::Push, Some(CameBy::File));
        assert_eq!(by_file, Comes::new(&Delivery::Folder, None));
        let said = by_file.silent(last, now).unwrap();
        assert!(said.contains("its last file came at 2026-03-01T08:00:00Z") && !said.contains("switched on"));
        assert!(by_file.hears(last).contains("its next file"));
        assert!(by_file.never().contains("no contact of it was answered"));
        assert_eq!(by_file.silent(last, at("2026-03-01T17:00:00Z")), None);
    }

    #[test]
    fn who_polls_is_not_said_to_be_called() {
        let polls = Comes::new(&Delivery::Poll, "10.2.0.7".parse().ok());
        assert!(polls.hears(at("2026-03-01T08:00:00Z")).contains("it is not called"));
        assert_eq!(Comes::new(&Delivery::Manual, None), Comes::Called);
    }

    #[test]
    fn a_place_in_the_line_is_told_with_the_time_at_which_it_is_done() {
        let link = Link::new(vec!["10.2.0.0/16".parse().unwrap()], "2 MB/s".parse().unwrap(), 3).unwrap();
        let standing = |ahead| Standing { ahead, waiting: 9, bytes: 1_200_000_000 };
        let (said, _) = AtLink::new(Word::known("branch-north"), &link, standing(Some(4)))
            .sentence(at("2026-03-01T23:30:00Z"));
        assert_eq!(
            said,
            "it waits for its turn on the link branch-north (2 MB/s, 3 at a time): 4 computers wait before it, done at about \
             2026-03-01 23:40 UTC"
        );
        let (said, _) = AtLink::new(Word::known("branch-north"), &link, standing(None))
            .sentence(at("2026-03-01T23:30:00Z"));
        assert!(said.starts_with("it downloads over the link branch-north (2 MB/s for all)"), "{said}");
    }
}
