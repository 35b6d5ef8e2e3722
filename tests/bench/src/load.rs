//! Clients that contact as agents do: each contact signed, nonces in order, over connections that stay open.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::future::{join_all, try_join_all};
use reqwest::header::CONTENT_TYPE;
use sealpost_keys::SigningKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::ids::{ClientId, Nonce, Platform, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{HighestOrders, Ordered};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::word::Word;
use tokio::sync::Mutex;

use crate::server::Server;
use crate::site::Site;

/// An agent gives a contact up after about this time.
const CONTACT_WITHIN: Duration = Duration::from_secs(30);

/// An HTTP client that trusts one CA and keeps its connections.
pub(crate) fn http(ca: &Path) -> anyhow::Result<reqwest::Client> {
    Ok(builder(ca)?.build()?)
}

fn builder(ca: &Path) -> anyhow::Result<reqwest::ClientBuilder> {
    let pem = std::fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    let roots = reqwest::Certificate::from_pem_bundle(&pem)?;
    Ok(reqwest::Client::builder().tls_certs_only(roots))
}

/// One computer.
struct Computer {
    client_id: ClientId,
    key: SigningKey,
    contacts: u64,
    holds: Holdings,
    is_lost: bool,
}

/// What it remembers of the answers.
#[derive(Default)]
struct Holdings {
    previous: Option<Nonce>,
    receipt: Option<String>,
    highest: HighestOrders,
    head: Option<LogHead>,
    grants: Vec<Sha256Digest>,
}

/// The computers that contact.
pub(crate) struct Clients {
    http: reqwest::Client,
    url: String,
    server_id: ServerId,
    platform: Platform,
    computers: Vec<Mutex<Computer>>,
    connections: usize,
    next: AtomicUsize,
    longest: Longest,
}

/// The longest bodies of contacts, in bytes.
#[derive(Debug, Default)]
struct Longest {
    request: AtomicUsize,
    answer: AtomicUsize,
}

impl Clients {
    pub(crate) fn new(server: &Server, site: Site, connections: usize) -> anyhow::Result<Self> {
        let computers = site
            .computers
            .into_iter()
            .map(|(client_id, key)| {
                Mutex::new(Computer {
                    client_id,
                    key,
                    contacts: 0,
                    holds: Holdings::default(),
                    is_lost: false,
                })
            })
            .collect();
        Ok(Self {
            http: http(server.ca())?,
            url: format!("{}/agent/v1/contact", server.url()),
            server_id: site.server_id,
            platform: site.platform,
            computers,
            connections,
            next: AtomicUsize::new(0),
            longest: Longest::default(),
        })
    }

    /// The longest request and the longest answer since this was asked the last time, in bytes, without their heads.
    pub(crate) fn longest(&self) -> (usize, usize) {
        (self.longest.request.swap(0, Ordering::Relaxed), self.longest.answer.swap(0, Ordering::Relaxed))
    }

    /// From now on each contact has a connection of its own, as after the pauses of real computers.
    pub(crate) fn connect_anew(&mut self, server: &Server) -> anyhow::Result<()> {
        self.http = builder(server.ca())?.pool_max_idle_per_host(0).build()?;
        Ok(())
    }

    /// Two contacts of each computer: the first brings documents, the second says that they are held.
    pub(crate) async fn warm_up(&mut self) -> anyhow::Result<()> {
        self.run(2 * self.computers.len()).await.map(drop)
    }

    /// So many contacts without news.
    pub(crate) async fn contact(&self, contacts: usize) -> anyhow::Result<()> {
        let news = self.run(contacts).await?;
        if news > 0 {
            bail!("{news} of {contacts} contacts brought a document; only quiet ones are measured");
        }
        Ok(())
    }

    /// The time that each contact took, one after the other in each of so many lines until `until`; none for one that
    /// failed, whose computer contacts no more: it cannot know whether it was heard.
    pub(crate) async fn timed(&self, until: Instant, lines: usize) -> Vec<Option<Duration>> {
        let line = || async {
            let mut took = Vec::new();
            while Instant::now() < until {
                let at = self.next.fetch_add(1, Ordering::Relaxed) % self.computers.len();
                let free = self.computers.get(at).and_then(|one| one.try_lock().ok());
                let Some(mut computer) = free.filter(|computer| !computer.is_lost) else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let began = Instant::now();
                let contact = tokio::time::timeout(CONTACT_WITHIN, self.contact_once(&mut computer)).await;
                let is_good = matches!(contact, Ok(Ok(_)));
                computer.is_lost = !is_good;
                took.push(is_good.then(|| began.elapsed()));
            }
            took
        };
        join_all((0..lines).map(|_| line())).await.into_iter().flatten().collect()
    }

    /// Answers how many contacts brought a document.
    async fn run(&self, contacts: usize) -> anyhow::Result<usize> {
        let each = contacts.div_ceil(self.connections);
        let news = try_join_all((0..self.connections).map(|_| async {
            let mut news = 0;
            for _ in 0..each {
                let at = self.next.fetch_add(1, Ordering::Relaxed) % self.computers.len();
                let computer = self.computers.get(at).context("there is no computer")?;
                if self.contact_once(&mut *computer.lock().await).await? {
                    news += 1;
                }
            }
            anyhow::Ok(news)
        }));
        Ok(news.await?.into_iter().sum())
    }

    async fn contact_once(&self, computer: &mut Computer) -> anyhow::Result<bool> {
        computer.contacts += 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&computer.contacts.to_be_bytes());
        let next = Nonce::from_random(random);
        let contact = Contact {
            client_id: computer.client_id.clone(),
            server_id: self.server_id.clone(),
            previous: computer.holds.previous.clone(),
            next: next.clone(),
            receipt: computer.holds.receipt.clone(),
            sent_at: jiff::Timestamp::now(),
            agent_version: "0.1.0".to_owned(),
            platform: self.platform.clone(),
            highest: computer.holds.highest.clone(),
            held_head: computer.holds.head,
            forked_head: None,
            grants: computer.holds.grants.clone(),
            instance: Some(Sha256Digest::of(computer.client_id.as_str().as_bytes())),
            hostname: Some("office-computer".to_owned()),
            packages: Vec::new(),
            reports: Vec::new(),
            drift: Vec::new(),
            tags: Vec::new(),
            postponed: Vec::new(),
            new_key: None,
        };
        let contact = SignedDocument::sign(&contact, &computer.key)?;
        let request = ContactRequest { client_id: computer.client_id.clone(), contact, evidence: None };
        let request = serde_json::to_vec(&request)?;
        self.longest.request.fetch_max(request.len(), Ordering::Relaxed);
        let request = self.http.post(&self.url).header(CONTENT_TYPE, "application/json").body(request);
        let response = request.send().await?;
        let status = response.status();
        if !status.is_success() {
            bail!("a contact was answered {status}: {}", response.text().await.unwrap_or_default());
        }
        let answer = response.bytes().await?;
        self.longest.answer.fetch_max(answer.len(), Ordering::Relaxed);
        let answer: ContactAnswer = serde_json::from_slice(&answer)?;
        let news = answer.lease.is_some() || answer.assignment.is_some() || !answer.grants.is_empty();
        computer.holds.previous = Some(next);
        computer.holds.take(answer)?;
        Ok(news)
    }
}

impl Holdings {
    fn take(&mut self, answer: ContactAnswer) -> anyhow::Result<()> {
        self.receipt = answer.receipt;
        if let Some(lease) = &answer.lease {
            let lease: Lease = document::read(lease.document.as_bytes())?;
            self.head = Some(lease.ledger_head);
            self.highest.insert(Word::new(Lease::TYPE)?, lease.order());
        }
        if let Some(assignment) = &answer.assignment {
            let assignment: Assignment = document::read(assignment.document.as_bytes())?;
            self.highest.insert(Word::new(Assignment::TYPE)?, assignment.order());
        }
        self.grants.extend(answer.grants.iter().map(SignedDocument::digest));
        Ok(())
    }
}
