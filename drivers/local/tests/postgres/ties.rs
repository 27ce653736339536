//! Whether the two of a pair are tied to each other, as both of them see it.

use crate::pair::{Pair, eventually};
use pilotlight_core::observation::Role;

impl Pair {
    /// The writer has heard of its standby how far that is.
    pub async fn follows_by(&self, writer: &str) {
        let seen = "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn IS NOT NULL AND replay_lsn IS NOT NULL";
        eventually("the standby to be heard", || async {
            let client = self.client(writer).await?;
            let rows = client.query(seen, &[]).await.map_err(|e| e.to_string())?;
            if rows.is_empty() { Err("nothing was heard of it".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// From now on west hears nothing of east.
    pub async fn sever(&self) {
        let west = self.client("west").await.expect("a standby");
        west.batch_execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'").await.expect("a setting");
        west.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
        self.reaches("west", |role| matches!(role, Role::Standby { streaming: false, .. })).await;
        // Where east lives, nothing of it is on its way either.
        let sends = "SELECT application_name FROM pg_stat_replication WHERE replay_lsn IS NOT NULL";
        eventually("nobody to be sent anything", || async {
            let Ok(client) = self.client("east").await else { return Ok(()) };
            let rows = client.query(sends, &[]).await.map_err(|e| e.to_string())?;
            let names: Vec<String> =
                rows.iter().map(|row| row.get(0)).filter(|name: &String| !name.contains("gate")).collect();
            if names.is_empty() { Ok(()) } else { Err(format!("{names:?}")) }
        })
        .await;
    }
}
