//! Who may come with an admin token: what the file of tokens says, as far as the log tells the same.
//!
//! Invariants: no token works without an entry of the log that it was made, with this name, digest and end; and none after
//! an entry that it was revoked. So a file that was edited by hand lets nobody in. An entry is written before the file is
//! changed: a kill in between leaves a token in the log that nobody holds, or one in the file that is refused. The first use
//! of a token is an entry too, written before the use is admitted.
//! What the log says is what the ledger read of the bytes of all entries when it started; if it found damage, no token is
//! admitted. Tokens that the log does not tell of are taken over, each with an entry, only where this start brought the
//! ledger up from a version that wrote none; not in a ledger that may have been put back; and `status` tells of them until
//! they are revoked. Left out on purpose: a second try after a kill or an
//! error between the two, or with a file that could not be read then; tokens are made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::{Token, TokenDigest};
use sealpost_ledger::sqlite::SqliteStore;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::changes::chain::LogDamage;
use sealpost_site::changes::{Actor, Change, TokenRevoked, TokenUsed};
use sealpost_site::commands::tokens::{MakeTokens, NewToken, Origin, RenewToken, RevokeToken, UseToken};
use sealpost_site::queries::Restores;
use sealpost_site::rules::account::{Account, TokenId};
use sealpost_site::rules::approvals::people::AccountName;
use sealpost_site::rules::text::{counted, first_names};
use sealpost_site::rules::warnings::{Warning, WarningCode};
use tokio::sync::Mutex;
use tokio::task::JoinError;

use super::admin_tokens::{AdminToken, AdminTokenError, AdminTokens, KnownToken, PlannedToken, Recognized};

/// Why a token could not be looked up, made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenDeskError {
    #[error(transparent)]
    File(#[from] AdminTokenError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the log is damaged at entry {}: no admin token would be admitted", .0.sequence)]
    Damaged(LogDamage),
    #[error("the work on the admin tokens was cut off")]
    Cut(#[from] JoinError),
}

/// A token that was made.
#[derive(Debug)]
pub struct MadeToken {
    /// It is stored nowhere.
    pub token: Token,
    pub id: TokenId,
    /// The proposal that a second account has to confirm before it can be renewed.
    pub waits: Option<u64>,
}

/// A token that somebody wants.
#[derive(Debug, Clone)]
pub struct WantedToken {
    pub name: String,
    /// The account that it is one of.
    pub account: Option<AccountName>,
    /// Its end; `None` for one that is good until it is revoked.
    pub ends_at: Option<Timestamp>,
}

/// Whether somebody may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    Good(Account),
    /// The name of a token that has ended.
    Ended(String),
    /// The name of a token of the file that the log does not tell of, or not so.
    Unlogged(String),
    /// The name of a token of a disabled account.
    Disabled(String, AccountName),
    /// The name of a token of the file; what the log tells of it cannot be believed.
    Damaged(String, LogDamage),
    Unknown,
}

/// What becomes of tokens of the file that the log does not tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// An earlier version made them, and wrote no entries: they are taken over.
    TakeOver,
    Refuse,
}

impl Untold {
    /// Beside a ledger that was just opened: only one of a version without entries about tokens has some that nobody
    /// planted.
    #[must_use]
    pub const fn beside(store: &SqliteStore) -> Self {
        if store.had_tokens_without_entries() { Self::TakeOver } else { Self::Refuse }
    }
}

/// Carries work at a desk out although its caller has left meanwhile: an entry of the log and what follows from it belong
/// together.
///
/// # Errors
/// [`TokenDeskError`].
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, TokenDeskError>> + Send + 'static,
) -> Result<T, TokenDeskError> {
    tokio::spawn(work).await?
}

/// What the log says of a token.
#[derive(Debug, Clone)]
struct Logged {
    name: String,
    digest: TokenDigest,
    ends_at: Option<Timestamp>,
    /// It was taken over.
    is_found: bool,
    is_used: bool,
    is_revoked: bool,
}

impl Logged {
    /// Whether the file says the same.
    fn is(&self, known: &KnownToken) -> bool {
        !self.is_revoked
            && (&self.name, self.digest, self.ends_at) == (&known.name, known.digest, known.ends_at)
    }
}

type Log = BTreeMap<TokenId, Logged>;

/// The file of tokens, and what the log says of them.
#[derive(Debug)]
pub struct TokenDesk {
    file: AdminTokens,
    ledger: Arc<Ledger>,
    /// Held while an entry is written, so that none is written twice.
    logged: Mutex<Log>,
    /// What is wrong with the log; then nobody with a token is admitted.
    damage: Option<LogDamage>,
}

impl TokenDesk {
    /// Asks what the log says, and does with tokens of which it says nothing as it is told.
    ///
    /// # Errors
    /// [`TokenDeskError`], but not for a file that cannot be used: that keeps its tokens out, and nobody else.
    pub async fn open(
        file: AdminTokens,
        ledger: Arc<Ledger>,
        untold: Untold,
        now: Timestamp,
    ) -> Result<Self, TokenDeskError> {
        let (log, damage) = match read_log(&ledger) {
            Ok(log) => (log, None),
            Err(damage) => {
                tracing::error!(
                    entry = damage.sequence,
                    what = damage.what,
                    "the log is damaged: admins with a token are refused; run `distributor log verify`"
                );
                (Log::new(), Some(damage))
            }
        };
        let desk = Self { file, ledger, logged: Mutex::new(log), damage };
        let in_file = match desk.in_file(AdminTokens::list).await {
            Ok(tokens) => tokens,
            Err(error) => {
                tracing::error!(error = with_causes(&error), "admins with a token are refused");
                BTreeMap::new()
            }
        };
        let is_asked = untold == Untold::TakeOver && desk.damage.is_none() && !in_file.is_empty();
        if is_asked && desk.logged.lock().await.is_empty() && !desk.may_be_put_back().await? {
            desk.take_over(&in_file, now).await?;
        }
        if desk.damage.is_none() {
            desk.tell_differences(&in_file).await;
        }
        Ok(desk)
    }

    /// Whose token a text is, and whether it is good. The first use of one is logged as from this source.
    ///
    /// # Errors
    /// [`TokenDeskError`], also when the first use cannot be logged; then it must not be admitted.
    pub async fn admit(&self, text: &str, source: &str, now: Timestamp) -> Result<Admitted, TokenDeskError> {
        let text = text.to_owned();
        let known = match self.in_file(move |file| file.recognize(&text, now)).await? {
            Recognized::Good(known) => known,
            Recognized::Ended(name) => return Ok(Admitted::Ended(name)),
            Recognized::Unknown => return Ok(Admitted::Unknown),
        };
        if let Some(damage) = &self.damage {
            return Ok(Admitted::Damaged(known.name, damage.clone()));
        }
        let token = TokenId::of(&known.digest);
        let mut log = self.logged.lock().await;
        let Some(logged) = log.get_mut(&token).filter(|logged| logged.is(&known)) else {
            return Ok(Admitted::Unlogged(known.name));
        };
        if let Some(account) = self.ledger.disabled_account_of(&token) {
            return Ok(Admitted::Disabled(known.name, account));
        }
        if !logged.is_used {
            let (name, token, source) = (known.name.clone(), token.clone(), source.to_owned());
            self.ledger.execute(now, UseToken { name, token, source }).await?;
            logged.is_used = true;
        }
        Ok(Admitted::Good(Account::token(known.name, token)))
    }

    /// Whether a token that was admitted still would be: it was not revoked, has not ended, stands in the file, and its account
    /// is not disabled.
    pub async fn is_still_good(&self, token: &TokenId, now: Timestamp) -> bool {
        let Ok(in_file) = self.in_file(AdminTokens::list).await else { return false };
        let known = in_file.into_iter().find(|(_, known)| TokenId::of(&known.digest) == *token);
        let Some((name, known)) = known.filter(|(_, known)| !known.has_ended(now)) else { return false };
        let known = KnownToken { name, digest: known.digest, ends_at: known.ends_at };
        let is_logged = self.logged.lock().await.get(token).is_some_and(|logged| logged.is(&known));
        self.damage.is_none() && is_logged && self.ledger.disabled_account_of(token).is_none()
    }

    /// What an admin should know of the tokens.
    pub async fn warnings(&self) -> Vec<Warning> {
        if let Some(damage) = &self.damage {
            let said = format!(
                "no admin token is admitted, since the log cannot be believed (entry {}: {}): run `distributor log verify` \
                 on the server, and restore a backup",
                damage.sequence, damage.what
            );
            return vec![Warning::new(WarningCode::TokensRefused, said)];
        }
        // A file that cannot be read is told where its tokens' ends are looked up.
        let in_file = self.in_file(AdminTokens::list).await.unwrap_or_default();
        let log = self.logged.lock().await;
        let is_found = |id: &TokenId| log.get(id).is_some_and(|logged| logged.is_found && !logged.is_revoked);
        let found = in_file.iter().filter(|(_, token)| is_found(&TokenId::of(&token.digest)));
        let names: Vec<&String> = found.map(|(name, _)| name).collect();
        let Some(first) = names.first() else { return Vec::new() };
        let count = names.len() as u64;
        let said = format!(
            "{} found in the file when an earlier version was replaced, and no entry of the log says who made {} ({}): run \
             `distributor token revoke NAME`, and `distributor token new NAME` for who needs one",
            counted(count, "admin token was", "admin tokens were"),
            if count == 1 { "it" } else { "them" },
            first_names(&names, count),
        );
        let next = format!("distributor token revoke {first}");
        vec![Warning::new(WarningCode::TokensTakenOver, said).next(next)]
    }

    /// Every token of the file by name, for lists. Blocks for a small file.
    ///
    /// # Errors
    /// [`AdminTokenError`].
    pub fn list(&self) -> Result<BTreeMap<String, AdminToken>, AdminTokenError> {
        self.file.list()
    }

    /// Makes a token: first its entry, then the file.
    ///
    /// # Errors
    /// [`TokenDeskError`]; then no new token works.
    pub async fn make(
        &self,
        actor: Actor,
        wanted: WantedToken,
        now: Timestamp,
    ) -> Result<MadeToken, TokenDeskError> {
        let WantedToken { name, account, ends_at } = wanted;
        if let Some(damage) = &self.damage {
            return Err(TokenDeskError::Damaged(damage.clone()));
        }
        let mut log = self.logged.lock().await;
        let named = name.clone();
        let planned: PlannedToken = self.in_file(move |file| file.plan(&named)).await?;
        let digest = planned.token.digest();
        let id = TokenId::of(&digest);
        let tokens = vec![NewToken { name: name.clone(), digest, ends_at, account }];
        let waits = self.ledger.execute(now, MakeTokens { actor, tokens, origin: Origin::Made }).await?;
        let made = Logged { name, digest, ends_at, is_found: false, is_used: false, is_revoked: false };
        log.insert(id.clone(), made);
        let token = self.in_file(move |_| planned.store(now, ends_at)).await?;
        Ok(MadeToken { token, id, waits })
    }

    /// Makes a token in the place of the one with which somebody comes: first the entries, then the file. The one before is
    /// refused from then on; a kill in between leaves a name whose token nobody has.
    ///
    /// # Errors
    /// [`TokenDeskError`]; refused entries change nothing.
    pub async fn renew(
        &self,
        actor: Actor,
        before: TokenId,
        now: Timestamp,
    ) -> Result<(MadeToken, Option<Timestamp>), TokenDeskError> {
        if let Some(damage) = &self.damage {
            return Err(TokenDeskError::Damaged(damage.clone()));
        }
        let mut log = self.logged.lock().await;
        let of_file = before.clone();
        let (planned, name, ends_at) = self.in_file(move |file| file.plan_renewal(&of_file)).await?;
        let digest = planned.token.digest();
        let id = TokenId::of(&digest);
        let renew = RenewToken { actor, before: before.clone(), name: name.clone(), digest, ends_at };
        self.ledger.execute(now, renew).await?;
        let made = Logged { name, digest, ends_at, is_found: false, is_used: false, is_revoked: false };
        log.insert(id.clone(), made);
        if let Some(logged) = log.get_mut(&before) {
            logged.is_revoked = true;
        }
        let token = self.in_file(move |_| planned.store(now, ends_at)).await?;
        Ok((MadeToken { token, id, waits: None }, ends_at))
    }

    /// Revokes all tokens of a name, whether the file has them or the log alone: first the entries, then the file. Answers
    /// which; none when there is no such name.
    ///
    /// # Errors
    /// [`TokenDeskError`].
    pub async fn revoke(
        &self,
        actor: Actor,
        name: &str,
        now: Timestamp,
    ) -> Result<BTreeSet<TokenId>, TokenDeskError> {
        let mut log = self.logged.lock().await;
        let in_file = self.in_file(AdminTokens::list).await?;
        let of_log = log.iter().filter(|(_, logged)| logged.name == name && !logged.is_revoked);
        let mut ids: BTreeSet<TokenId> = of_log.map(|(id, _)| id.clone()).collect();
        ids.extend(in_file.get(name).map(|token| TokenId::of(&token.digest)));
        for token in &ids {
            let revoke = RevokeToken { actor: actor.clone(), name: name.to_owned(), token: token.clone() };
            self.ledger.execute(now, revoke).await?;
            if let Some(logged) = log.get_mut(token) {
                logged.is_revoked = true;
            }
        }
        let name = name.to_owned();
        self.in_file(move |file| file.remove(&name)).await?;
        Ok(ids)
    }

    /// Whether the log may lack what was told of tokens.
    async fn may_be_put_back(&self) -> Result<bool, LedgerError> {
        Ok(self.ledger.query(Restores {}).await?.unconfirmed().is_some())
    }

    async fn take_over(
        &self,
        in_file: &BTreeMap<String, AdminToken>,
        now: Timestamp,
    ) -> Result<(), TokenDeskError> {
        let new = |(name, token): (&String, &AdminToken)| NewToken {
            name: name.clone(),
            digest: token.digest,
            ends_at: token.ends_at,
            account: None,
        };
        let tokens = in_file.iter().map(new).collect();
        self.ledger.execute(now, MakeTokens { actor: Actor::Server, tokens, origin: Origin::Found }).await?;
        tracing::warn!(
            tokens = in_file.len(),
            "admin tokens that an earlier version made were taken over; `distributor token list` shows them"
        );
        // Nothing has been damaged since it was asked before.
        *self.logged.lock().await = read_log(&self.ledger).unwrap_or_default();
        Ok(())
    }

    /// Says where file and log differ: a kill in the middle, or a file that was edited by hand.
    async fn tell_differences(&self, in_file: &BTreeMap<String, AdminToken>) {
        let log = self.logged.lock().await;
        for (name, token) in in_file {
            let id = TokenId::of(&token.digest);
            let known = KnownToken { name: name.clone(), digest: token.digest, ends_at: token.ends_at };
            if !log.get(&id).is_some_and(|logged| logged.is(&known)) {
                tracing::warn!(%name, %id, "an admin token of the file is refused: the log does not tell of it so; revoke it");
            }
        }
        let stored: BTreeSet<TokenId> = in_file.values().map(|token| TokenId::of(&token.digest)).collect();
        for (id, logged) in log.iter().filter(|(id, logged)| !logged.is_revoked && !stored.contains(*id)) {
            tracing::warn!(name = logged.name, %id, "an admin token of the log is not in the file, and works nowhere");
        }
    }

    async fn in_file<T, F>(&self, work: F) -> Result<T, TokenDeskError>
    where
        T: Send + 'static,
        F: FnOnce(&AdminTokens) -> Result<T, AdminTokenError> + Send + 'static,
    {
        let file = self.file.clone();
        Ok(tokio::task::spawn_blocking(move || work(&file)).await??)
    }
}

/// What the log says of every token.
fn read_log(ledger: &Ledger) -> Result<Log, LogDamage> {
    let mut log = Log::new();
    for change in ledger.token_changes()? {
        take(&mut log, &change);
    }
    Ok(log)
}

fn take(log: &mut Log, change: &Change) {
    match change {
        Change::AdminTokenMade { token, digest, name, ends_at, found, .. } => {
            let made = Logged {
                name: name.clone(),
                digest: *digest,
                ends_at: *ends_at,
                is_found: *found,
                is_used: false,
                is_revoked: false,
            };
            // One that was revoked stays revoked.
            log.entry(token.clone()).or_insert(made);
        }
        Change::AdminTokenUsed(TokenUsed { token, .. }) => {
            if let Some(logged) = log.get_mut(token) {
                logged.is_used = true;
            }
        }
        Change::AdminTokenRevoked(TokenRevoked { token, .. }) => {
            if let Some(logged) = log.get_mut(token) {
                logged.is_revoked = true;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
impl TokenDesk {
    /// A desk of a server without tokens.
    pub(crate) fn empty(file: AdminTokens, ledger: Arc<Ledger>) -> Self {
        Self { file, ledger, logged: Mutex::new(Log::new()), damage: None }
    }
}

#[cfg(test)]
mod tests;
