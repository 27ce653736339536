//! A process that can be killed, within the one of the tests.

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Something that runs on a runtime of its own.
pub(super) struct Process {
    runtime: Option<Runtime>,
    shutdown: CancellationToken,
}

impl Process {
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(work: impl FnOnce(CancellationToken) -> F) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let shutdown = CancellationToken::new();
        runtime.spawn(work(shutdown.clone()));
        Self { runtime: Some(runtime), shutdown }
    }
}

impl Process {
    /// As by SIGTERM.
    pub(super) fn end(&self) {
        self.shutdown.cancel();
    }
}

impl Drop for Process {
    /// As by kill -9: nothing of it runs on, nothing is tidied up.
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
        // Only the lease guard listens to this any more: it is a thread and would outlive its process here.
        self.shutdown.cancel();
    }
}
