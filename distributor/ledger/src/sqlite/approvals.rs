//! Accounts, their tokens, what waits for a second person and what is put off: what changes do to their rows, and what a plan
//! reads of them.
//!
//! Invariant: a decision about a release ends what waited about it; what an account or a token has to do with that stands in
//! changes of its own.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::{ActivityEntry, Change, ProposalMade, TokenOwner, TokenRevoked};
use sealpost_site::rules::approvals::people::{Eyes, OwnedToken, People, Person, Standing};
use sealpost_site::rules::approvals::proposal::Proposal;
use sealpost_site::rules::approvals::{Approvals, Deferral};

use super::connection::execute;
use super::rollouts::replan;
use super::values::{
    count, from_json, from_word, integer, json, micros, optional_text, optional_time, text, time,
};
use crate::store::StoreError;

/// Applies a change of accounts or of what waits.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    match &entry.change {
        Change::AccountAdded(of) | Change::AccountEnabled(of) => account(connection, entry, of, true)?,
        Change::AccountDisabled(of) => account(connection, entry, of, false)?,
        Change::AdminTokenMade { token, name, ends_at, owner: Some(owner), .. } => {
            let TokenOwner { account, standing, .. } = owner;
            execute(
                connection,
                "INSERT OR REPLACE INTO account_tokens (token, account, name, standing, ends_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![token.as_str(), account.as_str(), name, standing.as_str(), ends_at.map(micros)],
            )?;
        }
        Change::AdminTokenRevoked(TokenRevoked { token, .. }) => {
            // It stays known whose it was: what was sent with it before is still that person's.
            let sql = "UPDATE account_tokens SET standing = 'revoked' WHERE token = ?1";
            if !removed(connection, sql, token.as_str())? {
                return Ok(());
            }
        }
        Change::AdminTokenConfirmed(of) => execute(
            connection,
            "UPDATE account_tokens SET standing = ?2 WHERE token = ?1",
            [of.token.as_str(), Standing::Given.as_str()],
        )?,
        Change::ProposalMade(made) => proposed(connection, entry, made)?,
        Change::ProposalEnded(ended) => {
            execute(connection, "DELETE FROM proposals WHERE number = ?1", [integer(ended.number)])?;
        }
        Change::ReleaseDeferred(deferred) => execute(
            connection,
            "INSERT OR REPLACE INTO deferrals (manifest, until, at, by, comment) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                deferred.manifest.to_string(),
                micros(deferred.until),
                micros(entry.at),
                json(&entry.actor)?,
                deferred.comment
            ],
        )?,
        _ => return Ok(()),
    }
    replan(connection, entry)
}

fn account(
    connection: &Connection,
    entry: &ActivityEntry,
    of: &sealpost_site::changes::AccountChanged,
    enabled: bool,
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT OR REPLACE INTO accounts (name, enabled, at, by, comment) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![of.account.as_str(), enabled, micros(entry.at), json(&entry.actor)?, of.comment],
    )
}

fn proposed(connection: &Connection, entry: &ActivityEntry, made: &ProposalMade) -> Result<(), StoreError> {
    let ProposalMade { number, proposed, account, expires_at, comment } = made;
    execute(
        connection,
        "INSERT OR REPLACE INTO proposals (number, manifest, account, by, proposed, at, expires_at, comment) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            integer(*number),
            proposed.manifest().map(|manifest| manifest.to_string()),
            account.as_ref().map(|account| account.as_str()),
            json(&entry.actor)?,
            json(proposed)?,
            micros(entry.at),
            micros(*expires_at),
            comment
        ],
    )
}

/// A release was decided about, or came anew: nothing waits about it any more.
pub(super) fn settled(
    connection: &Connection,
    entry: &ActivityEntry,
    manifest: &Sha256Digest,
) -> Result<(), StoreError> {
    let manifest = manifest.to_string();
    let proposals = removed(connection, "DELETE FROM proposals WHERE manifest = ?1", &manifest)?;
    let deferrals = removed(connection, "DELETE FROM deferrals WHERE manifest = ?1", &manifest)?;
    if proposals || deferrals { replan(connection, entry) } else { Ok(()) }
}

/// Whether there was a row to remove or change.
fn removed(connection: &Connection, sql: &str, key: &str) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute([key])? > 0)
}

/// What a plan says of approvals.
pub(super) fn approvals(connection: &Connection) -> Result<Approvals, StoreError> {
    let accounts = connection
        .prepare_cached("SELECT name, enabled, at, by, comment FROM accounts")?
        .query_map([], |row| {
            let person = Person {
                enabled: row.get(1)?,
                at: time(row, 2)?,
                by: from_json(row, 3)?,
                comment: row.get(4)?,
            };
            Ok((from_word(row, 0)?, person))
        })?
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let tokens = connection
        .prepare_cached("SELECT token, account, name, standing, ends_at FROM account_tokens")?
        .query_map([], |row| {
            let token = OwnedToken {
                account: from_word(row, 1)?,
                name: row.get(2)?,
                standing: text(row, 3)?,
                ends_at: optional_time(row, 4)?,
            };
            Ok((from_word(row, 0)?, token))
        })?
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let proposals = connection
        .prepare_cached("SELECT number, account, by, proposed, at, expires_at, comment FROM proposals")?
        .query_map([], |row| {
            let number = count(row, 0)?;
            let proposal = Proposal {
                number,
                eyes: Eyes::from(optional_text(row, 1)?),
                by: from_json(row, 2)?,
                what: from_json(row, 3)?,
                at: time(row, 4)?,
                expires_at: time(row, 5)?,
                comment: row.get(6)?,
            };
            Ok((number, proposal))
        })?
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let deferrals = connection
        .prepare_cached("SELECT manifest, until, at, by, comment FROM deferrals")?
        .query_map([], |row| {
            let deferral = Deferral {
                until: time(row, 1)?,
                at: time(row, 2)?,
                by: from_json(row, 3)?,
                comment: row.get(4)?,
            };
            Ok((text(row, 0)?, deferral))
        })?
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    Ok(Approvals { people: People { accounts, tokens }, proposals, deferrals })
}
