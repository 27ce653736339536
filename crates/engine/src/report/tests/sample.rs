//! Three reports as the demo, a quick local failover and a night without anybody awake would give them.

use super::super::*;

const STEPS: &[(&str, &str, &str)] = &[
    ("await-lapse", "Wait out the lease of east", "fence"),
    ("grant", "Let west hold the lease", "fence"),
    ("promote-database", "Promote database in west", "promote"),
    ("scale-payments", "Run 2 instances of payments in west", "scale"),
    ("route-entry", "Lead all traffic to west", "route"),
    ("verify-1", "Verify POST pay.example.test", "verify"),
    ("notify", "Tell #payments-oncall", "notify"),
];

/// A failover whose turning points lie at these offsets after the fault.
struct Story {
    fault: u64,
    /// first failed, verdict, fenced, promoted, routed, first good
    points: [u64; 6],
    lost: u64,
}

impl Story {
    fn at(&self, point: usize) -> u64 {
        self.fault + self.points[point]
    }

    fn steps(&self) -> Vec<Step> {
        let [_, verdict, fenced, promoted, routed, good] = self.points;
        let spans = [
            (verdict, fenced),
            (fenced, fenced + 4),
            (fenced + 4, promoted),
            (fenced + 4, promoted + 3),
            (promoted, routed),
            (routed, good),
            (good, good + 41),
        ];
        let step = |(&(id, title, phase), (from, until)): (&(&str, &str, &str), (u64, u64))| Step {
            id: id.to_owned(),
            title: title.to_owned(),
            phase: phase.to_owned(),
            end: if id == "notify" { StepEnd::Warned } else { StepEnd::Done },
            started_ms: Some(self.fault + from),
            ended_ms: Some(self.fault + until),
            attempts: 1,
            said: if id == "notify" { "the webhook answered 503; nobody was told".to_owned() } else { String::new() },
        };
        STEPS.iter().zip(spans).map(step).collect()
    }

    fn events(&self) -> Vec<Event> {
        let marks = [
            (self.fault, Mark::Fault, "Region east lost: every process killed with SIGKILL"),
            (self.at(0), Mark::FirstFailed, "First failed request"),
            (self.at(1), Mark::Verdict, "Verdict: region lost"),
            (self.at(2), Mark::Fenced, "Lease of east has lapsed"),
            (self.at(3), Mark::Promoted, "database in west accepts writes"),
            (self.at(4), Mark::Routed, "pay.example.test answers west"),
            (self.at(5), Mark::FirstGood, "First good request"),
        ];
        let event = |(at_ms, mark, text): (u64, Mark, &str)| Event { at_ms, text: text.to_owned(), mark: Some(mark) };
        marks.into_iter().map(event).collect()
    }

    fn run(&self) -> Move {
        let [failed, verdict, fenced, promoted, routed, good] = self.points;
        let part = |name: &str, ms| Part { name: name.to_owned(), ms };
        Move {
            run: "failover-20261121-004512-7".to_owned(),
            verb: "failover".to_owned(),
            from: "east".to_owned(),
            to: "west".to_owned(),
            cause: "Pilotlight decided by itself: region east is lost, policy is automatic.".to_owned(),
            verdict: Some("region lost".to_owned()),
            evidence: vec![
                Evidence { by: "controller".to_owned(), says: "agent of east silent for 3.2 s".to_owned() },
                Evidence { by: "store".to_owned(), says: "lease of east over by the granter's clock".to_owned() },
                Evidence { by: "agent of west".to_owned(), says: "database receives no changes from east".to_owned() },
            ],
            result: "done with warnings".to_owned(),
            rescued: vec![],
            started_ms: self.at(1),
            ended_ms: Some(self.at(5) + 60),
            steps: self.steps(),
            events: self.events(),
            impact: Some(Impact {
                outage: Some(Span { from_ms: self.at(0), until_ms: self.at(5) }),
                outage_goes_on: false,
                parts: vec![
                    part("detect", verdict - failed - 2),
                    part("decide", 2),
                    part("fence", fenced - verdict),
                    part("promote", promoted - fenced),
                    part("scale", 0),
                    part("route", routed - promoted),
                    part("propagate", (good - routed) * 2 / 3),
                    part("verify", good - routed - (good - routed) * 2 / 3),
                ],
                longest_gap_ms: good - failed + 5,
                lost_time_ms: Some(self.lost * 5),
                acked: 2_214,
                failed: (good - failed) / 5,
                lost: Some(Ids::of((0..self.lost).map(|n| format!("01hx9q{:04}", 4_200 + n)))),
                dual_acked: Ids::default(),
                late_acked: 0,
            }),
        }
    }
}

fn throughput(until_ms: u64, answers: impl Fn(u64) -> Option<&'static str>) -> Throughput {
    let bucket = |at: u64| match answers(at) {
        Some(region) => Bucket { acked: [(region.to_owned(), 19 + at / 100 % 3)].into(), failed: 0 },
        None => Bucket { acked: [].into(), failed: 12 + at / 100 % 5 },
    };
    Throughput { bucket_ms: 100, from_ms: 0, buckets: (0..until_ms).step_by(100).map(bucket).collect() }
}

fn lane(region: &str, stays: &[(u64, u64, LaneState)]) -> Lane {
    let stay = |&(from_ms, until_ms, state): &(u64, u64, LaneState)| Stay { span: Span { from_ms, until_ms }, state };
    Lane { region: region.to_owned(), spans: stays.iter().map(stay).collect() }
}

fn report(title: &str, moves: Vec<Move>, lanes: Vec<Lane>, client: Throughput) -> Report {
    let outage = moves[0].impact.as_ref().and_then(|i| i.outage).map(|o| o.length_ms());
    let pairs = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Report {
        schema: SCHEMA,
        application: "payments".to_owned(),
        title: title.to_owned(),
        origin: Wall(1_795_221_900_000),
        regions: vec!["east".to_owned(), "west".to_owned()],
        rto: Objective { objective_ms: 15_000, measured_ms: outage, at_most_ms: None },
        rpo: Objective { objective_ms: 1_000, measured_ms: Some(15), at_most_ms: None },
        moves,
        lanes,
        client: Some(client),
        guarantee: Guarantee {
            name: "best-effort".to_owned(),
            rests_on: "The old writer's lease had run out before another was promoted.".to_owned(),
            unproven: vec!["A frozen agent beside a living database does not fence it.".to_owned()],
        },
        environment: [("pilotlight", "0.1.0"), ("postgres", "15.18"), ("system", "Linux 6.1, 2 cores")]
            .map(pairs)
            .into(),
        notes: vec!["All regions were processes on one machine.".to_owned()],
    }
}

/// What the demo gives: failover, rejoin, failback.
pub(super) fn demo() -> Report {
    use LaneState::{Fenced, Lost, Rejoining, Standby, Writer};
    let story = Story { fault: 8_000, points: [12, 3_300, 3_420, 3_560, 3_580, 3_890], lost: 3 };
    let (back, joined, home) = (20_000, 24_600, 34_000);
    let quiet = |id: &str, title: &str, phase: &str, from, until| Step {
        id: id.to_owned(),
        title: title.to_owned(),
        phase: phase.to_owned(),
        end: StepEnd::Done,
        started_ms: Some(from),
        ended_ms: Some(until),
        attempts: 1,
        said: String::new(),
    };
    let rejoin = Move {
        run: "rejoin-20261121-004533-9".to_owned(),
        verb: "rejoin".to_owned(),
        from: "west".to_owned(),
        to: "east".to_owned(),
        cause: "Region east is back; policy rejoins by itself.".to_owned(),
        verdict: None,
        evidence: vec![],
        result: "done".to_owned(),
        started_ms: back + 900,
        ended_ms: Some(joined),
        steps: vec![
            quiet("fence-database", "Fence database in east", "fence", back + 900, back + 1_080),
            quiet("rejoin-database", "Rewind database in east and follow west", "rejoin", back + 1_080, joined),
        ],
        events: vec![],
        impact: None,
        rescued: vec![Rescued {
            bundle: "database-east-1-0_3004208-0_30A1B20".to_owned(),
            region: "east".to_owned(),
            transactions: 6,
            changes: Some(6),
            span_ms: Some(30),
            first: Some("2026-11-21T00:45:12.310Z".to_owned()),
            complete: true,
        }],
    };
    let failback = Move {
        run: "failback-20261121-004546-12".to_owned(),
        verb: "failback".to_owned(),
        from: "west".to_owned(),
        to: "east".to_owned(),
        cause: "Asked for by the demo.".to_owned(),
        steps: vec![
            quiet("checkpoint", "Checkpoint database in west", "prepare", home, home + 310),
            quiet("stop-writes", "Stop writes of database in west", "fence", home + 310, home + 420),
            quiet("await-position", "Wait until east holds everything", "promote", home + 420, home + 431),
            quiet("promote-database", "Promote database in east", "promote", home + 431, home + 520),
            quiet("route-entry", "Lead all traffic to east", "route", home + 520, home + 528),
            quiet("rejoin-database", "Make database in west follow east", "rejoin", home + 520, home + 1_740),
        ],
        started_ms: home,
        ended_ms: Some(home + 1_750),
        impact: Some(Impact {
            outage: Some(Span { from_ms: home + 318, until_ms: home + 560 }),
            outage_goes_on: false,
            parts: vec![
                Part { name: "fence".to_owned(), ms: 102 },
                Part { name: "promote".to_owned(), ms: 100 },
                Part { name: "route".to_owned(), ms: 8 },
                Part { name: "propagate".to_owned(), ms: 32 },
            ],
            longest_gap_ms: 247,
            lost_time_ms: Some(0),
            acked: 1_200,
            failed: 48,
            lost: Some(Ids::default()),
            dual_acked: Ids::default(),
            late_acked: 0,
        }),
        rescued: vec![],
        ..rejoin.clone()
    };
    let end = 40_000;
    let lanes = vec![
        lane(
            "east",
            &[
                (0, 8_000, Writer),
                (8_000, back, Lost),
                (back, back + 1_080, Fenced),
                (back + 1_080, joined, Rejoining),
                (joined, home + 520, Standby),
                (home + 520, end, Writer),
            ],
        ),
        lane(
            "west",
            &[
                (0, 11_560, Standby),
                (11_560, home + 420, Writer),
                (home + 420, home + 1_740, Rejoining),
                (home + 1_740, end, Standby),
            ],
        ),
    ];
    let client = throughput(end, move |at| match at {
        8_000..11_900 => None,
        11_900..34_300 => Some("west"),
        34_300..34_500 => None,
        _ => Some("east"),
    });
    report(
        "Region east lost, service in west after 3.88 s, home again",
        vec![story.run(), rejoin, failback],
        lanes,
        client,
    )
}

/// An outage of 200 ms.
pub(super) fn short() -> Report {
    use LaneState::{Fenced, Standby, Writer};
    let story = Story { fault: 3_000, points: [4, 60, 110, 170, 178, 204], lost: 0 };
    let lanes = vec![
        lane("east", &[(0, 3_000, Writer), (3_000, 6_000, Fenced)]),
        lane("west", &[(0, 3_170, Standby), (3_170, 6_000, Writer)]),
    ];
    let client = throughput(6_000, |at| match at {
        0..3_000 => Some("east"),
        3_000..3_200 => None,
        _ => Some("west"),
    });
    report("PostgreSQL in east died, service in west after 200 ms", vec![story.run()], lanes, client)
}

/// An outage of four hours, because a person had to approve.
pub(super) fn long() -> Report {
    use LaneState::{Lost, Standby, Writer};
    const HOUR: u64 = 3_600_000;
    let good = 4 * HOUR + 4_000;
    let story =
        Story { fault: HOUR / 2, points: [12, 3_300, good - 3_000, good - 2_500, good - 2_400, good], lost: 120 };
    let end = 5 * HOUR;
    let lanes = vec![
        lane("east", &[(0, HOUR / 2, Writer), (HOUR / 2, end, Lost)]),
        lane("west", &[(0, HOUR / 2 + good - 2_500, Standby), (HOUR / 2 + good - 2_500, end, Writer)]),
    ];
    let client = throughput(end, move |at| match at {
        at if at < HOUR / 2 => Some("east"),
        at if at < HOUR / 2 + good => None,
        _ => Some("west"),
    });
    report("Region east lost at night, service in west after four hours", vec![story.run()], lanes, client)
}
