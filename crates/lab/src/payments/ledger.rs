//! The few database connections of the payments service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls, Statement};

/// Enough for a few hundred payments a second and few enough for a small server.
const CONNECTIONS: usize = 8;

/// A payment that takes longer is answered as failed; whether it was recorded is then in doubt.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a payment was not recorded, or not known to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    #[error("the database cannot be reached")]
    Connect(#[source] tokio_postgres::Error),
    #[error("the database refused: {0}")]
    Refused(String),
    #[error("the database did not answer in time")]
    Slow,
}

/// A fixed set of connections, each opened when first used and again after it broke.
pub(super) struct Ledger {
    config: Config,
    slots: Vec<Mutex<Option<Slot>>>,
    next: AtomicUsize,
}

#[derive(Clone)]
struct Slot {
    client: Arc<Client>,
    insert: Statement,
}

impl Ledger {
    pub(super) fn open(dsn: &str, password: Option<&str>) -> std::io::Result<Self> {
        let mut config: Config =
            dsn.parse().map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("bad dsn: {e}")))?;
        if let Some(password) = password {
            config.password(password);
        }
        config.connect_timeout(Duration::from_secs(1)).application_name("payments");
        let slots = (0..CONNECTIONS).map(|_| Mutex::new(None)).collect();
        Ok(Self { config, slots, next: AtomicUsize::new(0) })
    }

    /// Whether payments can be recorded now.
    pub(super) async fn is_writable(&self) -> Result<bool, LedgerError> {
        self.on_a_connection(async |slot| {
            let row = slot.client.query_one("select not pg_is_in_recovery()", &[]).await.map_err(refused)?;
            Ok(row.get(0))
        })
        .await
    }

    /// Records a payment; `Ok` means that it is committed.
    pub(super) async fn record(&self, id: &str, region: &str) -> Result<(), LedgerError> {
        self.on_a_connection(async |slot| {
            slot.client.execute(&slot.insert, &[&id, &region]).await.map_err(refused).map(|_| ())
        })
        .await
    }

    async fn on_a_connection<T>(
        &self,
        work: impl AsyncFnOnce(Slot) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let slot = {
            // Held while connecting only, never while a statement runs.
            let mut held = self.slots[index].lock().await;
            match held.as_ref() {
                Some(slot) if !slot.client.is_closed() => slot.clone(),
                _ => held.insert(self.connect().await?).clone(),
            }
        };
        let result = timeout(PATIENCE, work(slot)).await.unwrap_or(Err(LedgerError::Slow));
        if matches!(result, Err(LedgerError::Slow)) {
            *self.slots[index].lock().await = None;
        }
        result
    }

    async fn connect(&self) -> Result<Slot, LedgerError> {
        let (client, connection) = self.config.connect(NoTls).await.map_err(LedgerError::Connect)?;
        // Ends with the client: when the slot is replaced, or when the server is gone.
        tokio::spawn(connection);
        let insert = client.prepare("insert into payments (id, region) values ($1, $2)").await.map_err(refused)?;
        Ok(Slot { client: Arc::new(client), insert })
    }
}

#[allow(clippy::needless_pass_by_value)] // the shape map_err wants
fn refused(e: tokio_postgres::Error) -> LedgerError {
    match e.as_db_error() {
        Some(db) => LedgerError::Refused(db.message().to_owned()),
        None => LedgerError::Connect(e),
    }
}
