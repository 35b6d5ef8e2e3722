//! A look at all computers, as the server takes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::Platform;
use sealpost_site::rows::RecipientRow;
use sealpost_site::rules::rollouts::progress::{Population, Rollout};
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::rollouts::survey::Survey;

use crate::computer::Computer;
use crate::contact::grant;
use crate::site::{Site, stable};

/// The rings of rollouts, by number.
pub(crate) fn survey(
    site: &Site,
    computers: &[Computer],
    rollouts: &[Rollout],
    at: impl Fn(i64) -> Timestamp,
) -> BTreeMap<u64, Vec<Population>> {
    let (salt, platform) = (Salt::of(&site.server.server_id), Platform::new("linux-x86_64").unwrap());
    let mut survey = Survey::new(&site.plan, rollouts, salt, site.now);
    let grant = grant(site);
    for computer in computers {
        survey.add(&RecipientRow {
            name: computer.name.clone(),
            channel: stable(),
            platform: Some(platform.clone()),
            grants: vec![grant.clone()],
            last_contact: computer.last.map(&at),
            installed: computer.installed.clone(),
            before: computer.before.clone(),
            listed: computer.groups.clone(),
            tags: Vec::new(),
            deliveries: computer.deliveries.clone(),
            came_by: None,
        });
    }
    survey.finish().0
}
