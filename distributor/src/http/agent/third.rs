//! A refused contact that came from neither of two computers, as it is noted for the admin.

use jiff::Timestamp;
use sealpost_admin_api::copies::ThirdComputer;
use sealpost_ledger::LedgerError;
use sealpost_manifests::ids::{ClientId, Nonce};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::queries::CopiesOf;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::copies::is_of_neither;
use sealpost_site::rules::text;

use super::name_of;
use crate::http::Site;

/// What is noted of a contact, should it be refused as one of neither.
pub(super) struct Seen {
    client_id: ClientId,
    previous: Option<Nonce>,
    next: Nonce,
    seen: ThirdComputer,
}

impl Seen {
    /// Of a contact whose signature was verified.
    pub(super) fn of(contact: &Contact, came_by: Option<CameBy>, now: Timestamp) -> Self {
        let Contact { client_id, previous, next, hostname, .. } = contact;
        let hostname = hostname.as_deref().map(text::stored);
        let seen = ThirdComputer { seen_at: now, came_by, hostname };
        Self { client_id: client_id.clone(), previous: previous.clone(), next: next.clone(), seen }
    }

    /// Notes it if it was refused so and two computers are known, of which it is neither. One that asks too often is looked at as
    /// well: who has a copy can use up what the right one would be seen by.
    pub(super) async fn refused(self, site: &Site, code: ProblemCode) {
        if !matches!(code, ProblemCode::ContactForked | ProblemCode::Busy) {
            return;
        }
        match self.is_third(site).await {
            Ok(true) => site.third_computers.note(&self.client_id, self.seen),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot look whether a contact is of a third computer"),
        }
    }

    async fn is_third(&self, site: &Site) -> Result<bool, LedgerError> {
        let Some(name) = name_of(site, &self.client_id).await else { return Ok(false) };
        let row = site.parts.ledger.query(CopiesOf { name }).await?;
        let Some(row) = row.filter(|row| row.forked && row.client_id == self.client_id) else {
            return Ok(false);
        };
        let noted: Vec<_> = row.copies.iter().map(|copy| copy.branch).collect();
        Ok(is_of_neither(&noted, self.previous.as_ref(), &self.next))
    }
}
