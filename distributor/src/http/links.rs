//! Turns and rates of links, as the HTTP floor keeps to them: who may download now, and when its next bytes go.
//!
//! Invariants: the address that counts is the one of the connection, whatever a header says; only downloads of payloads and
//! deltas wait here, never a contact, metadata or a manifest; whoever gets no turn is told when to come again, and nothing is
//! held open for it; a turn ends with its answer. Settings that change count from the next request on, for what is under way
//! within seconds.
//! Left out on purpose: the arithmetic, which is `rules::rollouts::links`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::word::Word;
use sealpost_serving::Peer;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::rules::rollouts::links::bucket::{Bucket, chunk};
use sealpost_site::rules::rollouts::links::line::{Asked, Line, Standing};
use sealpost_site::rules::rollouts::links::{Link, LinkTable};
use sealpost_site::rules::rollouts::plan::Plan;

use super::problem::ApiError;

/// A shorter download needs no turn: it is over before another one could have begun. It pays the rate as any other.
const SHORT_BYTES: u64 = 64 * 1024;
/// What is under way looks at the settings this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// As the module says.
#[derive(Debug)]
pub(crate) struct LinkDesk {
    ledger: Arc<Ledger>,
    began: Instant,
    /// Time over which is counted what a download takes.
    window: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The version of the settings that are known; `None` before they were read.
    version: Option<u64>,
    looked: Option<Instant>,
    links: BTreeMap<Word, Link>,
    table: LinkTable,
    uses: HashMap<Word, Use>,
}

/// What goes over one link.
#[derive(Debug)]
struct Use {
    bucket: Bucket,
    line: Line,
}

impl LinkDesk {
    pub(crate) fn new(ledger: Arc<Ledger>, window: Duration) -> Arc<Self> {
        Arc::new(Self { ledger, began: Instant::now(), window, state: Mutex::default() })
    }

    fn no_use(&self) -> Use {
        Use { bucket: Bucket::default(), line: Line::counting_over(self.window) }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No change of the state can be interrupted by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the settings of a plan.
    fn follow(&self, plan: &Plan) {
        let now = self.now();
        let mut state = self.lock();
        state.looked = Some(Instant::now());
        if state.version == Some(plan.version) {
            return;
        }
        state.version = Some(plan.version);
        if state.links != plan.settings.links {
            state.links = plan.settings.links.clone();
            state.table = LinkTable::new(&state.links);
            let State { links, uses, .. } = &mut *state;
            uses.retain(|name, used| links.contains_key(name) || !used.line.is_idle(now));
        }
    }

    fn is_to_look(&self) -> bool {
        self.lock().looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY)
    }

    /// Asks for a turn; `None` when the address is behind no link.
    fn ask(&self, address: IpAddr, client: &ClientId, bytes: u64) -> Option<(Word, Result<u64, Refused>)> {
        let now = self.now();
        let mut state = self.lock();
        let name = state.table.of(address)?;
        let State { links, uses, .. } = &mut *state;
        let link = links.get(&name)?;
        let line = &mut uses.entry(name).or_insert_with(|| self.no_use()).line;
        Some((
            name,
            match line.ask(client, bytes, link, now) {
                Asked::Turn(number) => Ok(number),
                Asked::Wait { ahead, again_in } => Err(Refused { link: link.clone(), ahead, again_in }),
            },
        ))
    }

    /// Takes over the settings as the ledger has them now.
    async fn look(&self) -> Result<(), LedgerError> {
        self.follow(&*self.ledger.query(LoadPlan {}).await?);
        Ok(())
    }

    /// Where a client that came from this address stands by the settings of now: the link that it is behind, and its place, if
    /// it has one.
    pub(crate) async fn standing(
        &self,
        address: IpAddr,
        client: &ClientId,
    ) -> Result<Option<Stands>, LedgerError> {
        self.look().await?;
        let now = self.now();
        let state = self.lock();
        let Some(name) = state.table.of(address) else { return Ok(None) };
        let Some(link) = state.links.get(&name).cloned() else { return Ok(None) };
        let standing = state.uses.get(&name).and_then(|used| used.line.standing(client, now));
        Ok(Some(Stands { name, link, standing }))
    }

    /// Lets a client download so many bytes over the link that it is behind, if it is behind one.
    ///
    /// # Errors
    /// That it is not its turn, with when to come again.
    pub(crate) async fn pass(
        self: &Arc<Self>,
        peer: &Peer,
        client: Option<&ClientId>,
        bytes: u64,
    ) -> Result<Option<Passage>, ApiError> {
        let (Peer::Network(address), Some(client)) = (peer, client) else { return Ok(None) };
        self.look().await?;
        let desk = Arc::clone(self);
        let client = client.clone();
        if bytes <= SHORT_BYTES {
            let link = self.lock().table.of(*address);
            return Ok(link.map(|link| Passage { desk, link, client, number: None }));
        }
        match self.ask(*address, &client, bytes) {
            None => Ok(None),
            Some((link, Ok(number))) => Ok(Some(Passage { desk, link, client, number: Some(number) })),
            Some((name, Err(refused))) => Err(not_yet(name, &refused)),
        }
    }
}

/// Where a client stands at a link.
#[derive(Debug, Clone)]
pub(crate) struct Stands {
    pub(crate) name: Word,
    pub(crate) link: Link,
    pub(crate) standing: Option<Standing>,
}

#[derive(Debug)]
struct Refused {
    link: Link,
    ahead: usize,
    again_in: Duration,
}

fn not_yet(name: Word, refused: &Refused) -> ApiError {
    let Refused { link, ahead, again_in } = refused;
    ApiError::new(
        ProblemCode::LinkBusy,
        format!(
            "as many computers download over the link {name} as may at one time ({}), and {ahead} wait before this one",
            link.concurrent()
        ),
        format!("ask again in {} s; the place in the line is kept", again_in.as_secs()),
    )
    .retry_after(*again_in)
}

/// A download over a link.
pub(crate) struct Passage {
    desk: Arc<LinkDesk>,
    link: Word,
    client: ClientId,
    /// Of its turn, if it needs one.
    number: Option<u64>,
}

impl Passage {
    /// How many bytes go at once at the most; `None` when the link is gone.
    pub(crate) fn chunk_bytes(&self) -> Option<usize> {
        let state = self.desk.lock();
        let link = state.links.get(&self.link)?;
        Some(usize::try_from(chunk(link.rate())).unwrap_or(usize::MAX))
    }

    /// Waits until so many bytes may go.
    ///
    /// # Errors
    /// When the turn was lost: the client took nothing for too long, or asked anew. Then its answer is cut.
    pub(crate) async fn wait_for(&self, bytes: usize) -> io::Result<()> {
        let desk = &self.desk;
        if desk.is_to_look() {
            // When the ledger cannot be read the settings of before stay.
            drop(desk.look().await);
        }
        let wait = self.take(u64::try_from(bytes).unwrap_or(u64::MAX))?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn take(&self, bytes: u64) -> io::Result<Duration> {
        let desk = &self.desk;
        let now = desk.now();
        let mut state = desk.lock();
        let State { links, uses, .. } = &mut *state;
        let used = uses.entry(self.link).or_insert_with(|| desk.no_use());
        if let Some(number) = self.number
            && !used.line.takes(&self.client, number, bytes, now)
        {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the turn on the link was lost"));
        }
        Ok(links.get(&self.link).map_or(Duration::ZERO, |link| used.bucket.take(bytes, link.rate(), now)))
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        if let (Some(number), Some(used)) = (self.number, state.uses.get_mut(&self.link)) {
            used.line.leave(&self.client, number);
        }
    }
}
