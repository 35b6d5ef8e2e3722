//! The ledger as the rest of the server sees it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::license_time::LicenseFloor;
use sealpost_manifests::log::{Frontier, LogHead, ProofPlan, frontier_nodes};
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Change;
use sealpost_site::changes::chain::{LogCheck, LogDamage};
use sealpost_site::commands::starts::{LoadStart, StartServer};
use sealpost_site::commands::{Command, Terms};
use sealpost_site::queries::{self, ClientKey, LastPull, LicenseTime, Log, LogNodes, Query, StoredTime};
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::account::TokenId;
use sealpost_site::rules::approvals::people::AccountName;
use sealpost_site::rules::edits::Edits;
use sealpost_site::rules::restore::NamedHead;
use sealpost_site::rules::rollouts::outages::Outages;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::{believe_log, check_log};
use crate::error::LedgerError;
use crate::findings::{Findings, in_idle_time};
use crate::grants::TrustedGrants;
use crate::job::{Commanded, Job};
use crate::probe::{Probe, ProbeWrite};
use crate::readers::Readers;
use crate::refusals::Refusals;
use crate::store::{Read, ReadStore, Store, StoreError, WriteStore};
use crate::writer::{Message, QUEUE, Writer};

/// Most client keys that are remembered: some 12 MiB at the most, and only where so many computers contact.
const MAX_KEYS: usize = 131_072;

/// Most heads that are remembered: some 10 MiB at the most, and only where so many computers contact.
const MAX_HEADS: usize = 131_072;

/// How the ledger answers, and how it runs. Other servers of the same site would share these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSettings {
    /// How long what the server signs is good for.
    pub terms: Terms,
    /// Readers: queries that run at the same time.
    pub readers: u8,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { terms: Terms::default(), readers: 4 }
    }
}

/// Why a ledger could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error("the ledger's store cannot be read; check the disk")]
    Store(#[from] StoreError),
    /// It has no first entry.
    #[error("the ledger is not bound to a server; run `distributor init` in a new home")]
    Unbound,
    /// No thread for the writer.
    #[error("the ledger's writer cannot be started")]
    Writer(#[source] io::Error),
}

/// The ledger. Dropping it lets the writer finish what it was sent; [`Ledger::close`] also waits for that.
pub struct Ledger {
    server: ServerIdentity,
    queue: mpsc::Sender<Message>,
    readers: Readers,
    /// Reads the whole log, one at a time: apart, because that takes long, and clients do not wait for it.
    auditor: Readers,
    refusals: Arc<Refusals>,
    heads: watch::Receiver<LogHead>,
    sequences: watch::Receiver<u64>,
    /// Whether the last batch of changes failed.
    unwritten: Arc<AtomicBool>,
    /// What the last write found that was made to find out; held while one is under way.
    probed: tokio::sync::Mutex<Option<Probe>>,
    /// A client id never gets another key, so nothing here is ever out of date.
    keys: Mutex<HashMap<ClientId, PublicKey>>,
    grants: Arc<TrustedGrants>,
    findings: Findings,
    outages: Arc<OnceLock<Outages>>,
    /// Heads that this log was found to have had: entries are only added, so that stays true.
    known_heads: Mutex<HashSet<(u64, Sha256Digest)>>,
}

impl Ledger {
    /// Starts the writer of a store.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(store: Box<dyn Store>, settings: LedgerSettings) -> Result<Self, StartError> {
        let wanted = usize::from(settings.readers.max(1));
        let grants = Arc::new(TrustedGrants::default());
        let mut split = store.split(wanted + 1, &grants)?;
        let auditor = Readers::new(split.readers.pop().into_iter().collect());
        let readers = Readers::new(split.readers);
        let mut store = split.writer;
        let server =
            Read::<queries::Server>::read(&mut *store, &queries::Server {})?.ok_or(StartError::Unbound)?;
        grants.bind(server.clone());
        let log = Read::<Log>::read(&mut *store, &Log {})?;
        believe_log(&mut *store, grants.log(), log.head())?;
        let StoredTime { floor, statement } = Read::<LicenseTime>::read(&mut *store, &LicenseTime {})?;
        let stored_floor = floor.unwrap_or(Timestamp::UNIX_EPOCH);
        let refusals = Arc::new(Refusals::default());
        let (committed, heads) = watch::channel(log.head());
        let (sequence, sequences) = watch::channel(log.size());
        let (queue, messages) = mpsc::channel(QUEUE);
        let unwritten = Arc::new(AtomicBool::new(false));
        let outages = Arc::new(OnceLock::new());
        let writer = Writer {
            store,
            server: server.clone(),
            terms: settings.terms,
            log,
            log_lost: false,
            attempted: None,
            time: LicenseFloor::from_stored(stored_floor, statement),
            stored_floor,
            observed: Instant::now(),
            outages: Arc::clone(&outages),
            refusals: Arc::clone(&refusals),
            grants: Arc::clone(&grants),
            committed,
            sequence,
            unwritten: Arc::clone(&unwritten),
            one_failed: false,
        };
        // Time is all the writer needs of a runtime: it waits for a command or for the next flush.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(StartError::Writer)?;
        std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer.run(&runtime, messages))
            .map_err(StartError::Writer)?;
        let keys = Mutex::new(HashMap::new());
        Ok(Self {
            server,
            queue,
            readers,
            auditor,
            refusals,
            heads,
            sequences,
            unwritten,
            probed: tokio::sync::Mutex::default(),
            keys,
            grants,
            findings: Findings::default(),
            outages,
            known_heads: Mutex::default(),
        })
    }

    /// This server's id.
    #[must_use]
    pub fn server_id(&self) -> ServerId {
        self.server.server_id.clone()
    }

    /// The site key that the ledger was made for.
    #[must_use]
    pub const fn site_key(&self) -> &PublicKey {
        &self.server.site_key
    }

    /// A server listens from now on, a license time: between the last sign of life over this ledger and now nobody could come.
    /// Where that is long, the log says so, and later starts know it. Only the first call counts; it comes before anything that
    /// only a server writes, and after a restore was noted.
    ///
    /// # Errors
    /// [`LedgerError`], if the ledger cannot be read. That it cannot be written is logged, and keeps no server from starting.
    pub async fn listens_from(&self, now: Timestamp) -> Result<(), LedgerError> {
        if self.outages.get().is_some() {
            return Ok(());
        }
        let outages = match self.execute(now, StartServer { now }).await {
            Ok(outages) => outages,
            Err(error) => {
                tracing::warn!(error = %with_causes(&error), "the log does not say that a server listens again");
                self.query(LoadStart { now }).await?.outages(now)
            }
        };
        self.outages.get_or_init(|| outages);
        Ok(())
    }

    /// When no server ran over this ledger, as far as that is known; nothing before one listens.
    #[must_use]
    pub fn outages(&self) -> &Outages {
        self.outages.get().unwrap_or(Outages::none())
    }

    /// From now on those grants count that the license keys in this trust document verify; before the first one none does.
    /// It must be verified already.
    pub fn adopt_trust(&self, trust: Arc<TrustDocument>) {
        self.grants.adopt(trust);
    }

    /// What the log says of admin tokens, oldest first, up to now. It was read from the bytes of all entries when the ledger
    /// started, each held against its leaf and their tree against the head; no column was asked.
    ///
    /// # Errors
    /// What is wrong with the log; then no token may be admitted.
    pub fn token_changes(&self) -> Result<Vec<Change>, LogDamage> {
        self.grants.log().token_changes()
    }

    /// The account of a token, if that is disabled: then the token is refused. Of what the log says up to now, as above.
    #[must_use]
    pub fn disabled_account_of(&self, token: &TokenId) -> Option<AccountName> {
        self.grants.log().disabled_account_of(token)
    }

    /// Carries out a command at the caller's license time, and answers when what it wrote is on disk.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn execute<C>(&self, now: Timestamp, command: C) -> Result<C::Answer, LedgerError>
    where
        C: Command,
        dyn WriteStore: Read<C::Facts>,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Commanded::new(now, command, reply)), answer).await
    }

    async fn send<T>(
        &self,
        job: Box<dyn Job>,
        answer: oneshot::Receiver<Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        self.queue.send(Message::Command(job)).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// Answers a question from what is committed.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn query<Q>(&self, query: Q) -> Result<Q::Answer, LedgerError>
    where
        Q: Query,
        dyn ReadStore: Read<Q>,
    {
        self.readers.query::<Q, _>(move |store| Read::<Q>::read(store, &query)).await
    }

    /// Hands over every row of a list, page by page: `page` asks for what follows a key, `key` is that of a row.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn each<Q, R, K>(
        &self,
        page: impl Fn(Option<K>) -> Q,
        key: impl Fn(&R) -> K,
        mut each: impl FnMut(R),
    ) -> Result<(), LedgerError>
    where
        Q: Query<Answer = Vec<R>>,
        dyn ReadStore: Read<Q>,
    {
        let mut after = None;
        loop {
            // A page that is not full need not be the last: how long it may be is the question's own.
            let rows = self.query(page(after)).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(key(last));
            rows.into_iter().for_each(&mut each);
        }
    }

    /// The same rows together.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn all<Q, R, K>(
        &self,
        page: impl Fn(Option<K>) -> Q,
        key: impl Fn(&R) -> K,
    ) -> Result<Vec<R>, LedgerError>
    where
        Q: Query<Answer = Vec<R>>,
        dyn ReadStore: Read<Q>,
    {
        let mut all = Vec::new();
        self.each(page, key, |row| all.push(row)).await?;
        Ok(all)
    }

    /// The key of a client, remembered once it was read.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn client_key(&self, client_id: &ClientId) -> Result<Option<PublicKey>, LedgerError> {
        let remembered = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned();
        if remembered.is_some() {
            return Ok(remembered);
        }
        let key = self.query(ClientKey { client_id: client_id.clone() }).await?;
        if let Some(key) = &key {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= MAX_KEYS {
                keys.clear();
            }
            keys.insert(client_id.clone(), key.clone());
        }
        Ok(key)
    }

    /// Counts a refusal; aggregated per (code, source, minute), and written once a minute.
    pub fn count_refusal(&self, now: Timestamp, code: ProblemCode, source: &str) {
        self.count_refusal_of(now, code, source, None);
    }

    /// The same for requests that proved or said which computer they are about.
    pub fn count_refusal_of(
        &self,
        now: Timestamp,
        code: ProblemCode,
        source: &str,
        computer: Option<&ComputerName>,
    ) {
        if self.refusals.count(now, code, source, computer) {
            // A full queue only delays it: the writer flushes each minute by itself.
            let _ = self.queue.try_send(Message::Flush);
        }
    }

    /// Whether it can do its work: it reads and writes. It finds out by a write of its own, at most once in some seconds,
    /// however many ask; in between the answer of the last one is given, unless a write failed since.
    ///
    /// # Errors
    /// [`LedgerError`], if it cannot.
    pub async fn check_health(&self) -> Result<(), LedgerError> {
        self.check_alive().await?;
        let mut probed = self.probed.lock().await;
        let failed_since = self.unwritten.load(Ordering::Relaxed);
        if let Some(probe) = probed.as_ref().filter(|probe| probe.is_good(failed_since)) {
            return probe.answer();
        }
        let (reply, answer) = oneshot::channel();
        let probe = Probe::now(self.send(Box::new(ProbeWrite::new(reply)), answer).await);
        let answer = probe.answer();
        *probed = Some(probe);
        answer
    }

    /// Whether it reads, and its writer lives.
    ///
    /// # Errors
    /// [`LedgerError`], if not.
    pub async fn check_alive(&self) -> Result<(), LedgerError> {
        if self.queue.is_closed() {
            return Err(LedgerError::Closed);
        }
        self.query(LastPull {}).await.map(drop)
    }

    /// Waits until the writer takes nothing any more: the ledger is being closed, or the writer panicked, and nothing will
    /// ever be written again.
    pub async fn writer_ended(&self) {
        self.queue.closed().await;
    }

    /// The newest entry that is on disk.
    #[must_use]
    pub fn head(&self) -> LogHead {
        *self.heads.borrow()
    }

    /// Re-computes the whole log from the stored bytes, and compares the tables with it. `witnessed` are heads that others hold.
    ///
    /// # Errors
    /// [`LedgerError`], if it cannot be read at all; damage is in the answer.
    pub async fn verify_log(&self, mut witnessed: Vec<LogHead>) -> Result<LogCheck, LedgerError> {
        witnessed.push(self.head());
        self.auditor
            .run("verify the activity log", move |store| check_log(store, witnessed, &mut |_| ()))
            .await
    }

    /// Compares log and tables as [`Ledger::verify_log`] does, with little claim to the processor, and remembers what it
    /// finds for [`Ledger::edits`] until a comparison finds nothing. Says what is known then.
    ///
    /// # Errors
    /// [`LedgerError`], if it cannot be read at all; what was known stays.
    pub async fn check_itself(&self, now: Timestamp) -> Result<Edits, LedgerError> {
        let witnessed = vec![self.head()];
        let check =
            self.auditor.run("compare the tables with the log", move |store| in_idle_time(store, witnessed));
        match check.await {
            Ok(check) => self.findings.take(&check, now),
            Err(error) => {
                self.findings.skip(Some(with_causes(&error)));
                return Err(error);
            }
        }
        Ok(self.edits())
    }

    /// What is known of edits of this ledger by somebody else.
    #[must_use]
    pub fn edits(&self) -> Edits {
        self.findings.edits(self.grants.log())
    }

    /// The hashes that a plan asks for, put together to the proof; `None` when the log does not have them.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn prove(&self, plan: ProofPlan) -> Result<Option<Vec<Sha256Digest>>, LedgerError> {
        let nodes = self.query(LogNodes { nodes: plan.nodes() }).await?;
        let hashes: Option<Vec<Sha256Digest>> = nodes.into_iter().collect();
        Ok(hashes.and_then(|hashes| plan.assemble(&hashes).ok()))
    }

    /// Whether the log had this head at some time.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn had_head(&self, head: LogHead) -> Result<bool, LedgerError> {
        Ok(self.head_at(head.size).await? == Some(head))
    }

    /// The head that the log had when it had so many entries; `None` if it has fewer.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn head_at(&self, size: u64) -> Result<Option<LogHead>, LedgerError> {
        if size > self.head().size {
            return Ok(None);
        }
        let nodes = self.query(LogNodes { nodes: frontier_nodes(size) }).await?;
        let hashes: Option<Vec<Sha256Digest>> = nodes.into_iter().collect();
        Ok(hashes.and_then(|hashes| Frontier::load(size, hashes).ok()).map(|log| log.head()))
    }

    /// What the log says of the head that a contact names. Each head is looked up once, and then remembered.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn judge_head(&self, named: Option<LogHead>) -> Result<NamedHead, LedgerError> {
        let Some(head) = named else { return Ok(NamedHead::OfThisLog) };
        if self.known_heads.lock().unwrap_or_else(PoisonError::into_inner).contains(&(head.size, head.root)) {
            return Ok(NamedHead::OfThisLog);
        }
        if !self.had_head(head).await? {
            return Ok(NamedHead::OfAnotherLog);
        }
        let mut known = self.known_heads.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_HEADS {
            known.clear();
        }
        known.insert((head.size, head.root));
        Ok(NamedHead::OfThisLog)
    }

    /// Wakes whenever entries were committed: carries the newest sequence number.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.sequences.clone()
    }

    /// Gives what `work` gives. Where that failed, the ledger is closed before it is said, so that whoever tries again finds the
    /// file free.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn closed_when_failed<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let done = work.await;
        if done.is_err() {
            // What failed first is what counts.
            let _ = self.close().await;
        }
        done
    }

    /// Commits what waits, writes counted refusals, and stops.
    ///
    /// # Errors
    /// [`LedgerError::Closed`] if the writer has ended before.
    pub async fn close(&self) -> Result<(), LedgerError> {
        let (done, closed) = oneshot::channel();
        // The readers go first: the last connection to close folds a write-ahead log into the file.
        self.readers.close();
        self.auditor.close();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            closed.await.map_err(|_| LedgerError::Closed)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("server", &self.server.server_id).finish_non_exhaustive()
    }
}
