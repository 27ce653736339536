//! What a look at a bucket means: whether it is the one that is copied, and what its rule leaves out.

use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use pilotlight_core::outcome::Severity;
use std::collections::BTreeMap;

/// A bucket as its region's API shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    /// It keeps versions, which replication needs.
    pub keeps_versions: bool,
    /// Its replication rules.
    pub rules: Vec<Rule>,
}

/// A replication rule, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// It copies.
    pub is_enabled: bool,
    /// Name of the bucket it copies to.
    pub to: String,
    /// What limits it to some objects, in words.
    pub only: Option<String>,
    /// Deletions are copied as delete markers.
    pub delete_markers: bool,
    /// Objects encrypted with a KMS key are copied.
    pub kms: bool,
    /// CloudWatch is told of its lag.
    pub metrics: bool,
    /// AWS promises a quarter of an hour.
    pub time_control: bool,
    /// Objects from before the rule are copied, too.
    pub existing: bool,
}

impl Bucket {
    /// The rule of that id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|r| r.id == id)
    }

    /// Whether the rule of that id copies to that bucket now.
    pub fn copies(&self, id: &str, to: &str) -> bool {
        self.rule(id).is_some_and(|r| r.is_enabled && r.to == to)
    }
}

impl Rule {
    /// What it leaves out, the hint, and how grave that is.
    pub fn gaps(&self, existing_copied: bool) -> Vec<(Severity, String, &'static str)> {
        use Severity::{Note, Warning};
        let mut gaps = Vec::new();
        let mut gap = |severity, what: &str, hint| gaps.push((severity, what.to_owned(), hint));
        if let Some(only) = &self.only {
            gap(Warning, &format!("copies only {only}"), "a rule without a filter copies what nobody thought of, too");
        }
        if !self.delete_markers {
            gap(Warning, "does not copy delete markers", "what was deleted is there again after a move; enable it");
        }
        if !self.kms {
            let hint = "name `sse_kms_encrypted_objects` and a key of the other region, or make sure there are none";
            gap(Warning, "does not copy objects that a KMS key encrypts", hint);
        }
        if !self.metrics {
            gap(Warning, "has no metrics, so nobody knows how far it is behind", "enable metrics");
        }
        if !self.time_control {
            gap(Note, "has no time control, so AWS promises nothing of its lag", "enable it, or live with hours");
        }
        if !self.existing && !existing_copied {
            let hint = "run a batch replication once, then write `existing_copied: true` into the plan";
            gap(Note, "does not copy what was there before it", hint);
        }
        gaps
    }
}

/// What the bucket of a region is. It is the writer while its rule copies to the other; `fed` says whether the other one's
/// rule was seen to copy here lately.
pub fn state(seen: Option<&Bucket>, rule: &str, other: (&Region, &str), fed: bool) -> State {
    let (upstream, other) = other;
    let mut facts = BTreeMap::new();
    let role = match seen {
        None => Role::Down { clean: true, was_writer: false },
        Some(bucket) if bucket.copies(rule, other) => Role::Writer,
        Some(_) => Role::Standby { upstream: Some(upstream.clone()), streaming: fed },
    };
    if let Some(bucket) = seen {
        let word = match bucket.rule(rule) {
            None => "absent",
            Some(r) if r.to != other => "leads elsewhere",
            Some(r) if r.is_enabled => "enabled",
            Some(_) => "disabled",
        };
        facts.insert("rule".to_owned(), word.to_owned());
    }
    State { role: Some(role), facts, ..State::default() }
}

/// The bucket's name in an ARN such as `arn:aws:s3:::shop`.
pub fn bucket_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Rule {
        Rule {
            id: "everything".into(),
            is_enabled: true,
            to: bucket_of("arn:aws:s3:::west").into(),
            only: None,
            delete_markers: true,
            kms: true,
            metrics: true,
            time_control: true,
            existing: false,
        }
    }

    fn role(rules: Vec<Rule>, fed: bool) -> Role {
        let bucket = Bucket { keeps_versions: true, rules };
        state(Some(&bucket), "everything", (&"us-west-2".into(), "west"), fed).role.expect("a role is always said")
    }

    #[test]
    fn the_bucket_whose_rule_copies_is_the_writer() {
        let standby = |streaming| Role::Standby { upstream: Some("us-west-2".into()), streaming };
        assert_eq!(role(vec![whole()], true), Role::Writer);
        assert_eq!(role(vec![Rule { is_enabled: false, ..whole() }], true), standby(true));
        assert_eq!(role(vec![Rule { to: "elsewhere".into(), ..whole() }], false), standby(false));
        assert_eq!(role(vec![Rule { id: "another".into(), ..whole() }], false), standby(false));
        let gone = state(None, "everything", (&"us-west-2".into(), "west"), true);
        assert_eq!(gone.role, Some(Role::Down { clean: true, was_writer: false }));
    }

    #[test]
    fn each_thing_that_a_rule_leaves_out_is_named() {
        assert!(whole().gaps(true).is_empty());
        assert!(Rule { existing: true, ..whole() }.gaps(false).is_empty());
        let poor = Rule { only: Some("objects under `a/`".into()), ..Rule::default() };
        assert_eq!(poor.gaps(false).len(), 6);
        assert_eq!(poor.gaps(false).iter().filter(|g| g.0 == Severity::Warning).count(), 4);
    }
}
