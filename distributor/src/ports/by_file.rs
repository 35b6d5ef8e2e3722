//! Answers to computers without a network: what came as a file, and what goes back as one. A port because whoever carries
//! the files must not know how an answer is made.

use futures_util::future::BoxFuture;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::by_file::FileRequest;
use sealpost_manifests::wire::problem::Problem;

/// An answer, sealed for the computer.
#[derive(Debug, Clone)]
pub struct FileAnswered {
    /// The computer that it is for.
    pub computer: ComputerName,
    /// The bytes of the file.
    pub sealed: Vec<u8>,
    /// Why its contact was refused, which the file says too.
    pub refused: Option<Problem>,
}

pub trait FileAnswers: Send + Sync {
    /// Answers a request. With `only`, a request of any other computer is refused: it lay in a place that is that one's.
    fn answer(
        &self,
        request: FileRequest,
        only: Option<ComputerName>,
    ) -> BoxFuture<'_, Result<FileAnswered, Problem>>;
}
