//! Plans, drivers' descriptions and looks for the tests of verdicts and derivation.

use crate::effect::{Capability, CommandLine, Descriptor, FenceAssurance, Guard, HttpMethod, Pace, Probe};
use crate::id::{Component, Region, Unit};
use crate::observation::{Role, State, Target};
use crate::plan::{
    ComponentPlan, ConnectionFence, DecisionMode, DnsPlan, ExecPlan, Guarantee, Hook, Kind, Plan, PostgresPlan,
    PostgresServer, ProcessPlan, Proof, RejoinMode, SAMPLE, SecretRef, WebhookPlan,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The shipped sample with these regions and components in one unit `main`; lease 3 s, renewed every 500 ms.
pub(crate) fn plan(regions: &[&str], components: Vec<(&str, Kind)>) -> Plan {
    let mut plan = Plan::read(SAMPLE, "sample.yaml").expect("the sample has no fault");
    plan.regions = regions.iter().map(|r| Region::from(*r)).collect();
    plan.home = plan.regions[0].clone();
    let of = |(name, kind): (&str, Kind)| (Component::from(name), ComponentPlan { unit: unit(), writes: None, kind });
    plan.components = components.into_iter().map(of).collect();
    let policy = &mut plan.policy;
    (policy.lease, policy.renew) = (Duration::from_secs(3), Duration::from_millis(500));
    (policy.mode, policy.rejoin) = (DecisionMode::Automatic, RejoinMode::Automatic);
    (policy.max_lag_bytes, policy.least_fence) = (None, FenceAssurance::Lapsed);
    policy.cool_down = Duration::from_secs(3_600);
    policy.guarantee = Guarantee::BestEffort;
    plan.objectives.rpo = Duration::from_secs(5);
    plan.verify = [probe(), probe()].map(|probe| Proof { unit: None, probe }).into();
    plan
}

/// Database, service, name, note: two regions.
pub(crate) fn usual() -> Plan {
    let regions = ["east", "west"];
    plan(
        &regions,
        vec![
            ("database", postgres(&regions)),
            ("payments", process(&regions, 2, 1)),
            ("name", dns(&regions)),
            ("chat", webhook()),
        ],
    )
}

pub(crate) fn unit() -> Unit {
    Unit::from("main")
}

pub(crate) fn target(component: &str, region: &str) -> Target {
    Target { component: component.into(), region: Some(region.into()) }
}

pub(crate) fn probe() -> Probe {
    let timeout_ms = Duration::from_secs(2);
    Probe::Http { url: "http://pay/".into(), method: HttpMethod::Get, status: None, body_contains: None, timeout_ms }
}

fn command() -> CommandLine {
    CommandLine { argv: vec!["true".into()], env: BTreeMap::new(), idempotent: false }
}

pub(crate) fn postgres(regions: &[&str]) -> Kind {
    let server = |r: &&str| {
        let (host, data_dir) = ((*r).to_owned(), "/data".into());
        (Region::from(*r), PostgresServer { host, port: 5_432, data_dir, bin_dir: None, run_as: None, proxy: None })
    };
    Kind::Postgres(PostgresPlan {
        database: "postgres".into(),
        user: "postgres".into(),
        password: None,
        tls: None,
        sentinel: Duration::from_secs(1),
        rescue: Default::default(),
        connection_fence: ConnectionFence::None,
        rebuild: Default::default(),
        rejoin_within: Duration::from_secs(6 * 3_600),
        regions: regions.iter().map(server).collect(),
    })
}

pub(crate) fn process(regions: &[&str], active: u32, standby: u32) -> Kind {
    let regions = regions.iter().map(|r| (Region::from(*r), command())).collect();
    Kind::Process(ProcessPlan { regions, active, standby, ready: BTreeMap::new() })
}

pub(crate) fn dns(regions: &[&str]) -> Kind {
    Kind::Dns(DnsPlan {
        name: "pay.test".into(),
        ttl: Duration::from_secs(1),
        server: ([127, 0, 0, 1], 5_353).into(),
        control_url: "http://127.0.0.1:5380".into(),
        answers: regions.iter().map(|r| (Region::from(*r), IpAddr::V4(Ipv4Addr::LOCALHOST))).collect(),
    })
}

pub(crate) fn exec(when: Hook, region: Option<&str>) -> Kind {
    let region = region.map(Region::from);
    Kind::Exec(ExecPlan { when, region, command: command(), deadline: Duration::from_secs(9) })
}

pub(crate) fn webhook() -> Kind {
    Kind::Webhook(WebhookPlan { url: SecretRef::Env("HOOK".into()) })
}

/// What honest drivers of the plan's kinds say of themselves.
pub(crate) fn descriptors(plan: &Plan) -> BTreeMap<Component, Descriptor> {
    plan.components.iter().map(|(name, c)| (name.clone(), descriptor(&c.kind))).collect()
}

fn descriptor(kind: &Kind) -> Descriptor {
    let (capabilities, needs_agent): (&[Capability], bool) = match kind {
        Kind::Postgres(_) => {
            (&[Capability::Replicated, Capability::Fence, Capability::Sentinel, Capability::Rescue], true)
        }
        Kind::Process(_) => (&[Capability::Capacity], true),
        Kind::Dns(_) => (&[Capability::Traffic], false),
        Kind::Exec(_) => (&[Capability::Command], false),
        Kind::Webhook(_) => (&[Capability::Message], false),
        Kind::Aws(_) => (&[], false),
    };
    let fence_assurance = match kind {
        Kind::Postgres(_) => FenceAssurance::Proven,
        _ => FenceAssurance::None,
    };
    let capabilities = capabilities.iter().copied().collect::<BTreeSet<_>>();
    Descriptor {
        capabilities,
        guard: Guard::Enforced,
        fence_assurance,
        atomic_switch: false,
        told_to_follow: false,
        needs_agent,
        pace: Pace::Seconds,
    }
}

/// A look that shows a role.
pub(crate) fn looks(role: Role) -> State {
    State { role: Some(role), ..State::default() }
}

pub(crate) fn standby(of: &str, streaming: bool) -> Role {
    Role::Standby { upstream: Some(of.into()), streaming }
}

pub(crate) const FENCED: Role = Role::Fenced { assurance: FenceAssurance::Proven };
