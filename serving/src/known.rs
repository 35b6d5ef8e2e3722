//! Sources from which a client has shown itself, in bounded memory: the one that did so longest ago is forgotten first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Sources that are remembered: more than a site has computers.
const MAX_SOURCES: usize = 16_384;

/// As the module says.
#[derive(Debug, Default)]
pub(crate) struct Known {
    next: u64,
    when: HashMap<IpAddr, u64>,
    order: BTreeMap<u64, IpAddr>,
}

impl Known {
    pub(crate) fn note(&mut self, source: IpAddr) {
        self.next += 1;
        if let Some(before) = self.when.insert(source, self.next) {
            self.order.remove(&before);
        }
        self.order.insert(self.next, source);
        if self.order.len() > MAX_SOURCES
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.when.remove(&oldest);
        }
    }

    pub(crate) fn contains(&self, source: IpAddr) -> bool {
        self.when.contains_key(&source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_that_showed_itself_longest_ago_is_forgotten_first() {
        let mut known = Known::default();
        let source = |number: u32| IpAddr::from(number.to_be_bytes());
        let most = u32::try_from(MAX_SOURCES).unwrap();
        (0..most).for_each(|number| known.note(source(number)));
        known.note(source(0));
        known.note(source(most));
        assert!(known.contains(source(0)) && known.contains(source(most)) && !known.contains(source(1)));
        assert_eq!((known.when.len(), known.order.len()), (MAX_SOURCES, MAX_SOURCES));
    }
}
