//! The review list: what strangers send, and what they do then.

/// Of the kind of which one answer is no more than a few hundred bytes, so that many are needed to fill a socket.
const PIPELINED: usize = 200;
/// More than a server takes of any request.
const LARGE_BODY_BYTES: usize = 100_000_000;
/// Zeros that a bomb unpacks to, as far as it says.
const BOMB_BYTES: usize = 240 * 1024;

/// One kind of abuse.
#[derive(Debug)]
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) carrier: Carrier,
    /// Strangers at the same time.
    pub(super) lines: usize,
    /// Addresses that they come from.
    pub(super) sources: u8,
    /// What they send, in turn; nothing is a connection that says nothing.
    pub(super) payloads: Vec<Vec<u8>>,
    pub(super) then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Tls,
    Tcp,
}

/// What a stranger does after it has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Reads what comes, for a short time, and begins anew.
    Read,
    /// Keeps the connection, and takes nothing from it.
    Hold,
    /// Sends on as long as somebody takes it.
    SendOn,
}

pub(super) fn all() -> Vec<Attack> {
    let usual = |name, lines, payloads, then| Attack {
        name,
        carrier: Carrier::Tls,
        lines,
        sources: 1,
        payloads,
        then,
    };
    let half = |text: &str| vec![text.as_bytes().to_vec()];
    vec![
        usual("path tricks", 16, paths().into_iter().map(|path| get(&path)).collect(), Then::Read),
        usual("request smuggling", 16, smuggled(), Then::Read),
        usual("decompression bombs", 16, bombs(), Then::Read),
        usual("half-sent heads", 800, half("POST /agent/v1/contact HTTP/1.1\r\nhost:"), Then::Hold),
        usual(
            "half-sent bodies",
            800,
            half("POST /agent/v1/contact HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"client"),
            Then::Hold,
        ),
        usual("slow readers", 400, vec![get("/healthz").repeat(PIPELINED)], Then::Hold),
        usual("100 MB bodies", 32, large_bodies(), Then::SendOn),
        Attack { sources: 10, ..usual("10,000 idle TLS connections", 10_000, Vec::new(), Then::Hold) },
        Attack { carrier: Carrier::Tcp, ..usual("garbage TLS", 64, garbage(), Then::Read) },
        Attack {
            carrier: Carrier::Tcp,
            sources: 10,
            ..usual("silent TCP connections", 8_000, Vec::new(), Then::Hold)
        },
    ]
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

fn paths() -> Vec<String> {
    let names = [
        "..%2f..%2fdistributor.toml",
        "%2e%2e%2f%2e%2e%2fadmin-tokens.json",
        "%252e%252e%252f1.root.json",
        "..\\..\\keys\\site.key",
        "a%00.json",
        "%ff%fe",
        "%2fetc%2fpasswd",
        ".",
    ];
    let below = |prefix: &'static str| names.iter().map(move |name| format!("/agent/v1/{prefix}/{name}"));
    let mut paths: Vec<String> = below("tuf/metadata").chain(below("tuf/targets")).collect();
    paths.extend(
        [
            "/../../../etc/passwd",
            "//agent/v1/contact",
            "/agent/v1/../../api/v1/status",
            "/agent/v1/wake/../../../api/v1/clients",
            "/API/V1/STATUS",
            "/api/v1/status;.json",
            "/api/v1/status%20",
            "http://localhost/api/v1/status",
            "*",
        ]
        .map(str::to_owned),
    );
    paths.push(format!("/{}", "a/".repeat(8_000)));
    paths
}

/// Requests of which two readers may see different ends; what is hidden asks for something that is answered.
fn smuggled() -> Vec<Vec<u8>> {
    let hidden = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let with = |headers: &str, body: &str| {
        format!("POST /agent/v1/contact HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}").into_bytes()
    };
    let length = hidden.len();
    vec![
        with(
            &format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            &format!("0\r\n\r\n{hidden}"),
        ),
        with(
            &format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
            &format!("0\r\n\r\n{hidden}"),
        ),
        with(&format!("content-length: 0\r\ncontent-length: {length}\r\n"), hidden),
        with(&format!("content-length: 0, {length}\r\n"), hidden),
        with(&format!("content-length: +{length}\r\n"), hidden),
        with(&format!("content-length : {length}\r\n"), hidden),
        with("transfer-encoding: xchunked\r\n", &format!("0\r\n\r\n{hidden}")),
        with("transfer-encoding: chunked, identity\r\n", &format!("0\r\n\r\n{hidden}")),
        with("transfer-encoding:\x0bchunked\r\n", &format!("0\r\n\r\n{hidden}")),
        with("x: y\r\n transfer-encoding: chunked\r\n", &format!("0\r\n\r\n{hidden}")),
        with("transfer-encoding: chunked\r\n", &format!("0;x=\"\r\n\r\n{hidden}")),
        with("transfer-encoding: chunked\r\n", &format!("ffffffffffffffff1\r\n\r\n{hidden}")),
        with("transfer-encoding: chunked\r\n", &format!("-1\r\n\r\n{hidden}")),
        format!("GET /healthz HTTP/1.1\nhost: x\n\n{hidden}").into_bytes(),
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n{hidden}").into_bytes(),
        format!("GET /healthz HTTP/0.9\r\n\r\n{hidden}").into_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ]
}

fn bombs() -> Vec<Vec<u8>> {
    let bomb = |encoding: &str, body: &[u8]| {
        let head = format!(
            "POST /agent/v1/contact HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    // Stored blocks of deflate: what matters is whether anybody begins to unpack.
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    body.resize(BOMB_BYTES, 0);
    ["gzip", "deflate", "br", "zstd", "gzip, gzip, gzip"].map(|encoding| bomb(encoding, &body)).into()
}

fn large_bodies() -> Vec<Vec<u8>> {
    ["/agent/v1/contact", "/agent/v1/enroll", "/api/v1/register", "/healthz", "/nowhere"]
        .into_iter()
        .flat_map(|path| {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
            [
                format!("{head}content-length: {LARGE_BODY_BYTES}\r\n\r\n").into_bytes(),
                format!("{head}transfer-encoding: chunked\r\n\r\n{LARGE_BODY_BYTES:x}\r\n").into_bytes(),
            ]
        })
        .collect()
}

fn garbage() -> Vec<Vec<u8>> {
    let record =
        |kind: u8, length: u16, body: &[u8]| [&[kind, 3, 1][..], &length.to_be_bytes(), body].concat();
    vec![
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        vec![0; 16 * 1024],
        vec![0xff; 16 * 1024],
        record(0x16, 0xffff, &[1; 1024]),
        record(0x16, 512, b"\x01\x00\x01\xfc\x03\x03"),
        record(0x15, 2, &[2, 40]),
        record(0x17, 16_384, &[7; 16_384]),
        b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
    ]
}
