//! `/api/v1/approvals`: what waits for a second person, who agrees to it or takes it back.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use sealpost_admin_api::approvals::{ApprovalsView, DecideRequest, Settled};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::accounts::{AddAccount, ConfirmToken, EnableAccount};
use sealpost_site::commands::approvals::{WithdrawProposal, no_such_proposal};
use sealpost_site::commands::configuration::ApplyConfiguration;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::rollouts::{Steer, SteerRollout};
use sealpost_site::commands::second_eyes::Outcome;
use sealpost_site::commands::settings::{ChangeSettings, LoadPlan};
use sealpost_site::queries::RolloutByNumber;
use sealpost_site::rules::approvals::proposal::{Proposal, Proposed, Steering};

use super::rollouts::looked_at;
use super::test_load::wanted;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

pub(crate) async fn list(State(site): State<Arc<Site>>) -> Result<Json<ApprovalsView>, ApiError> {
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    Ok(Json(ApprovalsView::new(&plan, site.now())))
}

/// The second person agrees to what was proposed, and it is done.
pub(crate) async fn confirm(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(number): Path<String>,
    JsonBody(request): JsonBody<DecideRequest>,
) -> Result<Json<Settled>, ApiError> {
    let proposal = found(&site, &number).await?;
    let (number, says) = (proposal.number, proposal.what.to_string());
    match carry_out(&site, actor, proposal, request).await? {
        Outcome::Done(()) => Ok(Json(Settled { number, says })),
        // What was proposed changed between the look and the decision.
        Outcome::Waits(other) => Err(ApiError::new(
            ProblemCode::WrongState,
            format!("proposal {number} was not confirmed: proposal {other} waits instead"),
            "look again with `distributor approvals list`",
        )),
    }
}

async fn carry_out(
    site: &Site,
    actor: Actor,
    proposal: Proposal,
    request: DecideRequest,
) -> Result<Outcome<()>, ApiError> {
    let (ledger, now, confirms) = (&site.parts.ledger, site.now(), Some(proposal.number));
    let DecideRequest { comment, now: despite_deferral } = request;
    Ok(match proposal.what {
        Proposed::ApproveRelease { manifest, channels, strategy, emergency, .. } => {
            let (channels, strategy, trust) = (Some(channels), Some(strategy), site.parts.upstream.trust());
            let test_load = wanted(site, manifest).await?;
            let approve = ApproveRelease {
                actor,
                manifest,
                channels,
                trust,
                comment,
                strategy,
                emergency,
                test_load,
                despite_deferral,
                confirms,
            };
            ledger.execute(now, approve).await?
        }
        Proposed::SteerRollout { rollout: number, how, .. } => {
            let what = match how {
                Steering::Resume => Steer::Resume,
                Steering::Next { ring } => {
                    let rollout = ledger.query(RolloutByNumber { number }).await?;
                    let populations = match &rollout {
                        Some(rollout) => looked_at(site, rollout, ring).await?,
                        None => None,
                    };
                    Steer::Next { ring, populations }
                }
                Steering::Edit { strategy, emergency, .. } => Steer::Edit { strategy, emergency },
            };
            // A rollout is steered for a reason; the one of the first person stands when the second gives none.
            let comment = if comment.trim().is_empty() { proposal.comment } else { comment };
            ledger.execute(now, SteerRollout { actor, number, what, comment, confirms }).await?
        }
        Proposed::ChangeSettings { changes, members, state, .. } => {
            let settings = ChangeSettings { actor, changes, comment, expected: None, confirms };
            match ledger.execute(now, ApplyConfiguration { settings, members, state }).await? {
                Outcome::Done(_) => Outcome::Done(()),
                Outcome::Waits(number) => Outcome::Waits(number),
            }
        }
        Proposed::AddAccount { account } => {
            ledger.execute(now, AddAccount { actor, account, comment, confirms }).await?
        }
        Proposed::EnableAccount { account } => {
            ledger.execute(now, EnableAccount { actor, account, comment, confirms }).await?
        }
        Proposed::ConfirmToken { token, .. } => {
            ledger.execute(now, ConfirmToken { actor, token, comment, confirms }).await?
        }
    })
}

/// Anybody takes it back.
pub(crate) async fn withdraw(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(number): Path<String>,
    JsonBody(request): JsonBody<DecideRequest>,
) -> Result<Json<Settled>, ApiError> {
    let proposal = found(&site, &number).await?;
    let (number, says) = (proposal.number, proposal.what.to_string());
    let command = WithdrawProposal { actor, number, comment: request.comment };
    site.parts.ledger.execute(site.now(), command).await?;
    Ok(Json(Settled { number, says }))
}

/// A proposal that has not expired.
async fn found(site: &Site, number: &str) -> Result<Proposal, ApiError> {
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    let now = site.now();
    let parsed = number.parse::<u64>().ok();
    let open = parsed.and_then(|number| plan.approvals.open(now).find(|open| open.number == number));
    open.cloned().ok_or_else(|| {
        let problem = no_such_proposal(parsed.unwrap_or_default());
        ApiError::new(problem.code, problem.message, problem.hint)
    })
}
