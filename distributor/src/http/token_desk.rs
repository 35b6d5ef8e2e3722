//! Who may come with an admin token: what the file of tokens says, as far as the log tells the same.
//!
//! Invariants: no token works without an entry of the log that it was made, with this name, digest and end; and none after
//! an entry that it was revoked. So a file that was edited by hand lets nobody in. An entry is written before the file is
//! changed: a kill in between leaves a token in the log that nobody holds, or one in the file that is refused. The first use
//! of a token is an entry too, written before the use is admitted.
//! A site whose log has no word about tokens has them from a version that wrote none: these are taken over, each with an
//! entry. What the log says is read once: while a desk is open nobody else writes the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::{Token, TokenDigest};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::changes::{Actor, Change};
use sealpost_site::commands::tokens::{MakeTokens, NewToken, Origin, RevokeToken, UseToken};
use sealpost_site::queries::Activity;
use sealpost_site::rules::account::{Account, TokenId};
use tokio::sync::Mutex;
use tokio::task::JoinError;

use super::admin_tokens::{AdminToken, AdminTokenError, AdminTokens, KnownToken, PlannedToken, Recognized};

/// The entries that tell of tokens.
const KINDS: [&str; 3] = ["admin_token_made", "admin_token_used", "admin_token_revoked"];
/// Entries that are read at once.
const PAGE: u32 = 500;

/// Why a token could not be looked up, made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenDeskError {
    #[error(transparent)]
    File(#[from] AdminTokenError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the work on the admin tokens was cut off")]
    Cut(#[from] JoinError),
}

/// A token that was made.
#[derive(Debug)]
pub struct MadeToken {
    /// It is stored nowhere.
    pub token: Token,
    pub id: TokenId,
}

/// Whether somebody may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    Good(Account),
    /// The name of a token that has ended.
    Ended(String),
    /// The name of a token of the file that the log does not tell of, or not so.
    Unlogged(String),
    Unknown,
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
}

impl TokenDesk {
    /// Reads what the log says. Where it has never told of a token, those of the file are taken over.
    ///
    /// # Errors
    /// [`TokenDeskError`], but not for a file that cannot be used: that keeps its tokens out, and nobody else.
    pub async fn open(
        file: AdminTokens,
        ledger: Arc<Ledger>,
        now: Timestamp,
    ) -> Result<Self, TokenDeskError> {
        let logged = Mutex::new(read_log(&ledger).await?);
        let desk = Self { file, ledger, logged };
        let in_file = match desk.in_file(AdminTokens::list).await {
            Ok(tokens) => tokens,
            Err(error) => {
                tracing::error!(error = with_causes(&error), "admins with a token are refused");
                BTreeMap::new()
            }
        };
        if desk.logged.lock().await.is_empty() && !in_file.is_empty() {
            desk.take_over(&in_file, now).await?;
        }
        desk.tell_differences(&in_file).await;
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
        let token = TokenId::of(&known.digest);
        let mut log = self.logged.lock().await;
        let Some(logged) = log.get_mut(&token).filter(|logged| logged.is(&known)) else {
            return Ok(Admitted::Unlogged(known.name));
        };
        if !logged.is_used {
            let (name, token, source) = (known.name.clone(), token.clone(), source.to_owned());
            self.ledger.execute(now, UseToken { name, token, source }).await?;
            logged.is_used = true;
        }
        Ok(Admitted::Good(Account::token(known.name, token)))
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
        name: &str,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<MadeToken, TokenDeskError> {
        let mut log = self.logged.lock().await;
        let named = name.to_owned();
        let planned: PlannedToken = self.in_file(move |file| file.plan(&named)).await?;
        let digest = planned.token.digest();
        let (id, name) = (TokenId::of(&digest), name.to_owned());
        let tokens = vec![NewToken { name: name.clone(), digest, ends_at }];
        self.ledger.execute(now, MakeTokens { actor, tokens, origin: Origin::Made }).await?;
        log.insert(id.clone(), Logged { name, digest, ends_at, is_used: false, is_revoked: false });
        let token = self.in_file(move |_| planned.store(now, ends_at)).await?;
        Ok(MadeToken { token, id })
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

    async fn take_over(
        &self,
        in_file: &BTreeMap<String, AdminToken>,
        now: Timestamp,
    ) -> Result<(), TokenDeskError> {
        let new = |(name, token): (&String, &AdminToken)| NewToken {
            name: name.clone(),
            digest: token.digest,
            ends_at: token.ends_at,
        };
        let tokens = in_file.iter().map(new).collect();
        self.ledger.execute(now, MakeTokens { actor: Actor::Server, tokens, origin: Origin::Found }).await?;
        tracing::warn!(
            tokens = in_file.len(),
            "admin tokens that an earlier version made were taken over; `distributor token list` shows them"
        );
        *self.logged.lock().await = read_log(&self.ledger).await?;
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
async fn read_log(ledger: &Ledger) -> Result<Log, LedgerError> {
    let kinds: Vec<String> = KINDS.map(str::to_owned).into();
    let page = |after: Option<u64>| Activity {
        after: after.unwrap_or(0),
        kinds: kinds.clone(),
        limit: Some(PAGE),
        ..Activity::default()
    };
    let mut log = Log::new();
    ledger
        .each(page, |logged| logged.entry.sequence(), |logged| take(&mut log, logged.entry.change()))
        .await?;
    Ok(log)
}

fn take(log: &mut Log, change: Option<&Change>) {
    match change {
        Some(Change::AdminTokenMade { token, digest, name, ends_at, .. }) => {
            let made = Logged {
                name: name.clone(),
                digest: *digest,
                ends_at: *ends_at,
                is_used: false,
                is_revoked: false,
            };
            // One that was revoked stays revoked.
            log.entry(token.clone()).or_insert(made);
        }
        Some(Change::AdminTokenUsed { token, .. }) => {
            if let Some(logged) = log.get_mut(token) {
                logged.is_used = true;
            }
        }
        Some(Change::AdminTokenRevoked { token, .. }) => {
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
        Self { file, ledger, logged: Mutex::new(Log::new()) }
    }
}

#[cfg(test)]
mod tests;
