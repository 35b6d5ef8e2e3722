//! Finding the release that a person means.

use sealpost_admin_api::updates::{Review, Update, UpdatesPage};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::word::Word;

use crate::cli::api::AdminApi;
use crate::cli::{pages, reference};

/// Every release, page by page, with the number of computers to which each is still to come.
pub(super) async fn all_counted(api: &AdminApi) -> anyhow::Result<Vec<Update>> {
    pages::all::<UpdatesPage>(api, "/updates?to_come=true").await
}

async fn all(api: &AdminApi) -> anyhow::Result<Vec<Update>> {
    pages::all::<UpdatesPage>(api, "/updates").await
}

/// The release that a reference names.
pub(super) async fn one(api: &AdminApi, reference: &str) -> anyhow::Result<Update> {
    Ok(reference::find(reference, &all(api).await?)?.clone())
}

/// The same, as a reviewer sees it, with the rings of a strategy; of the one that the settings name when absent.
pub(super) async fn review(
    api: &AdminApi,
    reference: &str,
    strategy: Option<Word>,
) -> anyhow::Result<Review> {
    let manifest = one(api, reference).await?.manifest;
    let query = strategy.map_or_else(String::new, |name| format!("?strategy={name}"));
    api.get(&format!("/updates/{manifest}{query}")).await
}

/// Every release of a package, in the order of the server: the newest counter first.
pub(super) async fn of_package(api: &AdminApi, package: &PackageName) -> anyhow::Result<Vec<Update>> {
    let all = all(api).await?;
    Ok(all.into_iter().filter(|update| update.release.package == *package).collect())
}
