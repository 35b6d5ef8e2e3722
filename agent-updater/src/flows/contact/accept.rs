//! Judging the signed parts of an answer, and keeping what is good.
//!
//! Order: the grants first, because they say which epoch and which site key count; then the lease with the head of the
//! log, then the assignment, then the list of the server's ways.

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::{Document, SignedDocument};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Ordered;
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::wire::contact::{ContactAnswer, MAX_GRANTS};

use crate::domain::grants::HeldGrant;
use crate::domain::license::{LicenseRefusal, Standard, judge_assignment, judge_lease};
use crate::domain::server_list::judge_server_list;
use crate::flows::context::Host;
use crate::platform::store::StoreError;
use crate::records::holdings::{Holdings, known_server, verified_grant};
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;

use super::log_head::take_head;

/// Keeps the parts of an answer that are good; returns what was wrong with the others.
///
/// What time it is, is heard from the server alone that decides about updates: a statement of the vendor can be an old one, and
/// another server could turn the time of this computer back with it.
pub(super) fn accept(
    host: &Host,
    records: ServerRecords<'_>,
    answer: &ContactAnswer,
    holdings: &mut Holdings,
    progress: &mut Progress,
) -> Result<Vec<String>, StoreError> {
    let server_id = holdings.identity.server_id.clone();
    let is_authority = progress.authority() == Some(&server_id);
    let mut refused = accept_grants(host, records, answer, holdings, progress)?;
    let time = progress.license_time(host.now());
    if let Some(signed) = &answer.lease {
        let judge = |lease: &Lease, standard: &Standard<'_>| {
            judge_lease(lease, standard).and_then(|()| holdings.grants.judge_seats(lease, time))
        };
        match verified(signed, holdings, progress, time, judge) {
            Ok(lease) => {
                let standing = progress.of_mut(&server_id);
                let before = standing.log.held.as_ref().map(|held| held.head);
                take_head(standing, holdings, &lease, answer);
                let held = standing.log.held.as_ref().map(|held| held.head);
                let is_taken = held == Some(lease.ledger_head);
                if !is_taken && let Some(before) = before {
                    keep_witness(records, holdings, before)?;
                }
                records.save_lease(signed)?;
                if is_taken {
                    records.remove_witness()?;
                }
                progress.of_mut(&server_id).raise(Lease::TYPE, lease.order());
                if is_authority {
                    progress.computer.floors.observe(lease.issued_at, host.boot().as_ref());
                }
            }
            Err(why) => refused.push(format!("a lease of the server was refused: {why}")),
        }
    }
    if let Some(signed) = &answer.assignment {
        match verified(signed, holdings, progress, time, judge_assignment) {
            Ok(assignment) => {
                records.save_assignment(signed)?;
                progress.of_mut(&server_id).raise(Assignment::TYPE, assignment.order());
                if is_authority {
                    progress.computer.floors.observe(assignment.issued_at, host.boot().as_ref());
                }
            }
            Err(why) => refused.push(format!("an assignment of the server was refused: {why}")),
        }
    }
    if let Some(signed) = &answer.server_list {
        match verified_list(signed, holdings, progress, time) {
            Ok(list) => {
                records.save_server_list(signed)?;
                progress.of_mut(&server_id).raise(ServerList::TYPE, list.order());
            }
            Err(why) => refused.push(format!("a list of the server's addresses was refused: {why}")),
        }
    }
    Ok(refused)
}

/// Keeps the lease that carries the held head before a lease with another one takes its place: it is this computer's proof
/// that the server's log was cut or rewritten.
fn keep_witness(records: ServerRecords<'_>, holdings: &Holdings, held: LogHead) -> Result<(), StoreError> {
    // One that cannot be read proves nothing any more.
    let Some(newest) = records.lease().ok().flatten() else { return Ok(()) };
    let verified = newest.verify::<Lease>(std::slice::from_ref(holdings.grants.site_key()));
    if verified.is_ok_and(|lease| lease.ledger_head == held) { records.save_witness(&newest) } else { Ok(()) }
}

/// A server list, if it is signed with the site key and is to be accepted.
fn verified_list(
    signed: &SignedDocument,
    holdings: &Holdings,
    progress: &Progress,
    now: Timestamp,
) -> Result<ServerList, String> {
    let site_key = std::slice::from_ref(holdings.grants.site_key());
    let list = signed.verify::<ServerList>(site_key).map_err(|error| with_causes(&error))?.into_inner();
    let standard = Standard {
        identity: &holdings.identity,
        granted: holdings.grants.vendor_epoch(),
        highest: progress.of(&holdings.identity.server_id).highest_of(ServerList::TYPE),
        now,
    };
    judge_server_list(&list, &standard, &known_server(&holdings.enrollment, &holdings.grants))?;
    Ok(list)
}

fn accept_grants(
    host: &Host,
    records: ServerRecords<'_>,
    answer: &ContactAnswer,
    holdings: &mut Holdings,
    progress: &mut Progress,
) -> Result<Vec<String>, StoreError> {
    let server_id = holdings.identity.server_id.clone();
    let mut refused = Vec::new();
    let mut taken = Vec::new();
    for signed in answer.grants.iter().take(MAX_GRANTS) {
        let accepted = verified_grant(signed, &holdings.trust).and_then(|held| {
            let grant = held.grant.clone();
            holdings.grants.accept(held, &server_id).map_err(|refusal| refusal.to_string())?;
            Ok(grant)
        });
        match accepted {
            Ok(grant) => taken.push((grant, signed)),
            Err(why) => refused.push(format!("a grant of the server was refused: {why}")),
        }
    }
    if taken.is_empty() {
        return Ok(refused);
    }
    let mut texts = std::mem::take(&mut holdings.enrollment.grants);
    texts.extend(taken.iter().map(|(_, signed)| (*signed).clone()));
    let text_of = |held: &HeldGrant| texts.iter().find(|text| text.digest() == held.digest).cloned();
    holdings.enrollment.grants = holdings.grants.iter().filter_map(text_of).collect();
    records.save_enrollment(&holdings.enrollment)?;
    if progress.authority() == Some(&server_id) {
        // The newest statement of the vendor comes last.
        taken.sort_by_key(|(grant, _)| grant.vendor_time);
        for (grant, _) in &taken {
            progress.computer.floors.accept_grant(grant, host.boot().as_ref());
        }
    }
    Ok(refused)
}

/// A document of the server, if it is signed with the site key and is to be accepted.
fn verified<T: Document + Ordered>(
    signed: &SignedDocument,
    holdings: &Holdings,
    progress: &Progress,
    now: Timestamp,
    judge: impl FnOnce(&T, &Standard<'_>) -> Result<(), LicenseRefusal>,
) -> Result<T, String> {
    let site_key = std::slice::from_ref(holdings.grants.site_key());
    let document = signed.verify::<T>(site_key).map_err(|error| with_causes(&error))?.into_inner();
    let standard = Standard {
        identity: &holdings.identity,
        granted: holdings.grants.vendor_epoch(),
        highest: progress.of(&holdings.identity.server_id).highest_of(T::TYPE),
        now,
    };
    judge(&document, &standard).map_err(|refusal| refusal.to_string())?;
    Ok(document)
}
