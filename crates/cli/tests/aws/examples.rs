//! Every example by the very commands of its README, in their order and each to a good end: checked, imported, served against
//! the AWS test server, walked dry; then its home is lost, it fails over, home joins again, it goes home, and is drilled, with a
//! user who writes all the time. The runbook and the picture in the example's folder are generated documents:
//! `PILOTLIGHT_WRITE_DOCS=1` writes them.

mod checked;
mod import;
mod page;
mod story;
mod users;
mod wanted;

use crate::ground::Ground;
use checked::Checked;
use page::Line;
use pilotlight_core::plan::aws::AwsComponent;
use pilotlight_core::plan::{Kind, Plan};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use story::Story;
use wanted::wanted;

fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example)
}

/// The document as it is in the folder, or written there.
fn is_as_generated(path: &Path, text: &str) {
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        fs::write(path, text).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, text, "{} is stale: PILOTLIGHT_WRITE_DOCS=1 make test-aws", path.display());
}

/// The page with the picture put between its marks.
fn with_picture(page: &str, picture: &str) -> String {
    let (before, rest) = page.split_once("```mermaid\n").expect("the page has a picture");
    let (_, after) = rest.split_once("```").expect("the picture ends");
    format!("{before}```mermaid\n{picture}```{after}")
}

/// Health checks: as the example calls them, and their ids.
fn checks(plan: &Plan, made: &Value) -> Vec<(String, String)> {
    let text = |id: &Value| id.as_str().unwrap().to_owned();
    let plain = made["checks"].as_object().into_iter().flatten().map(|(name, id)| (name.clone(), text(id)));
    let of_switch = plan.components.values().filter_map(|component| {
        let Kind::Aws(AwsComponent::Route53(name)) = &component.kind else { return None };
        let (switch, _) = name.switch()?;
        Some((name.answers[&switch.home].health_check.clone()?, text(&made["switches"][&switch.bucket])))
    });
    plain.chain(of_switch).collect()
}

/// The example's plan with the names that the server gave.
fn named(text: &str, plan: &Plan, made: &Value) -> String {
    let mut text = text.to_owned();
    for (name, id) in checks(plan, made) {
        text = text.replace(&name, &id);
    }
    if let Some(zone) = made["zones"]["example.com"].as_str() {
        text = text.replace("Z0000000000EXAMPLE", zone);
    }
    let led = &made["accelerators"]["addresses"];
    for component in plan.components.values() {
        let Kind::Aws(AwsComponent::Accelerator(accelerator)) = &component.kind else { continue };
        for (region, group) in &accelerator.regions {
            text = text.replace(group, led["groups"][region.as_str()].as_str().unwrap());
        }
        text = text.replace(&accelerator.listener, led["listener"].as_str().unwrap());
    }
    text
}

/// Runbook and picture are as in the folder.
async fn documents(ground: &Arc<Ground>, example: &'static str, plan: &Plan, made: &Value) {
    let asking = ground.clone();
    let (words, graph) = tokio::task::spawn_blocking(move || {
        let [words, graph] = ["markdown", "graph"].map(|format| {
            let (code, shown, err) = asking.said(&["runbook", "show", "failover", "--format", format]);
            assert_eq!(code, 0, "{err}\n{}", asking.log());
            shown
        });
        (words, graph)
    })
    .await
    .unwrap();
    // What the server made has names of its own.
    let mut named = words;
    for (name, id) in checks(plan, made) {
        named = named.replace(&id, &name);
    }
    is_as_generated(&folder(example).join("RUNBOOK.md"), &named);
    let page = folder(example).join("README.md");
    let kept = fs::read_to_string(&page).unwrap();
    is_as_generated(&page, &with_picture(&kept, &graph));
}

/// The world of an example, and its page.
struct World {
    ground: Arc<Ground>,
    story: Story,
    lines: Vec<Line>,
    plan: Plan,
    made: Value,
}

async fn begin(example: &'static str, speed: f64) -> Option<World> {
    let mut ground = Ground::find_at(speed).await?;
    let lines = page::lines(&folder(example));
    let checked = Checked::of(&page::environment(&folder(example), &lines));
    let kept = fs::read_to_string(folder(example).join("pilotlight.yaml")).unwrap();
    let plan = Plan::read(&kept, example).unwrap();
    let made = ground.server.tell("seed", wanted(&plan, checked)).await.unwrap();
    ground.type_in(&format!("examples/{example}"));
    fs::write(ground.at().join("pilotlight.yaml"), &kept).unwrap();
    let ground = Arc::new(ground);
    let text = named(&kept, &plan, &made);
    let story = Story::of(folder(example), example, ground.clone(), text);
    Some(World { ground, story, lines, plan, made })
}

async fn run(example: &'static str, speed: f64, as_wanted: impl FnOnce(Story) -> Story) -> Option<Story> {
    let World { ground, story, lines, plan, made } = begin(example, speed).await?;
    let mut story = as_wanted(story);
    for line in lines {
        if line.is_dry_run() {
            story.at_rest("at the start").await;
            documents(&ground, example, &plan, &made).await;
        }
        story.walk(&line).await;
    }
    Some(story)
}

/// As far as the page goes before the failover.
async fn before_the_failover(example: &'static str, speed: f64) -> Option<Story> {
    let World { mut story, lines, .. } = begin(example, speed).await?;
    for line in lines.iter().take_while(|line| !line.is_dry_run()) {
        story.walk(line).await;
    }
    Some(story)
}

#[tokio::test(flavor = "multi_thread")]
async fn payments() {
    run("payments", 50.0, |story| story).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portfolio() {
    run("portfolio", 50.0, |story| story).await;
}

/// T+30 s unhealthy, T+90 s most, T+120 s all, says the page: beside that stand what the environment and the records make of it,
/// and what was measured.
#[tokio::test(flavor = "multi_thread")]
async fn ecommerce() {
    // Slow enough that the objective of five minutes holds in modelled time, with all that is ours in it.
    let Some(story) = run("ecommerce", 20.0, |story| story.then_at(50.0)).await else { return };
    story.meets_its_objective();
    story.course(Checked::of(&folder("../terraform/environments/ecommerce"))).await;
}

/// Route 53's control plane is lost with home, and comes back after it.
#[tokio::test(flavor = "multi_thread")]
async fn home_is_held_while_route_53_takes_no_change() {
    let Some(mut story) = before_the_failover("portfolio", 50.0).await else { return };
    let checked = Checked::of(&folder("../terraform/environments/portfolio"));
    story.holds_home_and_resumes(f64::from(u32::try_from(checked.takes()).unwrap())).await;
}

/// A person does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_step_is_skipped_while_route_53_takes_no_change() {
    let Some(mut story) = before_the_failover("portfolio", 50.0).await else { return };
    story.goes_on_without_the_last_step("name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn active_active() {
    run("active-active", 50.0, |story| story).await;
}

/// The drill goes on for one modelled hour and restores itself.
#[tokio::test(flavor = "multi_thread")]
async fn ecs() {
    run("ecs", 150.0, Story::drilled_for_an_hour).await;
}
