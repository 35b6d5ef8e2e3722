//! A form as browsers send it: `application/x-www-form-urlencoded`, of a few fields that are known.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::refused::Refused;

/// More fields than the page has are none of its.
const MAX_FIELDS: usize = 4;
const FORM: &str = "application/x-www-form-urlencoded";

/// What the registration page sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The registration code as it was typed.
    pub code: String,
    /// Whether the answer is to be a file.
    pub as_file: bool,
}

/// Why a body is no form of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("cannot read the form: it is none that a browser sends for this page")]
    OtherKind,
    #[error("cannot read the form: it has too many fields")]
    TooManyFields,
    #[error("cannot read the form: it has the same field twice")]
    SameFieldTwice,
    #[error("there is no registration code in the form")]
    NoCode,
}

impl FormError {
    /// What to do about it.
    const fn help(self) -> &'static str {
        match self {
            Self::NoCode => "paste the whole code that `distributor register SERIAL --offline` prints",
            Self::OtherKind | Self::TooManyFields | Self::SameFieldTwice => {
                "open the page /register and paste the registration code there; programs register under /license/v1/register"
            }
        }
    }
}

/// Reads a form of at most the bytes that a body has here.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Form, Refused> {
    let read = if is_form(headers) { read_form(body) } else { Err(FormError::OtherKind) };
    read.map_err(|error| Refused(Problem::new(ProblemCode::BadRequest, error.to_string(), error.help())))
}

/// Reads the fields of a form. Those that are not known are passed over, and bytes that are no text are replaced.
///
/// # Errors
/// [`FormError`].
pub fn read_form(body: &[u8]) -> Result<Form, FormError> {
    let (mut code, mut wanted_as) = (None, None);
    for (count, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if count == MAX_FIELDS {
            return Err(FormError::TooManyFields);
        }
        let place: &mut Option<Cow<'_, str>> = match &*name {
            "code" => &mut code,
            "as" => &mut wanted_as,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(FormError::SameFieldTwice);
        }
    }
    let code = code.filter(|code| !code.trim().is_empty()).ok_or(FormError::NoCode)?;
    Ok(Form { code: code.into_owned(), as_file: wanted_as.as_deref() == Some("file") })
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())])
    }

    #[test]
    fn a_code_is_read_as_browsers_encode_it() {
        let form = read(&of(FORM), b"code=0C00M-00%42EB%0D%0A+x%C3%28&further=1").unwrap();
        assert_eq!(form, Form { code: "0C00M-00BEB\r\n x\u{fffd}(".to_owned(), as_file: false });
        let kind = "Application/X-WWW-Form-Urlencoded; charset=utf-8";
        assert!(read(&of(kind), b"as=file&code=x").unwrap().as_file);
        assert!(!read(&of(kind), b"as=page&code=x").unwrap().as_file);
    }

    #[test]
    fn what_no_page_of_ours_sends_is_refused() {
        for body in
            ["", "code=", "code=%20%0A", "x=1", "code=a&code=b", "a&b&c&d&code=x", "\u{0}", "&&&=&=&="]
        {
            assert!(read(&of(FORM), body.as_bytes()).is_err(), "{body:?}");
        }
        for kind in ["", "text/plain", "multipart/form-data; boundary=x", "application/json"] {
            assert!(read(&of(kind), b"code=x").is_err(), "{kind}");
        }
        assert!(read(&HeaderMap::new(), b"code=x").is_err());
    }
}
