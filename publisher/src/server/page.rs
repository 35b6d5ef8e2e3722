//! `GET` and `POST /register`: a page for people whose server has no line to the vendor. A registration code in, an unlock code
//! out, to copy or as a file.
//!
//! The page is plain HTML without a script, a cookie or a memory: to save the unlock code as a file, the browser sends the same
//! registration code again, and the same request gets the same grant, byte for byte. So there is no session to steal, and
//! who is led to send a code from a foreign page gains nothing: the answer is good for the server of that code alone.
//!
//! It answers by the rules of the endpoint for servers: only where nobody can read along, also when the page is asked for,
//! so that nobody types a code into a page that came in the clear; and wrong registrations count together with those of servers.

use std::fmt::{self, Display, Formatter, Write};
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::text_code::MAX_CODE_BYTES;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::form::{self, Form};
use super::license::{Endpoint, body, check_secrecy, register_request, unreadable};
use super::proxy::caller;
use super::refused::Refused;
use crate::authority::{Answer, Outcome, read_registration_code, unlock_code};

const STYLE: &str = "body{font:1rem/1.5 sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}\
textarea{width:100%;font:.9rem/1.4 monospace}.problem{border-left:.3rem solid #b00;padding-left:1rem}";

/// Nothing may be loaded, run, framed, or sent elsewhere; of styles only our own counts.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = data_encoding::BASE64.encode(Sha256Digest::of(STYLE.as_bytes()).as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
});

/// What a page shows.
enum Content<'a> {
    /// The form, with nothing typed.
    Empty,
    /// The form with what was typed, and why it was refused.
    Refused {
        problem: &'a Problem,
        typed: &'a str,
    },
    /// A refusal, and no form: here nobody is to type anything.
    Closed {
        problem: &'a Problem,
    },
    Unlocked {
        typed: &'a str,
        unlock: &'a str,
        answer: &'a Answer,
    },
}

/// The page with its form.
pub(super) async fn show(State(endpoint): State<Arc<Endpoint>>, request: Request<Body>) -> Response {
    match check_secrecy(&endpoint, &request) {
        Ok(()) => page(StatusCode::OK, &Content::Empty),
        Err(refused) => page(refused.status(), &Content::Closed { problem: &refused.0 }),
    }
}

/// The page with the answer to a registration code, or the answer as a file.
pub(super) async fn submit(State(endpoint): State<Arc<Endpoint>>, request: Request<Body>) -> Response {
    if let Err(refused) = check_secrecy(&endpoint, &request).and_then(|()| check_sender(request.headers())) {
        return page(refused.status(), &Content::Closed { problem: &refused.0 });
    }
    let (caller, headers) = (caller(&request), request.headers().clone());
    let Form { code: typed, as_file } = match body(request).await.and_then(|body| form::read(&headers, &body))
    {
        Ok(form) => form,
        Err(refused) => return again(&refused, ""),
    };
    let request = match read_registration_code(&typed) {
        Ok(request) => request,
        Err(error) => return again(&unreadable(&error), &typed),
    };
    match register_request(&endpoint, caller.as_ref(), &request).await {
        Ok(answer) => {
            let unlock = unlock_code(&answer.grant, &typed);
            if as_file {
                return file(unlock);
            }
            page(StatusCode::OK, &Content::Unlocked { typed: &typed, unlock: &unlock, answer: &answer })
        }
        Err(refused) => again(&refused, &typed),
    }
}

/// Browsers say which site a form came from. Another one may lead nobody to a page of the vendor that shows its words.
fn check_sender(headers: &HeaderMap) -> Result<(), Refused> {
    let from = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if !matches!(from, Some("cross-site" | "same-site")) {
        return Ok(());
    }
    Err(Refused(Problem::new(
        ProblemCode::Forbidden,
        "the form was not sent from this page, but from another site",
        "open this address yourself, and paste the registration code there",
    )))
}

/// The form with what was typed, and why it was refused.
fn again(refused: &Refused, typed: &str) -> Response {
    // What is no code is not sent back.
    let typed = if typed.len() as u64 > MAX_CODE_BYTES { "" } else { typed };
    page(refused.status(), &Content::Refused { problem: &refused.0, typed })
}

fn file(unlock: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"unlock-code.txt\""),
    ];
    (headers, guarded(), unlock).into_response()
}

fn page(status: StatusCode, content: &Content<'_>) -> Response {
    (status, guarded(), Html(content.to_string())).into_response()
}

/// A code names a serial number: nothing keeps it, and nothing else learns of it.
fn guarded() -> [(HeaderName, &'static str); 5] {
    [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ]
}

impl Display for Content<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Registration of a Primary Server</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>Registration of a Primary Server</h1>\n"
        )?;
        match self {
            Self::Empty => form(f, "")?,
            Self::Refused { problem, typed } => {
                refusal(f, problem)?;
                form(f, typed)?;
            }
            Self::Closed { problem } => refusal(f, problem)?,
            Self::Unlocked { typed, unlock, answer } => unlocked(f, typed, unlock, answer)?,
        }
        f.write_str("</body>\n</html>\n")
    }
}

// The line break after the tag of a textarea is not part of its text.
fn form(f: &mut Formatter<'_>, typed: &str) -> fmt::Result {
    write!(
        f,
        "<p>On the server, <code>distributor register SERIAL --offline</code> prints a registration code. Paste or type it \
         here, and this page answers with the unlock code.</p>\n\
         <form method=\"post\">\n<p><label for=\"code\">Registration code</label></p>\n\
         <p><textarea id=\"code\" name=\"code\" rows=\"32\" required autocomplete=\"off\" autocapitalize=\"characters\" \
         spellcheck=\"false\">\n{}</textarea></p>\n<p><button>Get the unlock code</button></p>\n</form>\n",
        Escaped(typed)
    )
}

fn refusal(f: &mut Formatter<'_>, problem: &Problem) -> fmt::Result {
    writeln!(f, "<p class=\"problem\" role=\"alert\">{}</p>", Escaped(&problem.to_string()))
}

fn unlocked(f: &mut Formatter<'_>, typed: &str, unlock: &str, answer: &Answer) -> fmt::Result {
    writeln!(f, "<p>Give this unlock code to <code>distributor unlock</code> on the same server.</p>")?;
    if let Some(end) = answer.last {
        writeln!(
            f,
            "<p>The serial number ends at {}: nobody gets a new seat after that, updates end with the leases of the \
             computers, and products run on.</p>",
            until(end)
        )?;
    } else if answer.outcome == Outcome::Repeated {
        writeln!(
            f,
            "<p>This is the grant that the server has already, good until {}. There is a new one from {} on, or when the seats \
             change.</p>",
            until(answer.not_after),
            until(answer.renewable_from)
        )?;
    } else {
        writeln!(f, "<p>The grant is good until {}.</p>", until(answer.not_after))?;
    }
    write!(
        f,
        "<p><label for=\"unlock\">Unlock code</label></p>\n\
         <p><textarea id=\"unlock\" rows=\"32\" readonly autocomplete=\"off\" spellcheck=\"false\">\n{}</textarea></p>\n\
         <form method=\"post\">\n<input type=\"hidden\" name=\"code\" value=\"{}\">\n\
         <p><button name=\"as\" value=\"file\">Save it as a file</button></p>\n</form>\n\
         <p><a href=\"?\">Another registration code</a></p>\n",
        Escaped(unlock),
        Escaped(typed)
    )
}

fn until(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%d %H:%M UTC")
}

/// Text in HTML, also within a quoted attribute: nothing of it is markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // HTML has no such characters.
                control if control.is_control() && !matches!(control, '\n' | '\r' | '\t') => {
                    f.write_char('\u{fffd}')?
                }
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
