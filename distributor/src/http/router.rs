//! The table of contents of every path that this server answers. What admins reach is made from the table in
//! `sealpost_admin_api::endpoints`, which names the permission of each endpoint.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use sealpost_admin_api::endpoints::{Endpoint, Method};

use super::{Site, admin, admission, agent, asker, health, problem};

/// Everything that is served over TLS.
pub fn router(site: &Arc<Site>) -> Router {
    finish(admitted(site, agent_routes()).merge(admin_routes(site)), site)
}

/// What is served on the admin socket: no agent API, since there is no computer at its other end.
pub fn admin_router(site: &Arc<Site>) -> Router {
    finish(admin_routes(site), site)
}

/// What clients reach. A route that `admission` has no class for is refused.
pub(crate) fn agent_routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/agent/v1/enroll", post(agent::enroll::enroll))
        .route("/agent/v1/contact", post(agent::contact::contact))
        .route("/agent/v1/tuf/refresh", post(agent::refresh::refresh))
        .route("/agent/v1/tuf/metadata/{file}", get(agent::metadata::metadata))
        .route("/agent/v1/tuf/targets/{file}", get(agent::targets::target))
        .route("/agent/v1/deltas/{base}/{target}", get(agent::deltas::delta))
        .route("/agent/v1/wake", get(agent::wake::wake))
}

/// Puts the admission layer in front of routes.
pub(crate) fn admitted(site: &Arc<Site>, routes: Router<Arc<Site>>) -> Router<Arc<Site>> {
    routes.layer(from_fn_with_state(Arc::clone(site), admission::admit))
}

/// Every endpoint of the admin API, behind the permission that it needs.
fn admin_routes(site: &Arc<Site>) -> Router<Arc<Site>> {
    Endpoint::all().fold(Router::new(), |routes, endpoint| {
        let guard = (Arc::clone(site), endpoint.permission());
        let told = handler(endpoint).route_layer(from_fn_with_state(Arc::clone(site), told));
        let guarded = told.route_layer(from_fn_with_state(guard, admin::auth::authenticate));
        let bounded = guarded.route_layer(from_fn_with_state(Arc::clone(site), asker::bounded));
        routes.route(endpoint.path(), bounded)
    })
}

fn handler(endpoint: Endpoint) -> MethodRouter<Arc<Site>> {
    match endpoint {
        Endpoint::ShowStatus => bind(endpoint, admin::status::status),
        Endpoint::Pull => bind(endpoint, admin::pull::pull),
        Endpoint::ListUpdates => bind(endpoint, admin::updates::list::list),
        Endpoint::ShowUpdate => bind(endpoint, admin::updates::show::show),
        Endpoint::ApproveUpdate => bind(endpoint, admin::updates::decide::approve),
        Endpoint::RejectUpdate => bind(endpoint, admin::updates::decide::reject),
        Endpoint::HaltUpdate => bind(endpoint, admin::updates::decide::halt),
        Endpoint::ReconsiderUpdate => bind(endpoint, admin::updates::decide::reconsider),
        Endpoint::RetryUpdate => bind(endpoint, admin::updates::decide::retry),
        Endpoint::TestUpdate => bind(endpoint, admin::test_load::test),
        Endpoint::ListClients => bind(endpoint, admin::clients::list),
        Endpoint::ListClientLines => bind(endpoint, admin::client_lines::list),
        Endpoint::VerifyClients => bind(endpoint, admin::verify::verify),
        Endpoint::ReserveClient => bind(endpoint, admin::reserve::one),
        Endpoint::ReserveClients => bind(endpoint, admin::reserve::many),
        Endpoint::ShowClient => bind(endpoint, admin::clients::show),
        Endpoint::IssueSetup => bind(endpoint, admin::setups::one),
        Endpoint::IssueSetups => bind(endpoint, admin::setups::many),
        Endpoint::MakeInstaller => bind(endpoint, admin::installer::make),
        Endpoint::ListSetups => bind(endpoint, admin::setups::list),
        Endpoint::ScheduleInstall => bind(endpoint, admin::schedules::plan),
        Endpoint::ListSchedules => bind(endpoint, admin::schedules::list),
        Endpoint::RunInstall => bind(endpoint, admin::schedules::install),
        Endpoint::ShowKnockSetup => bind(endpoint, admin::setups::knock),
        Endpoint::ListPending => bind(endpoint, admin::pending::list),
        Endpoint::AdmitClient => bind(endpoint, admin::pending::admit),
        Endpoint::MoveClient => bind(endpoint, admin::clients::channel),
        Endpoint::ResolveClient => bind(endpoint, admin::copies::resolve),
        Endpoint::Register => bind(endpoint, admin::license::register),
        Endpoint::Unlock => bind(endpoint, admin::license::unlock),
        Endpoint::ReadLog => bind(endpoint, admin::log::log),
        Endpoint::VerifyLog => bind(endpoint, admin::log::verify),
        Endpoint::AcknowledgeRestore => bind(endpoint, admin::restore::acknowledge),
        Endpoint::ProveEntry => bind(endpoint, admin::log::prove),
        Endpoint::ReadCheckpoint => bind(endpoint, admin::log::checkpoint),
        Endpoint::ShowCertificate => bind(endpoint, admin::certificates::show),
        Endpoint::RenewCertificate => bind(endpoint, admin::certificates::renew),
        Endpoint::SwitchCertificate => bind(endpoint, admin::certificates::switch),
        Endpoint::ShowAddresses => bind(endpoint, admin::addresses::show),
        Endpoint::FinishAddresses => bind(endpoint, admin::addresses::finish),
        Endpoint::ShowStorage => bind(endpoint, admin::storage::show),
        Endpoint::CleanStorage => bind(endpoint, admin::storage::clean),
        Endpoint::CheckStorage => bind(endpoint, admin::storage::check),
        Endpoint::MakeToken => bind(endpoint, admin::tokens::make),
        Endpoint::RevokeToken => bind(endpoint, admin::tokens::revoke),
        Endpoint::NoteBackup => bind(endpoint, admin::storage::backup),
        Endpoint::ExportLog => bind(endpoint, admin::log_export::export),
        Endpoint::ListRollouts => bind(endpoint, admin::rollouts::list),
        Endpoint::ShowRollout => bind(endpoint, admin::rollouts::show),
        Endpoint::ReportRollout => bind(endpoint, admin::rollouts::report),
        Endpoint::SteerRollout => bind(endpoint, admin::rollouts::steer),
        Endpoint::SimulateRollouts => bind(endpoint, admin::simulate::simulate),
        Endpoint::ShowContent => bind(endpoint, admin::content::show),
        Endpoint::ShowSettings => bind(endpoint, admin::settings::show),
        Endpoint::ChangeSettings => bind(endpoint, admin::settings::change),
        Endpoint::PlanSettings => bind(endpoint, admin::settings::plan),
        Endpoint::ApplySettings => bind(endpoint, admin::settings::apply),
        Endpoint::ListLinks => bind(endpoint, admin::links::list),
        Endpoint::ShowLink => bind(endpoint, admin::links::show),
        Endpoint::ExportSettings => bind(endpoint, admin::settings::export),
        Endpoint::ListGroups => bind(endpoint, admin::groups::list),
        Endpoint::ListMembers => bind(endpoint, admin::groups::members),
        Endpoint::ChangeMembers => bind(endpoint, admin::groups::change),
        Endpoint::AnswerFile => bind(endpoint, admin::folder::answer),
        Endpoint::SyncFolder => bind(endpoint, admin::folder::sync),
        Endpoint::ListApprovals => bind(endpoint, admin::approvals::list),
        Endpoint::ConfirmProposal => bind(endpoint, admin::approvals::confirm),
        Endpoint::WithdrawProposal => bind(endpoint, admin::approvals::withdraw),
        Endpoint::DeferUpdate => bind(endpoint, admin::updates::decide::defer),
        Endpoint::ListAccounts => bind(endpoint, admin::accounts::list),
        Endpoint::AddAccount => bind(endpoint, admin::accounts::add),
        Endpoint::DisableAccount => bind(endpoint, admin::accounts::disable),
        Endpoint::EnableAccount => bind(endpoint, admin::accounts::enable),
        Endpoint::RenewToken => bind(endpoint, admin::tokens::renew),
    }
}

fn bind<H, T>(endpoint: Endpoint, handler: H) -> MethodRouter<Arc<Site>>
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    match endpoint.method() {
        Method::Get => get(handler),
        Method::Post => post(handler),
    }
}

fn finish(routes: Router<Arc<Site>>, site: &Arc<Site>) -> Router {
    let watching = Router::new().route("/readyz", get(health::ready)).route("/metrics", get(health::metrics));
    routes
        .route("/healthz", get(health::alive))
        .merge(watching.route_layer(from_fn_with_state(Arc::clone(site), asker::bounded)))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(Arc::clone(site), count))
        .with_state(Arc::clone(site))
}

/// What an admin did may matter to how the server stands in the network.
async fn told(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let is_command = request.method() == axum::http::Method::POST;
    let response = next.run(request).await;
    if is_command && response.status().is_success() {
        site.parts.presence.look_soon();
    }
    response
}

async fn count(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    site.metrics.count_answer(response.status());
    response
}
