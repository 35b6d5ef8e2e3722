//! Keys that only this server has: access tokens, receipts and enrollment codes are made under keys that are derived from
//! one secret file, each for its own purpose.
//!
//! Invariant: no derived key is good for another purpose, and none is written anywhere.

use std::fmt;

use aws_lc_rs::hmac;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sealpost_manifests::ids::{ClientId, EnrollmentCode, EraId, Nonce, SetupId};
use sealpost_manifests::wire::contact::MAX_RECEIPT_BYTES;
use sealpost_site::rules::restore::Receipt;

/// The secret of a server: 32 random bytes of its home.
#[derive(Clone)]
pub struct ServerSecret([u8; 32]);

impl ServerSecret {
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key for one purpose.
    pub(crate) fn key_for(&self, purpose: &str) -> hmac::Key {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let label = format!("sealpost {purpose}");
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label.as_bytes()).as_ref())
    }
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSecret(not shown)")
    }
}

/// Makes and checks receipts: what shows later that this server answered a contact, also to a server whose ledger was
/// restored to a state before it.
#[derive(Debug)]
pub struct Receipts {
    key: hmac::Key,
}

impl Receipts {
    #[must_use]
    pub fn new(secret: &ServerSecret) -> Self {
        Self { key: secret.key_for("receipt of a contact") }
    }

    /// The receipt for the contact with this nonce: `<era>.<contacts>.<tag>`.
    #[must_use]
    pub fn issue(&self, client: &ClientId, nonce: &Nonce, receipt: &Receipt) -> String {
        let signed = signed_part(client, nonce, receipt);
        let tag = hmac::sign(&self.key, signed.as_bytes());
        format!("{}.{}.{}", receipt.era, receipt.contacts, BASE64URL_NOPAD.encode(tag.as_ref()))
    }

    /// What a receipt says, if this server made it for this client and this nonce.
    #[must_use]
    pub fn check(&self, client: &ClientId, nonce: &Nonce, text: &str) -> Option<Receipt> {
        if text.len() > MAX_RECEIPT_BYTES {
            return None;
        }
        let (era, rest) = text.split_once('.')?;
        let (contacts, tag) = rest.split_once('.')?;
        let receipt = Receipt { era: EraId::new(era).ok()?, contacts: contacts.parse().ok()? };
        // One text per receipt.
        if receipt.contacts.to_string() != contacts {
            return None;
        }
        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
        let signed = signed_part(client, nonce, &receipt);
        hmac::verify(&self.key, signed.as_bytes(), &tag).ok()?;
        Some(receipt)
    }
}

fn signed_part(client: &ClientId, nonce: &Nonce, receipt: &Receipt) -> String {
    format!("{client} {nonce} {} {}", receipt.era, receipt.contacts)
}

/// Derives enrollment codes, so that the ledger and its log hold none.
#[derive(Debug)]
pub struct EnrollmentCodes {
    key: hmac::Key,
}

impl EnrollmentCodes {
    #[must_use]
    pub fn new(secret: &ServerSecret) -> Self {
        Self { key: secret.key_for("enrollment code") }
    }

    /// The code of a setup; the same for ever.
    #[must_use]
    pub fn of(&self, setup: &SetupId) -> EnrollmentCode {
        let id = HEXLOWER.decode(setup.as_str().as_bytes()).unwrap_or_default();
        let tag = hmac::sign(&self.key, &id);
        let mut values = [0; 24];
        for (to, from) in values.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        EnrollmentCode::from_random(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> ServerSecret {
        ServerSecret::new([byte; 32])
    }

    #[test]
    fn a_receipt_is_good_for_its_client_its_contact_and_its_server_only() {
        let receipts = Receipts::new(&secret(1));
        let (client, nonce) = (ClientId::from_random([1; 16]), Nonce::from_random([2; 16]));
        let receipt = Receipt { era: EraId::first(), contacts: 41 };
        let text = receipts.issue(&client, &nonce, &receipt);
        assert_eq!(receipts.check(&client, &nonce, &text), Some(receipt));
        assert_eq!(receipts.check(&ClientId::from_random([9; 16]), &nonce, &text), None);
        assert_eq!(receipts.check(&client, &Nonce::from_random([9; 16]), &text), None);
        assert_eq!(Receipts::new(&secret(2)).check(&client, &nonce, &text), None);
        for forged in
            [text.replace(".41.", ".42."), text.replace(".41.", ".041."), String::new(), "a.b".to_owned()]
        {
            assert_eq!(receipts.check(&client, &nonce, &forged), None, "{forged}");
        }
        assert!(text.len() <= MAX_RECEIPT_BYTES);
    }

    #[test]
    fn what_is_derived_from_a_secret_stays_the_same() {
        let (client, nonce) = (ClientId::from_random([1; 16]), Nonce::from_random([2; 16]));
        let receipt = Receipt { era: EraId::first(), contacts: 41 };
        let code = EnrollmentCodes::new(&secret(1)).of(&SetupId::from_random([1; 16]));
        let derived = format!(
            "receipt {}\nenrollment code {}\n",
            Receipts::new(&secret(1)).issue(&client, &nonce, &receipt),
            code.as_str()
        );
        // A restored server has to know the receipts and codes that it gave out before.
        assert_eq!(derived, include_str!("../../tests/golden/derived.v2.txt"));
    }

    #[test]
    fn a_code_belongs_to_one_setup_and_one_server() {
        let codes = EnrollmentCodes::new(&secret(1));
        let setup = SetupId::from_random([1; 16]);
        assert_eq!(codes.of(&setup), codes.of(&setup));
        assert_ne!(codes.of(&setup), codes.of(&SetupId::from_random([2; 16])));
        assert_ne!(codes.of(&setup), EnrollmentCodes::new(&secret(2)).of(&setup));
    }
}
