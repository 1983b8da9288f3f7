//! The daemon's tasks: all of them end with it, and a panic in one is logged and ends nothing else.

use futures_util::FutureExt as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Tasks that are ended when the last clone is dropped, or at [`Tasks::end`].
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
}

impl Tasks {
    /// Runs a task. A panic in it is logged.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_or(task, async {});
    }

    /// Runs a task, and `otherwise` if it panics.
    pub(super) fn spawn_or(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
        otherwise: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(async move {
            // What the task shared is behind locks that do not mind.
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!("a part of the daemon failed; the daemon goes on");
                otherwise.await;
            }
        });
    }

    /// Ends every task at its next wait.
    pub(super) fn end(&self) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

#[cfg(test)]
mod tests {
    use super::Tasks;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_panic_runs_what_was_left_for_it_and_nothing_else_ends() {
        let tasks = Tasks::default();
        let (told, heard) = oneshot::channel();
        let (other_told, other_heard) = oneshot::channel();
        tasks.spawn_or(async { panic!("in a test") }, async move { told.send(1).unwrap() });
        assert_eq!(heard.await, Ok(1));
        tasks.spawn(async move { other_told.send(2).unwrap() });
        assert_eq!(other_heard.await, Ok(2));
    }
}
