//! What a browser sends of the vendor's registration page.

use std::fmt::Write;

use sealpost_files::with_causes;
use sealpost_publisher::authority::read_registration_code;
use sealpost_publisher::server::{Form, read_form};

use crate::reading::assert_harmless;

/// Reads any bytes as such a form, and what was typed into it as a registration code.
pub(crate) fn registration_forms(data: &[u8]) -> bool {
    let form = match read_form(data) {
        Ok(form) => form,
        Err(error) => {
            assert_harmless(&error.to_string());
            return false;
        }
    };
    assert!(!form.code.trim().is_empty(), "a form without a code is none");
    // A byte that is no text becomes a character of three.
    assert!(form.code.len() <= 3 * data.len(), "{} bytes became {}", data.len(), form.code.len());
    let again = read_form(encoded(&form).as_bytes()).expect("what the page would send of it is read");
    assert_eq!(again, form, "it is sent in one way");
    if let Err(error) = read_registration_code(&form.code) {
        assert_harmless(&with_causes(&error));
    }
    true
}

/// As a browser could send it: any byte may be written by its number.
fn encoded(form: &Form) -> String {
    let mut text = String::from("code=");
    for byte in form.code.bytes() {
        write!(text, "%{byte:02x}").unwrap();
    }
    if form.as_file {
        text.push_str("&as=file");
    }
    text
}
