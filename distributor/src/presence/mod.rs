//! How the server stands in the network: its certificate, the ways by which its computers reach it, and how both are
//! replaced while it runs.
//!
//! The certificate is issued anew long before it ends, and whenever it does not name an address. Another port, another
//! address and another CA are one operation: what is new is announced in the signed server list, what was before is
//! served on, and when every computer has learned the list, or an admin says so, the old is dropped. The configuration
//! says which port is the new one, whatever a socket unit holds. A way is announced when its door is open, not before.
//! Everything here is a reconciler (`reconcile`): run twice, or killed in the middle, the result is the
//! same. Left out on purpose: how computers learn the list (it stands in the answer to a contact).

mod certificates;
mod chain;
mod doorkeeping;
mod error;
mod left_behind;
mod listening;
mod remembered;
mod reports;
mod wake;
mod ways;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sealpost_admin_api::certificates::Waiting;
use sealpost_files::with_causes;
use sealpost_keys::PublicKey;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::setup::{ServerEntry, ServerRole};
use sealpost_serving::tls::TlsIdentity;
use sealpost_site::changes::Actor;
use sealpost_site::commands::servers::AnnounceServers;
use sealpost_site::queries::{Activity, LeftBehind, LogEnd, ServersLearned};
use sealpost_site::rows::ServersLearnedRow;
use sealpost_site::rules::warnings::{Warning, WarningCode};
use tokio::sync::Mutex as AsyncMutex;

use self::certificates::{Certificates, Renew, Standing, Wanted};
use self::left_behind::{ANNOUNCES, Announced, Changes, Replaced, moved, replaced};
use self::remembered::Remembered;
use self::wake::{Times, Wake, Woken};
use self::ways::Before;
use crate::config::{Settings, needs_a_restart};
use crate::home::Home;
use crate::ports::clock::Clock;
use crate::ports::doors::Doors;

pub use self::error::PresenceError;

/// How often it is looked whether something is due that only time brings, such as the end of a certificate. All else wakes
/// the look.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What a presence is made of.
pub struct Parts {
    pub ledger: Arc<Ledger>,
    pub clock: Arc<dyn Clock>,
    pub site_key: PublicKey,
    /// SHA-256 of the pinned `root.json`.
    pub root_sha256: Sha256Digest,
    /// Why the pinned `root.json` cannot be used, if that is so: then nothing is set up with it.
    pub root_problem: Option<String>,
}

/// What a server begins with.
#[derive(Debug, Clone, Copy)]
pub struct StartedOn {
    /// The address that it listens on already.
    pub address: SocketAddr,
    /// The port that the configuration says; 0 for one that computers are not told of, since another start has another.
    pub configured_port: u16,
    /// Whether a socket unit holds the address.
    pub is_held: bool,
}

/// As the module says.
pub struct ServerPresence {
    parts: Parts,
    certificates: Arc<Certificates>,
    remembered: Arc<Remembered>,
    state: Mutex<State>,
    /// One reconciliation at a time.
    turn: AsyncMutex<()>,
    wake: Wake,
}

/// What changes while the server runs.
struct State {
    settings: Settings,
    /// The port of the wanted way; none before the server listens, and for a port that changes at each start.
    port: Option<u16>,
    /// The address that it was started on.
    started_on: SocketAddr,
    /// The address that a socket unit holds.
    held: Option<SocketAddr>,
    /// The way that computers are told first.
    told: Told,
    /// Where it listens on though `listen` says another address, because computers are told to come there.
    kept_open: Vec<SocketAddr>,
    /// Addresses that could not be taken in place of others since the configuration was read, or a move ended, and why.
    in_vain: Vec<(SocketAddr, Arc<io::Error>)>,
    /// Held by the server: what serves connections knows this presence.
    doors: Option<Weak<dyn Doors>>,
    /// The last changes of the CA and of the ways, as of this list and this pin.
    replaced: Option<(u64, Sha256Digest, Changes)>,
    /// What is wrong, from the last turn, and what a changed configuration needs a restart for.
    problems: Vec<Trouble>,
    configuration: Vec<Warning>,
}

/// The way that computers are told first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// The one that the configuration wants: its door is open.
    Configured,
    /// The first one that is served, since the wanted one has no open door.
    Before { addresses: Vec<String>, port: u16 },
    /// The first one, though nothing listens there nor at any other: no way is dropped, since each may be the one that
    /// opens again.
    Unserved { addresses: Vec<String>, port: u16 },
    /// There is no way yet of which computers were told.
    Nothing,
}

/// What one turn could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    about: About,
    said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Certificate,
    /// Where the server listens. No reason why a certificate should not be presented.
    Listening,
}

impl Trouble {
    fn certificate(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { about: About::Certificate, said: with_causes(error) }
    }
}

impl std::fmt::Debug for ServerPresence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerPresence").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

impl ServerPresence {
    /// Loads the certificate, issued anew if that is due. Nothing is announced yet.
    ///
    /// # Errors
    /// [`PresenceError`].
    pub async fn open(home: &Home, settings: &Settings, parts: Parts) -> Result<Arc<Self>, PresenceError> {
        let (home, server_id, now) = (home.clone(), parts.ledger.server_id(), parts.clock.now());
        let names = settings.addresses.clone();
        let (remembered, opened) = blocking(move || {
            (Remembered::open(home.listening()), Certificates::open(&home, server_id, &names, now))
        })
        .await?;
        let opened = opened?;
        let state = State {
            settings: settings.clone(),
            port: None,
            started_on: settings.listen,
            held: None,
            told: Told::Configured,
            kept_open: Vec::new(),
            in_vain: Vec::new(),
            doors: None,
            replaced: None,
            problems: Vec::new(),
            configuration: Vec::new(),
        };
        Ok(Arc::new(Self {
            parts,
            certificates: Arc::new(opened),
            remembered: Arc::new(remembered),
            state: Mutex::new(state),
            turn: AsyncMutex::new(()),
            wake: Wake::default(),
        }))
    }

    #[must_use]
    pub fn identity(&self) -> Arc<TlsIdentity> {
        self.certificates.identity()
    }

    /// The server listens behind these doors.
    pub async fn listening(&self, doors: &Arc<dyn Doors>, started_on: StartedOn) {
        let StartedOn { address, configured_port, is_held } = started_on;
        self.with(|state| {
            state.started_on = address;
            // What is configured counts, or the restart of a server that was moved would move it back to the port that
            // its socket unit still holds.
            state.port = (configured_port != 0).then_some(configured_port);
            state.held = is_held.then_some(address);
            state.doors = Some(Arc::downgrade(doors));
        });
        self.reconcile(Renew::WhatIsDue).await;
    }

    /// Reads the configuration again, and goes on with it; `others` take over what is theirs. What counts only from the
    /// next start, held against what the server was `started` with, is said. One that cannot be used leaves the one
    /// before in force, and is said too.
    pub async fn reload(&self, home: &Home, started: &Settings, others: impl Fn(&Settings)) {
        let (file, folder) = (home.config_file(), home.config_folder());
        let loaded = match blocking(move || Settings::load(&file, &folder)).await {
            Ok(loaded) => loaded.map_err(|error| error.problems.join("; ")),
            Err(error) => Err(error.to_string()),
        };
        let settings = match loaded {
            Ok(settings) => settings,
            Err(problem) => {
                tracing::error!(
                    problem,
                    "the configuration was not taken over; the one before stays in force"
                );
                let said = format!(
                    "the changed configuration cannot be used, and the one before stays in force; correct this, then reload \
                     the server with SIGHUP: {problem}"
                );
                let said = Warning::new(WarningCode::ConfigurationRefused, said);
                self.with(|state| state.configuration = vec![said]);
                // The files that the one before names may be others by now.
                return self.wake.changed();
            }
        };
        others(&settings);
        let waiting = needs_a_restart(started, &settings);
        match waiting.as_slice() {
            [] => tracing::info!("read the configuration again"),
            keys => tracing::info!(from_the_next_start = keys.join(", "), "read the configuration again"),
        }
        let said = waiting.iter().map(|key| {
            let said = format!(
                "`{key}` was changed in the configuration, and counts from the next start of the server"
            );
            Warning::new(WarningCode::RestartNeeded, said)
        });
        self.adopt(&settings, said.collect()).await;
    }

    async fn adopt(&self, settings: &Settings, said: Vec<Warning>) {
        self.with(|state| {
            let moved = settings.listen.port() != state.settings.listen.port() && settings.listen.port() != 0;
            if moved && state.port.is_some() {
                state.port = Some(settings.listen.port());
            }
            state.settings = settings.clone();
            state.configuration = said;
            state.in_vain.clear();
        });
        self.reconcile(Renew::WhatIsDue).await;
    }

    /// Looks whether something is due: when something has changed, and from time to time.
    pub async fn keep(self: Arc<Self>) {
        let mut times = Times::every(LOOK_EVERY);
        loop {
            // The last computer that learns a list matters, and thousands may come before it.
            if self.wake.woken(&mut times).await == Woken::Changed || self.all_have_learned().await {
                self.reconcile(Renew::WhatIsDue).await;
            }
        }
    }

    async fn all_have_learned(&self) -> bool {
        // What cannot be read now is tried again by the look.
        self.learned().await.map_or(true, |row| row.is_some_and(|row| row.waiting == 0))
    }

    /// Does what is due. What fails is logged, shown in `status`, and tried again.
    async fn reconcile(&self, renew: Renew) {
        self.reconcile_for(&Actor::Server, renew).await;
    }

    /// The same because somebody asks for it: what is announced then stands under their name in the log.
    async fn reconcile_for(&self, actor: &Actor, renew: Renew) {
        let _turn = self.turn.lock().await;
        let mut problems = Vec::new();
        if let Err(error) = self.reconcile_certificates(renew).await {
            problems.push(Trouble::certificate(&error));
        }
        let mut doors = Vec::new();
        if let Err(error) = self.reconcile_ways(actor, &mut problems, &mut doors).await {
            problems.push(Trouble::certificate(&error));
        }
        problems.extend(doors.into_iter().map(|said| Trouble { about: About::Listening, said }));
        for Trouble { said, .. } in &problems {
            tracing::error!(problem = said, "the server cannot be reached as its configuration says");
        }
        self.with(|state| state.problems = problems);
    }

    async fn reconcile_certificates(&self, renew: Renew) -> Result<Standing, PresenceError> {
        let learned = self.learned().await.ok().flatten();
        let (wanted, now) = (self.wanted(learned.as_ref()), self.parts.clock.now());
        let certificates = Arc::clone(&self.certificates);
        blocking(move || certificates.reconcile(&wanted, renew, now)).await?
    }

    /// Announces what is new, opens and closes doors, and presents the next certificate when every computer knows it.
    async fn reconcile_ways(
        &self,
        actor: &Actor,
        problems: &mut Vec<Trouble>,
        doors: &mut Vec<String>,
    ) -> Result<(), LedgerError> {
        // Before anything is announced, so that nobody learns it unheard.
        self.wake.set_awaits(true);
        // A turn can end one step and begin the next: learned, switched, and the old pin dropped.
        for _ in 0..3 {
            let learned = self.learned().await?;
            self.open_doors(learned.as_ref()).await;
            self.announce(actor, learned.as_ref(), None).await?;
            let learned = self.learned().await?;
            *doors = self.settle_doors(learned.as_ref()).await;
            let standing = self.certificates.standing();
            let Some(next) = standing.next else {
                self.wake.set_awaits(learned.is_some_and(|row| row.ways.len() > 1));
                return Ok(());
            };
            let knows = |row: &ServersLearnedRow| {
                row.waiting == 0 && row.ways.iter().all(|way| way.ca_spki_sha256.contains(&next.pin))
            };
            let is_known = learned.as_ref().is_some_and(knows);
            if !is_known && !standing.is_urgent {
                return Ok(());
            }
            if let Err(error) = self.switch_now(learned.as_ref()).await {
                problems.push(Trouble::certificate(&error));
                return Ok(());
            }
        }
        Ok(())
    }

    async fn switch_now(&self, learned: Option<&ServersLearnedRow>) -> Result<(), PresenceError> {
        let (wanted, now) = (self.wanted(learned), self.parts.clock.now());
        let certificates = Arc::clone(&self.certificates);
        blocking(move || certificates.switch(&wanted, now)).await??;
        let behind = learned.map(waiting).filter(|waiting| waiting.count > 0);
        if let Some(behind) = &behind {
            let (count, names) = (behind.count, behind.names.join(", "));
            tracing::warn!(
                count,
                names,
                "computers that have not learned the new CA refuse this server from now on"
            );
        }
        Ok(())
    }

    /// Announces the ways that are wanted now, if they are others than before. `before` says what becomes of the ways
    /// that were announced; without it, who has learned decides.
    async fn announce(
        &self,
        actor: &Actor,
        learned: Option<&ServersLearnedRow>,
        before: Option<Before>,
    ) -> Result<(), LedgerError> {
        let Some(wanted) = self.wanted_way() else { return Ok(()) };
        let announced = learned.map(|row| row.ways.as_slice()).unwrap_or_default();
        let waiting = learned.map_or(0, |row| row.waiting);
        let before = if self.is_unserved() {
            Before::Keep
        } else {
            before.unwrap_or_else(|| ways::before(announced, &wanted, waiting))
        };
        let ways = ways::ways(announced, &wanted, before);
        if ways == announced {
            return Ok(());
        }
        let actor = actor.clone();
        self.parts.ledger.execute(self.parts.clock.now(), AnnounceServers { actor, ways }).await?;
        Ok(())
    }

    async fn learned(&self) -> Result<Option<ServersLearnedRow>, LedgerError> {
        self.parts.ledger.query(ServersLearned {}).await
    }

    /// Whom the last change of the CA, or of the ways, left behind, and who was not heard since.
    async fn left_behind(
        &self,
        about: About,
        learned: Option<&ServersLearnedRow>,
    ) -> Result<Option<Waiting>, LedgerError> {
        // Who knows the newest list knows its pin and its ways.
        let Some(row) = learned.filter(|row| row.waiting > 0) else { return Ok(None) };
        let changes = self.changes(row.order.sequence).await?;
        let change = match about {
            About::Certificate => changes.ca,
            About::Listening => changes.ways,
        };
        let Some(Replaced { sequence, since }) = change else { return Ok(None) };
        let left = self.parts.ledger.query(LeftBehind { sequence, since }).await?;
        let names = left.names.iter().map(ToString::to_string).collect();
        Ok((left.count > 0).then_some(Waiting { count: left.count, names }))
    }

    /// The last changes. The log is read once for each list.
    async fn changes(&self, sequence: u64) -> Result<Changes, LedgerError> {
        let presented = self.certificates.standing().presented.pin;
        let known = self.with(|state| state.replaced);
        if let Some((_, _, changes)) = known.filter(|(list, pin, _)| (*list, *pin) == (sequence, presented)) {
            return Ok(changes);
        }
        let newest =
            Activity { kind: Some(ANNOUNCES.to_owned()), end: LogEnd::Newest, ..Activity::default() };
        let announced = self.parts.ledger.query(newest).await?;
        let announced: Vec<Announced> = announced.iter().filter_map(Announced::of).collect();
        let changes = Changes { ca: replaced(&announced, &presented), ways: moved(&announced) };
        self.with(|state| state.replaced = Some((sequence, presented, changes)));
        Ok(changes)
    }

    /// The way that computers are to be told first: the one that the configuration wants, once its door is open; `None`
    /// while there is nothing to tell.
    fn wanted_way(&self) -> Option<ServerEntry> {
        let (addresses, port) = self.with(|state| match state.told.clone() {
            Told::Configured => (state.settings.addresses.clone(), state.port),
            Told::Before { addresses, port } | Told::Unserved { addresses, port } => (addresses, Some(port)),
            Told::Nothing => (Vec::new(), None),
        });
        let port = port.filter(|_| !addresses.is_empty())?;
        Some(ServerEntry {
            role: ServerRole::Primary,
            addresses,
            port,
            server_id: self.parts.ledger.server_id(),
            site_key: self.parts.site_key.clone(),
            ca_spki_sha256: self.pins(),
        })
    }

    fn is_unserved(&self) -> bool {
        self.with(|state| matches!(state.told, Told::Unserved { .. }))
    }

    /// The pin of the CA in use, and that of the next one.
    fn pins(&self) -> Vec<Sha256Digest> {
        let standing = self.certificates.standing();
        let next = standing.next.map(|next| next.pin).filter(|next| *next != standing.presented.pin);
        std::iter::once(standing.presented.pin).chain(next).collect()
    }

    /// The certificate names what is configured and every address that computers were told.
    fn wanted(&self, learned: Option<&ServersLearnedRow>) -> Wanted {
        let (mut names, own) =
            self.with(|state| (state.settings.addresses.clone(), state.settings.tls.clone()));
        for address in learned.into_iter().flat_map(|row| &row.ways).flat_map(|way| &way.addresses) {
            if !names.contains(address) {
                names.push(address.clone());
            }
        }
        Wanted { names, own: own.map(|own| (own.certificate, own.key)) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whom an announcement still waits for.
fn waiting(row: &ServersLearnedRow) -> Waiting {
    Waiting { count: row.waiting, names: row.names.iter().map(ToString::to_string).collect() }
}

/// Runs blocking work on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PresenceError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PresenceError::Ended)
}
