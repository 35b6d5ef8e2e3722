//! `/api/v1/settings`: what the site sets, one by one or as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::settings::{
    ApplyRequest, ChangeRequest, Changed, ConfigurationPlan, ConfigurationText, PlannedChange, SettingsView,
};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::configuration::{ApplyConfiguration, ConfigurationFacts, LoadConfiguration};
use sealpost_site::commands::second_eyes::Outcome;
use sealpost_site::commands::settings::{ChangeSettings, LoadPlan};
use sealpost_site::queries::{GroupMembers, KnownReleases, MAX_PAGE, Recipients};
use sealpost_site::rules::configuration::comparison::Comparison;
use sealpost_site::rules::configuration::concerned::Concerned;
use sealpost_site::rules::configuration::{Configuration, MembersChange, difference, entries, fingerprint};
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::rollouts::settings::SettingChange;
use sealpost_site::rules::rollouts::share::Salt;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// Assertions of one configuration; each is looked at with all computers.
const MAX_ASSERTIONS: usize = 1_000;
/// Strategies that assertions of one configuration name: for each a place is kept for every computer.
const MAX_ASSERTED_STRATEGIES: usize = 16;
/// Problems and assertions that a refusal names.
const MAX_NAMED: usize = 5;

pub(crate) async fn show(State(site): State<Arc<Site>>) -> Result<Json<SettingsView>, ApiError> {
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    Ok(Json(SettingsView::from(&*plan)))
}

/// Everything that the site sets, and the fingerprint of that: settings and lists of one moment.
pub(crate) async fn export(State(site): State<Arc<Site>>) -> Result<Json<ConfigurationText>, ApiError> {
    let (_, Configuration { settings, members }) = configuration(&site.parts.ledger).await?;
    let set = entries(&settings).into_iter();
    let settings_text = set.map(|(key, value)| SettingChange { key, value: Some(value) }).collect();
    let based_on = Some(fingerprint(&settings, &members));
    Ok(Json(ConfigurationText { settings: settings_text, members, assertions: Vec::new(), based_on }))
}

/// Changes settings; what is so already is not written again.
pub(crate) async fn change(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ChangeRequest>,
) -> Result<Json<Changed>, ApiError> {
    let ChangeRequest { changes, members, comment, expected } = request;
    let comment = why(&comment)?;
    let members = not_so_yet(&site.parts.ledger, members).await?;
    let settings = ChangeSettings { actor, changes, comment, expected, confirms: None };
    let command = ApplyConfiguration { settings, members, state: None };
    let outcome = site.parts.ledger.execute(site.now(), command).await?;
    Ok(Json(changed(outcome)))
}

/// Compares a whole configuration with what the site has; nothing is changed.
pub(crate) async fn plan(
    State(site): State<Arc<Site>>,
    JsonBody(text): JsonBody<ConfigurationText>,
) -> Result<Json<ConfigurationPlan>, ApiError> {
    compared(&site, &text).await.map(Json)
}

/// Takes a whole configuration, if its assertions hold.
pub(crate) async fn apply(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ApplyRequest>,
) -> Result<Json<Changed>, ApiError> {
    let ApplyRequest { configuration, comment, expected, state, force } = request;
    let comment = why(&comment)?;
    let plan = compared(&site, &configuration).await?;
    for (what, of) in [("does not fit together", &plan.problems), ("breaks what it asserts", &plan.failed)] {
        if !of.is_empty() {
            let named: Vec<&str> = of.iter().take(MAX_NAMED).map(String::as_str).collect();
            return Err(ApiError::new(
                ProblemCode::BadRequest,
                format!("this configuration {what}: {}", named.join("; ")),
                "nothing was changed; see `distributor config plan FILE`",
            ));
        }
    }
    if plan.is_empty() {
        // Also who asks again, because the first answer was lost.
        return Ok(Json(Changed { changed: 0, waits: None }));
    }
    if let Some(conflict) = plan.conflict.filter(|_| !force) {
        return Err(ApiError::new(
            ProblemCode::WrongState,
            conflict,
            "nothing was changed; `distributor config plan FILE` shows what would be taken back, `distributor config export` \
             writes the site as it is, and `distributor config apply FILE --force --why TEXT` applies it all the same",
        ));
    }
    let changes = plan.changes.into_iter();
    let changes =
        changes.map(|PlannedChange { key, after, .. }| SettingChange { key, value: after }).collect();
    let settings = ChangeSettings { actor, changes, comment, expected: Some(expected), confirms: None };
    // What was compared here, where nobody says what they looked at before.
    let command = ApplyConfiguration { settings, members: plan.members, state: state.or(plan.state) };
    let outcome = site.parts.ledger.execute(site.now(), command).await?;
    Ok(Json(changed(outcome)))
}

const fn changed(outcome: Outcome<u64>) -> Changed {
    match outcome {
        Outcome::Done(changed) => Changed { changed, waits: None },
        Outcome::Waits(number) => Changed { changed: 0, waits: Some(number) },
    }
}

async fn compared(site: &Site, text: &ConfigurationText) -> Result<ConfigurationPlan, ApiError> {
    let ledger = &site.parts.ledger;
    let wanted = text.configuration().map_err(|error| {
        ApiError::new(
            ProblemCode::BadRequest,
            format!("cannot read the configuration: {error}"),
            "nothing was changed; correct it and try again",
        )
    })?;
    let strategies: BTreeSet<_> = text.assertions.iter().filter_map(|assertion| assertion.strategy).collect();
    if text.assertions.len() > MAX_ASSERTIONS || strategies.len() > MAX_ASSERTED_STRATEGIES {
        return Err(ApiError::new(
            ProblemCode::BadRequest,
            format!(
                "cannot read the configuration: it has {} assertions about {} strategies, and at most \
                 {MAX_ASSERTIONS} about {MAX_ASSERTED_STRATEGIES} are looked at",
                text.assertions.len(),
                strategies.len()
            ),
            "assert it of fewer computers; nothing was changed",
        ));
    }
    let (plan, had) = configuration(ledger).await?;
    let difference = difference(&had, &wanted);
    let before = entries(&had.settings);
    let changes = difference.changes.into_iter().map(|SettingChange { key, value }| PlannedChange {
        before: before.get(&key).cloned(),
        after: value,
        key,
    });
    let state = fingerprint(&had.settings, &had.members);
    let changes: Vec<PlannedChange> = changes.collect();
    let is_so = changes.is_empty() && difference.members.is_empty();
    let conflict = text.based_on.filter(|based_on| *based_on != state && !is_so).map(|_| {
        "the site was changed since this configuration was exported, and applying it takes back what it does not know"
            .to_owned()
    });
    let problems: Vec<String> = wanted.settings.problems().iter().map(ToString::to_string).collect();
    let nowhere = wanted.members.keys().filter(|group| !wanted.settings.groups.contains_key(*group));
    let nowhere =
        nowhere.map(|group| format!("computers are listed in the group {group}, which is not there"));
    let problems: Vec<String> = problems.into_iter().chain(nowhere).collect();
    let (computers, failed) = if problems.is_empty() {
        concerned(site, &had, &wanted, text).await?
    } else {
        // Nobody can be counted by what does not fit together.
        (Concerned::default(), Vec::new())
    };
    Ok(ConfigurationPlan {
        version: plan.version,
        changes,
        members: difference.members,
        computers,
        problems,
        failed,
        state: Some(state),
        conflict,
    })
}

/// Looks through all computers once.
async fn concerned(
    site: &Site,
    had: &Configuration,
    wanted: &Configuration,
    text: &ConfigurationText,
) -> Result<(Concerned, Vec<String>), LedgerError> {
    let ledger = &site.parts.ledger;
    let salt = Salt::of(&ledger.server_id());
    let mut kinds = BTreeMap::new();
    let page = |after| KnownReleases { after, limit: MAX_PAGE };
    let each = |known: KnownRelease| {
        kinds.insert(known.release.package, known.kind);
    };
    ledger.each(page, |known| known.manifest, each).await?;
    let mut comparison = Comparison::new(&had.settings, wanted, &text.assertions, &kinds, salt, site.now());
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), |row| comparison.add(&row)).await?;
    Ok(comparison.finish())
}

/// What the site sets, and whom its groups list, as they were at one moment.
async fn configuration(ledger: &Ledger) -> Result<(Arc<Plan>, Configuration), LedgerError> {
    let ConfigurationFacts { plan, members } = ledger.query(LoadConfiguration { lists: true }).await?;
    let members = members.into_iter().filter(|(_, listed)| !listed.is_empty()).collect();
    let settings = plan.settings.clone();
    Ok((plan, Configuration { settings, members }))
}

/// The computers that a group lists by name.
async fn listed(ledger: &Ledger, group: &GroupName) -> Result<BTreeSet<ComputerName>, LedgerError> {
    let page = |after| GroupMembers { group: group.clone(), after, limit: MAX_PAGE };
    Ok(ledger.all(page, Clone::clone).await?.into_iter().collect())
}

/// Without the names that are listed, or not listed, already.
async fn not_so_yet(ledger: &Ledger, members: Vec<MembersChange>) -> Result<Vec<MembersChange>, LedgerError> {
    let mut changes = Vec::with_capacity(members.len());
    for MembersChange { group, add, remove } in members {
        let listed = listed(ledger, &group).await?;
        let add: BTreeSet<ComputerName> =
            add.iter().map(canonical).filter(|name| !listed.contains(name)).collect();
        let remove: BTreeSet<ComputerName> =
            remove.iter().map(canonical).filter(|name| listed.contains(name)).collect();
        let (add, remove) = (add.into_iter().collect(), remove.into_iter().collect());
        changes.push(MembersChange { group, add, remove });
    }
    Ok(changes)
}

/// A change of settings has a reason.
fn why(comment: &str) -> Result<String, ApiError> {
    let comment = comment.trim();
    if comment.is_empty() {
        return Err(ApiError::new(
            ProblemCode::BadRequest,
            "cannot change settings without a reason",
            "say in one sentence why, for whoever reads the log later",
        ));
    }
    Ok(comment.to_owned())
}
