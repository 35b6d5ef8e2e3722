//! A form as browsers send it: `application/x-www-form-urlencoded`, of a few fields that are known.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::refused::Refused;

/// More fields than the page has are none of its.
const MAX_FIELDS: usize = 4;
const FORM: &str = "application/x-www-form-urlencoded";

/// What the registration page sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// The registration code as it was typed.
    pub(super) code: String,
    /// Whether the answer is to be a file.
    pub(super) as_file: bool,
}

/// Reads a form of at most the bytes that a body has here. Fields that are not known are passed over.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Form, Refused> {
    if !is_form(headers) {
        return Err(refused("it is none that a browser sends for this page"));
    }
    let (mut code, mut wanted_as) = (None, None);
    for (count, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if count == MAX_FIELDS {
            return Err(refused("it has too many fields"));
        }
        let place: &mut Option<Cow<'_, str>> = match &*name {
            "code" => &mut code,
            "as" => &mut wanted_as,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(refused("it has the same field twice"));
        }
    }
    let code = code.filter(|code| !code.trim().is_empty()).ok_or_else(|| {
        Refused(Problem::new(
            ProblemCode::BadRequest,
            "there is no registration code in the form",
            "paste the whole code that `distributor register SERIAL --offline` prints",
        ))
    })?;
    Ok(Form { code: code.into_owned(), as_file: wanted_as.as_deref() == Some("file") })
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

fn refused(why: &str) -> Refused {
    Refused(Problem::new(
        ProblemCode::BadRequest,
        format!("cannot read the form: {why}"),
        "open the page /register and paste the registration code there; programs register under /license/v1/register",
    ))
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
