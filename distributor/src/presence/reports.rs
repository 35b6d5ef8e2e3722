//! What the presence answers to admins: the certificate, the ways, what waits for whom, and what an admin may hurry.

use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_admin_api::addresses::{AddressesView, WayView};
use sealpost_admin_api::certificates::{CertificateView, NextCertificate, Waiting};
use sealpost_files::with_causes;
use sealpost_ledger::LedgerError;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::changes::Actor;
use sealpost_site::rows::ServersLearnedRow;
use sealpost_site::rules::expiries::{Expiry, ExpiryKind};
use sealpost_site::rules::text::{counted, first_names};
use sealpost_site::rules::warnings::{Unit, Warning, WarningCode};

use super::certificates::{Issuer, Renew};
use super::error::PresenceError;
use super::listening::{covers, unserved};
use super::ways::Before;
use super::{About, ServerPresence, State, Told, Trouble, waiting};
use crate::config::vendor_ca_ends;
use crate::ports::presence::{Addresses, Presence, Renewal, Switch};

impl ServerPresence {
    async fn view(&self) -> Result<CertificateView, Problem> {
        let standing = self.certificates.standing();
        let learned = self.learned().await.map_err(problem_of)?;
        let presented = standing.presented;
        let addresses = self.with(|state| state.settings.addresses.clone());
        let left_behind = self.left_behind(About::Certificate, learned.as_ref()).await.map_err(problem_of)?;
        Ok(CertificateView {
            issuer: word(standing.issuer).to_owned(),
            missing: presented.missing(&addresses),
            names: presented.names,
            serial: Some(presented.serial),
            sha256: Some(presented.sha256),
            not_before: Some(presented.not_before),
            not_after: presented.not_after,
            pin: presented.pin,
            ca_not_after: presented.ca_not_after,
            next: standing.next.map(|next| NextCertificate {
                issuer: word(next.issuer).to_owned(),
                pin: next.pin,
                waiting: learned.as_ref().map(waiting).unwrap_or_default(),
            }),
            left_behind,
        })
    }

    async fn renewed(&self, actor: &Actor, what: Renewal) -> Result<CertificateView, Problem> {
        let renew = match what {
            _ if self.certificates.standing().issuer == Issuer::Own => {
                return Err(Problem::new(
                    ProblemCode::WrongState,
                    "nothing was changed: the server presents a certificate that you brought, not one of the site CA",
                    "replace the files that `tls.certificate` and `tls.key` name in the configuration",
                ));
            }
            Renewal::Certificate => Renew::Certificate,
            Renewal::SiteCa if self.with(|state| state.settings.tls.is_some()) => {
                return Err(Problem::new(
                    ProblemCode::WrongState,
                    "nothing was changed: the configuration names a certificate that you brought, which takes the place of \
                     the site CA when computers have learned it",
                    "to go on with the site CA, take `tls.certificate` and `tls.key` out of the configuration, then reload \
                     the server with SIGHUP",
                ));
            }
            Renewal::SiteCa => Renew::SiteCa,
        };
        self.reconcile_for(actor, renew).await;
        self.no_problem()?;
        self.view().await
    }

    async fn switched(&self, actor: &Actor, whom: Switch) -> Result<CertificateView, Problem> {
        let before = self.certificates.standing().presented.pin;
        self.reconcile_for(actor, Renew::WhatIsDue).await;
        self.no_problem()?;
        let standing = self.certificates.standing();
        if standing.presented.pin != before {
            // It was due by itself.
            return self.view().await;
        }
        if standing.next.is_none() {
            return Err(Problem::new(
                ProblemCode::WrongState,
                "no other certificate waits to be presented",
                "`distributor certificate show` says what is presented; `distributor certificate renew --site-ca` prepares \
                 another CA",
            ));
        }
        let learned = self.learned().await.map_err(problem_of)?;
        let left = learned.as_ref().map(waiting).unwrap_or_default();
        if whom == Switch::WhenLearned && left.count == 0 {
            return Err(Problem::new(
                ProblemCode::WrongState,
                "the new CA is not announced to computers yet, and those that are enrolled would refuse the server after a switch",
                "set `addresses`, and a fixed port in `listen`, in distributor.toml, then reload the server with SIGHUP; or \
                 present it all the same with `distributor certificate switch --now`",
            ));
        }
        if whom == Switch::WhenLearned {
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!(
                    "{} not learned the new CA yet ({}), and would refuse the server after a switch",
                    counted(left.count, "computer has", "computers have"),
                    named(&left)
                ),
                "wait until they have contacted the server twice, or leave them behind with \
                 `distributor certificate switch --now`",
            ));
        }
        let turn = self.turn.lock().await;
        let switched = self.switch_now(learned.as_ref()).await;
        drop(turn);
        switched.map_err(|error| failed(&error))?;
        self.reconcile_for(actor, Renew::WhatIsDue).await;
        self.view().await
    }

    async fn ways_view(&self) -> Result<AddressesView, Problem> {
        let learned = self.learned().await.map_err(problem_of)?;
        let open = self.doors().map(|doors| doors.open_at()).unwrap_or_default();
        let remembered = self.remembered.addresses();
        let here = self.addresses();
        let ways = match &learned {
            Some(row) => row.ways.iter().map(|way| (way.addresses.clone(), way.port)).collect(),
            None => vec![(here.addresses, here.port)],
        };
        let view = |(addresses, port): (Vec<String>, u16)| {
            let unserved = unserved(&addresses, port, &open, &remembered, Self::is_own);
            let served = unserved.is_empty() && open.iter().any(|door| door.port() == port);
            WayView { addresses, port, served, unserved }
        };
        Ok(AddressesView {
            ways: ways.into_iter().map(view).collect(),
            sequence: learned.as_ref().map(|row| row.order.sequence),
            waiting: learned.as_ref().map(waiting).unwrap_or_default(),
            left_behind: self.left_behind(About::Listening, learned.as_ref()).await.map_err(problem_of)?,
        })
    }

    async fn finished(&self, actor: &Actor, whom: Switch) -> Result<AddressesView, Problem> {
        let turn = self.turn.lock().await;
        let learned = self.learned().await.map_err(problem_of)?;
        if learned.as_ref().is_none_or(|row| row.ways.len() < 2) {
            return Err(Problem::new(
                ProblemCode::WrongState,
                "no address or port is being changed",
                "change `addresses` or `listen` in distributor.toml, then reload the server with SIGHUP",
            ));
        }
        let left = learned.as_ref().map(waiting).unwrap_or_default();
        if whom == Switch::WhenLearned && left.count > 0 {
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!(
                    "{} not learned the new address or port yet ({}), and would find the server no longer",
                    counted(left.count, "computer has", "computers have"),
                    named(&left)
                ),
                "wait until they have contacted the server twice, or leave them behind with `distributor address finish --now`",
            ));
        }
        if self.is_unserved() {
            return Err(Problem::new(
                ProblemCode::WrongState,
                "nothing was changed: the server listens at none of the addresses and ports that computers are told",
                "`distributor status` says why it cannot; correct that, then reload the server with SIGHUP",
            ));
        }
        self.announce(actor, learned.as_ref(), Some(Before::Drop)).await.map_err(problem_of)?;
        drop(turn);
        // Who ends a move may have freed what could not be taken.
        self.with(|state| state.in_vain.clear());
        self.reconcile_for(actor, Renew::WhatIsDue).await;
        self.ways_view().await
    }

    async fn all_warnings(&self, now: Timestamp) -> Vec<Warning> {
        let (mut said, addresses, held, kept) = self.with(|state| {
            let said: Vec<Warning> = state
                .problems
                .iter()
                .map(Trouble::warning)
                .chain(state.configuration.iter().cloned())
                .collect();
            let held = state.held.filter(|_| state.port.is_some());
            (said, state.settings.addresses.clone(), held, state.kept_open.clone())
        });
        let mut say = |code, message: Option<String>| said.extend(message.map(coded(code)));
        let root = self.parts.root_problem.as_ref();
        say(WarningCode::RootRefused, root.map(|problem| format!("{ROOT_JSON}: {problem}; {ROOT_HINT}")));
        let wanted = self.wanted_door();
        say(WarningCode::SocketUnitDiffers, held.and_then(|held| another_is_held(held, wanted)));
        say(WarningCode::ListenDiffers, kept_open(&kept, wanted));
        let standing = self.certificates.standing();
        for problem in standing.problems {
            say(WarningCode::CertificateFailed, Some(problem));
        }
        let missing = standing.presented.missing(&addresses);
        let is_missing = !missing.is_empty();
        say(
            WarningCode::CertificateNames,
            is_missing.then(|| format!("{}; {}", unnamed(&missing), MISSING_HINT)),
        );
        let learned = match self.learned().await {
            Ok(learned) => learned,
            Err(error) => {
                say(WarningCode::Internal, Some(with_causes(&error)));
                None
            }
        };
        say(WarningCode::AddressUnserved, self.unserved(learned.as_ref()));
        for about in [About::Certificate, About::Listening] {
            let sentence = |left: &Waiting| match about {
                About::Certificate => refusing(left),
                About::Listening => lost(left),
            };
            match self.left_behind(about, learned.as_ref()).await {
                Ok(left) => said.extend(left.as_ref().map(|left| {
                    Warning::new(WarningCode::ComputersLeftBehind, sentence(left)).of(
                        left.count,
                        Unit::Computers,
                        &left.names,
                    )
                })),
                Err(error) => said.push(Warning::new(WarningCode::Internal, with_causes(&error))),
            }
        }
        let Some(row) = learned.filter(|row| row.waiting > 0) else { return said };
        let left = waiting(&row);
        let (who, names) = (counted(left.count, "computer has", "computers have"), named(&left));
        if standing.next.is_some() {
            let message = format!(
                "{who} not learned the new CA of this server's certificate yet ({names}), which takes two contacts: it is \
                 presented when all have, or at once with `distributor certificate switch --now`"
            );
            said.push(of_waiting(WarningCode::CaNotLearned, message, &left, &row));
        }
        if row.ways.len() > 1 {
            let since = now.duration_since(row.issued_at).as_hours() / 24;
            let message = format!(
                "{who} not learned the new address or port of this server yet ({names}), {} after it changed; that takes two \
                 contacts: what was before is served until all have, or until `distributor address finish --now`",
                match u64::try_from(since) {
                    Ok(days @ 1..) => counted(days, "day", "days"),
                    _ => "less than a day".to_owned(),
                }
            );
            said.push(of_waiting(WarningCode::AddressNotLearned, message, &left, &row));
        }
        said
    }

    fn certificates_that_end(&self) -> Vec<Expiry> {
        let standing = self.certificates.standing();
        let presented = standing.presented;
        let own = self.with(|state| state.settings.tls.clone());
        if standing.issuer == Issuer::Own {
            let place = own.map_or_else(
                || "set `tls.certificate` in the configuration again".to_owned(),
                |own| {
                    format!(
                        "put a renewed one at {}; the server takes it by itself",
                        own.certificate.display()
                    )
                },
            );
            return vec![Expiry {
                kind: ExpiryKind::OwnCertificate,
                what: "the server's certificate that you brought".to_owned(),
                label: "server".to_owned(),
                at: presented.not_after.min(presented.ca_not_after),
                since: Some(presented.not_before),
                renewed_by_itself: false,
                remedy: place,
            }];
        }
        let ca_remedy = if own.is_none() {
            "run `distributor certificate renew --site-ca`, and `distributor certificate switch` when computers have learned \
             it"
        } else {
            "run `distributor certificate switch` when computers have learned the CA of the certificate that you brought"
        };
        vec![
            Expiry {
                kind: ExpiryKind::Certificate,
                what: "the server's certificate".to_owned(),
                label: "server".to_owned(),
                at: presented.not_after,
                since: None,
                renewed_by_itself: true,
                remedy: "run `distributor certificate renew`".to_owned(),
            },
            Expiry {
                kind: ExpiryKind::SiteCa,
                what: "the site CA's certificate".to_owned(),
                label: "server".to_owned(),
                at: presented.ca_not_after,
                since: None,
                // No next site CA is prepared beside a certificate that takes its place.
                renewed_by_itself: own.is_none(),
                remedy: ca_remedy.to_owned(),
            },
        ]
    }

    /// Where computers are told to come first, and nothing listens.
    fn unserved(&self, learned: Option<&ServersLearnedRow>) -> Option<String> {
        let way = learned?.ways.first()?;
        let (open, remembered) = (self.doors()?.open_at(), self.remembered.addresses());
        let unserved = unserved(&way.addresses, way.port, &open, &remembered, Self::is_own);
        (!unserved.is_empty()).then(|| {
            format!(
                "computers are told to come to {}, port {}, and nothing listens there: correct `listen` or `addresses`, then \
                 reload the server with SIGHUP",
                unserved.join(", "),
                way.port
            )
        })
    }

    /// What went wrong in the last turn with the certificate, as an answer.
    fn no_problem(&self) -> Result<(), Problem> {
        let trouble = |state: &mut State| {
            state.problems.iter().find(|trouble| trouble.about == About::Certificate).cloned()
        };
        let trouble = self.with(trouble);
        trouble.map_or(Ok(()), |trouble| Err(Problem::new(ProblemCode::Internal, trouble.said, LOG_HINT)))
    }
}

impl Trouble {
    fn warning(&self) -> Warning {
        let code = match self.about {
            About::Certificate => WarningCode::CertificateFailed,
            About::Listening => WarningCode::ListenFailed,
        };
        Warning::new(code, self.said.clone())
    }
}

fn coded(code: WarningCode) -> impl Fn(String) -> Warning {
    move |message| Warning::new(code, message)
}

/// Of those that have not learned the newest list, since it was announced.
fn of_waiting(code: WarningCode, message: String, left: &Waiting, list: &ServersLearnedRow) -> Warning {
    Warning::new(code, message).of(left.count, Unit::Computers, &left.names).since(Some(list.issued_at))
}

/// The server is reached at both; only its next start may find the wanted one taken, and callers wait no longer while it
/// is replaced.
fn another_is_held(held: SocketAddr, wanted: SocketAddr) -> Option<String> {
    if covers(held, wanted) {
        return None;
    }
    let (held, wanted) = if held.port() == wanted.port() {
        (held.to_string(), wanted.to_string())
    } else {
        (format!("port {}", held.port()), wanted.port().to_string())
    };
    Some(format!(
        "the socket unit holds {held}, and `listen` says {wanted}: give both the same, as \
         `systemctl edit sealpost-distributor.socket` shows, then stop and start the socket unit and the service"
    ))
}

fn kept_open(kept: &[SocketAddr], wanted: SocketAddr) -> Option<String> {
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    (!kept.is_empty()).then(|| {
        format!(
            "`listen` says {wanted}, and computers are told to come where only {} answers, which is therefore served on: \
             name in `addresses` where they are to come, then reload the server with SIGHUP",
            kept.join(", ")
        )
    })
}

fn refusing(left: &Waiting) -> String {
    let (refuse, whom) = if left.count == 1 { ("refuses", "it") } else { ("refuse", "each") };
    format!(
        "{} not know the new CA of this server's certificate, and {refuse} the server ({}): make {whom} a new setup file with \
         `distributor clients setup NAME`",
        counted(left.count, "computer does", "computers do"),
        named(left)
    )
}

fn lost(left: &Waiting) -> String {
    let (find, whom) = if left.count == 1 { ("finds", "it") } else { ("find", "each") };
    format!(
        "{} not know the address or port of this server since it changed, and {find} the server no longer ({}): make {whom} a \
         new setup file with `distributor clients setup NAME`",
        counted(left.count, "computer does", "computers do"),
        named(left)
    )
}

/// What helps when the certificate does not name an address.
const MISSING_HINT: &str =
    "add it to the certificate that `tls.certificate` names, or take it out of `addresses`";
const LOG_HINT: &str = "correct what the message names, then try again; the server's log has more";

fn unnamed(missing: &[String]) -> String {
    format!(
        "the server's certificate does not name {}: computers that come to {} refuse it",
        missing.join(", "),
        if missing.len() == 1 { "it" } else { "them" }
    )
}

const ROOT_JSON: &str = "root.json in the server's home cannot be used";
const ROOT_HINT: &str = "put back the root.json that this server was made with (a backup has it, and the vendor), then restart the \
                         server";

impl Presence for ServerPresence {
    fn addresses(&self) -> Addresses {
        let (addresses, port) = self.with(|state| match &state.told {
            Told::Before { addresses, port } | Told::Unserved { addresses, port } => {
                (addresses.clone(), *port)
            }
            Told::Configured | Told::Nothing => {
                (state.settings.addresses.clone(), state.port.unwrap_or(state.started_on.port()))
            }
        });
        Addresses { addresses, port, ca_spki_sha256: self.pins(), root_sha256: self.parts.root_sha256 }
    }

    fn checked_addresses(&self) -> Result<Addresses, Problem> {
        if let Some(problem) = &self.parts.root_problem {
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!("{ROOT_JSON}: {problem}; a computer that is set up with it could not be served"),
                ROOT_HINT,
            ));
        }
        let addresses = self.addresses();
        if addresses.addresses.is_empty() {
            return Err(Problem::new(
                ProblemCode::WrongState,
                "the configuration names no address under which computers reach this server",
                "set `addresses` in distributor.toml, then reload the server with SIGHUP",
            ));
        }
        let missing = self.certificates.standing().presented.missing(&addresses.addresses);
        if !missing.is_empty() {
            return Err(Problem::new(ProblemCode::WrongState, unnamed(&missing), MISSING_HINT));
        }
        Ok(addresses)
    }

    fn expiries(&self) -> Vec<Expiry> {
        let vendor_ca = self.with(|state| state.settings.vendor_ca.clone());
        let mut expiries = self.certificates_that_end();
        let ends = vendor_ca.map(|path| vendor_ca_ends(&path)).unwrap_or_default();
        expiries.extend(ends.iter().map(|(subject, at)| Expiry::of_vendor_ca(subject, *at)));
        expiries
    }

    fn look_soon(&self) {
        self.wake.changed();
    }

    fn list_is_known(&self) {
        self.wake.learned();
    }

    fn warnings(&self, now: Timestamp) -> BoxFuture<'_, Vec<Warning>> {
        Box::pin(self.all_warnings(now))
    }

    fn certificate(&self) -> BoxFuture<'_, Result<CertificateView, Problem>> {
        Box::pin(self.view())
    }

    fn renew(&self, actor: Actor, what: Renewal) -> BoxFuture<'_, Result<CertificateView, Problem>> {
        Box::pin(async move { self.renewed(&actor, what).await })
    }

    fn switch(&self, actor: Actor, whom: Switch) -> BoxFuture<'_, Result<CertificateView, Problem>> {
        Box::pin(async move { self.switched(&actor, whom).await })
    }

    fn ways(&self) -> BoxFuture<'_, Result<AddressesView, Problem>> {
        Box::pin(self.ways_view())
    }

    fn finish(&self, actor: Actor, whom: Switch) -> BoxFuture<'_, Result<AddressesView, Problem>> {
        Box::pin(async move { self.finished(&actor, whom).await })
    }
}

const fn word(issuer: Issuer) -> &'static str {
    match issuer {
        Issuer::Site => "site",
        Issuer::Own => "own",
    }
}

fn named(waiting: &Waiting) -> String {
    first_names(&waiting.names, waiting.count)
}

fn problem_of(error: LedgerError) -> Problem {
    match error {
        LedgerError::Refused(problem) => problem,
        other => Problem::new(ProblemCode::Internal, with_causes(&other), LOG_HINT),
    }
}

fn failed(error: &PresenceError) -> Problem {
    Problem::new(ProblemCode::Internal, with_causes(error), LOG_HINT)
}
