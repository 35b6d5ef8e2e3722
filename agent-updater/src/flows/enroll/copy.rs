//! Of two computers with one identity, the one that the administrator kept: it makes a key of its own.
//!
//! Order: the new key is on disk, beside the old one, before anything is sent; the contact that the server refused is signed
//! again with the old key and the new one inside, and proves which of the two this is; the enrollment with the new key is kept
//! whole, and from then on the new key counts. Whatever is interrupted is done again with the same key and gets the same answer:
//! also when the server has taken it and says that the old key is dead.
//! Invariants: nothing that a person brought is needed, and no grant that is held goes back. Floors, reports, counters and what is witnessed of the server's log stay;
//! lease, assignment and nonces were those of the old id.

use sealpost_files::with_causes;
use sealpost_keys::key_file::{read_secret, write_secret};
use sealpost_keys::{PassphraseSource, SigningKey};
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::SetupServer;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::EnrollAnswer;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::domain::cadence::Standing;
use crate::flows::context::{Context, Host};
use crate::flows::patience::{Patience, too_slow};
use crate::flows::ways::ways;
use crate::home::Home;
use crate::records::holdings::{Holdings, known_server};
use crate::records::keys::{key_of, settle};
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::records::standing::ServerStanding;

use super::answer::{AcceptedBeside, Applicant, judge_answer_beside, request_of_copy};
use super::error::EnrollError;

/// Whether a refusal of a contact makes this computer go on with a key of its own: it is the one that was kept, or it asked for
/// that before and did not hear the answer.
pub(in crate::flows) fn goes_on(home: &Home, server: &ServerId, refused: Option<ProblemCode>) -> bool {
    match refused {
        Some(ProblemCode::CopyKept) => true,
        Some(ProblemCode::CopyGivenUp) => home.next_key(server).exists(),
        _ => false,
    }
}

/// Goes on with a key of its own; durable at return. `holdings` are what was held before, and `patience` is what the refused
/// contact left of it.
///
/// # Errors
/// [`EnrollError`]; then the old key counts.
pub(in crate::flows) fn go_on(
    context: &Context,
    holdings: &Holdings,
    progress: &mut Progress,
    patience: Patience,
) -> Result<(), EnrollError> {
    let host = &context.host;
    let (home, enrollment) = (&host.home, &holdings.enrollment);
    let server = &holdings.identity.server_id;
    let waiting = ServerRecords::of(home, server).contact_state()?.outstanding;
    let waiting = waiting.ok_or_else(|| EnrollError::Copy("no contact waits".to_owned()))?;
    let old = key_of(home, server, &enrollment.client_key)
        .map_err(|error| EnrollError::Copy(with_causes(&error)))?;
    let key = next_key(home, server)?;
    let mut contact: Contact = document::read(waiting.contact.document.as_bytes())?;
    contact.new_key = Some(key.public());
    let branch = SignedDocument::sign(&contact, &old)?;
    let applicant = Applicant {
        name: &enrollment.computer_name,
        client_key: &key,
        sealing_key: enrollment.sealing_key,
        setup_issued_at: enrollment.setup_issued_at,
    };
    let known = known_server(enrollment, &holdings.grants);
    let known = SetupServer { server: known, enrollment_code: None, code_expires_at: None };
    let body = request_of_copy(&known, &applicant, branch)?;
    let ways = ways(host, &context.connections, holdings, progress)
        .map_err(|error| EnrollError::Copy(with_causes(&error)))?;
    let mut failures = Vec::new();
    for way in ways {
        let asked = patience.wait(&context.network, way.endpoint.post("enroll", body.clone()))?;
        let answer: EnrollAnswer = match asked {
            None => {
                failures.push(too_slow());
                break;
            }
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                failures.push(with_causes(&error));
                if error.try_elsewhere() {
                    continue;
                }
                break;
            }
        };
        // Nobody is at the computer, and the refusal that led here is not signed: a server brings the vendor's word back no
        // more than in an answer to a contact.
        let (mut accepted, refused) = judge_answer_beside(holdings, &applicant, &answer)
            .map_err(|why| EnrollError::KeptAnswer { server: way.endpoint.address().to_owned(), why })?;
        refused.iter().for_each(|why| tracing::warn!("{why}"));
        keep(host, progress, &mut accepted)?;
        tracing::info!(
            client_id = %accepted.enrollment.client_id,
            "this computer was kept beside a copy of it, and goes on with a key of its own"
        );
        return Ok(());
    }
    Err(EnrollError::Copy(failures.join("; ")))
}

/// The key to go on with: made once, and the same until something came of it.
fn next_key(home: &Home, server: &ServerId) -> Result<SigningKey, EnrollError> {
    let path = home.next_key(server);
    let is_there =
        path.try_exists().map_err(|source| EnrollError::Unreadable { path: path.clone(), source })?;
    if !is_there {
        write_secret(&path, &SigningKey::generate()?, None)?;
    }
    Ok(read_secret(&path, &PassphraseSource::None)?)
}

/// The enrollment comes first: a contact of an earlier id that waits beside it is none, and its lease does not count.
fn keep(host: &Host, progress: &mut Progress, accepted: &mut AcceptedBeside) -> Result<(), EnrollError> {
    let AcceptedBeside { enrollment, taken } = accepted;
    let server = &enrollment.server.server_id;
    let records = ServerRecords::of(&host.home, server);
    let before = std::mem::take(progress.of_mut(server));
    *progress.of_mut(server) = standing_of_the_kept(before);
    if progress.authority() == Some(server) {
        // The newest statement of the vendor comes last.
        taken.sort_by_key(|grant| grant.vendor_time);
        for grant in &*taken {
            progress.computer.floors.accept_grant(grant, host.boot().as_ref());
        }
    }
    progress.save(&host.home)?;
    records.save_enrollment(enrollment)?;
    records.reset_for_new_client()?;
    settle(&host.home, server, &enrollment.client_key)
        .map_err(|source| EnrollError::Write { path: host.home.server_key(server), source })
}

/// The orders of what was signed for the old id begin again. The server, its log and its list are the same.
fn standing_of_the_kept(before: ServerStanding) -> ServerStanding {
    let standing = match before.standing {
        Standing::Unlicensed => Standing::Unlicensed,
        Standing::Licensed | Standing::LostContact => Standing::Licensed,
    };
    let list = before.highest_of(ServerList::TYPE);
    let mut kept = ServerStanding {
        standing,
        log: before.log,
        answered_at: before.answered_at,
        answered_by: before.answered_by,
        next_contact: before.next_contact,
        ..ServerStanding::default()
    };
    if let Some(order) = list {
        kept.raise(ServerList::TYPE, order);
    }
    kept
}
