//! The records of a name as the plan and the shares want them.

use super::{Published, Route53Driver};
use aws_sdk_route53::types::{AliasTarget, ResourceRecord, ResourceRecordSet, ResourceRecordSetFailover, RrType};
use pilotlight_core::id::Region;
use pilotlight_core::plan::aws::{AnswerTo, RecordPolicy, RecordType, Route53Answer};
use std::collections::BTreeMap;

pub(super) fn kind(record: RecordType) -> RrType {
    match record {
        RecordType::A => RrType::A,
        RecordType::Aaaa => RrType::Aaaa,
        RecordType::Cname => RrType::Cname,
    }
}

impl Route53Driver {
    /// One record per region. A region without a share has weight 0, or is a secondary.
    pub(super) fn records(&self, shares: &BTreeMap<Region, u32>, published: &Published) -> Vec<ResourceRecordSet> {
        let share = |region: &Region| shares.get(region).copied().unwrap_or_default();
        let secondary = self.secondary(shares, published);
        let of = |(region, answer): (&Region, &Route53Answer)| {
            let choice = match self.plan.policy {
                RecordPolicy::Weighted => Choice::Weight(share(region)),
                RecordPolicy::Failover if share(region) > 0 => Choice::Primary,
                RecordPolicy::Failover if Some(region) == secondary.as_ref() => Choice::Secondary,
                RecordPolicy::Failover => return None,
            };
            Some(self.record(region, answer, &choice))
        };
        self.plan.answers.iter().filter_map(of).collect()
    }

    /// The region that answers while the primary is unhealthy: the one that was primary until now, else the first other.
    fn secondary(&self, shares: &BTreeMap<Region, u32>, published: &Published) -> Option<Region> {
        let dark = |region: &&Region| shares.get(*region).copied().unwrap_or_default() == 0;
        let others: Vec<&Region> = self.plan.answers.keys().filter(dark).collect();
        let was = published.primary.as_ref().filter(|was| others.contains(was));
        was.or(others.first().copied()).cloned()
    }

    fn record(&self, region: &Region, answer: &Route53Answer, choice: &Choice) -> ResourceRecordSet {
        let set = ResourceRecordSet::builder()
            .name(self.full_name())
            .r#type(kind(self.plan.record))
            .set_identifier(region.as_str())
            .set_health_check_id(answer.health_check.clone());
        let set = match choice {
            Choice::Weight(weight) => set.weight(i64::from(*weight)),
            Choice::Primary => set.failover(ResourceRecordSetFailover::Primary),
            Choice::Secondary => set.failover(ResourceRecordSetFailover::Secondary),
        };
        let set = match &answer.to {
            AnswerTo::Value(value) => {
                let record = ResourceRecord::builder().value(value).build().expect("a value was given");
                set.ttl(i64::from(self.plan.ttl_seconds)).resource_records(record)
            }
            AnswerTo::Alias { name, zone } => {
                let alias = AliasTarget::builder().dns_name(name).hosted_zone_id(zone).evaluate_target_health(true);
                set.alias_target(alias.build().expect("name and zone were given"))
            }
        };
        set.build().expect("name and type were given")
    }

    /// Failover records that must go before the wanted ones fit: those whose part changes.
    pub(super) fn in_the_way(&self, shares: &BTreeMap<Region, u32>, published: &Published) -> Vec<ResourceRecordSet> {
        if self.plan.policy == RecordPolicy::Weighted {
            return Vec::new();
        }
        let wanted = self.records(shares, published);
        let part = |set: &ResourceRecordSet| (set.set_identifier().map(str::to_owned), set.failover().cloned());
        let stays = |set: &&ResourceRecordSet| wanted.iter().any(|w| part(w) == part(set));
        published.ours.iter().filter(|set| !stays(set)).cloned().collect()
    }
}

/// How Route 53 chooses a record.
enum Choice {
    Weight(u32),
    Primary,
    Secondary,
}
