//! The licensing contact that sites show next to what their licenses lack.

use jiff::Timestamp;
use sealpost_manifests::trust::{LicensingContact, TrustDocument};

use super::error::TrustError;
use super::live::check_live;
use crate::home::{Keyring, Vendor};
use crate::publication::Publication;

/// Longest part of a contact, in bytes: it is one line on a screen.
const MAX_PART_BYTES: usize = 200;

/// Checks that a contact can be published: short lines without control characters, and at least one of them.
///
/// # Errors
/// The first part that cannot, and what it should be.
pub fn check_contact(contact: &LicensingContact) -> Result<(), TrustError> {
    let fail = |problem: String| Err(TrustError::Contact { problem });
    let LicensingContact { name, mail, phone, url } = contact;
    let parts = [("name", name), ("mail", mail), ("phone", phone), ("url", url)];
    for (part, text) in parts {
        if text.len() > MAX_PART_BYTES || text.chars().any(char::is_control) {
            return fail(format!(
                "its {part} must be one line of at most {MAX_PART_BYTES} bytes without control characters"
            ));
        }
    }
    if parts.iter().all(|(_, text)| text.trim().is_empty()) {
        return fail("give a name, a mail address, a telephone number or a web page".to_owned());
    }
    if !mail.is_empty() && !is_mail(mail) {
        return fail(format!("{mail:?} is no mail address; an example is licenses@acme.example"));
    }
    if !(url.is_empty() || url.starts_with("https://") || url.starts_with("http://")) {
        return fail(format!("{url:?} is no web address; give one that begins with https://"));
    }
    Ok(())
}

fn is_mail(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    text.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host) && !host.contains('@'))
}

/// Publishes whom customers ask about licenses; `None` takes the contact away. The trust document as it is published.
///
/// # Errors
/// [`TrustError`]; the repository is as it was.
pub fn set_contact(
    vendor: &Vendor,
    keyring: &Keyring,
    contact: Option<LicensingContact>,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<TrustDocument, TrustError> {
    contact.as_ref().map_or(Ok(()), check_contact)?;
    let mut publication = Publication::open(vendor, waiting)?;
    check_live(vendor, keyring, &publication, now)?;
    let trust = TrustDocument { licensing_contact: contact, ..publication.trust()? };
    let trust = publication.put_trust(&trust, now)?;
    let keys = [keyring.targets()?, keyring.snapshot()?, keyring.timestamp()?];
    publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    Ok(trust)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_short_lines_of_which_one_is_there_and_says_what_it_should_be() {
        let contact = |name: &str, mail: &str, url: &str| {
            let (name, mail, url) = (name.to_owned(), mail.to_owned(), url.to_owned());
            check_contact(&LicensingContact { name, mail, url, phone: String::new() })
        };
        contact("Licensing", "licenses@acme.example", "https://acme.example/licenses").unwrap();
        contact("", "licenses@acme.example", "").unwrap();
        for (name, mail, url, word) in [
            ("", "", "", "give a name"),
            (" ", "", "", "give a name"),
            ("two\nlines", "", "", "one line"),
            ("x\u{1b}[2K", "", "", "one line"),
            ("", "licenses", "", "licenses@acme.example"),
            ("", "a@b@c", "", "licenses@acme.example"),
            ("", "", "javascript:alert(1)", "https://"),
        ] {
            let error = contact(name, mail, url).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(contact(&"x".repeat(201), "", "").is_err());
    }
}
