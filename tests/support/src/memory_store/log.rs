//! The log: its tree, its entries, and how they are found.

use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{Frontier, LogHead, NodeId, node_hash};
use sealpost_site::changes::Actor;
use sealpost_site::changes::chain::{self, FoundBy, LinkedEntry, LoggedEntry};
use sealpost_site::changes::summary::{is_absent_hook, is_failure};
use sealpost_site::queries::{Activity, Log, LogEnd, LogEntry, LogNodes, Only, page_limit};

use super::state::State;
use super::store::{Handle, Holds};

impl State {
    /// Whether the log had this head at some time.
    pub(super) fn had_head(&self, head: LogHead) -> bool {
        match self.log.get(&head.size) {
            Some(logged) => logged.head == head,
            None => head == LogHead::empty(),
        }
    }

    /// The hash of a complete node, from the leaves up: what stands beside entries is not looked at.
    fn node(&self, id: NodeId) -> Option<Sha256Digest> {
        let Some(level) = id.level.checked_sub(1) else {
            return self.log.get(&id.index.checked_add(1)?).map(|logged| logged.linked.leaf);
        };
        let left = id.index.checked_mul(2)?;
        let right = self.node(NodeId { level, index: left + 1 })?;
        Some(node_hash(&self.node(NodeId { level, index: left })?, &right))
    }
}

impl<H: Holds> Read<Log> for Handle<H> {
    fn read(&mut self, _: &Log) -> Result<Frontier, StoreError> {
        Ok(self.state().tree.clone())
    }
}

impl<H: Holds> Read<LogNodes> for Handle<H> {
    fn read(&mut self, query: &LogNodes) -> Result<Vec<Option<Sha256Digest>>, StoreError> {
        let state = self.state();
        Ok(query.nodes.iter().map(|id| state.node(*id)).collect())
    }
}

impl<H: Holds> Read<LogEntry> for Handle<H> {
    fn read(&mut self, query: &LogEntry) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().log.get(&query.sequence).map(|logged| logged.linked.bytes.clone()))
    }
}

impl<H: Holds> Read<Activity> for Handle<H> {
    fn read(&mut self, query: &Activity) -> Result<Vec<LoggedEntry>, StoreError> {
        let state = self.state();
        let wanted = state.log.values().map(|logged| &logged.linked).filter(|linked| matches(query, linked));
        let wanted: Vec<&LinkedEntry> = wanted.collect();
        let limit = page_limit(query.limit) as usize;
        let skipped = if query.end == LogEnd::Newest { wanted.len().saturating_sub(limit) } else { 0 };
        let page = wanted.into_iter().skip(skipped).take(limit);
        let logged = page.map(|linked| chain::logged(linked.bytes.clone(), linked.leaf));
        Ok(logged.collect::<Result<_, _>>()?)
    }
}

fn matches(query: &Activity, linked: &LinkedEntry) -> bool {
    let found_by = FoundBy::of(&linked.entry);
    linked.entry.sequence > query.after
        && query.client.as_ref().is_none_or(|name| found_by.computer.as_deref() == Some(name.as_str()))
        && query.kind.as_ref().is_none_or(|kind| found_by.kind == *kind)
        && (query.kinds.is_empty() || query.kinds.contains(&found_by.kind))
        && query
            .by
            .as_ref()
            .is_none_or(|by| matches!(&linked.entry.actor, Actor::Admin { account } if by.means(account)))
        && (query.releases.is_empty() || names_one_of(linked, &query.releases))
        && match query.only {
            Only::Everything => true,
            Only::WithoutAbsentHooks => !is_absent_hook(&linked.entry.change),
            Only::Failures => is_failure(&linked.entry.change),
        }
        && query.since.is_none_or(|since| linked.entry.at >= since)
        && query.until.is_none_or(|until| linked.entry.at <= until)
}

/// Whether a manifest stands in the text of an entry. A digest is nothing else's beginning or end.
fn names_one_of(linked: &LinkedEntry, manifests: &[Sha256Digest]) -> bool {
    let text = String::from_utf8_lossy(&linked.bytes);
    manifests.iter().any(|manifest| text.contains(&format!("\"{manifest}\"")))
}
