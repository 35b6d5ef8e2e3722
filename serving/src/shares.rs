//! Places for something that costs the server more than a connection does: work on a request, memory for a large body.
//! What has proven whose it is shares one set of places; what has not shares another, and each source has a part of it.
//!
//! Invariant: the map of sources has an entry only while the source uses or waits for a place, so the number of
//! connections bounds it. Whoever waits is served in the order of coming, within one source and over all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Sources = Arc<Mutex<HashMap<IpAddr, Source>>>;

/// How many places there are.
#[derive(Debug, Clone, Copy)]
pub struct ShareLimits {
    /// For what has proven whose it is.
    pub proven: usize,
    /// For all that has not.
    pub unproven: usize,
    /// Of these, for one source.
    pub per_source: usize,
}

/// As the module says.
#[derive(Debug)]
pub struct Shares {
    proven: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    per_source: usize,
    sources: Sources,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Share {
    /// Given back before the use of the source ends.
    _places: Vec<OwnedSemaphorePermit>,
    _use: Option<Use>,
}

#[derive(Debug)]
struct Source {
    places: Arc<Semaphore>,
    uses: usize,
}

/// One use of a source's entry.
#[derive(Debug)]
struct Use(IpAddr, Sources);

impl Shares {
    /// All places free.
    #[must_use]
    pub fn new(limits: ShareLimits) -> Self {
        Self {
            proven: Arc::new(Semaphore::new(limits.proven)),
            unproven: Arc::new(Semaphore::new(limits.unproven)),
            per_source: limits.per_source,
            sources: Sources::default(),
        }
    }

    /// A place for what has proven whose it is, if one is free within this time.
    pub async fn proven(&self, within: Duration) -> Option<Share> {
        let place =
            tokio::time::timeout(within, Arc::clone(&self.proven).acquire_owned()).await.ok()?.ok()?;
        Some(Share { _places: vec![place], _use: None })
    }

    /// A place for what a source sends (see [`Peer::network`](crate::Peer::network)), if one is free within this time.
    pub async fn of(&self, source: IpAddr, within: Duration) -> Option<Share> {
        let (places, used) = self.enter(source);
        let both = async {
            let own = places.acquire_owned().await.ok()?;
            let common = Arc::clone(&self.unproven).acquire_owned().await.ok()?;
            Some(vec![own, common])
        };
        let places = tokio::time::timeout(within, both).await.ok()??;
        Some(Share { _places: places, _use: Some(used) })
    }

    fn enter(&self, source: IpAddr) -> (Arc<Semaphore>, Use) {
        let mut sources = lock(&self.sources);
        let new = || Source { places: Arc::new(Semaphore::new(self.per_source)), uses: 0 };
        let entry = sources.entry(source).or_insert_with(new);
        entry.uses += 1;
        (Arc::clone(&entry.places), Use(source, Arc::clone(&self.sources)))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut sources = lock(&self.1);
        if let Some(source) = sources.get_mut(&self.0) {
            source.uses -= 1;
            if source.uses == 0 {
                sources.remove(&self.0);
            }
        }
    }
}

fn lock(sources: &Sources) -> MutexGuard<'_, HashMap<IpAddr, Source>> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn from(host: u8) -> IpAddr {
        [192, 0, 2, host].into()
    }

    #[tokio::test]
    async fn a_source_has_its_share_all_strangers_have_theirs_and_neither_takes_from_the_proven() {
        let shares = Shares::new(ShareLimits { proven: 1, unproven: 3, per_source: 2 });
        let first = shares.of(from(1), NOW).await.unwrap();
        let _second = shares.of(from(1), NOW).await.unwrap();
        assert!(shares.of(from(1), NOW).await.is_none(), "its share is used up");
        let _third = shares.of(from(2), NOW).await.unwrap();
        assert!(shares.of(from(3), NOW).await.is_none(), "all shares are used up");
        let proven = shares.proven(NOW).await.unwrap();
        assert!(shares.proven(NOW).await.is_none());
        drop((first, proven));
        assert!(shares.of(from(3), NOW).await.is_some() && shares.proven(NOW).await.is_some());
    }

    #[tokio::test]
    async fn whoever_waits_gets_the_place_that_comes_free_and_nothing_is_remembered_of_who_left() {
        let shares = Arc::new(Shares::new(ShareLimits { proven: 1, unproven: 9, per_source: 1 }));
        let first = shares.of(from(1), NOW).await.unwrap();
        let waiting = {
            let shares = Arc::clone(&shares);
            tokio::spawn(async move { shares.of(from(1), Duration::from_secs(20)).await.is_some() })
        };
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(lock(&shares.sources).is_empty());
    }
}
