//! Setup Info of one computer: what the ledger's tables and its log say of it. Only ever for one: the log is read for it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::copies::CopyLine;
use sealpost_admin_api::schedules::PlannedLine;
use sealpost_admin_api::setup_info::{ContactRule, HeldSeat, ServerWays, SetupInfo};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_site::changes::chain::ReadEntry;
use sealpost_site::changes::seat_history::{self, SeatHistory};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{Activity, ClientLineByName, CopiesOf, Licenses, LogEnd, SetupOf};
use sealpost_site::rows::ClientLineRow;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::standing::{AFTER_FAILURE, Gate, contacts_every, due_by, lost_after};

use crate::http::Site;

/// What is said of a name that holds a seat; `before` is what its computer ran before.
pub(super) async fn setup_info(
    site: &Site,
    name: &ComputerName,
    before: Vec<InstalledPackage>,
) -> Result<Option<SetupInfo>, LedgerError> {
    let ledger = &site.parts.ledger;
    let Some(row) = ledger.query(ClientLineByName { name: name.clone() }).await? else { return Ok(None) };
    let plan = ledger.query(LoadPlan {}).await?;
    let now = site.now();
    let newest = ledger.query(SetupOf { name: name.clone() }).await?;
    let history = history(ledger, name).await?.at(&newest, now);
    let state = row.state(ledger.outages(), now);
    let seats = seats(ledger, &row, &history, now).await?;
    let holder = history.holders.iter().find(|holder| Some(&holder.client_id) == row.client_id.as_ref());
    let first_contact = match holder {
        Some(holder) => {
            let of_computer = Activity {
                after: holder.sequence,
                client: Some(name.clone()),
                kind: Some("lease_issued".to_owned()),
                limit: Some(1),
                ..Activity::default()
            };
            ledger.query(of_computer).await?.first().map(|logged| logged.entry.at())
        }
        None => None,
    };
    let mut former: Vec<_> = history
        .holders
        .iter()
        .filter(|holder| Some(&holder.client_id) != row.client_id.as_ref())
        .cloned()
        .collect();
    former.reverse();
    let addresses = site.parts.presence.addresses();
    let setups = history.setups.into_iter().rev().collect();
    Ok(Some(SetupInfo {
        state,
        gate: Gate::of(state, row.lease_until),
        seats,
        groups: row.groups_in(&plan).into_iter().collect(),
        enrolled_at: row.enrolled_at,
        first_contact,
        before,
        contact: contact_rule(&row),
        install: row.install.map(|install| PlannedLine::new(install, now)),
        setups,
        former,
        server: ServerWays {
            server_id: ledger.server_id(),
            addresses: addresses.addresses,
            port: addresses.port,
        },
    }))
}

/// The computers that use the identity of a name's client; none where there is one.
pub(super) async fn copies(site: &Site, name: &ComputerName) -> Result<Vec<CopyLine>, LedgerError> {
    let row = site.parts.ledger.query(CopiesOf { name: name.clone() }).await?;
    Ok(row.filter(|row| row.forked).map(CopyLine::of).unwrap_or_default())
}

/// The newest of what happened with a name, in the order in which it happened.
async fn history(ledger: &Ledger, name: &ComputerName) -> Result<SeatHistory, LedgerError> {
    let of_name = Activity {
        client: Some(name.clone()),
        kinds: seat_history::KINDS.map(str::to_owned).to_vec(),
        end: LogEnd::Newest,
        ..Activity::default()
    };
    let mut history = SeatHistory::default();
    for logged in ledger.query(of_name).await? {
        // What a newer version wrote is passed over, as in every list.
        if let ReadEntry::Known(entry) = logged.entry {
            history.take(&entry);
        }
    }
    Ok(history)
}

/// The seats of a name, each with its grant's end.
async fn seats(
    ledger: &Ledger,
    row: &ClientLineRow,
    history: &SeatHistory,
    now: Timestamp,
) -> Result<Vec<HeldSeat>, LedgerError> {
    let licenses = ledger.query(Licenses {}).await?;
    let grants: BTreeMap<_, _> = licenses.iter().map(|license| (&license.serial, license)).collect();
    let seats = row.serials.iter().map(|serial| HeldSeat {
        serial: serial.clone(),
        reserved_at: history.seats.iter().find(|seat| seat.serial == *serial).map(|seat| seat.at),
        not_after: grants.get(serial).map(|license| license.not_after),
        ended: grants.get(serial).and_then(|license| license.ends_at).filter(|end| *end < now),
    });
    Ok(seats.collect())
}

fn contact_rule(row: &ClientLineRow) -> ContactRule {
    // Nobody knows when somebody carries the next file.
    let comes = row.forked == Some(false) && row.came_by != Some(CameBy::File);
    ContactRule {
        every_secs: seconds(contacts_every(row.lease_until)),
        after_failure_secs: seconds(AFTER_FAILURE),
        due_by: row.heard.filter(|_| comes).map(|heard| due_by(heard, row.lease_until)),
        lost_after_secs: seconds(lost_after(row.cadence.as_ref())),
    }
}

fn seconds(duration: SignedDuration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
