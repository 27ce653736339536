//! Which of a client's payments a writer holds. Whoever knows the database asks it; here the ids become numbers.

use crate::measure::request_log::number_of;
use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

/// What the writer holds could not be learnt.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// The writer was asked and did not say.
    #[error("the writer did not say which payments it holds")]
    Asked(#[source] Box<dyn Error + Send + Sync>),
    /// It took too long.
    #[error("the writer did not say within {0:?} which payments it holds")]
    Slow(Duration),
}

/// Asks by `ask`, which is given the text that the ids begin with and returns all ids that begin with it; others are
/// left out. The result is what [`pilotlight_core::measure::loss`] compares with the client's samples.
pub async fn held_numbers<E>(
    client: &str,
    deadline: Duration,
    ask: impl AsyncFnOnce(&str) -> Result<Vec<String>, E>,
) -> Result<BTreeSet<u64>, HeldError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let prefix = format!("{client}-");
    let asked = tokio::time::timeout(deadline, ask(&prefix)).await.map_err(|_| HeldError::Slow(deadline))?;
    let ids = asked.map_err(|e| HeldError::Asked(e.into()))?;
    let ours = |id: &String| number_of(id).filter(|(whose, _)| *whose == client).map(|(_, number)| number);
    Ok(ids.iter().filter_map(ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn only_the_clients_own_payments_count() {
        let ids = ["c1-1", "c1-3", "c2-2", "c1-x", "c1", "by hand"].map(str::to_owned).to_vec();
        let held = held_numbers("c1", PATIENCE, async |prefix| {
            assert_eq!(prefix, "c1-");
            Ok::<_, io::Error>(ids)
        });
        assert_eq!(held.await.unwrap(), BTreeSet::from([1, 3]));
    }

    #[tokio::test]
    async fn a_writer_that_says_nothing_is_not_one_that_holds_nothing() {
        let fails = held_numbers("c1", PATIENCE, async |_| Err(io::Error::other("gone")));
        assert!(matches!(fails.await, Err(HeldError::Asked(_))));
        let hangs = held_numbers("c1", Duration::from_millis(10), async |_| {
            std::future::pending::<Result<Vec<String>, io::Error>>().await
        });
        assert!(matches!(hangs.await, Err(HeldError::Slow(_))));
    }
}
