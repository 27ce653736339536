//! Act four: a planned move, which must lose nothing.

use crate::demo::DemoError;
use crate::demo::follow::Follower;
use crate::demo::scene::Scene;
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
    let mut run = Follower::new(run);
    let end = scene.now() + PATIENCE;
    let served_there = |client: &ClientHandle| client.live().region.is_some_and(|r| r.as_str() == to);
    while !(run.has_ended() && served_there(client)) {
        for record in run.fetch(&scene.operator, Duration::from_millis(200)).await {
            run.tell(&record, scene.narrator);
        }
        if scene.now() > end {
            let seen = run.state().map_or_else(String::new, |s| format!("{:?}", s.condition()));
            return Err(DemoError::Waited {
                what: format!("the service to be in {to}"),
                seconds: PATIENCE.as_secs(),
                seen,
            });
        }
    }
    scene.narrator.event(&format!("users: payments are answered by {to}"));
    Ok(Moved { at, run })
}
