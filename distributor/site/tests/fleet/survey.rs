//! A look at all computers, as the server takes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::Platform;
use sealpost_site::rules::assignment::Licensed;
use sealpost_site::rules::rollouts::plan::{Asker, NO_ATTEMPTS};
use sealpost_site::rules::rollouts::progress::{Population, Rollout};
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::rollouts::survey::{Known, Survey};

use crate::computer::Computer;
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
    let channel = stable();
    for computer in computers {
        // Place and groups stay what they were when it joined: nothing of this fleet changes them.
        let asker = Asker {
            name: &computer.name,
            position: computer.position,
            groups: &computer.groups,
            channel: &channel,
            deliveries: &computer.deliveries,
            attempts: &NO_ATTEMPTS,
        };
        survey.add_known(&Known {
            asker,
            platform: &platform,
            licensed: &Licensed::Everything,
            installed: &computer.installed,
            last_contact: computer.last.map(&at),
            came_by: None,
        });
    }
    survey.finish().0
}
