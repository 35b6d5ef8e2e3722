//! The table of contents of every path that this server answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};

use super::{Site, admin, admission, agent, health, problem};

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
        .route("/agent/v1/tuf/metadata/{file}", get(agent::metadata::metadata))
        .route("/agent/v1/tuf/targets/{file}", get(agent::targets::target))
        .route("/agent/v1/deltas/{base}/{target}", get(agent::deltas::delta))
        .route("/agent/v1/wake", get(agent::wake::wake))
}

/// Puts the admission layer in front of routes.
pub(crate) fn admitted(site: &Arc<Site>, routes: Router<Arc<Site>>) -> Router<Arc<Site>> {
    routes.layer(from_fn_with_state(Arc::clone(site), admission::admit))
}

fn admin_routes(site: &Arc<Site>) -> Router<Arc<Site>> {
    Router::new()
        .route("/api/v1/status", get(admin::status::status))
        .route("/api/v1/pull", post(admin::pull::pull))
        .route("/api/v1/updates", get(admin::updates::list::list))
        .route("/api/v1/updates/{manifest}", get(admin::updates::show::show))
        .route("/api/v1/updates/approve", post(admin::updates::decide::approve))
        .route("/api/v1/updates/reject", post(admin::updates::decide::reject))
        .route("/api/v1/clients", get(admin::clients::list).post(admin::clients::reserve))
        .route("/api/v1/clients/{name}", get(admin::clients::show))
        .route("/api/v1/clients/{name}/setup", post(admin::clients::setup))
        .route("/api/v1/register", post(admin::license::register))
        .route("/api/v1/unlock", post(admin::license::unlock))
        .route("/api/v1/log", get(admin::log::log))
        .route("/api/v1/log/verify", get(admin::log::verify))
        .layer(from_fn_with_state(Arc::clone(site), admin::auth::authenticate))
}

fn finish(routes: Router<Arc<Site>>, site: &Arc<Site>) -> Router {
    routes
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(Arc::clone(site), count))
        .with_state(Arc::clone(site))
}

async fn count(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    site.metrics.count_answer(response.status());
    response
}
