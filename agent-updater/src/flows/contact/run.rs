//! The flow of a contact; see [`super`].

use jiff::{SignedDuration, Timestamp};
use sealpost_files::{escape, with_causes};
use sealpost_manifests::document;
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::wire::contact::{
    Contact, ContactAnswer, MAX_RECEIPT_BYTES, MAX_WAITS, MAX_WAITS_SENTENCE_BYTES, WaitsFor,
};

use crate::flows::context::{Context, Host};
use crate::flows::drift::Found;
use crate::flows::enroll::{go_on, goes_on};
use crate::flows::origin::Reads;
use crate::flows::patience::Patience;
use crate::platform::store::StoreError;
use crate::records::holdings::Holdings;
use crate::records::keys::settle;
use crate::records::progress::Progress;
use crate::records::server::{ContactState, OutstandingContact, ServerRecords};
use crate::server::{Access, AccessToken, Endpoint};
use crate::spool::Spool;

use super::accept::accept;
use super::error::ContactError;
use super::request::new_contact;
use super::send::send;

/// Longest notice of a server that is kept, in characters.
const MAX_NOTICE_CHARS: usize = 500;
/// Longest time for which a token is used, in seconds, whatever its server says.
const MAX_TOKEN_SECS: u32 = 24 * 60 * 60;

#[derive(Debug)]
pub(in crate::flows) struct Answered {
    /// `None` if the server gave no token that can be used, or no folder of releases is known.
    pub(in crate::flows) access: Option<Reads>,
    /// Whether it was an earlier contact, sent again: then reports that were added since are not in it.
    pub(in crate::flows) was_retry: bool,
    /// What of the answer was refused, and what the server wants a person to know.
    pub(in crate::flows) notices: Vec<String>,
}

/// One contact, with as many addresses as it needs; and one more, if this computer was kept beside a copy of it and goes on with
/// a key of its own. `found` is what was found not to be as it was signed. `spool` is
/// `None` for a server that hears no reports: they are for the one that decides about updates.
///
/// # Errors
/// [`ContactError`].
pub(in crate::flows) fn contact(
    context: &Context,
    holdings: &mut Holdings,
    progress: &mut Progress,
    mut spool: Option<&mut Spool>,
    found: &[Found],
) -> Result<Answered, ContactError> {
    let host = &context.host;
    let server = holdings.identity.server_id.clone();
    // One for all that follows, so that no refusal makes the others wait longer for this server.
    let patience = Patience::with(progress.authority() == Some(&server));
    match once(context, holdings, progress, spool.as_deref_mut(), (found, patience)) {
        Err(refused) if goes_on(&host.home, &server, refused.refused()) => {
            go_on(context, holdings, progress, patience).map_err(|error| refused.of_the_kept(&error))?;
            *holdings = Holdings::of(&host.home, &server, progress, host.now())
                .map_err(|error| refused.and(&error))?;
            once(context, holdings, progress, spool, (found, patience))
        }
        other => other,
    }
}

fn once(
    context: &Context,
    holdings: &mut Holdings,
    progress: &mut Progress,
    spool: Option<&mut Spool>,
    (found, patience): (&[Found], Patience),
) -> Result<Answered, ContactError> {
    let host = &context.host;
    let (outstanding, was_retry) = outstanding(host, holdings, progress, spool.as_deref(), found)?;
    let (way, answer) = send(context, holdings, progress, &outstanding, patience)?;
    let standing = progress.of_mut(&holdings.identity.server_id);
    (standing.takes_packed, standing.answered_by) = (way.endpoint.takes_packed(), Some(way.entry));
    let mut notices = take(host, holdings, progress, spool, outstanding, &answer)?;
    let access = access(host, way.endpoint, &answer).map(Reads::Server);
    if access.is_none() {
        notices.push("the server gave no access token that can be used".to_owned());
    }
    Ok(Answered { access, was_retry, notices })
}

/// The contact that waits for its answer; one is made if none does. It is on disk at return, and is the same until it is
/// answered, whatever carries it. `true` if it waited before.
///
/// # Errors
/// [`ContactError`].
pub(in crate::flows) fn outstanding(
    host: &Host,
    holdings: &Holdings,
    progress: &Progress,
    spool: Option<&Spool>,
    found: &[Found],
) -> Result<(OutstandingContact, bool), ContactError> {
    let records = ServerRecords::of(&host.home, &holdings.identity.server_id);
    let mut state = records.contact_state()?;
    if state.outstanding.as_ref().is_some_and(|waits| !is_of(waits, &holdings.identity.client_id)) {
        // The power went after this computer got another id, and before what belongs to the old one was removed.
        state = ContactState::default();
    }
    if let Some(outstanding) = state.outstanding {
        return Ok((outstanding, true));
    }
    let reports = spool.map(|spool| spool.batch(records.acknowledged_report()));
    let outstanding = new_contact(host, holdings, progress, &state, reports, found)?;
    state.outstanding = Some(outstanding.clone());
    records.save_contact_state(&state)?;
    Ok((outstanding, false))
}

/// Whether a contact is one of this client. One that cannot be read is sent as it is: the server says what is wrong with it.
fn is_of(waits: &OutstandingContact, client_id: &ClientId) -> bool {
    let contact = document::read::<Contact>(waits.contact.document.as_bytes());
    contact.map_or(true, |contact| contact.client_id == *client_id)
}

/// Takes the answer to the contact that waits: its parts are on disk before the nonce moves on. Answers what was refused of
/// it, and what the server wants a person to know.
///
/// # Errors
/// [`ContactError`].
pub(in crate::flows) fn take(
    host: &Host,
    holdings: &mut Holdings,
    progress: &mut Progress,
    spool: Option<&mut Spool>,
    outstanding: OutstandingContact,
    answer: &ContactAnswer,
) -> Result<Vec<String>, ContactError> {
    let server_id = holdings.identity.server_id.clone();
    let records = ServerRecords::of(&host.home, &server_id);
    let mut notices = accept(host, records, answer, holdings, progress)?;
    notices.extend(answer.notice.as_deref().map(bounded_notice));
    progress.of_mut(&server_id).waits = bounded_waits(&answer.waits);
    progress.save(&host.home)?;
    if let Some(spool) = spool {
        acknowledge(records, spool, answer.acknowledged_report)?;
    }
    let receipt = bounded_receipt(answer);
    let state = ContactState { previous: Some(outstanding.next), receipt, outstanding: None };
    records.save_contact_state(&state)?;
    // What cannot be settled now is with the next answer: which key counts is said by the enrollment.
    if let Err(error) = settle(&host.home, &server_id, &holdings.identity.client_key) {
        tracing::warn!("a key that counts no more stays in the keys folder: {}", with_causes(&error));
    }
    Ok(notices)
}

fn access(host: &Host, endpoint: Endpoint, answer: &ContactAnswer) -> Option<Access> {
    let token = AccessToken::new(&answer.access_token)?;
    let secs = answer.token_valid_secs.min(MAX_TOKEN_SECS);
    let until = host.now().saturating_add(SignedDuration::from_secs(i64::from(secs)));
    Some(Access { endpoint, token, until: until.unwrap_or(Timestamp::MAX) })
}

fn bounded_notice(notice: &str) -> String {
    let cut: String = notice.chars().take(MAX_NOTICE_CHARS).collect();
    escape(&cut)
}

/// What the server says of waits, bounded and without control characters: it is shown to people, and decides nothing.
fn bounded_waits(waits: &[WaitsFor]) -> Vec<WaitsFor> {
    let bounded = waits.iter().take(MAX_WAITS).map(|waits| {
        // A character has a byte at least.
        let cut: String = waits.sentence.chars().take(MAX_WAITS_SENTENCE_BYTES).collect();
        WaitsFor { sentence: escape(&cut), ..waits.clone() }
    });
    bounded.collect()
}

fn bounded_receipt(answer: &ContactAnswer) -> Option<String> {
    answer.receipt.clone().filter(|receipt| receipt.len() <= MAX_RECEIPT_BYTES)
}

/// Forgets the reports that the server has. What it says is believed up to the highest id that this computer gave, and
/// never takes back what it said before.
fn acknowledge(records: ServerRecords<'_>, spool: &mut Spool, claimed: u64) -> Result<(), StoreError> {
    let up_to = claimed.min(spool.last_id());
    if up_to > records.acknowledged_report() {
        records.save_acknowledged_report(up_to)?;
    }
    spool.acknowledge(up_to)
}
