//! Act four: a planned move, which must lose nothing.

use crate::demo::DemoError;
use crate::demo::scene::Scene;
use crate::follow::Follower;
use pilotlight_core::id::RunId;
use pilotlight_core::time::Mono;
use pilotlight_engine::measure::ClientHandle;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// The move as it went.
pub(crate) struct Moved {
    /// When it was asked for.
    pub(crate) at: Mono,
    /// The run.
    pub(crate) run: Follower,
}

/// Moves the writer to `to` in an orderly way and waits until users are served there.
pub(crate) async fn switch_over(
    scene: &mut Scene<'_>,
    client: &ClientHandle,
    to: &'static str,
) -> Result<Moved, DemoError> {
    let verb = if to == "east" { "failback" } else { "switchover" };
    scene.narrator.act(&format!("Planned {verb}: the service moves to {to}, users barely notice"));
    let at = scene.now();
    let run: RunId = crate::command::moves::start(&scene.operator, verb, to, "the demo")
        .await
        .map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?;
    let mut run = Follower::new(run).within(PATIENCE);
    let served_there = |client: &ClientHandle| client.live().region.is_some_and(|r| r.as_str() == to);
    while !(run.has_ended() && served_there(client)) {
        let next = run.next(&scene.operator, scene.narrator).await;
        next.map_err(|e| e.before(&format!("the service to be in {to}")))?;
    }
    scene.narrator.event(&format!("users: payments are answered by {to}"));
    Ok(Moved { at, run })
}
