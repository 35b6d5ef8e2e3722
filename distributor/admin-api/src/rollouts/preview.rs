//! How a release would go out.

use jiff::SignedDuration;
use sealpost_manifests::word::Word;
use sealpost_site::rules::rollouts::links::load::LinkLoad;
use sealpost_site::rules::rollouts::progress::Population;
use sealpost_site::rules::rollouts::strategy::{OnFailure, Strategy};
use serde::{Deserialize, Serialize};

/// How a release would go out once it is approved: `GET /api/v1/updates/{manifest}`.
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
}

/// One ring of a preview.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviewRing {
    /// Its name.
    pub name: Word,
    /// Which computers it takes, for people.
    pub takes: String,
    /// How many they are.
    pub members: u64,
    /// Those of them that were heard of lately.
    pub heard_of: u64,
    /// How long after the approval it opens at the earliest, in seconds.
    pub opens_after_secs: i64,
}

impl Preview {
    /// Of a strategy with the computers of each ring.
    #[must_use]
    pub fn new(
        name: Word,
        strategy: &Strategy,
        populations: &[Population],
        bytes: u64,
        links: Vec<LinkLoad>,
    ) -> Self {
        let mut opens = SignedDuration::ZERO;
        let rings = strategy.rings().iter().zip(populations).map(|(ring, population)| {
            let opens_after_secs = opens.as_secs();
            // A ring without computers is passed over.
            if population.members > 0 {
                opens = opens.saturating_add(ring.soak());
            }
            PreviewRing {
                name: ring.name,
                takes: ring.takes.to_string(),
                members: population.members,
                heard_of: population.heard_of,
                opens_after_secs,
            }
        });
        Self { strategy: name, on_failure: strategy.on_failure(), rings: rings.collect(), bytes, links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_opens_after_the_soaks_of_those_before_it_that_have_computers() {
        let of = |members| Population { members, ..Population::default() };
        let strategy = Strategy::normal();
        let opens = |populations: &[Population]| -> Vec<i64> {
            let preview = Preview::new(Word::known("normal"), &strategy, populations, 0, Vec::new());
            preview.rings.iter().map(|ring| ring.opens_after_secs / 3600).collect()
        };
        assert_eq!(opens(&[of(1), of(2), of(7)]), [0, 1, 5]);
        assert_eq!(opens(&[of(1), of(0), of(2)]), [0, 1, 1], "a ring without computers is passed over");
    }
}
