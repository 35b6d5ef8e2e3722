//! Finding the release that a person means.

use sealpost_admin_api::updates::{Review, Update, UpdatesPage};

use crate::cli::api::AdminApi;
use crate::cli::reference;

/// Every release, page by page, with the number of computers to which each is still to come.
pub(super) async fn all_counted(api: &AdminApi) -> anyhow::Result<Vec<Update>> {
    pages(api, "to_come=true").await
}

async fn pages(api: &AdminApi, query: &str) -> anyhow::Result<Vec<Update>> {
    let mut updates = Vec::new();
    let mut path = format!("/updates?{query}");
    loop {
        let page: UpdatesPage = api.get(&path).await?;
        updates.extend(page.updates);
        let Some(next) = page.next else { return Ok(updates) };
        path = format!("/updates?after={next}&{query}");
    }
}

/// The release that a reference names.
pub(super) async fn one(api: &AdminApi, reference: &str) -> anyhow::Result<Update> {
    Ok(reference::find(reference, &pages(api, "").await?)?.clone())
}

/// The same, as a reviewer sees it.
pub(super) async fn review(api: &AdminApi, reference: &str) -> anyhow::Result<Review> {
    let manifest = one(api, reference).await?.manifest;
    api.get(&format!("/updates/{manifest}")).await
}
