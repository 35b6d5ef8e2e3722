//! Turns and rates of links, as the HTTP floor keeps to them: who may download now, and when its next bytes go.
//!
//! Invariants: the address that counts is the one of the connection, whatever a header says; only downloads of payloads, their
//! attachments and deltas wait here, never a contact, metadata or a manifest; who only repeats what a computer sent takes neither
//! its turn nor its place; whoever gets no turn is told when to come again, and nothing is held open for it; a turn ends with its
//! answer. Of all downloads over a link only the one whose bytes are next has asked the bucket for them, the others stand behind
//! it in the order of coming: so who leaves leaves nothing asked for, and a client waits for one piece of each other download at
//! the most. There a request gets nothing that was replaced by a newer one of its client. Settings that change count from the
//! next request on, for what is under way within seconds: a download whose computer is behind another link then is cut.
//! A body that is first in the queue is polled again as soon as its time has come: HTTP/1 polls a body that waits whatever its
//! reader does, and the server speaks nothing else. A protocol that holds a body back, as HTTP/2 may, could stop a link so.
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
use sealpost_site::rules::rollouts::links::line::{Asked, Line, Proof, Request, Standing};
use sealpost_site::rules::rollouts::links::short::{Beside, SHORT_BYTES, Short};
use sealpost_site::rules::rollouts::links::traffic::Traffic;
use sealpost_site::rules::rollouts::links::{Link, LinkTable, Rate};
use sealpost_site::rules::rollouts::plan::Plan;

use super::problem::ApiError;
use super::token::TokenOrigin;

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
    /// When the ledger was last asked for them.
    looked: Option<Instant>,
    /// The number of the newest request, over all links.
    newest: u64,
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

    fn ask(&mut self, request: &Request<'_>, kind: Kind, link: &Link, now: Duration) -> Asked {
        let beside = if self.line.under_way() > 0 { Beside::Long } else { Beside::Nothing };
        match kind {
            Kind::Long => self.line.ask(request, link, now),
            Kind::Short => self.short.ask(request, link, beside, now),
        }
    }

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

impl Kind {
    /// Of a file of this length, however little of it is asked for at one time.
    const fn of(length: u64) -> Self {
        if length > SHORT_BYTES { Self::Long } else { Self::Short }
    }
}

/// What a client asks for of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// The length of the file.
    pub(crate) length: u64,
    /// The bytes of it that are asked for.
    pub(crate) bytes: u64,
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
        // Of two that looked at one time the one that read the older settings may come second.
        if state.version.is_some_and(|known| known >= plan.version) {
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

    /// Whether it is time to look at the settings. Only one is told so: the others go on meanwhile, however long it takes.
    fn is_to_look(&self) -> bool {
        let mut state = self.lock();
        let is_due = state.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        if is_due {
            state.looked = Some(Instant::now());
        }
        is_due
    }

    /// Asks whether a download may begin; `None` when the address is behind no link.
    fn ask(
        self: &Arc<Self>,
        address: IpAddr,
        (client, proof): (&ClientId, Proof),
        wanted: Wanted,
    ) -> Option<Result<Passage, Refused>> {
        let now = self.now();
        let mut state = self.lock();
        let name = state.table.of(address)?;
        let State { links, uses, newest, .. } = &mut *state;
        let link = links.get(&name)?;
        let used = uses.entry(name).or_insert_with(|| Use::counting_over(self.window));
        *newest += 1;
        let request = Request { client, proof, number: *newest, bytes: wanted.bytes };
        let kind = Kind::of(wanted.length);
        Some(match used.ask(&request, kind, link, now) {
            Asked::Turn(number) => {
                let (desk, client) = (Arc::clone(self), client.clone());
                Ok(Passage { desk, address, link: name, client, kind, number })
            }
            Asked::Wait { ahead, again_in } => {
                Err(Refused::Waits { name, link: link.clone(), kind, ahead, again_in })
            }
            Asked::Held { again_in } => Err(Refused::Held { name, again_in }),
        })
    }

    /// Takes over the settings as the ledger has them now.
    async fn look(&self) -> Result<(), LedgerError> {
        self.lock().looked = Some(Instant::now());
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

    /// Lets a client download over the link that it is behind, if it is behind one.
    ///
    /// # Errors
    /// That it is not its turn, with when to come again.
    pub(crate) async fn pass(
        self: &Arc<Self>,
        peer: &Peer,
        client: Option<(&ClientId, TokenOrigin)>,
        wanted: Wanted,
    ) -> Result<Option<Passage>, ApiError> {
        let (Peer::Network(address), Some((client, origin))) = (peer, client) else { return Ok(None) };
        self.look().await?;
        let proof = match origin {
            TokenOrigin::First => Proof::First,
            TokenOrigin::Repeated => Proof::Repeated,
        };
        self.ask(*address, (client, proof), wanted).transpose().map_err(|refused| not_yet(&refused))
    }
}

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

/// Why a download may not begin yet.
#[derive(Debug)]
enum Refused {
    Waits { name: Word, link: Link, kind: Kind, ahead: usize, again_in: Duration },
    Held { name: Word, again_in: Duration },
}

fn not_yet(refused: &Refused) -> ApiError {
    let (message, again_in) = match refused {
        Refused::Waits { name, link, kind: Kind::Long, ahead, again_in } => {
            let most = link.concurrent();
            let message = format!(
                "as many computers download over the link {name} as may at one time ({most}), and {ahead} wait before this one"
            );
            (message, *again_in)
        }
        Refused::Waits { name, link, kind: Kind::Short, ahead, again_in } => {
            let rate = link.rate();
            let message = format!(
                "the link {name} ({rate}) sends to other computers first, and {ahead} wait before this one"
            );
            (message, *again_in)
        }
        Refused::Held { name, again_in } => {
            let message = format!(
                "this computer has its turn or its place on the link {name} already, and the token is from an answer that was \
                 repeated"
            );
            let hint = "make another contact, and use the token in its answer";
            return ApiError::new(ProblemCode::LinkBusy, message, hint).retry_after(*again_in);
        }
    };
    let hint = format!("ask again in {} s; the place in the line is kept", again_in.as_secs());
    ApiError::new(ProblemCode::LinkBusy, message, hint).retry_after(again_in)
}

/// A download over a link.
pub(crate) struct Passage {
    desk: Arc<LinkDesk>,
    /// Where its connection comes from.
    address: IpAddr,
    link: Word,
    client: ClientId,
    kind: Kind,
    number: u64,
}

impl Passage {
    /// Waits until bytes may go, at most so many, and says how many.
    ///
    /// # Errors
    /// When the turn was lost: the client took too little for too long, asked anew, or is behind another link now. Then its
    /// answer is cut.
    pub(crate) async fn wait_for(&self, most: usize) -> io::Result<usize> {
        let desk = &self.desk;
        let ready = self.is_ready()?;
        if desk.is_to_look() {
            // When the ledger cannot be read the settings of before stay.
            drop(desk.look().await);
        }
        let Some(next) = ready else { return Ok(most) };
        let _next = next.lock().await;
        let Some(mut asked) = self.asks(most)? else { return Ok(most) };
        if !asked.wait.is_zero() {
            tokio::time::sleep(asked.wait).await;
        }
        asked.goes()?;
        Ok(asked.bytes)
    }

    /// The bytes go out: from now on it is the reader that the server waits for.
    pub(crate) fn sends(&self) {
        let now = self.desk.now();
        let mut state = self.desk.lock();
        if let (Kind::Long, Some(used)) = (self.kind, state.uses.get_mut(&self.link)) {
            used.line.sends(&self.client, self.number, now);
        }
    }

    /// The client has taken what went before, and is ready for more; `None` when nothing holds it back any more.
    fn is_ready(&self) -> io::Result<Option<Arc<tokio::sync::Mutex<()>>>> {
        let now = self.desk.now();
        let mut state = self.desk.lock();
        let Some((used, _)) = self.over(&mut state, now)? else { return Ok(None) };
        let has_turn = match self.kind {
            Kind::Long => used.line.is_ready(&self.client, self.number, now),
            Kind::Short => used.short.has(&self.client, self.number),
        };
        has_turn.then(|| Some(Arc::clone(&used.next))).ok_or_else(lost)
    }

    /// Asks for its next bytes. What happened while others were before it counts, also another rate.
    fn asks(&self, most: usize) -> io::Result<Option<AskedFor<'_>>> {
        let now = self.desk.now();
        let mut state = self.desk.lock();
        let Some((used, rate)) = self.over(&mut state, now)? else { return Ok(None) };
        let at_once = usize::try_from(chunk(rate)).unwrap_or(usize::MAX).min(most);
        let bytes = at_once as u64;
        let has_turn = match self.kind {
            Kind::Long => used.line.takes(&self.client, self.number, bytes, now),
            Kind::Short => used.short.takes(&self.client, self.number, bytes),
        };
        if !has_turn {
            return Err(lost());
        }
        let wait = used.bucket.take(bytes, rate, now);
        Ok(Some(AskedFor { passage: self, bytes: at_once, rate, wait, has_gone: false }))
    }

    /// What goes over its link, and the rate of that; `None` when its client is behind no link any more.
    fn over<'a>(&self, state: &'a mut State, now: Duration) -> io::Result<Option<(&'a mut Use, Rate)>> {
        match state.table.of(self.address) {
            None => {
                self.leave(state, now);
                Ok(None)
            }
            Some(name) if name != self.link => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the computer is behind another link now"))
            }
            Some(name) => {
                let rate = state.links.get(&name).map(Link::rate);
                state.uses.get_mut(&name).zip(rate).map(Some).ok_or_else(lost)
            }
        }
    }

    fn leave(&self, state: &mut State, now: Duration) {
        let Some(used) = state.uses.get_mut(&self.link) else { return };
        match self.kind {
            Kind::Long => used.line.leave(&self.client, self.number, now),
            Kind::Short => used.short.leave(&self.client, self.number),
        }
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the turn on the link was lost")
}

impl Drop for Passage {
    fn drop(&mut self) {
        let now = self.desk.now();
        self.leave(&mut self.desk.lock(), now);
    }
}

/// Bytes that a download has asked for; given back when its client leaves before they go.
struct AskedFor<'a> {
    passage: &'a Passage,
    bytes: usize,
    rate: Rate,
    wait: Duration,
    has_gone: bool,
}

impl AskedFor<'_> {
    /// Their time has come; the turn may have been lost meanwhile.
    fn goes(&mut self) -> io::Result<()> {
        let passage = self.passage;
        let now = passage.desk.now();
        let mut state = passage.desk.lock();
        let Some((used, _)) = passage.over(&mut state, now)? else { return Ok(()) };
        let has_turn = match passage.kind {
            Kind::Long => used.line.has(&passage.client, passage.number),
            Kind::Short => used.short.has(&passage.client, passage.number),
        };
        if !has_turn {
            return Err(lost());
        }
        used.traffic.add(self.bytes as u64, now);
        self.has_gone = true;
        Ok(())
    }
}

impl Drop for AskedFor<'_> {
    fn drop(&mut self) {
        let mut state = self.passage.desk.lock();
        if let (false, Some(used)) = (self.has_gone, state.uses.get_mut(&self.passage.link)) {
            used.bucket.give_back(self.bytes as u64, self.rate);
        }
    }
}

#[cfg(test)]
mod tests;
