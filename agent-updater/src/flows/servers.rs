//! The servers of this computer, as people see them and change them: which there are, which one serves and why.
//!
//! Invariants: the first one decides about updates, and only a person makes another one the first. A removal takes nothing
//! back from its server: the seat there stays used.
//! Left out on purpose: enrolling with a further one ([`super::enroll`]), and who serves ([`crate::domain::serving`]).

use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_files::{escape, with_causes};
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::setup::{ServerEntry, ServerRole};
use serde::Serialize;

use crate::domain::cadence::Standing;
use crate::domain::server_list::single_ways;
use crate::domain::serving::{Serving, Tried, Why, order, tried};
use crate::home::HomeError;
use crate::platform::store::StoreError;
use crate::records::holdings::{Holdings, HoldingsError};
use crate::records::progress::Progress;
use crate::records::server::{Enrollment, ServerRecords};
use crate::records::{servers, serving};

use super::context::Host;
use super::lease::LeaseStatus;

/// Fewest characters of a server's id that name it.
const LEAST_OF_ID: usize = 6;

/// A server that this computer is enrolled with.
#[derive(Debug, Clone, Serialize)]
pub struct ServerStatus {
    pub server: ServerId,
    /// Its addresses with the port, in the order in which they are tried; none if its enrollment cannot be read.
    pub addresses: Vec<String>,
    pub role: ServerRole,
    /// Whether it decides about updates.
    pub updates: bool,
    /// Whether it is the one that serves.
    pub serves: bool,
    pub standing: Standing,
    /// Until when its lease licenses this computer, if one does.
    pub lease_until: Option<Timestamp>,
    /// The same with what becomes of it, as `status` says it of the server that serves.
    pub lease: LeaseStatus,
    /// The last contact that it answered.
    pub last_answer: Option<Timestamp>,
    /// Why the last contact failed, or its records cannot be used.
    pub problem: Option<String>,
}

impl ServerStatus {
    /// Its first address, or its id if none is known.
    #[must_use]
    pub fn name(&self) -> &str {
        self.addresses.first().map_or(self.server.as_str(), String::as_str)
    }
}

/// Which server serves, and why.
#[derive(Debug, Clone, Serialize)]
pub struct ServingStatus {
    pub server: ServerId,
    /// Its address, or its id if none is known.
    pub name: String,
    pub role: ServerRole,
    /// `None` if nobody ever decided it: the first one serves.
    pub since: Option<Timestamp>,
    pub why: Why,
    /// When a server that answers again takes its place, if it goes on answering.
    pub held_until: Option<Timestamp>,
    /// Why, in a sentence.
    pub sentence: String,
}

/// Why a server could not be removed or preferred. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the list of this computer's servers cannot be used")]
    Store(#[from] StoreError),
    #[error("{asked} is none of this computer's servers; `agent-updater servers list` shows them")]
    Unknown { asked: String },
    #[error(
        "{asked} may be more than one of this computer's servers; name its id, as `agent-updater servers list` shows it"
    )]
    Ambiguous { asked: String },
    #[error(
        "{name} is not removed: it decides about the updates of this computer; prefer another server first \
         (`agent-updater servers prefer SERVER`), or add one (`agent-updater servers add --setup FILE`)"
    )]
    Authority { name: String },
    #[error(
        "the enrollment with {name} is missing; enroll with it again: `agent-updater servers add --setup FILE`"
    )]
    NoEnrollment { name: String },
    #[error(
        "{name} is no server of this computer any more, and what is left of it cannot be removed: {path}; remove it by hand"
    )]
    Left {
        name: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The servers in their order, the one that decides about updates first; none before enrollment.
///
/// # Errors
/// [`StoreError`].
pub fn list(host: &Host) -> Result<Vec<ServerStatus>, StoreError> {
    Ok(rows(host, &Progress::load(&host.home)?))
}

/// As [`list`], by what was read already.
pub(super) fn rows(host: &Host, progress: &Progress) -> Vec<ServerStatus> {
    let serves = serving(host, progress).map(|serving| serving.server);
    let row = |server: &ServerId| {
        let standing = progress.of(server);
        let enrollment = ServerRecords::of(&host.home, server).enrollment().ok().flatten();
        let holdings = Holdings::of(&host.home, server, progress, host.now());
        let list = holdings.as_ref().ok().and_then(|holdings| holdings.server_list.good());
        let ways = enrollment
            .as_ref()
            .map(|enrollment| single_ways(list, standing.answered_by.as_ref(), &enrollment.server));
        let lease = LeaseStatus::of(holdings.as_ref().ok(), standing);
        let contact = standing.last_contact.as_ref().and_then(|contact| contact.problem.clone());
        ServerStatus {
            server: server.clone(),
            addresses: ways.iter().flatten().filter_map(shown).collect(),
            role: enrollment.map_or(ServerRole::Secondary, |enrollment| enrollment.server.role),
            updates: progress.authority() == Some(server),
            serves: serves.as_ref() == Some(server),
            standing: standing.standing,
            lease_until: lease.not_after,
            lease,
            last_answer: standing.answered_at,
            problem: holdings.as_ref().err().map(unusable).or(contact),
        }
    };
    progress.servers().iter().map(row).collect()
}

fn unusable(error: &HoldingsError) -> String {
    match error {
        HoldingsError::Store(damage) => damaged(damage),
        HoldingsError::NotEnrolled | HoldingsError::Grant(_) => with_causes(error),
    }
}

/// What is said of a record of one server among several: it stops nothing of the others.
pub(super) fn damaged(error: &StoreError) -> String {
    match error {
        StoreError::Damaged { path } => format!(
            "the record {} is damaged; check the disk, and enroll with this server again: `agent-updater servers add --setup \
             FILE`, or of the first server `agent-updater enroll --setup FILE`",
            path.display()
        ),
        other => with_causes(other),
    }
}

fn shown(way: &ServerEntry) -> Option<String> {
    Some(format!("{}:{}", way.addresses.first()?, way.port))
}

/// How a server is called where people read it: by its first address, or by its id if none is known.
pub(super) fn name_of(host: &Host, server: &ServerId) -> String {
    let enrollment = ServerRecords::of(&host.home, server).enrollment().ok().flatten();
    let address = enrollment.and_then(|enrollment: Enrollment| shown(&enrollment.server));
    address.map_or_else(|| server.to_string(), |address| escape(&address))
}

/// Who serves: by its record, as far as that names a server of this computer; else the first. `None` before enrollment.
pub(super) fn serving(host: &Host, progress: &Progress) -> Option<Serving> {
    let known = serving::load(&host.home).filter(|serving| progress.servers().contains(&serving.server));
    known.or_else(|| Some(Serving::preferred(progress.authority()?.clone(), Timestamp::UNIX_EPOCH)))
}

/// Which server serves, and why; `None` before enrollment.
pub(super) fn status(host: &Host, progress: &Progress) -> Option<ServingStatus> {
    let serving = serving(host, progress)?;
    Some(ServingStatus {
        name: name_of(host, &serving.server),
        role: role_of(host, &serving.server),
        since: Some(serving.since).filter(|since| *since != Timestamp::UNIX_EPOCH),
        why: serving.why,
        held_until: serving.back.as_ref().map(|back| back.held_until(host.settings.hold)),
        sentence: sentence(host, progress, &serving),
        server: serving.server,
    })
}

/// Who serves and why, in one line.
pub(super) fn told(host: &Host, progress: &Progress, serving: &Serving) -> String {
    let server = &serving.server;
    format!(
        "{} ({}) since {}: {}",
        name_of(host, server),
        role_of(host, server),
        serving.since,
        sentence(host, progress, serving)
    )
}

fn role_of(host: &Host, server: &ServerId) -> ServerRole {
    let enrollment = ServerRecords::of(&host.home, server).enrollment().ok().flatten();
    enrollment.map_or(ServerRole::Secondary, |enrollment| enrollment.server.role)
}

fn sentence(host: &Host, progress: &Progress, serving: &Serving) -> String {
    let listed: Vec<_> =
        progress.servers().iter().map(|server| (server.clone(), role_of(host, server))).collect();
    let order = order(&listed);
    let before = order.iter().take_while(|server| **server != serving.server);
    let mut text = match serving.why {
        Why::Preferred => "it is the first".to_owned(),
        Why::CameBack => "it answers again".to_owned(),
        Why::NoAnswer | Why::Refused | Why::NoFreeLicense => {
            let told: Vec<String> =
                before.map(|server| passed_over(host, progress, server, serving.why)).collect();
            if told.is_empty() {
                format!("another server {}", came_of(serving.why))
            } else {
                told.join(" and ")
            }
        }
    };
    if let Some(back) = &serving.back {
        let name = name_of(host, &back.server);
        text = format!(
            "{text}; {name} answers again, and serves from {} on if it goes on answering",
            back.held_until(host.settings.hold)
        );
    }
    let is_first_down = progress.standing.last_contact.as_ref().is_some_and(|last| last.problem.is_some());
    match progress.authority().filter(|first| **first != serving.server && is_first_down) {
        Some(first) => format!("{text}; updates wait for {}", name_of(host, first)),
        None => text,
    }
}

/// Why a server that is asked before the one that serves does not serve: by its last contact, or by `why` if that one was good.
fn passed_over(host: &Host, progress: &Progress, server: &ServerId, why: Why) -> String {
    let named = format!("the {} {}", role_of(host, server), name_of(host, server));
    let last = progress.of(server).last_contact.as_ref().filter(|contact| contact.problem.is_some());
    match last.map(|contact| (tried(contact.refused), contact.refused)) {
        Some((Tried::Refused, Some(code))) => format!("{named} {} ({code})", came_of(Why::Refused)),
        Some((Tried::NoFreeLicense, _)) => format!("{named} {}", came_of(Why::NoFreeLicense)),
        Some(_) => format!("{named} {}", came_of(Why::NoAnswer)),
        None => format!("{named} {}", came_of(why)),
    }
}

const fn came_of(why: Why) -> &'static str {
    match why {
        Why::Refused => "refused this computer",
        Why::NoFreeLicense => "had no free license for this computer",
        Why::NoAnswer | Why::Preferred | Why::CameBack => "did not answer",
    }
}

/// Removes a server that does not decide about updates, with what is held from it. Waits for a cycle that is at work.
///
/// # Errors
/// [`ServersError`].
pub fn remove(host: &Host, asked: &str) -> Result<ServerStatus, ServersError> {
    host.home.prepare()?;
    let _lock = host.home.wait_for_cycle()?;
    let row = find(&list(host)?, asked)?;
    let name = name_of(host, &row.server);
    if row.updates {
        return Err(ServersError::Authority { name });
    }
    servers::remove(&host.home, &row.server)?;
    if row.serves {
        serving::remove(&host.home)?;
    }
    let (folder, key) = (host.home.server(&row.server), host.home.server_key(&row.server));
    for (path, removed) in [(&folder, fs::remove_dir_all(&folder)), (&key, fs::remove_file(&key))] {
        match removed {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(ServersError::Left { name, path: path.clone(), source });
            }
            _ => {}
        }
    }
    Ok(row)
}

/// Makes a server the first, which decides about updates. Waits for a cycle that is at work.
///
/// # Errors
/// [`ServersError`].
pub fn prefer(host: &Host, asked: &str) -> Result<ServerStatus, ServersError> {
    host.home.prepare()?;
    let _lock = host.home.wait_for_cycle()?;
    let row = find(&list(host)?, asked)?;
    let records = ServerRecords::of(&host.home, &row.server);
    let mut enrollment = records
        .enrollment()?
        .ok_or_else(|| ServersError::NoEnrollment { name: name_of(host, &row.server) })?;
    // Before the list: a primary that is not the first yet changes nothing about updates.
    if enrollment.server.role != ServerRole::Primary {
        enrollment.server.role = ServerRole::Primary;
        records.save_enrollment(&enrollment)?;
    }
    servers::prefer(&host.home, &row.server)?;
    serving::remove(&host.home)?;
    Ok(row)
}

/// The server that a person names: by its id, the first characters of it, or an address with or without its port.
fn find(rows: &[ServerStatus], asked: &str) -> Result<ServerStatus, ServersError> {
    let exact = rows.iter().find(|row| row.server.as_str() == asked);
    let is_named = |row: &&ServerStatus| {
        let is_address = |known: &String| {
            known == asked || known.rsplit_once(':').is_some_and(|(address, _)| address == asked)
        };
        (asked.len() >= LEAST_OF_ID && row.server.as_str().starts_with(asked))
            || row.addresses.iter().any(is_address)
    };
    let named: Vec<&ServerStatus> = rows.iter().filter(is_named).collect();
    match (exact, named.as_slice()) {
        (Some(row), _) => Ok(row.clone()),
        (None, [row]) => Ok((*row).clone()),
        (None, []) => Err(ServersError::Unknown { asked: escape(asked) }),
        (None, _) => Err(ServersError::Ambiguous { asked: escape(asked) }),
    }
}
