//! Act three: what was lost returns, and must not be a second writer.

use crate::demo::scene::Scene;
use crate::demo::{DemoError, FaultArg};
use crate::follow::Follower;
use std::time::Duration;

/// A rewind takes a second or two; a rebuild of the small database not much longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts what the fault ended and waits until east is a standby again (or, for the agent alone, the writer still).
pub(crate) async fn come_back(scene: &mut Scene<'_>, fault: FaultArg) -> Result<Option<Follower>, DemoError> {
    match fault {
        FaultArg::Agent | FaultArg::FreezeAgent => {
            if fault == FaultArg::Agent {
                scene.narrator.act("Return: the agent of east is started again");
                scene.stage.start_agent("east")?;
            } else {
                scene.narrator.act("Return: the agent of east goes on");
                scene.stage.thaw();
            }
            scene.until("the agent to be heard", PATIENCE, |s| s.is_healthy_in("east")).await?;
            scene
                .narrator
                .event("the agent is back, found its database running and holds the lease; nothing was moved");
            return Ok(None);
        }
        FaultArg::Region | FaultArg::Controller => {
            scene.narrator.act("Return: east comes back, with the old writer's data");
            scene.stage.start_agent("east")?;
        }
        FaultArg::Partition => {
            scene.narrator.act("Return: the network of east is whole again, and east was not told what happened");
            scene.stage.net.heal_all()?;
        }
        FaultArg::Postmaster => {
            scene.narrator.act("Return: the agent of east has fenced what was left of its database");
        }
    }
    let run = scene.until("the rejoin to begin", PATIENCE, |s| s.rejoin_run()).await?;
    let mut run = Follower::new(run).within(PATIENCE);
    while !run.has_ended() {
        run.next(&scene.operator, scene.narrator).await.map_err(|e| e.before("east to rejoin"))?;
    }
    scene.until("east to follow west", PATIENCE, |s| s.follows("east")).await?;
    scene.narrator.event("east follows west: two copies again");
    Ok(Some(run))
}
