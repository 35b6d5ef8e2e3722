//! Turns and rates of links, as the HTTP floor keeps to them: who may download now, and when its next bytes go.
//!
//! Invariants: the address that counts is the one of the connection, whatever a header says; only downloads of payloads and
//! deltas wait here, never a contact, metadata or a manifest; whoever gets no turn is told when to come again, and nothing is
//! held open for it; a turn ends with its answer. Of all downloads over a link only the one whose bytes are next has asked the
//! bucket for them, the others stand behind it in the order of coming: so who leaves leaves nothing asked for, and a client waits
//! for one piece of each other download at the most. Settings that change count from the next request on, for what is under
//! way within seconds.
//! Left out on purpose: the arithmetic, which is `rules::rollouts::links`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sealpost_admin_api::links::LinkView;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::word::Word;
use sealpost_serving::Peer;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::rules::rollouts::links::bucket::{Bucket, chunk};
use sealpost_site::rules::rollouts::links::line::{Asked, Line, Standing};
use sealpost_site::rules::rollouts::links::short::{Beside, SHORT_BYTES, Short};
use sealpost_site::rules::rollouts::links::traffic::Traffic;
use sealpost_site::rules::rollouts::links::{Link, LinkTable, Rate};
use sealpost_site::rules::rollouts::plan::Plan;

use super::problem::ApiError;

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
    short: Short,
    traffic: Traffic,
    /// Who holds it has its bytes next. It is fair: first come, first served.
    next: Arc<tokio::sync::Mutex<()>>,
}

impl Use {
    fn counting_over(window: Duration) -> Self {
        Self {
            bucket: Bucket::default(),
            line: Line::counting_over(window),
            short: Short::default(),
            traffic: Traffic::default(),
            next: Arc::default(),
        }
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.line.is_idle(now) && self.short.is_idle(now)
    }

    fn ask(&mut self, client: &ClientId, bytes: u64, link: &Link, now: Duration) -> (Kind, Asked) {
        if bytes > SHORT_BYTES {
            return (Kind::Long, self.line.ask(client, bytes, link, now));
        }
        let beside = if self.line.under_way() > 0 { Beside::Long } else { Beside::Nothing };
        (Kind::Short, self.short.ask(client, bytes, link, beside, now))
    }
}

impl Use {
    fn see(&self, name: Word, link: &Link, most: usize, now: Duration) -> Seen {
        let left: u64 = self.line.downloads().map(|one| one.left).fold(0, u64::saturating_add);
        let waits = self.line.waits(now).map(|(_, bytes)| bytes).fold(0, u64::saturating_add);
        let (short_downloading, short_waiting, short) = self.short.counts(now);
        let left_bytes = left.saturating_add(waits).saturating_add(short);
        let downloads = self.line.downloads().take(most);
        let downloads =
            downloads.map(|one| (one.client.clone(), one.bytes, one.left, now.saturating_sub(one.began)));
        let line = self.line.waits(now).take(most).map(|(client, bytes)| (client.clone(), bytes));
        Seen {
            link: LinkView {
                name,
                subnets: link.subnets().iter().copied().collect(),
                rate: link.rate(),
                concurrent: link.concurrent(),
                downloading: self.line.under_way() as u64,
                waiting: self.line.waits(now).count() as u64,
                short_downloading: short_downloading as u64,
                short_waiting: short_waiting as u64,
                left_bytes,
                needs_secs: link.rate().time_for(left_bytes).as_secs(),
                day_bytes: self.traffic.last_day(now),
                sent_bytes: self.traffic.all(),
            },
            downloads: downloads.collect(),
            line: line.collect(),
        }
    }
}

/// Whether a download needs a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Long,
    Short,
}

impl LinkDesk {
    pub(crate) fn new(ledger: Arc<Ledger>, window: Duration) -> Arc<Self> {
        Arc::new(Self { ledger, began: Instant::now(), window, state: Mutex::default() })
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
            uses.retain(|name, used| links.contains_key(name) || !used.is_idle(now));
        }
    }

    fn is_to_look(&self) -> bool {
        self.lock().looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY)
    }

    /// Asks whether a download may begin; `None` when the address is behind no link.
    fn ask(&self, address: IpAddr, client: &ClientId, bytes: u64) -> Option<(Word, May)> {
        let now = self.now();
        let mut state = self.lock();
        let name = state.table.of(address)?;
        let State { links, uses, .. } = &mut *state;
        let link = links.get(&name)?;
        let used = uses.entry(name).or_insert_with(|| Use::counting_over(self.window));
        let may = match used.ask(client, bytes, link, now) {
            (kind, Asked::Turn(number)) => Ok((kind, number)),
            (kind, Asked::Wait { ahead, again_in }) => {
                Err(Refused { link: link.clone(), kind, ahead, again_in })
            }
        };
        Some((name, may))
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
        let standing = state
            .uses
            .get(&name)
            .and_then(|used| used.line.standing(client, now).or_else(|| used.short.standing(client, now)));
        Ok(Some(Stands { name, link, standing }))
    }

    /// What goes over each link by the settings of now, and so many of those that use it.
    pub(crate) async fn see(&self, most: usize) -> Result<Vec<Seen>, LedgerError> {
        self.look().await?;
        let now = self.now();
        let state = self.lock();
        let links = state.links.iter().map(|(name, link)| match state.uses.get(name) {
            Some(used) => used.see(*name, link, most, now),
            None => Use::counting_over(self.window).see(*name, link, most, now),
        });
        Ok(links.collect())
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
        match self.ask(*address, client, bytes) {
            None => Ok(None),
            Some((link, Ok((kind, number)))) => {
                Ok(Some(Passage { desk: Arc::clone(self), link, client: client.clone(), kind, number }))
            }
            Some((name, Err(refused))) => Err(not_yet(name, &refused)),
        }
    }
}

/// The number of a download that may begin, or why it may not.
type May = Result<(Kind, u64), Refused>;

/// What goes over a link.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) link: LinkView,
    /// Long downloads: bytes that were asked for, those that are still to go, and how old it is.
    pub(crate) downloads: Vec<(ClientId, u64, u64, Duration)>,
    /// Who waits for a turn, and for how many bytes.
    pub(crate) line: Vec<(ClientId, u64)>,
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
    kind: Kind,
    ahead: usize,
    again_in: Duration,
}

fn not_yet(name: Word, refused: &Refused) -> ApiError {
    let Refused { link, kind, ahead, again_in } = refused;
    let message = match kind {
        Kind::Long => format!(
            "as many computers download over the link {name} as may at one time ({}), and {ahead} wait before this one",
            link.concurrent()
        ),
        Kind::Short => format!(
            "the link {name} ({}) sends to other computers first, and {ahead} wait before this one",
            link.rate()
        ),
    };
    let hint = format!("ask again in {} s; the place in the line is kept", again_in.as_secs());
    ApiError::new(ProblemCode::LinkBusy, message, hint).retry_after(*again_in)
}

/// A download over a link.
pub(crate) struct Passage {
    desk: Arc<LinkDesk>,
    link: Word,
    client: ClientId,
    kind: Kind,
    number: u64,
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
    /// When the turn was lost: the client took too little for too long, or asked anew. Then its answer is cut.
    pub(crate) async fn wait_for(&self, bytes: usize) -> io::Result<()> {
        let desk = &self.desk;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if desk.is_to_look() {
            // When the ledger cannot be read the settings of before stay.
            drop(desk.look().await);
        }
        let next = self.is_ready(bytes)?;
        let _next = next.lock().await;
        let mut asked = self.asks(bytes);
        if !asked.wait.is_zero() {
            tokio::time::sleep(asked.wait).await;
        }
        asked.goes();
        Ok(())
    }

    /// The client has taken what went before, and is ready for more.
    fn is_ready(&self, bytes: u64) -> io::Result<Arc<tokio::sync::Mutex<()>>> {
        self.with_use(|used, now| {
            let is_its_turn = match self.kind {
                Kind::Long => used.line.takes(&self.client, self.number, bytes, now),
                Kind::Short => used.short.takes(&self.client, self.number, bytes),
            };
            let lost = || io::Error::new(io::ErrorKind::TimedOut, "the turn on the link was lost");
            is_its_turn.then(|| Arc::clone(&used.next)).ok_or_else(lost)
        })
    }

    fn asks(&self, bytes: u64) -> AskedFor<'_> {
        let desk = &self.desk;
        let now = desk.now();
        let mut state = desk.lock();
        let State { links, uses, .. } = &mut *state;
        let used = uses.entry(self.link).or_insert_with(|| Use::counting_over(desk.window));
        let rate = links.get(&self.link).map(Link::rate);
        let wait = rate.map_or(Duration::ZERO, |rate| used.bucket.take(bytes, rate, now));
        AskedFor { passage: self, bytes, rate, wait, has_gone: false }
    }

    fn with_use<T>(&self, act: impl FnOnce(&mut Use, Duration) -> T) -> T {
        let now = self.desk.now();
        let mut state = self.desk.lock();
        let window = self.desk.window;
        act(state.uses.entry(self.link).or_insert_with(|| Use::counting_over(window)), now)
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let now = self.desk.now();
        let mut state = self.desk.lock();
        let Some(used) = state.uses.get_mut(&self.link) else { return };
        match self.kind {
            Kind::Long => used.line.leave(&self.client, self.number, now),
            Kind::Short => used.short.leave(&self.client, self.number),
        }
    }
}

/// Bytes that a download has asked for; given back when its client leaves before they go.
struct AskedFor<'a> {
    passage: &'a Passage,
    bytes: u64,
    rate: Option<Rate>,
    wait: Duration,
    has_gone: bool,
}

impl AskedFor<'_> {
    fn goes(&mut self) {
        self.has_gone = true;
        let Self { passage, bytes, .. } = self;
        passage.with_use(|used, now| {
            used.traffic.add(*bytes, now);
            if passage.kind == Kind::Long {
                used.line.sends(&passage.client, passage.number, now);
            }
        });
    }
}

impl Drop for AskedFor<'_> {
    fn drop(&mut self) {
        if let (false, Some(rate)) = (self.has_gone, self.rate) {
            self.passage.with_use(|used, _| used.bucket.give_back(self.bytes, rate));
        }
    }
}
