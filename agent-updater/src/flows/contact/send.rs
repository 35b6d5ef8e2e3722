//! Sending a contact, to as many addresses as it needs, and with evidence to a server that knows less than it signed.

use sealpost_files::with_causes;
use sealpost_manifests::wire::contact::ContactAnswer;

use crate::domain::reaction::{Reaction, reaction};
use crate::flows::context::Context;
use crate::flows::patience::{Patience, too_slow};
use crate::flows::ways::{Way, ways};
use crate::platform::network::WaitInterrupted;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::records::server::OutstandingContact;
use crate::server::{Endpoint, ServerError};

use super::error::ContactError;
use super::request::body;

/// What helps a computer that a change of the site's CA left behind; how to enroll again follows.
const NEW_SETUP_FILE: &str = "if the site replaced its CA while this computer was away, ask the administrator for a new setup file of it \
     (`distributor clients setup NAME`), and enroll it again: ";

/// The way by which the server answered, and its answer.
pub(super) fn send(
    context: &Context,
    holdings: &Holdings,
    progress: &Progress,
    outstanding: &OutstandingContact,
    patience: Patience,
) -> Result<(Way, ContactAnswer), ContactError> {
    let enrollment = &holdings.enrollment;
    let ways = ways(&context.host, &context.connections, holdings, progress).map_err(|error| {
        ContactError::AllFailed { failures: vec![with_causes(&error)], refused: None, is_unknown_ca: false }
    })?;
    let client_id = &enrollment.client_id;
    let plain = body(client_id, outstanding, None)?;
    let mut failures = Vec::new();
    let (mut refused, mut is_unknown_ca) = (None, false);
    // What the server signed is shown once per contact, so that no answer can make this computer go on and on.
    let mut evidence = holdings.evidence.clone();
    let is_authority = progress.authority() == Some(&holdings.identity.server_id);
    for way in ways {
        let endpoint = &way.endpoint;
        let Some(mut answer) = ask(context, endpoint, plain.clone(), patience)? else {
            failures.push(too_slow());
            break;
        };
        if let Err(error) = &answer
            && wants_evidence(error)
            && let Some(evidence) = evidence.take()
        {
            tracing::info!(refusal = with_causes(error), "showing the server what it signed");
            let with_evidence = body(client_id, outstanding, Some(evidence))?;
            answer = match ask(context, endpoint, with_evidence, patience)? {
                Some(answer) => answer,
                None => {
                    failures.push(too_slow());
                    break;
                }
            };
        }
        match answer {
            Ok(answer) => return Ok((way, answer)),
            Err(error) => {
                failures.push(explained(&error));
                is_unknown_ca |= error.is_unknown_ca();
                refused = error.problem().map(|problem| problem.code).or(refused);
                if !error.try_elsewhere() {
                    break;
                }
            }
        }
    }
    if failures.is_empty() {
        failures.push("the setup file lists no address; enroll this computer again".to_owned());
    }
    if is_unknown_ca {
        // A further server must not become the first by that.
        let again = if is_authority {
            "`agent-updater enroll --setup FILE`"
        } else {
            "`agent-updater servers add --setup FILE`"
        };
        failures.push(format!("{NEW_SETUP_FILE}{again}"));
    }
    Err(ContactError::AllFailed { failures, refused, is_unknown_ca })
}

/// The answer of one way; `None` if it is not there when the time of all is over.
fn ask(
    context: &Context,
    endpoint: &Endpoint,
    body: String,
    patience: Patience,
) -> Result<Option<Result<ContactAnswer, ServerError>>, WaitInterrupted> {
    patience.wait(&context.network, endpoint.post("contact", body))
}

fn wants_evidence(error: &ServerError) -> bool {
    error.problem().is_some_and(|problem| reaction(problem.code) == Reaction::ShowEvidence)
}

/// The failure for people: what the server said, and what it means for this computer.
fn explained(error: &ServerError) -> String {
    let text = with_causes(error);
    match error.problem().map(|problem| reaction(problem.code)) {
        Some(Reaction::Explain(meaning)) => format!("{text}; {meaning}"),
        _ => text,
    }
}
