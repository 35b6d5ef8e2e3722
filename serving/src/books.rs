//! Who holds which connection: the arithmetic behind [`Places`](crate::places::Places), without sockets or a clock.
//!
//! A connection is *unproven* until a request on it has shown which client sent it. Only unproven ones count for their
//! source. A new one that finds its source, or all room for unproven ones, used up can take the place of another: of the
//! oldest one of the source that has the most, or of one that did not prove itself for a while; what stays all the same is in
//! [`Stays`].
//! Invariants: there are never more connections than `connections`; whoever has a place is in exactly one of the maps,
//! and a source or client has an entry only while it has a connection; a source never loses a place to one that would then have more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::known::Known;
use crate::limits::{ConnectionLimits, Stays};

/// Connections of all sources that are looked at to find an old one that may end.
const LOOKED_AT: usize = 64;

/// As the module says.
#[derive(Debug)]
pub(crate) struct Books {
    limits: ConnectionLimits,
    next: u64,
    /// Unproven connections, from the oldest to the newest.
    unproven: BTreeMap<u64, Unproven>,
    /// Those of them on which nothing is held.
    free: BTreeSet<u64>,
    /// All unproven ones by their source.
    sources: HashMap<IpAddr, BTreeSet<u64>>,
    /// Sources by how many unproven connections they have.
    by_count: BTreeSet<(usize, IpAddr)>,
    /// Proven connections with their client.
    proven: HashMap<u64, Arc<str>>,
    clients: HashMap<Arc<str>, usize>,
    /// Connections that count for no source.
    uncounted: usize,
    known: Known,
}

#[derive(Debug)]
struct Unproven {
    source: IpAddr,
    since: Instant,
    /// Answers on it for which it stays.
    held: usize,
    makes_way: Arc<Notify>,
}

impl Books {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            next: 0,
            unproven: BTreeMap::new(),
            free: BTreeSet::new(),
            sources: HashMap::new(),
            by_count: BTreeSet::new(),
            proven: HashMap::new(),
            clients: HashMap::new(),
            uncounted: 0,
            known: Known::default(),
        }
    }

    /// A place for a connection that counts for no source.
    pub(crate) fn admit_uncounted(&mut self) -> bool {
        let has_room = self.all() < self.limits.connections;
        self.uncounted += usize::from(has_room);
        has_room
    }

    pub(crate) fn leave_uncounted(&mut self) {
        self.uncounted = self.uncounted.saturating_sub(1);
    }

    /// A place for a connection of a source that may have so many; what it rests on is told when the connection has to make
    /// way.
    pub(crate) fn admit(&mut self, source: IpAddr, share: usize, now: Instant) -> Option<(u64, Arc<Notify>)> {
        if self.count(source) >= share {
            let old = self.oldest_of(source).filter(|id| self.is_old(*id, now))?;
            self.make_way(old);
        }
        if !self.has_room_for(source) {
            let largest = self.larger_than(source);
            let other = largest.and_then(|largest| self.oldest_of(largest));
            let other = other.or_else(|| self.old_one(source, now));
            self.make_way(other.or_else(|| largest.and_then(|largest| self.newest_of(largest)))?);
        }
        let (id, makes_way) = (self.next, Arc::new(Notify::new()));
        self.next += 1;
        let told = Arc::clone(&makes_way);
        self.unproven.insert(id, Unproven { source, since: now, held: 0, makes_way });
        self.free.insert(id);
        let before = self.count(source);
        self.sources.entry(source).or_default().insert(id);
        self.recount(source, before);
        Some((id, told))
    }

    /// Says which client a connection belongs to. Whether it counts for its source no more: a client that has all the
    /// connections that one may have keeps the further ones in its source's share.
    pub(crate) fn prove(&mut self, id: u64, client: &str) -> bool {
        let Some(connection) = self.unproven.get(&id) else { return self.proven.contains_key(&id) };
        self.known.note(connection.source);
        if self.clients.get(client).copied().unwrap_or(0) >= self.limits.per_client {
            return false;
        }
        self.remove_unproven(id);
        let client: Arc<str> = client.into();
        *self.clients.entry(Arc::clone(&client)).or_default() += 1;
        self.proven.insert(id, client);
        true
    }

    pub(crate) fn is_proven(&self, id: u64) -> bool {
        self.proven.contains_key(&id)
    }

    /// Whether a source has shown a client of its own before.
    pub(crate) fn knows(&self, source: IpAddr) -> bool {
        self.known.contains(source)
    }

    /// Keeps a connection from making way while a request on it is answered.
    pub(crate) fn hold(&mut self, id: u64) {
        if let Some(connection) = self.unproven.get_mut(&id) {
            connection.held += 1;
            self.free.remove(&id);
        }
    }

    pub(crate) fn release(&mut self, id: u64) {
        if let Some(connection) = self.unproven.get_mut(&id) {
            connection.held = connection.held.saturating_sub(1);
            if connection.held == 0 {
                self.free.insert(id);
            }
        }
    }

    pub(crate) fn leave(&mut self, id: u64) {
        self.remove_unproven(id);
        if let Some(client) = self.proven.remove(&id)
            && let Some(count) = self.clients.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&client);
            }
        }
    }

    fn all(&self) -> usize {
        self.unproven.len() + self.proven.len() + self.uncounted
    }

    fn count(&self, source: IpAddr) -> usize {
        self.sources.get(&source).map_or(0, BTreeSet::len)
    }

    /// A source from which a client has shown itself before may use what strangers may not.
    fn has_room_for(&self, source: IpAddr) -> bool {
        self.all() < self.limits.connections
            && (self.unproven.len() < self.limits.unproven || self.known.contains(source))
    }

    /// The source that has the most, if it will still have as many as the one that comes when it gives one up.
    fn larger_than(&self, comes: IpAddr) -> Option<IpAddr> {
        self.limits.makes_way_after?;
        let (count, largest) = *self.by_count.last()?;
        (count > self.count(comes) + 1).then_some(largest)
    }

    /// The oldest connection that did not prove itself for a while, of the same source or of one that has more.
    fn old_one(&self, comes: IpAddr, now: Instant) -> Option<u64> {
        let has = self.count(comes);
        let may_end =
            |connection: &Unproven| connection.source == comes || self.count(connection.source) > has;
        let mut oldest = self.free.iter().take(LOOKED_AT).copied();
        let id = oldest.find(|id| self.unproven.get(id).is_some_and(may_end))?;
        self.is_old(id, now).then_some(id)
    }

    fn oldest_of(&self, source: IpAddr) -> Option<u64> {
        self.sources.get(&source)?.iter().copied().find(|id| self.free.contains(id))
    }

    /// One of a source that has nothing but answers under way: the one that has lost the least by then.
    fn newest_of(&self, source: IpAddr) -> Option<u64> {
        match self.limits.stays {
            Stays::WhileSigned => None,
            Stays::WhileAnswering => self.sources.get(&source)?.last().copied(),
        }
    }

    fn is_old(&self, id: u64, now: Instant) -> bool {
        let (Some(after), Some(connection)) = (self.limits.makes_way_after, self.unproven.get(&id)) else {
            return false;
        };
        now.saturating_duration_since(connection.since) >= after
    }

    fn make_way(&mut self, id: u64) {
        if let Some(makes_way) = self.remove_unproven(id) {
            makes_way.notify_one();
        }
    }

    fn remove_unproven(&mut self, id: u64) -> Option<Arc<Notify>> {
        let Unproven { source, makes_way, .. } = self.unproven.remove(&id)?;
        self.free.remove(&id);
        let before = self.count(source);
        if let Some(ids) = self.sources.get_mut(&source) {
            ids.remove(&id);
            if ids.is_empty() {
                self.sources.remove(&source);
            }
        }
        self.recount(source, before);
        Some(makes_way)
    }

    fn recount(&mut self, source: IpAddr, before: usize) {
        self.by_count.remove(&(before, source));
        let now = self.count(source);
        if now > 0 {
            self.by_count.insert((now, source));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const AFTER: Duration = Duration::from_secs(5);

    fn books(connections: usize, unproven: usize, per_source: usize) -> Books {
        Books::new(ConnectionLimits {
            connections,
            unproven,
            per_source,
            per_client: 2,
            makes_way_after: Some(AFTER),
            ..ConnectionLimits::default()
        })
    }

    fn from(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    fn admit(books: &mut Books, host: u8, now: Instant) -> Option<(u64, Arc<Notify>)> {
        books.admit(from(host), books.limits.per_source, now)
    }

    fn fill(books: &mut Books, host: u8, count: usize, now: Instant) -> Vec<u64> {
        (0..count).map(|_| admit(books, host, now).unwrap().0).collect()
    }

    fn is_empty(books: &Books) -> bool {
        books.sources.is_empty()
            && books.free.is_empty()
            && books.by_count.is_empty()
            && books.clients.is_empty()
            && books.all() == 0
    }

    #[test]
    fn what_proved_itself_counts_for_its_client_and_not_for_its_source() {
        let (mut books, now) = (books(100, 50, 2), Instant::now());
        let mut all = Vec::new();
        for client in 0..20 {
            let [one, other] = fill(&mut books, 1, 2, now)[..] else { panic!("there are two") };
            assert!(admit(&mut books, 1, now).is_none(), "the share is used up");
            assert!(books.prove(one, &format!("client {client}")) && books.is_proven(one));
            books.leave(other);
            all.push(one);
        }
        all.into_iter().for_each(|id| books.leave(id));
        assert!(is_empty(&books), "{books:?}");
    }

    #[test]
    fn a_client_has_so_many_connections_beside_its_sources_share_and_gets_one_back_for_one_that_ends() {
        let (mut books, now) = (books(100, 50, 10), Instant::now());
        let ids = fill(&mut books, 1, 4, now);
        assert_eq!(
            ids.iter().map(|id| books.prove(*id, "one")).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert!(books.prove(ids[2], "other"));
        books.leave(ids[0]);
        assert!(books.prove(ids[3], "one"));
        assert!(books.prove(ids[3], "one"), "it is proven already");
    }

    #[test]
    fn a_new_source_takes_the_place_of_whoever_has_the_most() {
        let (mut books, now) = (books(8, 8, 6), Instant::now());
        let first = fill(&mut books, 1, 6, now);
        fill(&mut books, 2, 2, now);
        for host in 3..6 {
            assert!(admit(&mut books, host, now).is_some(), "{host}");
        }
        assert_eq!((books.count(from(1)), books.count(from(2)), books.all()), (3, 2, 8));
        assert!(!books.unproven.contains_key(&first[0]) && books.unproven.contains_key(&first[5]));
        assert!(admit(&mut books, 1, now).is_none(), "nobody has more than it would have");
    }

    #[test]
    fn whoever_did_not_prove_himself_for_a_while_makes_way_also_within_one_source() {
        let (mut books, now) = (books(100, 100, 3), Instant::now());
        let old = fill(&mut books, 1, 3, now);
        assert!(admit(&mut books, 1, now + AFTER - Duration::from_millis(1)).is_none());
        books.hold(old[0]);
        let (_, told) = admit(&mut books, 1, now + AFTER).unwrap();
        assert!(books.unproven.contains_key(&old[0]), "a signed request is being answered on it");
        assert!(!books.unproven.contains_key(&old[1]));
        books.release(old[0]);
        admit(&mut books, 1, now + AFTER).unwrap();
        assert!(!books.unproven.contains_key(&old[0]));
        drop(told);
    }

    #[test]
    fn with_one_connection_of_each_of_many_sources_known_ones_still_have_room() {
        let (mut books, now) = (books(20, 10, 5), Instant::now());
        let known = fill(&mut books, 200, 1, now)[0];
        assert!(books.prove(known, "client"));
        books.leave(known);
        for host in 0..10 {
            fill(&mut books, host, 1, now);
        }
        assert!(admit(&mut books, 50, now).is_none(), "a stranger among strangers");
        assert_eq!(fill(&mut books, 200, 5, now).len(), 5);
        assert!(admit(&mut books, 200, now).is_none(), "its share holds all the same");
    }

    #[test]
    fn a_source_with_many_connections_ends_no_slow_one_of_a_source_with_few() {
        let (mut books, now) = (books(10, 10, 9), Instant::now());
        let slow = fill(&mut books, 1, 1, now)[0];
        fill(&mut books, 2, 9, now);
        let later = now + AFTER;
        assert!(admit(&mut books, 2, later).is_some() && books.unproven.contains_key(&slow));
        assert!(admit(&mut books, 3, later).is_some() && books.unproven.contains_key(&slow));
    }

    #[test]
    fn proven_connections_never_make_way_and_all_together_are_bounded() {
        let (mut books, now) = (books(4, 4, 4), Instant::now());
        for (index, id) in fill(&mut books, 1, 4, now).into_iter().enumerate() {
            assert!(books.prove(id, &format!("client {index}")));
        }
        assert!(admit(&mut books, 2, now + AFTER).is_none());
        assert!(!books.admit_uncounted());
    }

    #[test]
    fn without_a_time_for_it_nobody_makes_way() {
        let limits = ConnectionLimits { makes_way_after: None, ..books(4, 4, 3).limits };
        let (mut books, now) = (Books::new(limits), Instant::now());
        fill(&mut books, 1, 3, now);
        assert!(admit(&mut books, 1, now + AFTER * 100).is_none());
        fill(&mut books, 2, 1, now);
        assert!(admit(&mut books, 3, now + AFTER * 100).is_none());
    }

    #[test]
    fn a_connection_that_made_way_proves_nothing_any_more() {
        let (mut books, now) = (books(9, 9, 1), Instant::now());
        let old = fill(&mut books, 1, 1, now)[0];
        admit(&mut books, 1, now + AFTER).unwrap();
        assert!(!books.prove(old, "client"));
        books.hold(old);
        books.leave(old);
        assert_eq!(books.all(), 1);
    }

    fn answering(connections: usize, per_source: usize) -> Books {
        let limits = books(connections, connections, per_source).limits;
        Books::new(ConnectionLimits { stays: Stays::WhileAnswering, ..limits })
    }

    #[test]
    fn where_answers_count_an_idle_connection_of_a_large_source_makes_way_before_one_with_an_answer() {
        let (mut books, now) = (answering(6, 4), Instant::now());
        let large = fill(&mut books, 1, 4, now);
        fill(&mut books, 2, 2, now);
        large.iter().filter(|id| **id != large[2]).for_each(|id| books.hold(*id));
        admit(&mut books, 3, now).unwrap();
        assert!(!books.unproven.contains_key(&large[2]) && books.unproven.contains_key(&large[0]));
    }

    #[test]
    fn where_every_connection_has_an_answer_no_source_can_have_all_places() {
        let (mut books, now) = (answering(8, 4), Instant::now());
        let (one, other) = (fill(&mut books, 1, 4, now), fill(&mut books, 2, 4, now));
        one.iter().chain(&other).for_each(|id| books.hold(*id));
        for host in 3..7 {
            let (id, _) = admit(&mut books, host, now).unwrap();
            books.hold(id);
        }
        assert_eq!((books.count(from(1)), books.count(from(2)), books.all()), (2, 2, 8));
        assert!(books.unproven.contains_key(&one[0]), "the newest go first");
        assert!(admit(&mut books, 1, now + AFTER).is_none(), "nobody has more than it would have");
    }

    #[test]
    fn an_idle_connection_is_found_behind_any_number_of_older_ones_with_answers() {
        let (mut books, now) = (answering(LOOKED_AT + 2, 1), Instant::now());
        for host in 0..=u8::try_from(LOOKED_AT).unwrap() {
            let id = fill(&mut books, host, 1, now)[0];
            books.hold(id);
        }
        let idle = fill(&mut books, 100, 1, now)[0];
        assert!(admit(&mut books, 101, now).is_none(), "it may be about to ask");
        assert!(admit(&mut books, 101, now + AFTER).is_some() && !books.unproven.contains_key(&idle));
    }
}
