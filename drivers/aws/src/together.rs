//! Questions of one kind that are asked at about the same time leave as one call, as far as AWS takes several names in one.
//!
//! Border: which call that is, its driver knows; here is only who asks what together.
//!
//! Invariant: whoever joins a question joins it before it leaves, so no answer is older than its question.

use crate::call::Refused;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Others who ask at the same moment come within this time; nobody notices it.
pub(crate) const GATHER: Duration = Duration::from_millis(10);

/// What was answered, by name; a name that AWS does not know is not in it.
pub(crate) type Answer<V> = Result<BTreeMap<String, V>, Refused>;

/// The questions of one kind. `K` is what one call cannot span: a region, a cluster.
pub(crate) struct Together<K, V> {
    /// As many names as one call may have.
    most: usize,
    newest: Mutex<BTreeMap<K, Arc<Question<V>>>>,
}

/// One call, before and after it leaves.
pub(crate) struct Question<V> {
    asked: Mutex<Asked>,
    answer: OnceCell<Answer<V>>,
}

#[derive(Default)]
struct Asked {
    names: BTreeSet<String>,
    left: bool,
}

impl<V> Question<V> {
    /// It leaves now, with these names; nobody joins it any more.
    pub(crate) fn leave(&self) -> Vec<String> {
        let mut asked = self.asked();
        asked.left = true;
        asked.names.iter().cloned().collect()
    }

    fn joins(&self, name: &str, most: usize) -> bool {
        let mut asked = self.asked();
        let open = !asked.left && (asked.names.len() < most || asked.names.contains(name));
        if open {
            asked.names.insert(name.to_owned());
        }
        open
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord, V: Clone> Together<K, V> {
    /// Nothing was asked yet.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, newest: Mutex::default() }
    }

    /// Asks for one name, with whoever else asks now. `call` makes the call; when who began it gives up, another goes on.
    pub(crate) async fn ask<F>(
        &self,
        key: K,
        name: &str,
        call: impl FnOnce(Arc<Question<V>>) -> F,
    ) -> Result<Option<V>, Refused>
    where
        F: Future<Output = Answer<V>>,
    {
        let question = self.join(key, name);
        let answer = question.answer.get_or_init(|| call(question.clone())).await;
        answer.as_ref().map(|found| found.get(name).cloned()).map_err(Clone::clone)
    }

    fn join(&self, key: K, name: &str) -> Arc<Question<V>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = newest.get(&key).filter(|q| q.joins(name, self.most)) {
            return open.clone();
        }
        let names = BTreeSet::from([name.to_owned()]);
        let asked = Mutex::new(Asked { names, left: false });
        let question = Arc::new(Question { asked, answer: OnceCell::new() });
        newest.insert(key, question.clone());
        question
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn echo(question: &Question<usize>) -> Answer<usize> {
        Ok(question.leave().into_iter().filter(|n| n != "nobody").map(|n| (n.clone(), n.len())).collect())
    }

    #[tokio::test]
    async fn who_asks_at_once_shares_a_call_and_who_comes_later_does_not() {
        let (together, calls) = (Together::<&str, usize>::new(10), AtomicUsize::new(0));
        let ask = |name: &'static str| {
            together.ask("east", name, |question| async move {
                tokio::task::yield_now().await;
                echo(&question)
            })
        };
        let counted = |name: &'static str| {
            let calls = &calls;
            together.ask("east", name, move |question| async move {
                calls.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                echo(&question)
            })
        };
        let (a, b, nobody) = tokio::join!(counted("a"), counted("bb"), counted("nobody"));
        assert_eq!((a.unwrap(), b.unwrap(), nobody.unwrap()), (Some(1), Some(2), None));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert_eq!(counted("a").await.unwrap(), Some(1));
        assert_eq!(calls.load(Ordering::Relaxed), 2, "an answer is not given twice");
        assert_eq!(ask("ccc").await.unwrap(), Some(3));
    }

    #[tokio::test]
    async fn a_call_has_no_more_names_than_it_may() {
        let (together, calls) = (Together::<&str, usize>::new(2), AtomicUsize::new(0));
        let ask = |name: &'static str| {
            let calls = &calls;
            together.ask("east", name, move |question| async move {
                calls.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                assert!(question.leave().len() <= 2);
                echo(&question)
            })
        };
        let (a, b, c) = tokio::join!(ask("a"), ask("bb"), ask("ccc"));
        assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), (Some(1), Some(2), Some(3)));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn when_the_first_gives_up_another_makes_the_call() {
        let together = Together::<&str, usize>::new(10);
        let never = together.ask("east", "a", |_| std::future::pending());
        let gives_up = async {
            tokio::select! {
                biased;
                _ = never => {}
                () = tokio::task::yield_now() => {}
            }
        };
        let other = together.ask("east", "bb", |question| async move { echo(&question) });
        let ((), answer) = tokio::join!(gives_up, other);
        assert_eq!(answer.unwrap(), Some(2));
    }
}
