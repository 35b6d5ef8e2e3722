//! Registrations as they come: signed, as text, as JSON, and too long.

use sealpost_keys::{SigningKey, TrustedComment};
use sealpost_manifests::document::{DocumentError, SignedDocument};
use sealpost_manifests::grant::MAX_SERIALS;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::text_code::{self, MAX_CODE_BYTES, TextCodeError};

use super::{Server, signed};
use crate::authority::{RegistrationError, read_registration_code, verify_registration};

#[test]
fn a_registration_signed_with_another_key_than_it_names_is_refused() {
    let server = Server::new();
    let thief = SigningKey::generate().unwrap();
    let serial = SerialNumber::from_random([3; 19]);
    let mut request = server.request(&serial);
    // The thief signs a registration that names the server's key.
    request.registration = SignedDocument::sign(&server.registration(&serial), &thief).unwrap();
    assert!(matches!(verify_registration(&request), Err(RegistrationError::Document(_))));
    request.site_key = thief.public();
    assert!(matches!(verify_registration(&request), Err(RegistrationError::Document(_))));
    // A good registration under the name of another key.
    let mut request = server.request(&SerialNumber::from_random([3; 19]));
    request.site_key = thief.public();
    assert!(matches!(verify_registration(&request), Err(RegistrationError::OtherKey)));
}

#[test]
fn a_registration_code_is_read_as_text_and_as_json() {
    let server = Server::new();
    let request = server.request(&SerialNumber::from_random([3; 19]));
    let forms = [
        text_code::encode(&request.registration),
        serde_json::to_string(&request.registration).unwrap(),
        serde_json::to_string(&request).unwrap(),
    ];
    for form in forms {
        let read = read_registration_code(&form).unwrap();
        assert_eq!(verify_registration(&read).unwrap().server_id, server.id);
    }
    assert!(matches!(read_registration_code("not a code"), Err(RegistrationError::Code(_))));
}

#[test]
fn a_registration_of_as_many_serials_as_a_server_may_have_is_read_in_every_form() {
    let server = Server::new();
    let mut registration = server.registration(&SerialNumber::from_random([3; 19]));
    registration.used = (0..MAX_SERIALS)
        .map(|number| {
            let mut values = [0; 19];
            values[0] = u8::try_from(number % 32).unwrap();
            values[1] = u8::try_from(number / 32).unwrap();
            (SerialNumber::from_random(values), u32::MAX)
        })
        .collect();
    let request = signed(&registration, &server.key);
    let forms = [
        text_code::encode(&request.registration),
        serde_json::to_string_pretty(&request.registration).unwrap(),
        serde_json::to_string(&request).unwrap(),
    ];
    for form in forms {
        assert!(form.len() as u64 <= MAX_CODE_BYTES, "{} bytes", form.len());
        let read = read_registration_code(&form).unwrap();
        assert_eq!(verify_registration(&read).unwrap().used.len(), MAX_SERIALS);
    }
}

#[test]
fn a_code_that_is_too_long_or_of_the_format_that_nobody_used_is_refused_before_it_is_parsed() {
    let server = Server::new();
    let request = server.request(&SerialNumber::from_random([3; 19]));
    let json = serde_json::to_string(&request).unwrap();
    for form in [text_code::encode(&request.registration), json] {
        let padded = form + &" ".repeat(usize::try_from(MAX_CODE_BYTES).unwrap());
        let refused = read_registration_code(&padded).unwrap_err();
        assert!(matches!(refused, RegistrationError::TooLong { .. }), "{refused}");
        assert!(refused.to_string().contains("give the code or file as the server made it"));
    }
    let text = request.registration.document.replace("\"version\":2", "\"version\":1");
    let minisig = server.key.sign(text.as_bytes(), &TrustedComment::new("registration").unwrap());
    let old = SignedDocument { document: text, minisig };
    for form in [text_code::encode(&old), serde_json::to_string(&old).unwrap()] {
        let refused = verify_registration(&read_registration_code(&form).unwrap()).unwrap_err();
        assert!(
            matches!(&refused, RegistrationError::Document(DocumentError::TooOld { found: 1, .. })),
            "{refused}"
        );
    }
    // Nothing but the key is read before the signature was checked.
    let only_a_key = SignedDocument {
        document: format!("{{\"site_key\":\"{}\"}}", server.key.public().to_base64()),
        ..request.registration.clone()
    };
    let read = read_registration_code(&text_code::encode(&only_a_key)).unwrap();
    let refused = verify_registration(&read).unwrap_err();
    assert!(matches!(&refused, RegistrationError::Document(DocumentError::Signature { .. })), "{refused}");
    assert!(matches!(
        read_registration_code("00000-00000"),
        Err(RegistrationError::Code(TextCodeError::Check { .. } | TextCodeError::Length))
    ));
}
