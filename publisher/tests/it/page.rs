//! The page for registration codes, as a browser without scripts asks for it.

use std::fmt::Write;

use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::text_code::{self, CodeFormat};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use sealpost_publisher::server::connection_limits;

use crate::server::{Answer, Running, request};

/// What a browser adds that was given the vendor's address over a reverse proxy with HTTPS.
const BY_HTTPS: &str = "Host: acme.example\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

async fn shown(server: &Running, headers: &str) -> Answer {
    server.raw(format!("GET /register HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").as_bytes()).await
}

async fn posted(server: &Running, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "POST /register HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    server.raw(head.as_bytes()).await
}

/// The form with this code, encoded as browsers do, which end lines of a text with CR LF.
fn form(code: &str) -> String {
    let mut body = "code=".to_owned();
    for byte in code.replace('\n', "\r\n").bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            body.push(char::from(byte));
        } else {
            write!(body, "%{byte:02X}").unwrap();
        }
    }
    body
}

async fn typed(server: &Running, code: &str) -> Answer {
    posted(server, &format!("{BY_HTTPS}{FORM}"), &form(code)).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// The text of the textarea that begins so.
fn area(html: &str, begin: &str) -> String {
    let (_, rest) = html.split_once(begin).unwrap_or_else(|| panic!("{begin} in {html}"));
    let (_, rest) = rest.split_once(">\n").unwrap();
    rest.split_once("</textarea>").unwrap().0.to_owned()
}

#[tokio::test]
async fn a_person_pastes_a_code_and_gets_the_unlock_code_as_text_and_as_a_file() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let asked = request(&serial, &site);
    let empty = shown(&server, BY_HTTPS).await;
    assert_eq!((empty.status, empty.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(area(&text(&empty), "<textarea id=\"code\" name=\"code\""), "");

    let code = text_code::encode(&asked.registration);
    let answer = typed(&server, &code).await;
    let html = text(&answer);
    assert_eq!(answer.status, 200, "{html}");
    let unlock = area(&html, "<textarea id=\"unlock\"");
    let license_key = server.home.keyring().license().unwrap().public();
    let grant = text_code::decode(&unlock).unwrap().verify::<Grant>(&[license_key]).unwrap();
    assert_eq!((grant.seats, grant.generation, &grant.site_key), (10, 1, &site.public()));
    assert!(!html.contains("has already"), "{html}");
    // A server with a line gets the same grant for the same request.
    let by_line: RegisterAnswer = serde_json::from_slice(&server.register(&asked).await.body).unwrap();
    assert_eq!(text_code::encode(&by_line.grant), unlock);

    // The button sends the code that stands in the page.
    let kept = html.split_once("name=\"code\" value=\"").unwrap().1.split_once('"').unwrap().0;
    assert_eq!(kept.replace("\r\n", "\n"), code);
    for _ in 0..2 {
        let body = format!("{}&as=file", form(kept));
        let file = posted(&server, &format!("{BY_HTTPS}{FORM}"), &body).await;
        assert_eq!((file.status, file.header("content-type")), (200, Some("text/plain; charset=utf-8")));
        assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"unlock-code.txt\""));
        assert_eq!(file.header("cache-control"), Some("no-store"));
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(file.header("referrer-policy"), Some("no-referrer"));
        assert!(file.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert_eq!(text(&file), unlock);
    }
    let twisted = typed(&server, &unlock).await;
    assert!(twisted.status == 400 && text(&twisted).contains("this is an unlock code"), "{}", text(&twisted));
    let again = text(&typed(&server, &text_code::encode(&request(&serial, &site).registration)).await);
    assert!(again.contains("has already") && again.contains(&unlock), "{again}");
}

#[tokio::test]
async fn a_code_of_lines_is_answered_in_lines_and_one_that_is_typed_by_hand_is_read() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let asked = request(&serial, &site);
    let lines = text_code::encode_as(&asked.registration, CodeFormat::Lines);
    let unlock = area(&text(&typed(&server, &lines).await), "<textarea id=\"unlock\"");
    assert_eq!(text_code::format_of(&unlock), Some(CodeFormat::Lines));
    let by_hand = text_code::encode(&asked.registration).to_lowercase().replace('-', " ");
    for code in [by_hand, serde_json::to_string_pretty(&asked).unwrap()] {
        let unlock = area(&text(&typed(&server, &code).await), "<textarea id=\"unlock\"");
        assert_eq!(text_code::format_of(&unlock), Some(CodeFormat::Groups));
    }
}

#[tokio::test]
async fn a_typing_error_is_shown_with_its_group_and_what_was_typed_stays_in_the_form() {
    let server = Running::start(connection_limits()).await;
    let code = text_code::encode(&request(&server.sell(), &SigningKey::generate().unwrap()).registration);
    // The third group of the second line.
    let at = 60 + 2 * 6 + 1;
    let other = if &code[at..=at] == "Q" { "R" } else { "Q" };
    let typo = format!("{}{other}{}", &code[..at], &code[at + 1..]);
    let answer = typed(&server, &typo).await;
    let html = text(&answer);
    assert_eq!(answer.status, 400);
    assert!(html.contains("group 3 on line 2") && html.contains(&typo[at - 1..at + 4]), "{html}");
    assert_eq!(area(&html, "<textarea id=\"code\"").replace("\r\n", "\n"), typo);
    assert!(!html.contains("id=\"unlock\""), "{html}");

    let unknown = request(&SerialNumber::from_random([5; 19]), &SigningKey::generate().unwrap());
    let answer = typed(&server, &text_code::encode(&unknown.registration)).await;
    assert!(answer.status == 404 && text(&answer).contains("[serial_unknown]"), "{}", text(&answer));
}

#[tokio::test]
async fn what_was_typed_is_escaped_wherever_it_is_shown() {
    let server = Running::start(connection_limits()).await;
    let asked = request(&server.sell(), &SigningKey::generate().unwrap());
    // Errors repeat what they could not read.
    let mut document = serde_json::to_value(&asked.registration).unwrap();
    document["document"] = "\"</p><script>alert(1)</script><b>\"".into();
    let code = text_code::encode(&asked.registration);
    let group = format!("{}</p><img>{}", &code[..12], &code[17..]);
    for (evil, repeated) in [(document.to_string(), "&lt;script&gt;alert"), (group, "&lt;/p&gt;&lt;img&gt;")]
    {
        let html = text(&typed(&server, &evil).await);
        let (_, alert) = html.split_once("role=\"alert\">").unwrap();
        let (alert, _) = alert.split_once("</p>").unwrap();
        assert!(alert.contains(repeated), "{html}");
    }
    for evil in [
        "</textarea><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>'",
        "0C00M-</p><script>-&lt;",
        "{\"site_key\":\"<script>\"}",
        "\u{0}\u{1b}[31m<b>\u{202e}",
    ] {
        let html = text(&typed(&server, evil).await);
        for markup in ["<script", "<img", "<b>", "</p><s", "\u{0}", "\u{1b}"] {
            assert!(!html.contains(markup), "{markup:?} of {evil:?} in {html}");
        }
        assert_eq!(html.matches("</textarea>").count(), 1, "{html}");
    }
    // And what was typed comes back as it was.
    let html = text(&typed(&server, "&lt;&amp;").await);
    assert_eq!(area(&html, "<textarea id=\"code\""), "&amp;lt;&amp;amp;");
    // A code that is good may have anything behind it that counts as white space; in the hidden field it stays a value.
    let json = serde_json::to_string(&request(&server.sell(), &SigningKey::generate().unwrap())).unwrap();
    let html = text(&typed(&server, &json).await);
    let kept = html.split_once("name=\"code\" value=\"").unwrap().1.split_once('"').unwrap().0;
    assert_eq!(kept.replace("&quot;", "\"").replace("&amp;", "&"), json);
}

#[tokio::test]
async fn the_page_is_not_shown_over_plain_http_from_elsewhere() {
    let server = Running::start(connection_limits()).await;
    let code = text_code::encode(&request(&server.sell(), &SigningKey::generate().unwrap()).registration);
    let plain = "Host: acme.example\r\nX-Forwarded-For: 192.0.2.7\r\n";
    for answer in
        [shown(&server, plain).await, posted(&server, &format!("{plain}{FORM}"), &form(&code)).await]
    {
        let html = text(&answer);
        assert_eq!(answer.status, 403, "{html}");
        assert!(html.contains("over plain HTTP") && html.contains("HTTPS"), "{html}");
        assert!(!html.contains("<form") && !html.contains(&code[..29]), "{html}");
    }
    // Who sits at the vendor's server needs no certificate.
    let local = "Host: localhost\r\n";
    assert_eq!(shown(&server, local).await.status, 200);
    let first = posted(&server, &format!("{local}{FORM}"), &form(&code)).await;
    assert_eq!(first.status, 200);
    assert!(!text(&first).contains("has already"), "what was refused had bound nothing: {}", text(&first));
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_refused_before_it_is_read() {
    let server = Running::start(connection_limits()).await;
    let code = text_code::encode(&request(&server.sell(), &SigningKey::generate().unwrap()).registration);
    for from in ["cross-site", "same-site"] {
        let answer =
            posted(&server, &format!("{BY_HTTPS}{FORM}Sec-Fetch-Site: {from}\r\n"), &form(&code)).await;
        let html = text(&answer);
        assert!(answer.status == 403 && html.contains("from another site"), "{html}");
        assert!(!html.contains(&code[..29]), "{html}");
        // A link to the page is as good as any.
        assert_eq!(shown(&server, &format!("{BY_HTTPS}Sec-Fetch-Site: {from}\r\n")).await.status, 200);
    }
    for from in ["same-origin", "none"] {
        let answer =
            posted(&server, &format!("{BY_HTTPS}{FORM}Sec-Fetch-Site: {from}\r\n"), &form(&code)).await;
        assert_eq!(answer.status, 200, "{}", text(&answer));
    }
}

#[tokio::test]
async fn wrong_registrations_count_with_those_of_servers_and_a_good_one_never_waits() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let wrong = |guess: u8| request(&SerialNumber::from_random([guess; 19]), &site);
    let as_server = async |asked: &RegisterRequest| {
        let body = serde_json::to_string(asked).unwrap();
        let head = format!(
            "POST /license/v1/register HTTP/1.1\r\nConnection: close\r\n{BY_HTTPS}Content-Length: {}\r\n\r\n",
            body.len()
        );
        server.raw(format!("{head}{body}").as_bytes()).await
    };
    assert_eq!(typed(&server, &text_code::encode(&wrong(1).registration)).await.status, 404);
    for guess in 2..11 {
        assert_eq!(as_server(&wrong(guess)).await.problem().code, ProblemCode::SerialUnknown);
    }
    let code = text_code::encode(&wrong(11).registration);
    let busy = typed(&server, &code).await;
    assert!(busy.status == 429 && text(&busy).contains("too many wrong registrations"), "{}", text(&busy));
    assert!(text(&busy).contains(&code[..29]), "what was typed is not lost");
    assert_eq!(as_server(&wrong(12)).await.problem().code, ProblemCode::Busy);
    assert_eq!(typed(&server, &text_code::encode(&request(&serial, &site).registration)).await.status, 200);
}

#[tokio::test]
async fn who_mistypes_a_code_many_times_is_told_where_each_time_and_holds_up_nobody() {
    let server = Running::start(connection_limits()).await;
    let code = text_code::encode(&request(&server.sell(), &SigningKey::generate().unwrap()).registration);
    for number in 0..15 {
        let typo = format!("{}{}{}", &code[..12], &"7777788888"[number % 5..number % 5 + 5], &code[17..]);
        let answer = typed(&server, &typo).await;
        assert!(answer.status == 400 && text(&answer).contains("group 3 on line 1"), "{}", text(&answer));
        assert_eq!(typed(&server, "no code at all").await.status, 400);
    }
    let unknown = request(&SerialNumber::from_random([5; 19]), &SigningKey::generate().unwrap());
    let answer = typed(&server, &text_code::encode(&unknown.registration)).await;
    assert_eq!(answer.status, 404, "nothing was counted: {}", text(&answer));
}

#[tokio::test]
async fn a_body_that_is_no_form_or_too_long_is_refused() {
    let server = Running::start(connection_limits()).await;
    let code = text_code::encode(&request(&server.sell(), &SigningKey::generate().unwrap()).registration);
    let json = format!("{BY_HTTPS}Content-Type: application/json\r\n");
    assert_eq!(posted(&server, &json, &form(&code)).await.status, 400);
    assert_eq!(posted(&server, BY_HTTPS, &form(&code)).await.status, 400);
    let with_form = format!("{BY_HTTPS}{FORM}");
    assert_eq!(posted(&server, &with_form, "\u{0}=%&%%%").await.status, 400);
    // Longer than any code, and not sent back.
    let long = format!("code={}", "A".repeat(200 * 1024));
    let answer = posted(&server, &with_form, &long).await;
    assert_eq!((answer.status, answer.body.len() < 8 * 1024), (400, true));
    assert!(text(&answer).contains("no registration has more than"), "{}", text(&answer));
}

#[tokio::test]
async fn the_page_has_no_script_and_its_headers_say_so() {
    let server = Running::start(connection_limits()).await;
    let code = text_code::encode(&request(&server.sell(), &SigningKey::generate().unwrap()).registration);
    let pages = [
        shown(&server, BY_HTTPS).await,
        typed(&server, &code).await,
        typed(&server, "wrong").await,
        shown(&server, "Host: acme.example\r\n").await,
    ];
    for page in pages {
        let policy = page.header("content-security-policy").unwrap();
        let own = ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"];
        assert!(own.iter().all(|word| policy.contains(word)), "{policy}");
        assert!(
            !policy.contains("script") && !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert!(!page.headers.to_lowercase().contains("set-cookie"), "{}", page.headers);
        let style = text(&page).split_once("<style>").unwrap().1.split_once("</style>").unwrap().0.to_owned();
        let digest = data_encoding::BASE64.encode(Sha256Digest::of(style.as_bytes()).as_bytes());
        assert!(policy.contains(&format!("style-src 'sha256-{digest}';")), "{policy}");
        let html = text(&page).to_lowercase();
        let handlers = html.split(" on").skip(1).filter(|rest| {
            rest.trim_start_matches(|character: char| character.is_ascii_lowercase()).starts_with('=')
        });
        assert_eq!(handlers.count(), 0, "{html}");
        assert!(!html.contains("<script") && !html.contains("javascript:"), "{html}");
        let loaded = ["src=", "http://", "https://", "url(", "@import"];
        assert!(!loaded.iter().any(|word| html.contains(word)), "nothing is loaded from elsewhere: {html}");
    }
}
