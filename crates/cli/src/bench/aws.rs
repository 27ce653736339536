//! Moves of what AWS runs, through `pilotlight serve` and the AWS test server: how much of a run is ours, and how many calls
//! two hundred components need.
//!
//! The provider's part of a run is what the server itself recorded: when it accepted each change and when that phase was
//! over. Modelled time goes only so much faster than real time that a phase is still asked after many times, as it would be
//! in AWS; what is ours is real time and would be the same there.

mod calls;
mod many;
mod path;
mod world;

use super::figure::Figure;
use crate::demo::DemoError;
use path::{Phase, critical_path};
use pilotlight_core::placement::Verb;
use pilotlight_core::run::RunView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use world::{EAST, WEST, World};

pub(crate) use many::measure as many;

/// What a run may take beside the provider's phases.
const OURS: Duration = Duration::from_secs(2);
/// What a release binary with every driver may weigh, in MB.
const WEIGHT: f64 = 60.0;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// So many rounds.
    pub(crate) runs: u32,
    /// Modelled seconds in one real second.
    pub(crate) speed: f64,
}

/// Measures failovers and failbacks of a database, a service and a name.
pub(crate) async fn measure(asked: Asked, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<Figure>, DemoError> {
    let mut world = World::start(asked.speed).await?;
    // How long a copy takes to follow again is waited for between runs and no part of any.
    world.tell("phases", json!({"resync": 5.0})).await?;
    let made = world.tell("seed", seed()).await?;
    let zone = made["zones"]["example.com"].as_str().unwrap_or_default().to_owned();
    world.serve(&plan(&zone, &world.listen()?)).await?;
    world.until("the pair to be well and the name to lead home", |s| world::well(s, 1)).await?;
    let (mut away, mut home) = (Shares::default(), Shares::default());
    for run in 1..=asked.runs {
        world.region(EAST, "hang", "down").await?;
        world.until("the lost region to be silent", |s| world::silent(s, EAST)).await?;
        let share = one(&mut world, Verb::Failover, WEST).await?;
        progress(&format!("failover {run}/{}: {}", asked.runs, share.words()));
        away.take(&share);
        world.region(EAST, "up", "up").await?;
        world.until("the old region to follow", |s| world::well(s, 1).and_then(|()| world::follows(s, EAST))).await?;
        let share = one(&mut world, Verb::Failback, EAST).await?;
        progress(&format!("failback {run}/{}: {}", asked.runs, share.words()));
        home.take(&share);
        world.until("the other region to follow", |s| world::well(s, 1).and_then(|()| world::follows(s, WEST))).await?;
    }
    Ok([away.figures("failover"), home.figures("failback")].concat())
}

/// The size of this binary; only of a release build it says something.
pub(crate) fn size() -> Result<Figure, DemoError> {
    let program = std::env::current_exe().map_err(|e| DemoError::at("the binary's own path", e))?;
    let bytes = std::fs::metadata(program).map_err(|e| DemoError::at("the size of the binary", e))?.len();
    #[allow(clippy::cast_precision_loss)] // the size of a file
    let size = [bytes as f64 / 1e6];
    let name = if cfg!(feature = "aws") { "binary with every driver" } else { "binary without drivers for AWS" };
    Ok(match cfg!(debug_assertions) {
        true => Figure::shown(format!("{name}, debug build"), &size),
        false => Figure::at_most(name, &size, WEIGHT),
    }
    .megabytes())
}

/// One run, taken apart.
struct Share {
    run: Duration,
    provider: Duration,
}

impl Share {
    fn ours(&self) -> Duration {
        self.run.saturating_sub(self.provider)
    }

    fn words(&self) -> String {
        let ms = |d: Duration| d.as_millis();
        format!("{} ms, of which {} ms are AWS's phases, ours {} ms", ms(self.run), ms(self.provider), ms(self.ours()))
    }
}

#[derive(Default)]
struct Shares {
    run: Vec<f64>,
    provider: Vec<f64>,
    ours: Vec<f64>,
}

impl Shares {
    fn take(&mut self, share: &Share) {
        let ms = super::series::ms;
        self.run.push(ms(share.run));
        self.provider.push(ms(share.provider));
        self.ours.push(ms(share.ours()));
    }

    fn figures(&self, what: &str) -> Vec<Figure> {
        vec![
            Figure::shown(format!("{what}: the whole run, accelerated"), &self.run),
            Figure::shown(format!("{what}: AWS's phases, longest way"), &self.provider),
            Figure::at_most(format!("{what}: ours, real time"), &self.ours, super::series::ms(OURS)),
        ]
    }
}

/// Makes a move and lays it beside what the server recorded meanwhile.
async fn one(world: &mut World, verb: Verb, to: &str) -> Result<Share, DemoError> {
    let since = world.now().await?;
    let run = world.run(verb, None, to).await?;
    let phases = world.phases(since).await?;
    taken_apart(&run, &phases, &names())
}

fn taken_apart(run: &RunView, phases: &[Phase], names: &BTreeMap<String, String>) -> Result<Share, DemoError> {
    let ended = run.ended.ok_or_else(|| DemoError::Refused(format!("{} has no end", run.run)))?;
    let provider = critical_path(&run.steps, phases, names);
    if provider.is_zero() {
        return Err(DemoError::Refused(format!("the server recorded no phase of {}", run.run)));
    }
    Ok(Share { run: ended.since(run.started), provider })
}

/// What the server calls each component.
fn names() -> BTreeMap<String, String> {
    let pairs = [("database", "rds:payments"), ("web", "ecs:web"), ("name", "route53:pay.example.com")];
    pairs.map(|(component, server)| (component.to_owned(), server.to_owned())).into()
}

fn seed() -> Value {
    let service =
        |region: &str, tasks: u32| json!({"region": region, "cluster": "pay", "service": "web", "tasks": tasks});
    json!({
        "aurora": [{"group": "payments", "members": [[EAST, "pay-east"], [WEST, "pay-west"]]}],
        "ecs": [service(EAST, 6), service(WEST, 1)],
        "zones": ["example.com"],
    })
}

fn plan(zone: &str, head: &str) -> String {
    format!(
        r"{head}
components:
  database:
    kind: aurora
    global_cluster: payments
    regions: {{ {EAST}: {{ cluster: pay-east }}, {WEST}: {{ cluster: pay-west }} }}
  web:
    kind: ecs
    active: 6
    standby: 1
    regions: {{ {EAST}: {{ cluster: pay, service: web }}, {WEST}: {{ cluster: pay, service: web }} }}
  name:
    kind: route53
    zone: {zone}
    name: pay.example.com
    answers: {{ {EAST}: {{ value: 192.0.2.1 }}, {WEST}: {{ value: 192.0.2.2 }} }}
"
    )
}
