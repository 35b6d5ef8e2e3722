//! Codes that people type: serial numbers and enrollment codes, in groups with a check character.

use std::fmt;

use crate::crockford::{grouped, parse_grouped};
use crate::ids::text_type::{NameError, text_type};

/// What is expected of such a code, for the error that refuses another text.
const RULE: &str =
    "groups of five base-32 characters, the last being a check character; look for a typing error";

text_type!(
    /// A vendor's serial number: four groups of five Crockford base-32 characters; the last is a check character.
    SerialNumber,
    parse_serial
);
text_type!(
    secret
    /// A one-time code that binds a reservation to the first client key that presents it: five groups of five
    /// Crockford base-32 characters (120 random bits and a check character). A secret: never log it.
    EnrollmentCode,
    parse_enrollment_code
);
impl SerialNumber {
    /// A new serial number from nineteen random values; only the low five bits of each are used.
    #[must_use]
    pub fn from_random(bytes: [u8; 19]) -> Self {
        Self(grouped(&bytes))
    }
}

impl fmt::Debug for EnrollmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrollmentCode(not shown)")
    }
}

impl EnrollmentCode {
    /// A new code from twenty-four random values; only the low five bits of each are used.
    #[must_use]
    pub fn from_random(bytes: [u8; 24]) -> Self {
        Self(grouped(&bytes))
    }
}

fn parse_serial(text: &str) -> Result<String, NameError> {
    parse_grouped(text, 20).ok_or_else(|| NameError::new("serial number", text, RULE))
}

fn parse_enrollment_code(text: &str) -> Result<String, NameError> {
    // The text is a secret, so the error does not repeat it.
    parse_grouped(text, 25).ok_or_else(|| NameError::new("enrollment code", "…", RULE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_in_a_serial_number_is_found() {
        let serial = SerialNumber::from_random([7; 19]);
        let text = serial.to_string();
        assert_eq!(SerialNumber::new(text.to_lowercase().replace('-', " ")).unwrap(), serial);
        for at in 0..text.len() {
            let mut typo: Vec<char> = text.chars().collect();
            if typo[at] == '-' {
                continue;
            }
            typo[at] = if typo[at] == '8' { '9' } else { '8' };
            assert!(SerialNumber::new(typo.iter().collect::<String>()).is_err(), "position {at}");
        }
    }

    #[test]
    fn a_wrong_enrollment_code_is_not_repeated_in_the_error() {
        let error = EnrollmentCode::new("AAAAA-BBBBB-CCCCC-DDDDD-EEEEE").unwrap_err();
        assert!(!error.to_string().contains("BBBBB"), "{error}");
    }
}
