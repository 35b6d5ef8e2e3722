//! `POST /api/v1/rollouts/simulate`: what another strategy would have made of the rollouts that happened.
//!
//! Invariant: the log is read a page at a time, and one replay runs at a time. Nothing is changed. What fails on the way ends
//! the answer early, without its last line.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::rollouts::{
    MAX_HISTORY_DAYS, Replayed, SimulateRequest, Simulation, SimulationLine, Totals, Wanted,
};
use sealpost_files::with_causes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::word::Word;
use sealpost_site::changes::chain::{LoggedEntry, ReadEntry};
use sealpost_site::changes::past::{IDENTITIES, Pasts, TELLING};
use sealpost_site::commands::releases::no_such_strategy;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{Activity, KnownReleases, MAX_PAGE, Only, Recipients};
use sealpost_site::rows::RecipientRow;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::rollouts::replay::ASSUMPTIONS;
use sealpost_site::rules::rollouts::replay::past::{Member, Past};
use sealpost_site::rules::rollouts::replay::simulation::{Under, simulate as run};
use sealpost_site::rules::rollouts::settings::Settings;
use sealpost_site::rules::rollouts::share::{Salt, position};
use sealpost_site::rules::rollouts::strategy::Strategy;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// A replay that is under way.
struct Replay {
    site: Arc<Site>,
    with: Arc<With>,
    package: Option<PackageName>,
    stage: Stage,
    totals: Totals,
}

/// What is the same for all rollouts.
struct With {
    name: Word,
    strategy: Strategy,
    settings: Settings,
    members: Vec<Member>,
    since: Timestamp,
    until: Timestamp,
    /// No other one runs as long as it is held: also by a replay whose reader has left.
    _alone: OwnedSemaphorePermit,
}

/// How far a replay is.
enum Stage {
    /// Nothing has been read yet.
    Begins,
    /// Entries of the log are read after this one, of those up to the last; the first one that was read is where it began.
    Reads { pasts: Box<Pasts>, first: Option<u64>, after: u64, last: u64 },
    /// The last line was given.
    Done,
}

pub(crate) async fn simulate(
    State(site): State<Arc<Site>>,
    JsonBody(request): JsonBody<SimulateRequest>,
) -> Result<Response, ApiError> {
    let alone = Arc::clone(&site.replays).try_acquire_owned().map_err(|_| {
        ApiError::new(
            ProblemCode::Busy,
            "another simulation runs, and each needs much memory",
            "wait until it has ended, then type `distributor rollouts simulate` again",
        )
    })?;
    let SimulateRequest { wanted, since, package } = request;
    let until = site.now();
    let longest = SignedDuration::from_hours(24 * i64::from(MAX_HISTORY_DAYS));
    if since > until || until.duration_since(since) > longest {
        return Err(refused(
            format!("a history begins in the past, and at most {MAX_HISTORY_DAYS} days ago"),
            "for example `distributor rollouts simulate normal --history 90d`",
        ));
    }
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    let (name, strategy) = strategy(wanted, &plan)?;
    let members = members(&site.parts.ledger, &plan).await?;
    let with = With { name, strategy, settings: plan.settings.clone(), members, since, until, _alone: alone };
    let (with, totals) = (Arc::new(with), Totals::default());
    let replay = Replay { site, with, package, stage: Stage::Begins, totals };
    let lines = stream::unfold(replay, |mut replay| async move {
        let lines = replay.more().await?;
        Some((lines, replay))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

fn refused(message: String, hint: &str) -> ApiError {
    ApiError::new(ProblemCode::BadRequest, message, hint)
}

/// The strategy that is wanted. One that the site does not have names only groups that it has.
fn strategy(wanted: Wanted, plan: &Plan) -> Result<(Word, Strategy), ApiError> {
    let settings = &plan.settings;
    match wanted {
        Wanted::Strategy(name) => match settings.strategy(&name) {
            Some(strategy) => Ok((name, strategy)),
            None => Err(no_such_strategy(&name, settings).into()),
        },
        Wanted::Plan(strategy) => {
            let mut groups = strategy.rings().iter().filter_map(|ring| ring.takes.group());
            match groups.find(|group| !settings.groups.contains_key(*group)) {
                None => Ok((Word::known("file"), strategy)),
                Some(group) => Err(refused(
                    format!("the strategy takes the group {group}, which there is not"),
                    "`distributor groups list` shows which there are",
                )),
            }
        }
    }
}

/// The computers of today, in the order of their names.
async fn members(ledger: &Ledger, plan: &Plan) -> Result<Vec<Member>, LedgerError> {
    let salt = Salt::of(&ledger.server_id());
    let mut members = Vec::new();
    let each = |row: RecipientRow| {
        // One that has not enrolled got nothing.
        let Some(platform) = row.platform.clone() else { return };
        members.push(Member {
            position: position(&salt, &row.name),
            groups: row.groups_in(plan, &row.listed),
            licensed: row.licensed(),
            channel: row.channel,
            name: row.name,
            platform,
        });
    };
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), each).await?;
    Ok(members)
}

impl Replay {
    /// The next lines; `None` at the end.
    async fn more(&mut self) -> Option<io::Result<Bytes>> {
        let lines = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Begins => self.begin().await,
            Stage::Reads { pasts, first, after, last } => self.read(pasts, first, after, last).await,
            Stage::Done => return None,
        };
        let bytes = lines.map(|lines| {
            let texts = lines.iter().filter_map(|line| serde_json::to_string(line).ok());
            Bytes::from(texts.map(|text| text + "\n").collect::<String>())
        });
        Some(bytes.map_err(|error| {
            tracing::error!(error = with_causes(&error), "a simulation cannot read the log further");
            io::Error::other("the log cannot be read further")
        }))
    }

    /// Reads which releases there are, and whose each client id is.
    async fn begin(&mut self) -> Result<Vec<SimulationLine>, LedgerError> {
        let ledger = &self.site.parts.ledger;
        let mut releases = BTreeMap::new();
        let page = |after| KnownReleases { after, limit: MAX_PAGE };
        let each = |known: KnownRelease| {
            releases.insert(known.manifest, known);
        };
        ledger.each(page, |known| known.manifest, each).await?;
        let places = self.with.members.iter().enumerate();
        let places = places.map(|(place, member)| (member.name.clone(), place)).collect();
        let mut pasts = Box::new(Pasts::new(releases, places, self.package.clone()));
        let kinds = || IDENTITIES.map(str::to_owned).to_vec();
        let page = |after: Option<u64>| Activity {
            after: after.unwrap_or(0),
            kinds: kinds(),
            ..Activity::default()
        };
        let each = |logged: LoggedEntry| {
            if let Some(change) = logged.entry.change() {
                pasts.learn(change);
            }
        };
        ledger.each(page, |logged| logged.entry.sequence(), each).await?;
        let last = ledger.head().size;
        self.stage = Stage::Reads { pasts, first: None, after: 0, last };
        Ok(Vec::new())
    }

    /// Reads a page of the log, and replays the rollouts that it ends.
    async fn read(
        &mut self,
        mut pasts: Box<Pasts>,
        first: Option<u64>,
        after: u64,
        last: u64,
    ) -> Result<Vec<SimulationLine>, LedgerError> {
        let page = Activity {
            after,
            kinds: TELLING.map(str::to_owned).to_vec(),
            only: Only::WithoutAbsentHooks,
            since: Some(self.with.since),
            until: Some(self.with.until),
            ..Activity::default()
        };
        let entries = self.site.parts.ledger.query(page).await?;
        let Some(after) = entries.last().map(|logged| logged.entry.sequence()) else {
            let mut lines = self.replay(pasts.end()).await;
            let With { name, since, until, ref members, .. } = *self.with;
            lines.push(SimulationLine::End(Simulation {
                strategy: name,
                since,
                until,
                computers: members.len() as u64,
                totals: self.totals,
                assumptions: ASSUMPTIONS.map(str::to_owned).to_vec(),
            }));
            return Ok(lines);
        };
        let first = first.or_else(|| entries.first().map(|logged| logged.entry.sequence()));
        for logged in &entries {
            if let ReadEntry::Known(entry) = &logged.entry {
                pasts.take(entry);
            }
        }
        let mut lines = self.replay(pasts.finished()).await;
        let begun = first.unwrap_or(after);
        lines.push(SimulationLine::Progress {
            done: after.saturating_sub(begun),
            of: last.saturating_sub(begun),
        });
        self.stage = Stage::Reads { pasts, first, after, last };
        Ok(lines)
    }

    async fn replay(&mut self, pasts: Vec<Past>) -> Vec<SimulationLine> {
        let mut lines = Vec::new();
        for past in pasts {
            let with = Arc::clone(&self.with);
            let replayed = tokio::task::spawn_blocking(move || {
                let With { name, strategy, settings, members, until, .. } = &*with;
                let under = Under { name: *name, strategy, settings, members, until: *until };
                let (then, simulated) = (past.course(), run(&past, &under));
                (Replayed::new(&past, &then, &simulated), then, simulated.course)
            });
            // It does not panic; where it did, the line is missing and the totals say so.
            let Ok((replayed, then, simulated)) = replayed.await else { continue };
            self.totals.add(&then, &simulated);
            lines.push(SimulationLine::Rollout(Box::new(replayed)));
        }
        lines
    }
}
