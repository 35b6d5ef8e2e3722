//! Metadata files as deltas from earlier versions of them, made once for all computers that hold the same version.
//!
//! Invariants: what is kept is bounded, in number and bytes, and dropped when another generation of the mirror is current; one
//! delta is made at a time, on a thread for such work, few wait for their turn, and nobody makes one that somebody makes
//! already; a patch never makes way for one that there is none of. Whoever cannot wait gets the file. Left out on purpose: who
//! may read the file, and whether the mirror has what it is patched from, which are decided before.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use sealpost_deltas::{MakeSettings, Progress};
use sealpost_manifests::wire::coding;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

/// Largest file that is patched, in bytes, before and after.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;
/// Most pairs of files that are remembered, also those whose delta is not worth it.
const MAX_PAIRS: usize = 1024;
/// Most deltas that are made or wait for their turn: a refresh waits for them in a place of work that others need.
const MAX_WAITING: usize = 8;
/// Most bytes of all deltas that are kept, in base64.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Memory in bytes for making one.
const MAKING_BYTES: u64 = 128 * 1024 * 1024;
/// Longest time for making one; some milliseconds for most, a second for the largest.
const MAKING_TIME: Duration = Duration::from_secs(20);

/// A file and the one that it is patched from, by name.
type Pair = (String, String);
/// A delta in base64; `None`: the file is sent.
type Patch = Option<Arc<str>>;

/// What was made for one generation.
#[derive(Debug, Default)]
struct Made {
    generation: Option<u64>,
    patches: BTreeMap<Pair, Arc<OnceCell<Patch>>>,
    /// Bytes of those that are kept. Shared with makings that end after the generation did.
    bytes: Arc<AtomicUsize>,
}

/// The patches of the current generation.
#[derive(Debug)]
pub(crate) struct Patches {
    made: Mutex<Made>,
    turn: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// The place of a pair.
struct Place {
    cell: Arc<OnceCell<Patch>>,
    bytes: Arc<AtomicUsize>,
    /// Held by whoever was first there, until it is made.
    waits: Option<OwnedSemaphorePermit>,
}

impl Patches {
    pub(crate) fn new() -> Self {
        let [turn, waiting] = [1, MAX_WAITING].map(|places| Arc::new(Semaphore::new(places)));
        Self { made: Mutex::default(), turn, waiting }
    }

    /// The delta from one metadata file to another, in base64, of the generation that was current before `read` is called. `None`:
    /// the file is to be sent, because one of them is not here, the delta saves too little, too many others are made, or it is
    /// not made until `until`; then it is there for who asks later.
    pub(crate) async fn between(
        &self,
        generation: u64,
        from: &str,
        to: &str,
        until: tokio::time::Instant,
        read: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static,
    ) -> Patch {
        let Place { cell, bytes, waits } = self.place(generation, (from.to_owned(), to.to_owned()))?;
        if let Some(patch) = cell.get() {
            return patch.clone();
        }
        let turn = Arc::clone(&self.turn);
        let (from, to) = (from.to_owned(), to.to_owned());
        // A task of its own: it goes on when nobody waits for it any more.
        let making = tokio::spawn(async move {
            let _waits = waits;
            let make = || async move {
                let _turn = turn.acquire().await.ok()?;
                let patch = tokio::task::spawn_blocking(move || made(&from, &to, read)).await.ok()??;
                let fits =
                    |before: usize| before.checked_add(patch.len()).filter(|bytes| *bytes <= MAX_BYTES);
                bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).is_ok().then_some(patch)
            };
            cell.get_or_init(make).await.clone()
        });
        tokio::time::timeout_at(until, making).await.ok()?.ok()?
    }

    /// The place of a pair; `None` when there are too many, or too many of them are made.
    fn place(&self, generation: u64, pair: Pair) -> Option<Place> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.generation != Some(generation) {
            *made = Made { generation: Some(generation), ..Made::default() };
        }
        let bytes = Arc::clone(&made.bytes);
        if let Some(cell) = made.patches.get(&pair) {
            return Some(Place { cell: Arc::clone(cell), bytes, waits: None });
        }
        if bytes.load(Ordering::SeqCst) >= MAX_BYTES {
            return None;
        }
        let waits = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        if made.patches.len() >= MAX_PAIRS {
            made.patches.retain(|_, cell| cell.get() != Some(&None));
        }
        if made.patches.len() >= MAX_PAIRS {
            return None;
        }
        let cell = Arc::default();
        made.patches.insert(pair, Arc::clone(&cell));
        Some(Place { cell, bytes, waits: Some(waits) })
    }
}

/// Makes a delta. What cannot be read is as good as not there: the file is sent, and that says why it cannot be.
fn made(from: &str, to: &str, read: impl Fn(&str) -> Option<Vec<u8>>) -> Patch {
    let bounded = |name: &str| read(name).filter(|file| file.len() <= MAX_FILE_BYTES);
    let (base, target) = (bounded(from)?, bounded(to)?);
    let (settings, began) =
        (MakeSettings { memory_bytes: MAKING_BYTES, ..MakeSettings::default() }, Instant::now());
    let go_on = &mut |_: Progress| began.elapsed() < MAKING_TIME;
    let mut delta = Vec::new();
    if let Err(error) = sealpost_deltas::make_file(&base, &target, &mut delta, &settings, go_on) {
        tracing::warn!(from, to, %error, "cannot make a delta of metadata; the file is sent");
        return None;
    }
    let packed = coding::pack(&target).map_or(target.len(), |packed| packed.len());
    let text = BASE64.encode(&delta);
    is_worth_sending(text.len(), packed).then(|| text.into())
}

/// Whether a delta in base64 is sent in place of a packed file; both in bytes. Answers are packed, and hold the file much better
/// than the delta: so it has to be less than half.
fn is_worth_sending(delta_bytes: usize, packed_bytes: usize) -> bool {
    delta_bytes < packed_bytes / 2
}

#[cfg(test)]
mod tests;
