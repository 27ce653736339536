//! Two hundred components in five units, all failed over at once and taken home: how many calls that needs, and whether any
//! is refused for coming too often.

use super::calls::{Kind, peaks, read};
use super::path::critical_path;
use super::world::{self, EAST, WEST, World};
use super::{Asked, Figure};
use crate::bench::series::ms;
use crate::demo::DemoError;
use pilotlight_core::placement::Verb;
use pilotlight_core::run::RunView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// In each unit: one database and one name, and so many of these.
const UNITS: usize = 5;
const SERVICES: usize = 30;
const GROUPS: usize = 8;

/// Measures so many rounds.
pub(crate) async fn measure(asked: Asked, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<Figure>, DemoError> {
    let mut world = World::start(asked.speed).await?;
    world.tell("phases", json!({"resync": 5.0})).await?;
    let made = world.tell("seed", seed()).await?;
    let zone = made["zones"]["example.com"].as_str().unwrap_or_default().to_owned();
    world.serve(&plan(&zone, &world.listen()?)).await?;
    world.until("every unit to be well and every name to lead home", |s| world::well(s, UNITS)).await?;
    let (mut away, mut home, mut kinds) = (Takes::default(), Takes::default(), Vec::new());
    for run in 1..=asked.runs {
        world.region(EAST, "hang", "down").await?;
        world.until("the lost region to be silent", |s| world::silent(s, EAST)).await?;
        all(&world, Verb::Failover, WEST, &mut away, &mut kinds).await?;
        progress(&format!("200 components away {run}/{}: {}", asked.runs, away.last()));
        world.region(EAST, "up", "up").await?;
        let back = |s: &_| world::well(s, UNITS).and_then(|()| world::follows(s, EAST));
        world.until("the old region to follow", back).await?;
        all(&world, Verb::Failback, EAST, &mut home, &mut kinds).await?;
        progress(&format!("200 components home {run}/{}: {}", asked.runs, home.last()));
        let again = |s: &_| world::well(s, UNITS).and_then(|()| world::follows(s, WEST));
        world.until("the other region to follow", again).await?;
    }
    Ok([away.figures("200 components, failover"), home.figures("200 components, failback"), of_calls(&kinds)].concat())
}

/// What the rounds took, in milliseconds.
#[derive(Default)]
struct Takes {
    run: Vec<f64>,
    ours: Vec<f64>,
}

impl Takes {
    fn last(&self) -> String {
        let last = |v: &[f64]| v.last().copied().unwrap_or_default();
        format!("{:.0} ms, ours {:.0} ms", last(&self.run), last(&self.ours))
    }

    fn figures(&self, what: &str) -> Vec<Figure> {
        vec![
            Figure::shown(format!("{what}: all units, accelerated"), &self.run),
            Figure::shown(format!("{what}: ours, real time"), &self.ours),
        ]
    }
}

/// Moves every unit at once.
async fn all(
    world: &World,
    verb: Verb,
    to: &str,
    takes: &mut Takes,
    kinds: &mut Vec<Vec<Kind>>,
) -> Result<(), DemoError> {
    world.forget_calls().await?;
    let since = world.now().await?;
    let units: Vec<String> = (0..UNITS).map(|u| format!("shop-{u}")).collect();
    let (a, b, c, d, e) = tokio::join!(
        world.run(verb, Some(&units[0]), to),
        world.run(verb, Some(&units[1]), to),
        world.run(verb, Some(&units[2]), to),
        world.run(verb, Some(&units[3]), to),
        world.run(verb, Some(&units[4]), to),
    );
    let runs: Vec<RunView> = [a, b, c, d, e].into_iter().collect::<Result<_, _>>()?;
    kinds.push(read(world.ask("rates").await?)?);
    let phases = world.phases(since).await?;
    let began = runs.iter().map(|r| r.started).min().unwrap_or_default();
    let ended = runs.iter().filter_map(|r| r.ended).max().unwrap_or_default();
    let longest = runs.iter().map(|r| critical_path(&r.steps, &phases, &names())).max().unwrap_or_default();
    takes.run.push(ms(ended.since(began)));
    takes.ours.push(ms(ended.since(began).saturating_sub(longest)));
    Ok(())
}

/// What was refused, and the busiest second of each action in the median round.
fn of_calls(rounds: &[Vec<Kind>]) -> Vec<Figure> {
    let sum = |pick: &dyn Fn(&Kind) -> u64| rounds.iter().flatten().map(pick).sum::<u64>();
    let mut figures = vec![
        Figure::count("200 components: calls, all moves", sum(&|k| k.calls), rounds.len(), false),
        Figure::count("200 components: refused for their rate", sum(&|k| k.throttled), rounds.len(), true),
    ];
    let mut of_actions: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (action, most) in rounds.iter().flat_map(|kinds| peaks(kinds)) {
        #[allow(clippy::cast_precision_loss)] // calls in a second
        of_actions.entry(action).or_default().push(most as f64);
    }
    let published: BTreeMap<&str, (f64, f64)> =
        rounds.iter().flatten().filter_map(|k| Some((k.name.split(' ').next()?, k.published?))).collect();
    for (action, most) in &of_actions {
        let allowed = match published.get(action) {
            Some((rate, size)) => format!("AWS: {rate}/s, {size} at once"),
            None => "no limit of AWS is held against it".to_owned(),
        };
        figures.push(Figure::shown(format!("{action} ({allowed})"), most).per_second());
    }
    figures
}

fn each(mut one: impl FnMut(usize)) {
    (0..UNITS).for_each(&mut one);
}

/// What the server calls each component.
fn names() -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    each(|u| {
        names.insert(format!("database-{u}"), format!("rds:shop-{u}"));
        names.insert(format!("name-{u}"), format!("route53:shop-{u}.example.com"));
        for n in 0..SERVICES {
            names.insert(format!("service-{u}-{n}"), format!("ecs:service-{u}-{n}"));
        }
        for n in 0..GROUPS {
            names.insert(format!("group-{u}-{n}"), format!("autoscaling:group-{u}-{n}"));
        }
    });
    names
}

fn seed() -> Value {
    let (mut aurora, mut ecs, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    each(|u| {
        let members = json!([[EAST, format!("east-{u}")], [WEST, format!("west-{u}")]]);
        aurora.push(json!({"group": format!("shop-{u}"), "members": members}));
        for (region, size) in [(EAST, 3), (WEST, 1)] {
            for n in 0..SERVICES {
                let (cluster, service) = (format!("shop-{u}"), format!("service-{u}-{n}"));
                ecs.push(json!({"region": region, "cluster": cluster, "service": service, "tasks": size}));
            }
            for n in 0..GROUPS {
                groups.push(json!({"region": region, "name": format!("group-{u}-{n}"), "least": size, "most": 3}));
            }
        }
    });
    json!({"aurora": aurora, "ecs": ecs, "groups": groups, "zones": ["example.com"]})
}

fn plan(zone: &str, head: &str) -> String {
    let mut text = format!("{head}\ncomponents:\n");
    let mut add = |line: String| writeln!(text, "  {line}").expect("a text grows");
    each(|u| {
        add(format!(
            "database-{u}: {{ kind: aurora, unit: shop-{u}, global_cluster: shop-{u}, \
             regions: {{ {EAST}: {{ cluster: east-{u} }}, {WEST}: {{ cluster: west-{u} }} }} }}"
        ));
        for n in 0..SERVICES {
            let place = format!("{{ cluster: shop-{u}, service: service-{u}-{n} }}");
            add(format!(
                "service-{u}-{n}: {{ kind: ecs, unit: shop-{u}, active: 3, standby: 1, \
                 regions: {{ {EAST}: {place}, {WEST}: {place} }} }}"
            ));
        }
        for n in 0..GROUPS {
            add(format!(
                "group-{u}-{n}: {{ kind: autoscaling, unit: shop-{u}, active: 3, standby: 1, \
                 regions: {{ {EAST}: group-{u}-{n}, {WEST}: group-{u}-{n} }} }}"
            ));
        }
        add(format!(
            "name-{u}: {{ kind: route53, unit: shop-{u}, zone: {zone}, name: shop-{u}.example.com, \
             answers: {{ {EAST}: {{ value: 192.0.2.1 }}, {WEST}: {{ value: 192.0.2.2 }} }} }}"
        ));
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::Plan;

    #[test]
    fn the_plan_has_two_hundred_components_in_five_units() {
        let head = format!(
            "application: shop\nobjectives: {{ rto: 15m, rpo: 1m }}\nregions: [{EAST}, {WEST}]\n\
             policy: {{ mode: manual }}\n\
             controller: {{ listen: 127.0.0.1:7400, state: state, token: {{ env: T }} }}"
        );
        let plan = Plan::read(&plan("Z1", &head), "plan").unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!((plan.components.len(), plan.units().len(), names().len()), (200, UNITS, 200));
        assert!(plan.components.keys().all(|c| names().contains_key(c.as_str())));
    }
}
