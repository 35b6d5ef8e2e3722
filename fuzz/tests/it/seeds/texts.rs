//! What people read, type and paste.

use sealpost_fuzz::{MESSAGE, key, log_key, sealing_key};
use sealpost_keys::TrustedComment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{EnrollmentCode, SerialNumber};
use sealpost_manifests::log::ConsistencyProof;
use sealpost_manifests::text_code::{CodeFormat, encode, encode_as};

use super::documents::{frozen, registration, signed};
use super::golden::{Seeds, golden};

pub(super) fn text_codes() -> Seeds {
    let lines = |document| encode_as(&document, CodeFormat::Lines);
    let grant = lines(signed(&frozen::<Grant>()));
    let typed = grant.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
    vec![
        ("golden", golden("manifests/tests/golden/grant.unlock-code.txt")),
        ("grant", grant.into_bytes()),
        ("grant_typed", typed.into_bytes()),
        ("golden_groups", golden("manifests/tests/golden/grant.unlock-code.v3.txt")),
        ("registration", lines(signed(&registration())).into_bytes()),
        ("registration_groups", encode(&signed(&registration())).into_bytes()),
    ]
}

pub(super) fn minisigs() -> Seeds {
    let comment = TrustedComment::new("what was signed").unwrap();
    let keys = |name: &str| golden(&format!("keys/tests/golden/{name}"));
    vec![
        ("golden", keys("message.minisig")),
        ("key_file", keys("public.pub")),
        ("key_line", key().public().to_base64().into_bytes()),
        ("legacy", keys("legacy.minisig")),
        ("log_key", log_key().public().to_string().into_bytes()),
        ("sealing_key", sealing_key().public().to_string().into_bytes()),
        ("signature", key().sign(MESSAGE, &comment).as_str().as_bytes().to_vec()),
    ]
}

pub(super) fn names() -> Seeds {
    let digest = Sha256Digest::of(b"x");
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("code", text("roll_back")),
        ("computer", text("Straße-PC.example")),
        ("digest", text(&digest.to_string())),
        ("enrollment_code", text(EnrollmentCode::from_random([8; 24]).as_str())),
        ("id", text(&"0f".repeat(16))),
        ("key_id", text(&key().public().id().to_string())),
        ("link", text("p/q/x\n../../bin/y")),
        ("package", text("acme-av")),
        ("path", text("data/daily.ndb")),
        ("proof", text(&ConsistencyProof::new(vec![digest; 3]).unwrap().to_string())),
        ("refused_link", text("y\np/q/x/..")),
        ("revision", text("27001")),
        ("serial", text(SerialNumber::from_random([7; 19]).as_str())),
        ("target", text("acme-av_5.2_linux-x86_64.manifest")),
        ("refused_turned", text("red \u{1b}[31m\r\n\u{202e}turned\u{2028}x")),
        ("wide", text("ＰＣ１")),
    ]
}

pub(super) fn registration_forms() -> Seeds {
    // As browsers send it: lines end with both characters, and what has no place in a form stands by its number.
    let sent = |typed: &str| {
        let sent = typed.trim_end().replace('\n', "\r\n").chars().fold(String::new(), |sent, character| {
            match character {
                ' ' => sent + "+",
                '-' | '.' => format!("{sent}{character}"),
                other if other.is_ascii_alphanumeric() => format!("{sent}{other}"),
                other => format!("{sent}%{:02X}", u32::from(other)),
            }
        });
        format!("code={sent}")
    };
    let registration = signed(&registration());
    let groups = sent(&encode(&registration));
    vec![
        ("groups", groups.clone().into_bytes()),
        ("lines", format!("as=file&{}&x", sent(&encode_as(&registration, CodeFormat::Lines))).into_bytes()),
        ("json", sent(&serde_json::to_string(&registration).unwrap()).into_bytes()),
        ("typed", b"code=%ff%00%E2%80%AE+x%&as=page".to_vec()),
        ("refused_blank", b"code=+%0D%0A&as=file".to_vec()),
        ("refused_twice", format!("{groups}&code=x").into_bytes()),
    ]
}

pub(super) fn reservation_files() -> Seeds {
    vec![
        ("columns", "\u{feff}Name;Channel;Group\r\npc-1;beta;lab\r\nb\u{fc}ro-7;;\r\n".as_bytes().to_vec()),
        ("names", b"pc-1\n# the laboratory\n\npc-2\n".to_vec()),
        ("quotes", b"name,channel\n\"pc-1\",\"beta\"\n\"pc-2\npc-3,\n".to_vec()),
    ]
}
