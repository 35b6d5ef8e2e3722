//! The server's certificates on disk, and the one that is presented.
//!
//! Invariants: what is presented always lies in the home, so that a start presents the same; a certificate of a CA that
//! computers do not pin yet is prepared and not presented; killed at any place, the next start finds one whole identity.
//! All calls block for small files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealpost_files::{PRIVATE, PUBLIC, read_bounded, replace, sync_parent};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;
use sealpost_serving::tls::TlsIdentity;

use super::chain::ChainFacts;
use super::error::PresenceError;
use crate::home::{Home, SiteCa};

/// The server's certificate is issued anew when less than this is left: long before the first warning of its end.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 180);
/// The site CA is replaced when less than this is left: a certificate that it issues still lives its whole time, and
/// computers have a year to learn of the next one.
const REPLACE_CA_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 400);
/// With less than this left the next CA is taken whoever has not learned it: with the old one they come no longer either.
const LAST_DAYS_OF_CA: SignedDuration = SignedDuration::from_hours(24 * 7);
/// Largest file of an admin's own certificate or key, in bytes.
const MAX_OWN_BYTES: u64 = 256 * 1024;
/// Most certificates of an own chain: an agent looks for the pinned one among eight behind the first.
const MAX_OWN_CERTIFICATES: usize = 9;

/// Whose certificate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    Site,
    Own,
}

/// What the configuration and the list of ways want.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Every address under which a computer may come.
    pub(super) names: Vec<String>,
    /// The admin's own certificate and key.
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

/// What is made anew though it is not due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renew {
    WhatIsDue,
    Certificate,
    SiteCa,
}

/// A certificate of another CA, which waits until computers know its pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) issuer: Issuer,
    pub(super) pin: Sha256Digest,
}

#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) issuer: Issuer,
    pub(super) presented: ChainFacts,
    pub(super) next: Option<Next>,
    /// The site CA in use ends within days: the next one is taken now.
    pub(super) is_urgent: bool,
    /// Why the admin's own certificate is not taken, and what went wrong with the site's beside it.
    pub(super) problems: Vec<String>,
}

/// As the module says.
#[derive(Debug)]
pub(super) struct Certificates {
    home: Home,
    server_id: ServerId,
    identity: Arc<TlsIdentity>,
    /// One change of files at a time. Held while keys are made and files are flushed, so never by who only looks.
    changing: Mutex<()>,
    /// How it stood after the last change. Locked to copy it alone.
    standing: Mutex<Standing>,
}

impl Certificates {
    /// Loads the certificate that is there. One for these names is issued only if there is none: what is due is done by
    /// [`Certificates::reconcile`], and what keeps it from being done keeps no server with a good certificate from
    /// starting.
    pub(super) fn open(
        home: &Home,
        server_id: ServerId,
        names: &[String],
        now: Timestamp,
    ) -> Result<Self, PresenceError> {
        let disk = Disk { home, server_id: &server_id };
        let own = home.read_pem(&home.own_identity())?;
        if own.is_none() && disk.site_certificate()?.is_none() {
            disk.finish_switch()?;
            disk.issue_if_due(names, Renew::WhatIsDue, now)?;
        }
        let (issuer, presented) = disk.presented()?;
        let identity = match issuer {
            Issuer::Own => TlsIdentity::load(&home.own_identity(), &home.own_identity(), None)?,
            Issuer::Site => {
                let ca = home.ca_certificate();
                TlsIdentity::load(&home.server_certificate(), &home.server_key(), Some(&ca))?
            }
        };
        let standing = Standing { issuer, presented, next: None, is_urgent: false, problems: Vec::new() };
        let (changing, standing) = (Mutex::default(), Mutex::new(standing));
        Ok(Self { home: home.clone(), server_id, identity, changing, standing })
    }

    pub(super) fn identity(&self) -> Arc<TlsIdentity> {
        Arc::clone(&self.identity)
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_standing(&self, standing: &Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing.clone();
    }

    /// Until it is dropped, nobody else changes files.
    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> Disk<'_> {
        Disk { home: &self.home, server_id: &self.server_id }
    }

    /// Makes anew what is due, and finds out what waits. A reconciler: run twice, nothing more happens. After an error it
    /// stands as it stood before.
    pub(super) fn reconcile(
        &self,
        wanted: &Wanted,
        renew: Renew,
        now: Timestamp,
    ) -> Result<Standing, PresenceError> {
        let _one_at_a_time = self.change();
        let (mut standing, disk) = (self.standing(), self.disk());
        (standing.next, standing.problems, standing.is_urgent) = (None, Vec::new(), false);
        match disk.reconcile_site(&wanted.names, renew, now) {
            // What is wrong with the site's own files holds up no certificate of the admin's.
            Err(error) if wanted.own.is_some() && renew == Renew::WhatIsDue => {
                standing.problems.push(sealpost_files::with_causes(&error));
            }
            other => other?,
        }
        let in_use = disk.presented()?.1;
        match &wanted.own {
            Some((certificate, key)) => {
                standing.problems.extend(exposed(key));
                match own_for(wanted, (certificate, key), &in_use, now) {
                    Ok((text, facts)) if facts.pin == in_use.pin => self.take_own(&text)?,
                    Ok((_, facts)) => standing.next = Some(Next { issuer: Issuer::Own, pin: facts.pin }),
                    Err(error) => standing.problems.push(sealpost_files::with_causes(&error)),
                }
            }
            None if disk.presented()?.0 == Issuer::Own => {
                standing.next = Some(Next { issuer: Issuer::Site, pin: self.home.ca_pin()? });
            }
            None => {
                let left = disk.site_ca_end()?.duration_since(now);
                if renew == Renew::SiteCa || left < REPLACE_CA_BEFORE {
                    disk.begin_ca(now)?;
                }
                standing.is_urgent = left < LAST_DAYS_OF_CA;
                standing.next = disk.next_pin()?.map(|pin| Next { issuer: Issuer::Site, pin });
            }
        }
        self.load(&mut standing)?;
        self.set_standing(&standing);
        Ok(standing)
    }

    /// Presents the certificate that waits; nothing if none does. After an error it still waits.
    pub(super) fn switch(&self, wanted: &Wanted, now: Timestamp) -> Result<Standing, PresenceError> {
        let _one_at_a_time = self.change();
        let (mut standing, disk) = (self.standing(), self.disk());
        match standing.next.take() {
            Some(Next { issuer: Issuer::Own, .. }) => {
                if let Some((certificate, key)) = &wanted.own {
                    let in_use = disk.presented()?.1;
                    self.take_own(&own_for(wanted, (certificate, key), &in_use, now)?.0)?;
                }
            }
            Some(Next { issuer: Issuer::Site, .. }) => {
                if standing.issuer == Issuer::Own {
                    disk.issue_if_due(&wanted.names, Renew::WhatIsDue, now)?;
                    remove(&self.home.own_identity())?;
                } else {
                    disk.switch_ca()?;
                    disk.issue_if_due(&wanted.names, Renew::Certificate, now)?;
                }
            }
            None => {}
        }
        self.load(&mut standing)?;
        self.set_standing(&standing);
        Ok(standing)
    }

    fn take_own(&self, text: &str) -> Result<(), PresenceError> {
        let path = self.home.own_identity();
        if self.home.read_pem(&path)?.as_deref() == Some(text) {
            return Ok(());
        }
        write(&path, text, PRIVATE)
    }

    /// Presents what lies on disk from the next handshake on.
    fn load(&self, standing: &mut Standing) -> Result<(), PresenceError> {
        let home = &self.home;
        let (issuer, presented) = self.disk().presented()?;
        let changed = match issuer {
            Issuer::Own => self.identity.replace(&home.own_identity(), &home.own_identity(), None)?,
            Issuer::Site => {
                let ca = home.ca_certificate();
                self.identity.replace(&home.server_certificate(), &home.server_key(), Some(&ca))?
            }
        };
        if changed {
            tracing::info!(names = presented.names.join(", "), not_after = %presented.not_after, "presents another certificate");
        }
        (standing.issuer, standing.presented) = (issuer, presented);
        Ok(())
    }
}

/// The files of the `tls` folder.
struct Disk<'a> {
    home: &'a Home,
    server_id: &'a ServerId,
}

impl Disk<'_> {
    /// Ends a replacement of the CA, and issues the site's certificate if that is due and it is the one in use.
    fn reconcile_site(&self, names: &[String], renew: Renew, now: Timestamp) -> Result<(), PresenceError> {
        self.finish_switch()?;
        if self.home.read_pem(&self.home.own_identity())?.is_some() {
            return Ok(());
        }
        self.issue_if_due(names, renew, now)
    }

    /// The next CA's key has its place, and its certificate has not: a replacement was killed, or failed, in between.
    fn finish_switch(&self) -> Result<(), PresenceError> {
        if self.next_key_is_gone() && self.home.next_ca_certificate().exists() {
            rename(&self.home.next_ca_certificate(), &self.home.ca_certificate())?;
        }
        Ok(())
    }

    fn next_key_is_gone(&self) -> bool {
        !self.home.next_ca_key().exists()
    }

    fn presented(&self) -> Result<(Issuer, ChainFacts), PresenceError> {
        let facts = |path: &Path| -> Result<Option<ChainFacts>, PresenceError> {
            let Some(text) = self.home.read_pem(path)? else { return Ok(None) };
            let unreadable = || crate::home::CertificateError::Unreadable;
            Ok(Some(ChainFacts::of(&text).ok_or_else(unreadable)?))
        };
        if let Some(own) = facts(&self.home.own_identity())? {
            return Ok((Issuer::Own, own));
        }
        let site = facts(&self.home.server_certificate())?;
        Ok((Issuer::Site, site.ok_or(crate::home::CertificateError::Unreadable)?))
    }

    fn site_ca(&self) -> Result<SiteCa, PresenceError> {
        let part = |path: PathBuf| -> Result<String, PresenceError> {
            Ok(self.home.read_pem(&path)?.ok_or(crate::home::CertificateError::Unreadable)?)
        };
        let ca = SiteCa { certificate: part(self.home.ca_certificate())?, key: part(self.home.ca_key())? };
        if ca.fits() { Ok(ca) } else { Err(PresenceError::OtherCa) }
    }

    fn site_ca_end(&self) -> Result<Timestamp, PresenceError> {
        let text = self.home.read_pem(&self.home.ca_certificate())?;
        let end = text.and_then(|text| crate::home::end_of(text.as_bytes()));
        Ok(end.ok_or(crate::home::CertificateError::Unreadable)?)
    }

    /// What the site's certificate says; `None` if there is none that can be read.
    fn site_certificate(&self) -> Result<Option<ChainFacts>, PresenceError> {
        let text = self.home.read_pem(&self.home.server_certificate())?;
        Ok(text.and_then(|text| ChainFacts::of(&text)))
    }

    /// Issues the server's certificate, if its end is near, it does not name an address, it is not of this CA, or it is
    /// asked for. The server's key stays, so that one file is replaced and never two.
    fn issue_if_due(&self, names: &[String], renew: Renew, now: Timestamp) -> Result<(), PresenceError> {
        let certificate = self.home.server_certificate();
        let present = self.site_certificate()?;
        let ca_pin = self.home.ca_pin()?;
        let ca_end = self.site_ca_end()?;
        let due = present.as_ref().is_none_or(|present| {
            let is_near = present.not_after.duration_since(now) < RENEW_BEFORE && present.not_after < ca_end;
            is_near || present.pin != ca_pin || !present.missing(names).is_empty()
        });
        if !due && renew != Renew::Certificate {
            return Ok(());
        }
        // Without a name to issue it for it names what it named: computers may still come there.
        let mut all: Vec<String> = names.to_vec();
        if all.is_empty() {
            all.extend(present.into_iter().flat_map(|present| present.names));
        }
        let key = self.home.read_pem(&self.home.server_key())?;
        let leaf = self.site_ca()?.issue(self.server_id, &all, key.as_deref(), now)?;
        if key.is_none() {
            write(&self.home.server_key(), &leaf.key, PRIVATE)?;
        }
        write(&certificate, &leaf.chain, PUBLIC)
    }

    /// Prepares the next CA, unless one is prepared.
    fn begin_ca(&self, now: Timestamp) -> Result<(), PresenceError> {
        if self.next_pin()?.is_some() {
            return Ok(());
        }
        let ca = SiteCa::make(self.server_id, now)?;
        // The certificate without the key would look like an interrupted switch.
        write(&self.home.next_ca_key(), &ca.key, PRIVATE)?;
        write(&self.home.next_ca_certificate(), &ca.certificate, PUBLIC)?;
        tracing::info!("a new site CA is prepared; computers are told its pin");
        Ok(())
    }

    fn next_pin(&self) -> Result<Option<Sha256Digest>, PresenceError> {
        let (certificate, key) = (
            self.home.read_pem(&self.home.next_ca_certificate())?,
            self.home.read_pem(&self.home.next_ca_key())?,
        );
        let (Some(certificate), Some(key)) = (certificate, key) else { return Ok(None) };
        let ca = SiteCa { certificate, key };
        if !ca.fits() {
            return Ok(None);
        }
        Ok(Some(crate::home::ca_spki_sha256(ca.certificate.as_bytes())?))
    }

    /// The key first: it decides which CA it is, and `finish_switch` does the rest.
    fn switch_ca(&self) -> Result<(), PresenceError> {
        rename(&self.home.next_ca_key(), &self.home.ca_key())?;
        rename(&self.home.next_ca_certificate(), &self.home.ca_certificate())
    }
}

/// The admin's own certificate, if no computer is lost by it: it names every address that computers are told. One that the
/// certificate in use does not name either is no reason to refuse a renewed one.
fn own_for(
    wanted: &Wanted,
    (certificate, key): (&Path, &Path),
    in_use: &ChainFacts,
    now: Timestamp,
) -> Result<(String, ChainFacts), PresenceError> {
    let (text, facts) = own(certificate, key, now)?;
    let lacking_now = in_use.missing(&wanted.names);
    let lost: Vec<String> =
        facts.missing(&wanted.names).into_iter().filter(|name| !lacking_now.contains(name)).collect();
    if lost.is_empty() {
        return Ok((text, facts));
    }
    let problem = format!(
        "it does not name {}, where computers come, so they would refuse this server; the certificate in use stays until \
         there is one that names every address",
        lost.join(", ")
    );
    Err(PresenceError::Own { path: certificate.to_owned(), problem })
}

/// The admin's own certificate as one text, its key first, and what it says. Each file is read once, and what was read is
/// what is checked and stored: whoever renews them replaces one after the other.
fn own(certificate: &Path, key: &Path, now: Timestamp) -> Result<(String, ChainFacts), PresenceError> {
    let refused =
        |problem: &str| PresenceError::Own { path: certificate.to_owned(), problem: problem.to_owned() };
    let (chain, secret) = (read_own(certificate)?, read_own(key)?);
    let _is_readable = sealpost_serving::tls::check_key_file(key)?;
    sealpost_serving::tls::check((certificate, chain.as_bytes()), (key, secret.as_bytes()))?;
    let facts = ChainFacts::of(&chain).ok_or_else(|| refused("a certificate in it cannot be read"))?;
    if facts.length < 2 {
        return Err(refused(
            "it holds the server's certificate alone; put its CA's certificate behind it, because computers pin that",
        ));
    }
    if !facts.is_linked {
        return Err(refused("each certificate in it must be issued by the one behind it"));
    }
    if facts.length > MAX_OWN_CERTIFICATES {
        return Err(refused(&format!(
            "it holds {} certificates, and computers look at {MAX_OWN_CERTIFICATES}; leave out those that are not needed",
            facts.length
        )));
    }
    if facts.not_after <= now {
        return Err(refused(&format!("it ended at {}; put a renewed one there", facts.not_after)));
    }
    // A switch to one that computers refuse would cut all of them off.
    let since_epoch = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    sealpost_serving::tls::check_pinned_end(certificate, chain.as_bytes(), since_epoch)?;
    Ok((format!("{}\n{chain}", secret.trim_end()), facts))
}

/// Said of a key that is used all the same: it is the admin's, and perhaps so on purpose.
fn exposed(key: &Path) -> Option<String> {
    matches!(sealpost_serving::tls::check_key_file(key), Ok(true)).then(|| {
        let key = key.display();
        format!("everybody on this computer can read tls.key {key} and be this server; run `chmod 600` on it")
    })
}

/// A file of the admin's. One that is no regular file is refused: a pipe would be waited for, for ever.
fn read_own(path: &Path) -> Result<String, PresenceError> {
    let refused = |problem: String| PresenceError::Own { path: path.to_owned(), problem };
    let bytes = read_bounded(path, MAX_OWN_BYTES)
        .map_err(|error| refused(error.to_string()))?
        .ok_or_else(|| refused("there is no such file".to_owned()))?;
    String::from_utf8(bytes).map_err(|_| refused("it is no text in PEM".to_owned()))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), PresenceError> {
    replace(path, text.as_bytes(), mode)
        .map_err(|source| PresenceError::Write { path: path.to_owned(), source })
}

fn rename(from: &Path, to: &Path) -> Result<(), PresenceError> {
    let renamed = std::fs::rename(from, to).and_then(|()| sync_parent(to));
    renamed.map_err(|source| PresenceError::Write { path: to.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), PresenceError> {
    let removed = sealpost_files::remove_durably(path);
    removed.map(|_| ()).map_err(|source| PresenceError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
