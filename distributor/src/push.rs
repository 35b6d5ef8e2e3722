//! The registry of connected clients, and how they are woken. A wake says "contact now" and nothing else: what to run
//! is decided in the contact.
//!
//! Invariants: one stream per client, a newer one ends the older; several wakes that were not read yet are one wake; a
//! call that came while a client had no stream is waiting when its stream opens; what cannot wait wakes everybody,
//! and news those whose method of delivery wants it; the registry is bounded. Left out on
//! purpose: spreading the contacts over time, which clients do by jitter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName};
use sealpost_site::changes::chain::ReadEntry;
use sealpost_site::changes::{Change, Recreated, ReleaseRetry};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{Activity, ClientByName, KnownReleaseOf, MAX_PAGE, Recipients, RolloutByNumber};
use sealpost_site::rows::RecipientRow;
use sealpost_site::rules::rollouts::waking::Call;
use tokio::sync::watch;

use crate::ports::clock::Clock;
use crate::ports::wakes::{HeldStream, Listener, Wakes};

/// Upper bound on streams held at once. Further clients poll.
pub const MAX_STREAMS: usize = 65_536;

/// The registry of held streams; clones share it.
#[derive(Debug, Clone)]
pub struct Push {
    registry: Arc<Mutex<Registry>>,
}

#[derive(Debug)]
struct Registry {
    streams: HashMap<ClientId, Slot>,
    /// When there was something for each channel last: a client without a stream at that time heard nothing.
    called_at: BTreeMap<ChannelName, CalledAt>,
    /// When there was something for computers of every channel.
    all_called_at: CalledAt,
    /// Which wakes an earlier process did not send is not known.
    started_at: Timestamp,
    next: u64,
    closed: bool,
}

/// When a channel was called last.
#[derive(Debug, Clone, Copy, Default)]
struct CalledAt {
    news: Option<Timestamp>,
    urgent: Option<Timestamp>,
}

impl CalledAt {
    const fn note(&mut self, call: Call, now: Timestamp) {
        match call {
            Call::News => self.news = Some(now),
            Call::Urgent => self.urgent = Some(now),
        }
    }

    const fn at(self, call: Call) -> Option<Timestamp> {
        match call {
            Call::News => self.news,
            Call::Urgent => self.urgent,
        }
    }
}

#[derive(Debug)]
struct Slot {
    number: u64,
    name: ComputerName,
    channel: ChannelName,
    wakes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Held {
    push: Push,
    client: ClientId,
    number: u64,
    wakes: watch::Receiver<u64>,
}

impl Push {
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let registry = Registry {
            streams: HashMap::new(),
            called_at: BTreeMap::new(),
            all_called_at: CalledAt::default(),
            started_at: now,
            next: 0,
            closed: false,
        };
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Notes a call for these channels, for streams that open later.
    pub fn note(&self, call: Call, channels: &[ChannelName], now: Timestamp) {
        let mut registry = self.lock();
        for channel in channels {
            registry.called_at.entry(channel.clone()).or_default().note(call, now);
        }
    }

    /// Notes a call for computers of every channel, for streams that open later.
    pub fn note_all(&self, call: Call, now: Timestamp) {
        self.lock().all_called_at.note(call, now);
    }

    /// Wakes the connected clients of these channels that are meant; returns how many.
    pub fn wake(&self, channels: &[ChannelName], is_meant: impl Fn(&ComputerName) -> bool) -> usize {
        self.wake_where(|slot| channels.contains(&slot.channel) && is_meant(&slot.name))
    }

    /// Wakes the connected clients of every channel that are meant; returns how many.
    pub fn wake_all(&self, is_meant: impl Fn(&ComputerName) -> bool) -> usize {
        self.wake_where(|slot| is_meant(&slot.name))
    }

    fn wake_where(&self, is_meant: impl Fn(&Slot) -> bool) -> usize {
        let registry = self.lock();
        let mut woken = 0;
        for slot in registry.streams.values().filter(|slot| is_meant(slot)) {
            slot.wakes.send_modify(|count| *count = count.wrapping_add(1));
            woken += 1;
        }
        woken
    }

    /// Whether any of these computers listens.
    fn has_any(&self, is_one: impl Fn(&ComputerName) -> bool) -> bool {
        self.lock().streams.values().any(|slot| is_one(&slot.name))
    }

    /// Ends the stream of a client that may no longer hold one.
    pub fn end(&self, client: &ClientId) {
        self.lock().streams.remove(client);
    }

    /// Wakes a client, and ends its stream: it opens another one after its contact.
    fn wake_and_end(&self, client: &ClientId) {
        if let Some(slot) = self.lock().streams.remove(client) {
            slot.wakes.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Ends every stream and accepts no new one.
    pub fn close(&self) {
        let mut registry = self.lock();
        registry.closed = true;
        registry.streams.clear();
    }

    fn add(&self, listener: Listener) -> Option<Held> {
        let Listener { client, name, channel, last_contact, hears_news } = listener;
        let mut registry = self.lock();
        let full = registry.streams.len() >= MAX_STREAMS && !registry.streams.contains_key(&client);
        if registry.closed || full {
            return None;
        }
        registry.next += 1;
        let number = registry.next;
        let (sender, mut wakes) = watch::channel(0);
        if registry.has_missed(Call::Urgent, &channel, last_contact)
            || (hears_news && registry.has_missed(Call::News, &channel, last_contact))
        {
            wakes.mark_changed();
        }
        // The older stream's sender is dropped here, which ends it.
        registry.streams.insert(client.clone(), Slot { number, name, channel, wakes: sender });
        Some(Held { push: self.clone(), client, number, wakes })
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // No change of the registry can be interrupted by a panic.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Whether a client may have been called since its last contact without hearing it. In doubt it was: a contact too
    /// many costs little, and a missing one delays an update by a polling interval.
    fn has_missed(&self, call: Call, channel: &ChannelName, last_contact: Option<Timestamp>) -> bool {
        let of_channel = self.called_at.get(channel).copied().unwrap_or_default();
        let called = of_channel.at(call).max(self.all_called_at.at(call));
        // Which calls an earlier process did not make is not known.
        last_contact
            .is_none_or(|contact| contact < self.started_at || called.is_some_and(|called| contact <= called))
    }
}

impl Wakes for Push {
    fn hold(&self, listener: Listener) -> Option<Box<dyn HeldStream>> {
        self.add(listener).map(|held| Box::new(held) as Box<dyn HeldStream>)
    }

    fn has_missed_news(&self, channel: &ChannelName, last_contact: Option<Timestamp>) -> bool {
        self.lock().has_missed(Call::News, channel, last_contact)
    }

    fn call(&self, names: &BTreeSet<ComputerName>) -> BTreeSet<ComputerName> {
        let registry = self.lock();
        let meant = registry.streams.values().filter(|slot| names.contains(&slot.name));
        let called = meant.map(|slot| {
            slot.wakes.send_modify(|count| *count = count.wrapping_add(1));
            slot.name.clone()
        });
        called.collect()
    }

    fn connected(&self) -> usize {
        self.lock().streams.len()
    }

    fn is_connected(&self, client: &ClientId) -> bool {
        self.lock().streams.contains_key(client)
    }
}

impl HeldStream for Held {
    fn woken(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async { self.wakes.changed().await.is_ok() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut registry = self.push.lock();
        if registry.streams.get(&self.client).is_some_and(|slot| slot.number == self.number) {
            registry.streams.remove(&self.client);
        }
    }
}

/// Follows the activity log until the ledger closes: wakes the clients that a change concerns, and closes the streams
/// of clients that were replaced.
///
/// A reconciler: what is lost with the process is made up for when the streams open again.
pub async fn follow(ledger: Arc<Ledger>, push: Push, clock: Arc<dyn Clock>) {
    let mut commits = ledger.subscribe();
    let mut seen = *commits.borrow_and_update();
    while commits.changed().await.is_ok() {
        let newest = *commits.borrow_and_update();
        while seen < newest {
            let filter = Activity { after: seen, ..Activity::default() };
            let entries = match ledger.query(filter).await {
                Ok(entries) if entries.is_empty() => break,
                Ok(entries) => entries,
                Err(LedgerError::Closed) => return,
                Err(error) => {
                    tracing::warn!(error = with_causes(&error), "cannot read which clients to wake");
                    break;
                }
            };
            for logged in entries {
                seen = seen.max(logged.entry.sequence());
                // What a newer version wrote concerns no stream of this one.
                if let ReadEntry::Known(entry) = logged.entry {
                    act_on(&ledger, &push, entry.change, &*clock).await;
                }
            }
        }
    }
}

async fn act_on(ledger: &Ledger, push: &Push, change: Change, clock: &dyn Clock) {
    let call = call_of(&change);
    match change {
        Change::ReleaseApproved { manifest, .. }
        | Change::ReleaseChannelsChanged { manifest, .. }
        | Change::ReleaseHalted { manifest, .. }
        | Change::ReleaseRetried(ReleaseRetry { manifest, .. })
        | Change::ReleaseWithdrawn { manifest, .. } => {
            if let Some(call) = call {
                call_for(ledger, push, (call, manifest), clock).await;
            }
        }
        Change::RolloutCompleted { rollout, .. }
        | Change::RingOpened { rollout, .. }
        | Change::RolloutResumed { rollout, .. }
        | Change::RolloutEdited { rollout, .. } => {
            if let (Some(call), Ok(Some(rollout))) =
                (call, ledger.query(RolloutByNumber { number: rollout }).await)
            {
                call_for(ledger, push, (call, rollout.manifest), clock).await;
            }
        }
        Change::SettingsChanged { changes, .. } => {
            if let Some(call) = Call::of_settings(&changes) {
                push.note_all(call, clock.now());
                let quiet = quiet_or_nobody(ledger, push, call).await;
                let woken = push.wake_all(|name| !quiet.contains(name));
                tracing::info!(woken, "woke the connected clients: settings were changed");
            }
        }
        Change::GroupMembersChanged { added, removed, .. } => {
            push.note_all(Call::News, clock.now());
            let names: BTreeSet<&ComputerName> = added.iter().chain(&removed).collect();
            // Of a long list few may listen, and then nobody has to be looked up.
            if push.has_any(|name| names.contains(name)) {
                let quiet = quiet_or_nobody(ledger, push, Call::News).await;
                push.wake_all(|name| names.contains(name) && !quiet.contains(name));
            }
        }
        // It hears of its new channel, and its next stream is one of that.
        Change::ChannelChanged { name, .. } => {
            if let Ok(Some(row)) = ledger.query(ClientByName { name }).await
                && let Some(client) = row.client_id
            {
                push.wake_and_end(&client);
            }
        }
        Change::ClientEnrolled { replaces: Some(client), .. }
        | Change::ForkDetected { client_id: client }
        | Change::ClientResumed { recreated: Some(Recreated { replaces: Some(client), .. }), .. } => {
            push.end(&client);
        }
        _ => {}
    }
}

/// The call that a change of a release is at least, for the computers of its channels; `None` when nobody is called.
const fn call_of(change: &Change) -> Option<Call> {
    match change {
        // Its first ring opens soon, and that calls them.
        Change::ReleaseApproved { staged: Some(staged), .. } if !staged.complete => None,
        Change::ReleaseHalted { .. } | Change::ReleaseWithdrawn { .. } => Some(Call::Urgent),
        Change::ReleaseApproved { .. }
        | Change::ReleaseChannelsChanged { .. }
        | Change::ReleaseRetried { .. }
        | Change::RolloutCompleted { .. }
        | Change::RingOpened { .. }
        | Change::RolloutResumed { .. }
        | Change::RolloutEdited { .. } => Some(Call::News),
        _ => None,
    }
}

/// Wakes the connected clients of a release's channels that the call reaches.
async fn call_for(ledger: &Ledger, push: &Push, (call, manifest): (Call, Sha256Digest), clock: &dyn Clock) {
    let Ok(Some(release)) = ledger.query(KnownReleaseOf { manifest }).await else { return };
    // First, so that a stream that opens meanwhile hears of it.
    let call = match ledger.query(LoadPlan {}).await {
        Ok(plan) => call.for_release(&release, &plan),
        // A contact too many costs little.
        Err(_) => Call::Urgent,
    };
    push.note(call, &release.channels, clock.now());
    let quiet = quiet_or_nobody(ledger, push, call).await;
    let woken = push.wake(&release.channels, |name| !quiet.contains(name));
    tracing::info!(release = %release.release, woken, ?call, "woke the connected clients");
}

/// The same, and nobody where that cannot be read: a contact too many costs little.
async fn quiet_or_nobody(ledger: &Ledger, push: &Push, call: Call) -> BTreeSet<ComputerName> {
    quiet(ledger, push, call).await.unwrap_or_else(|error| {
        tracing::warn!(error = with_causes(&error), "cannot read whom not to wake; everybody is woken");
        BTreeSet::new()
    })
}

/// The computers that a call does not reach. All are looked at only where a setting says that some are not to be woken, and
/// somebody is connected.
async fn quiet(ledger: &Ledger, push: &Push, call: Call) -> Result<BTreeSet<ComputerName>, LedgerError> {
    let plan = ledger.query(LoadPlan {}).await?;
    let mut quiet = BTreeSet::new();
    if call.reaches_all(&plan.settings) || push.connected() == 0 {
        return Ok(quiet);
    }
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    let each = |row: RecipientRow| {
        let groups = row.groups_in(&plan, &row.listed);
        if !call.reaches(plan.settings.delivery_of(&groups)) {
            quiet.insert(row.name);
        }
    };
    ledger.each(page, |row| row.name.clone(), each).await?;
    Ok(quiet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(byte: u8) -> ClientId {
        ClientId::from_random([byte; 16])
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn listener(byte: u8, channel_name: &str, last_contact: Option<Timestamp>) -> Listener {
        Listener {
            client: client(byte),
            name: ComputerName::new(format!("pc-{byte}")).unwrap(),
            channel: channel(channel_name),
            last_contact,
            hears_news: true,
        }
    }

    /// A stream of a client that has made a contact just now.
    fn hold(push: &Push, byte: u8, channel_name: &str) -> Option<Held> {
        push.add(listener(byte, channel_name, Some(START)))
    }

    fn wake(push: &Push, channel_name: &str, now: Timestamp) -> usize {
        push.note(Call::News, &[channel(channel_name)], now);
        push.wake(&[channel(channel_name)], |_| true)
    }

    #[tokio::test]
    async fn a_wake_that_came_while_a_client_had_no_stream_waits_for_its_stream() {
        let push = Push::new(START);
        wake(&push, "stable", at(10));
        let is_woken =
            |name: &str, contact| push.add(listener(1, name, contact)).unwrap().wakes.has_changed().unwrap();
        assert!(is_woken("stable", Some(at(9))), "its contact may have come before the approval");
        assert!(is_woken("stable", Some(at(10))));
        assert!(!is_woken("stable", Some(at(11))));
        assert!(!is_woken("beta", Some(at(9))), "nothing was said to its channel");
        assert!(is_woken("beta", None));
    }

    #[tokio::test]
    async fn a_client_whose_last_contact_was_with_an_earlier_process_is_woken_once() {
        let push = Push::new(at(10));
        let mut held = push.add(listener(1, "stable", Some(at(9)))).unwrap();
        assert!(held.woken().await);
        assert!(!held.wakes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn only_the_clients_of_a_channel_are_woken_and_several_unread_wakes_are_one() {
        let push = Push::new(START);
        let mut stable = hold(&push, 1, "stable").unwrap();
        let beta = hold(&push, 2, "beta").unwrap();
        assert_eq!(wake(&push, "stable", at(1)), 1);
        assert_eq!(wake(&push, "stable", at(1)), 1);
        assert!(stable.woken().await);
        assert!(!stable.wakes.has_changed().unwrap());
        assert!(!beta.wakes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn who_is_called_by_name_is_woken_and_named_and_nobody_else_is() {
        let push = Push::new(START);
        let mut called = hold(&push, 1, "stable").unwrap();
        let other = hold(&push, 2, "stable").unwrap();
        let name = |text: &str| ComputerName::new(text).unwrap();
        let found = push.call(&[name("pc-1"), name("pc-9")].into());
        assert_eq!(found, [name("pc-1")].into());
        assert!(called.woken().await && !other.wakes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn who_hears_no_news_is_not_woken_by_what_it_missed_of_them_and_is_by_what_is_urgent() {
        let push = Push::new(START);
        let quiet = || Listener { hears_news: false, ..listener(1, "stable", Some(at(9))) };
        wake(&push, "stable", at(10));
        assert!(push.has_missed_news(&channel("stable"), Some(at(9))));
        let held = push.add(quiet()).unwrap();
        assert!(!held.wakes.has_changed().unwrap());
        assert_eq!(push.wake(&[channel("stable")], |name| name.as_str() != "pc-1"), 0);
        push.note(Call::Urgent, &[channel("stable")], at(11));
        assert!(push.add(quiet()).unwrap().wakes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn a_newer_stream_of_a_client_ends_the_older_and_its_end_does_not_remove_the_newer() {
        let push = Push::new(START);
        let mut older = hold(&push, 1, "stable").unwrap();
        let newer = hold(&push, 1, "stable").unwrap();
        assert!(!older.woken().await);
        drop(older);
        assert_eq!(push.connected(), 1);
        drop(newer);
        assert_eq!(push.connected(), 0);
    }

    #[tokio::test]
    async fn a_replaced_client_loses_its_stream_and_others_keep_theirs() {
        let push = Push::new(START);
        let mut replaced = hold(&push, 1, "stable").unwrap();
        let _stays = hold(&push, 2, "stable").unwrap();
        push.end(&client(1));
        assert!(!replaced.woken().await);
        assert_eq!(push.connected(), 1);
    }

    #[tokio::test]
    async fn closing_ends_every_stream_and_accepts_no_new_one() {
        let push = Push::new(START);
        let mut held = hold(&push, 1, "stable").unwrap();
        push.close();
        assert!(!held.woken().await);
        assert!(hold(&push, 2, "stable").is_none());
    }
}
