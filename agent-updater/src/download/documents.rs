//! The vendor's documents as an answer by file brought them: a repository in memory, with the top roles and the trust
//! document.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream;
use sealpost_repository::{TargetBody, TargetPath, Transport, TransportError};

/// Files by the names that a repository has them under. They are verified like any other.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    pub metadata: Arc<BTreeMap<String, String>>,
    pub targets: Arc<BTreeMap<String, String>>,
}

impl Transport for Documents {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        let found = self.metadata.get(name).map(|text| text.as_bytes().to_vec());
        let too_large = || TransportError::TooLarge { location: name.to_owned(), max_bytes };
        let result = match found {
            Some(bytes) if bytes.len() as u64 > max_bytes => Err(too_large()),
            found => Ok(found),
        };
        Box::pin(async move { result })
    }

    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        let found = self
            .targets
            .get(&path.parts().collect::<Vec<_>>().join("/"))
            .map(|text| text.as_bytes().to_vec());
        let body = found.map(|bytes| {
            let rest =
                usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
            TargetBody { offset, chunks: Box::pin(stream::iter([Ok(rest.to_vec())])) }
        });
        Box::pin(async move { Ok(body) })
    }
}
