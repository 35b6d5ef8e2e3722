//! `/api/v1/groups`: who is in which group. Groups are made and removed as settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use sealpost_admin_api::groups::{Group, GroupsView, MAX_MEMBERS, MembersPage, MembersQuery, MembersRequest};
use sealpost_admin_api::settings::Changed;
use sealpost_manifests::ids::NameError;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::settings::{ChangeMembers, LoadPlan};
use sealpost_site::queries::{GroupMembers, MAX_PAGE, Recipients};
use sealpost_site::rows::RecipientRow;
use sealpost_site::rules::leaving::Named;
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::rollouts::groups::GroupName;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::{ApiError, bad_query};

/// Every group with the computers that belong to it: all computers are looked through once.
pub(crate) async fn list(State(site): State<Arc<Site>>) -> Result<Json<GroupsView>, ApiError> {
    let ledger = &site.parts.ledger;
    let plan = ledger.query(LoadPlan {}).await?;
    let mut found: BTreeMap<GroupName, Named> =
        plan.settings.groups.keys().map(|name| (name.clone(), Named::default())).collect();
    let each = |row: RecipientRow| {
        for group in row.groups_in(&plan, &row.listed) {
            found.entry(group).or_default().add(&row.name);
        }
    };
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), each).await?;
    let groups = plan.settings.groups.iter().map(|(name, settings)| Group {
        name: name.clone(),
        settings: settings.clone(),
        computers: found.remove(name).unwrap_or_default().into(),
    });
    Ok(Json(GroupsView { groups: groups.collect() }))
}

/// A page of the computers that a group lists by name.
pub(crate) async fn members(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    query: Result<Query<MembersQuery>, QueryRejection>,
) -> Result<Json<MembersPage>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
    let group = GroupName::new(name).map_err(bad_name)?;
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    if !plan.settings.groups.contains_key(&group) {
        return Err(ApiError::not_found(
            format!("there is no group named {group}"),
            format!(
                "`distributor groups list` shows all; `distributor groups add {group} --why TEXT` makes it"
            ),
        ));
    }
    let limit = query.limit.unwrap_or(MAX_MEMBERS).clamp(1, MAX_MEMBERS);
    let members = site.parts.ledger.query(GroupMembers { group, after: query.after, limit }).await?;
    let more = members.len() >= limit as usize;
    let next = members.last().filter(|_| more).cloned();
    Ok(Json(MembersPage { members, next }))
}

/// Lists computers, or takes them from the list; a name needs no seat.
pub(crate) async fn change(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<MembersRequest>,
) -> Result<Json<Changed>, ApiError> {
    let group = GroupName::new(name).map_err(bad_name)?;
    let MembersRequest { add, remove, comment } = request;
    let add = add.iter().map(canonical).collect();
    let remove = remove.iter().map(canonical).collect();
    let command = ChangeMembers { actor, group, add, remove, comment };
    let changed = site.parts.ledger.execute(site.now(), command).await?;
    Ok(Json(Changed { changed, waits: None }))
}

fn bad_name(error: NameError) -> ApiError {
    ApiError::new(ProblemCode::BadRequest, error.to_string(), "check the spelling")
}
