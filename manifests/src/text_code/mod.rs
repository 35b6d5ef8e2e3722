//! Signed documents as text that a person can read out, paste or print: unlock codes and registration codes.
//!
//! Crockford base-32 in lines of ten groups of five. There are two formats, and both are read for ever: in the older one two
//! characters check each line, in the one that is written each group has a check character of its own, so that a typing error
//! is found in the group where it is. The signature decides about trust; the check characters only help the typist. White
//! space, case and hyphens do not matter.

mod bits;
mod groups;
mod lines;
#[cfg(test)]
mod tests;
mod typed;

use sealpost_keys::Minisig;

pub use self::typed::TextCodeError;

use self::typed::is_between;
use crate::crockford::crockford_value;
use crate::document::SignedDocument;

/// Longest code that is read, in bytes.
pub const MAX_CODE_BYTES: u64 = 64 * 1024;
/// No code is shorter, in characters: its signature alone takes more. What is shorter is the name of a file.
pub const SHORTEST_CODE: usize = 300;

/// How a code is written; its first two characters say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeFormat {
    /// Format 2: two check characters at the end of each line.
    Lines,
    /// Format 3: a check character at the end of each group.
    Groups,
}

/// Writes a signed document as text, in the newest format.
#[must_use]
pub fn encode(document: &SignedDocument) -> String {
    encode_as(document, CodeFormat::Groups)
}

/// Writes a signed document as text, in the format that its reader is known to read.
#[must_use]
pub fn encode_as(document: &SignedDocument, format: CodeFormat) -> String {
    match format {
        CodeFormat::Lines => lines::write(&bits::to_values(&content(lines::FORMAT, document))),
        CodeFormat::Groups => groups::write(&bits::to_values(&content(groups::FORMAT, document))),
    }
}

/// The format that a code names with its first two characters; `None` if it is no code, or mistyped there.
#[must_use]
pub fn format_of(text: &str) -> Option<CodeFormat> {
    let mut symbols = text.chars().filter(|character| !is_between(*character)).map(crockford_value);
    match (symbols.next()??, symbols.next()??) {
        (0, lines::SECOND_VALUE) => Some(CodeFormat::Lines),
        (0, groups::SECOND_VALUE) => Some(CodeFormat::Groups),
        _ => None,
    }
}

/// Reads a code of any format back. The result is unverified: verify it before use.
///
/// # Errors
/// [`TextCodeError`] names the group, or in the older format the line, with the typing error.
pub fn decode(text: &str) -> Result<SignedDocument, TextCodeError> {
    if text.len() as u64 > MAX_CODE_BYTES {
        return Err(TextCodeError::Length);
    }
    let of_lines = || document_of(lines::FORMAT, &lines::read(text)?);
    let of_groups = || document_of(groups::FORMAT, &groups::read(text)?);
    // A typing error may be in the very characters that name the format, so the rest of the code decides whose error it is.
    match format_of(text) {
        Some(CodeFormat::Lines) => {
            of_lines().or_else(|error| if groups::look_like(text) { of_groups() } else { Err(error) })
        }
        Some(CodeFormat::Groups) => {
            of_groups().or_else(|error| if groups::look_like(text) { Err(error) } else { of_lines() })
        }
        None if groups::look_like(text) => of_groups(),
        None => of_lines(),
    }
}

/// The bytes that a code is made of.
fn content(format: u8, document: &SignedDocument) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(document.document.len() + 400);
    bytes.push(format);
    let length = u32::try_from(document.document.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(document.document.as_bytes());
    bytes.extend_from_slice(document.minisig.as_str().as_bytes());
    bytes
}

/// The document in values whose check characters fit.
fn document_of(format: u8, values: &[u8]) -> Result<SignedDocument, TextCodeError> {
    let bytes = bits::from_values(values);
    let (version, rest) = bytes.split_first().ok_or(TextCodeError::Length)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(TextCodeError::Length)?;
    if *version == 1 {
        return Err(TextCodeError::TooOld);
    }
    if *version != format {
        return Err(TextCodeError::Content);
    }
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| TextCodeError::Length)?;
    let (document, minisig) = rest.split_at_checked(length).ok_or(TextCodeError::Length)?;
    let document = std::str::from_utf8(document).map_err(|_| TextCodeError::Content)?;
    // The last symbols may leave a few zero bytes behind.
    let minisig = std::str::from_utf8(minisig).map_err(|_| TextCodeError::Content)?.trim_end_matches('\0');
    let minisig = Minisig::parse(minisig).map_err(|_| TextCodeError::Content)?;
    Ok(SignedDocument { document: document.to_owned(), minisig })
}
