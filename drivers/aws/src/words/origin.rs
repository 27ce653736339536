//! What a look at a distribution of CloudFront means: whether it would go to the other region by itself.
//!
//! Border: read and judged, never changed. An origin group is AWS's own switch, request by request; nothing of ours moves it.

use crate::finding::finding;
use crate::words::xml::Node;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::AwsDistribution;

/// What a lost region answers with, or a load balancer in front of nothing.
const LOST: [u16; 4] = [500, 502, 503, 504];

/// A distribution as `GetDistribution` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// `Deployed` or `InProgress`.
    pub status: String,
    /// It answers users.
    pub is_enabled: bool,
    /// Id and domain name of each origin.
    pub origins: Vec<(String, String)>,
    /// Its origin groups.
    pub groups: Vec<OriginGroup>,
    /// The path pattern of each behaviour, `*` for all others, and where it leads.
    pub behaviours: Vec<(String, String)>,
}

/// An origin group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginGroup {
    /// Its id.
    pub id: String,
    /// Ids of its origins, the primary first.
    pub members: Vec<String>,
    /// Answers after which the next origin is asked.
    pub codes: Vec<u16>,
}

impl Distribution {
    /// Out of AWS's answer; `None` when it is something else.
    pub fn read(answer: &str) -> Option<Distribution> {
        let root = Node::read(answer)?;
        let config = root.child("DistributionConfig")?;
        let texts = |nodes: &[Node]| nodes.iter().map(|n| n.text.clone()).collect::<Vec<_>>();
        let two = |n: &Node, a, b| Some((n.text_at(&[a])?.to_owned(), n.text_at(&[b])?.to_owned()));
        let group = |n: &Node| {
            let member = |m: &Node| m.text_at(&["OriginId"]).map(str::to_owned);
            Some(OriginGroup {
                id: n.text_at(&["Id"])?.to_owned(),
                members: n.items(&["Members"]).iter().filter_map(member).collect(),
                codes: texts(n.items(&["FailoverCriteria", "StatusCodes"])).iter().flat_map(|c| c.parse()).collect(),
            })
        };
        let usual = config.text_at(&["DefaultCacheBehavior", "TargetOriginId"])?;
        let others = config.items(&["CacheBehaviors"]).iter().filter_map(|n| two(n, "PathPattern", "TargetOriginId"));
        Some(Distribution {
            status: root.text_at(&["Status"])?.to_owned(),
            is_enabled: config.text_at(&["Enabled"]) == Some("true"),
            origins: config.items(&["Origins"]).iter().filter_map(|n| two(n, "Id", "DomainName")).collect(),
            groups: config.items(&["OriginGroups"]).iter().filter_map(group).collect(),
            behaviours: others.chain([("*".to_owned(), usual.to_owned())]).collect(),
        })
    }

    /// The region whose origin this is, by its id or its domain name.
    fn region_of<'a>(&self, plan: &'a AwsDistribution, id: &str) -> Option<&'a Region> {
        let domain = self.origins.iter().find(|(i, _)| i == id).map(|(_, domain)| domain.as_str());
        plan.origins.iter().find(|(_, of)| *of == id || domain == Some(of.as_str())).map(|(region, _)| region)
    }

    /// Everything that would keep users from the other region.
    pub fn findings(&self, plan: &AwsDistribution) -> Vec<Finding> {
        let (id, name) = (&plan.id, &plan.origin_group);
        let mut found = Vec::new();
        let mut say = |severity, message: String, hint| found.push(finding(code::AWS_ORIGINS, severity, message, hint));
        if !self.is_enabled {
            say(Severity::Blocker, format!("distribution {id} is disabled"), "enable it: users get no answer from it");
        }
        if self.status != "Deployed" {
            let message = format!("distribution {id} is {}: a change of it is on its way to the edges", self.status);
            say(Severity::Warning, message, "look again when it is deployed; until then users may meet the old one");
        }
        let Some(group) = self.groups.iter().find(|g| g.id == *name) else {
            let message = format!("distribution {id} has no origin group {name}");
            say(Severity::Blocker, message, "make it, with an origin in each region; without it users stay at one");
            return found;
        };
        for region in plan.origins.keys() {
            if !group.members.iter().any(|m| self.region_of(plan, m) == Some(region)) {
                let message = format!("origin group {name} of {id} has no origin in {region}");
                say(Severity::Blocker, message, "add it, or compare `origins` in the plan with the distribution");
            }
        }
        if let Some(first) = group.members.first()
            && self.region_of(plan, first) != Some(&plan.primary)
        {
            let message = format!("origin group {name} of {id} asks {first} first, which is not in {}", plan.primary);
            say(Severity::Blocker, message, "change the order, or `primary` in the plan: users are led there now");
        }
        let lacks = |c: &u16| !group.codes.contains(c);
        let missing: Vec<String> = LOST.iter().chain(&plan.also).filter(|c| lacks(c)).map(u16::to_string).collect();
        if !missing.is_empty() {
            let message = format!("origin group {name} of {id} stays at the primary on {}", missing.join(", "));
            say(Severity::Warning, message, "add these status codes to its failover criteria");
        }
        let strange = group.codes.iter().filter(|c| matches!(c, 403 | 404) && !plan.also.contains(c));
        let strange: Vec<String> = strange.map(u16::to_string).collect();
        if !strange.is_empty() {
            let message = format!("origin group {name} of {id} asks the other region on {}, too", strange.join(", "));
            let hint = "what is not there is asked for twice; name them in `also` when that is meant";
            say(Severity::Note, message, hint);
        }
        for (path, leads) in self.behaviours.iter().filter(|(_, leads)| leads != name) {
            let known = self.region_of(plan, leads).is_some();
            let severity = if path == "*" || known { Severity::Warning } else { Severity::Note };
            let message = format!("distribution {id} leads {path} to {leads}, not to origin group {name}");
            say(severity, message, "that path does not go to the other region; lead it to the group");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> AwsDistribution {
        let origins = [("us-east-1", "east.example.com"), ("us-west-2", "west")];
        AwsDistribution {
            id: "E1".into(),
            origin_group: "shop".into(),
            primary: "us-east-1".into(),
            origins: origins.map(|(r, o)| (Region::from(r), o.to_owned())).into(),
            also: Vec::new(),
        }
    }

    fn good() -> Distribution {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        Distribution {
            status: "Deployed".into(),
            is_enabled: true,
            origins: vec![pair("east", "east.example.com"), pair("west", "west.example.com")],
            groups: vec![OriginGroup {
                id: "shop".into(),
                members: vec!["east".into(), "west".into()],
                codes: LOST.to_vec(),
            }],
            behaviours: vec![pair("*", "shop")],
        }
    }

    fn said(change: impl FnOnce(&mut Distribution, &mut AwsDistribution)) -> Vec<(Severity, String)> {
        let (mut seen, mut plan) = (good(), plan());
        change(&mut seen, &mut plan);
        seen.findings(&plan).into_iter().map(|f| (f.severity, f.message)).collect()
    }

    #[test]
    fn what_would_keep_users_from_the_other_region_is_named() {
        assert_eq!(said(|_, _| {}), []);
        let one = |change: fn(&mut Distribution, &mut AwsDistribution), severity, part: &str| {
            let said = said(change);
            assert!(said.len() == 1 && said[0].0 == severity && said[0].1.contains(part), "{part}: {said:?}");
        };
        one(|d, _| d.is_enabled = false, Severity::Blocker, "disabled");
        one(|d, _| d.status = "InProgress".into(), Severity::Warning, "InProgress");
        one(|d, _| d.groups.clear(), Severity::Blocker, "no origin group");
        one(|d, _| d.groups[0].members.truncate(1), Severity::Blocker, "no origin in us-west-2");
        one(|d, _| d.groups[0].members.reverse(), Severity::Blocker, "asks west first");
        one(|d, _| d.groups[0].codes.truncate(3), Severity::Warning, "on 504");
        one(|d, _| d.groups[0].codes.push(404), Severity::Note, "on 404");
        one(|_, p| p.also = vec![403], Severity::Warning, "on 403");
        one(|d, _| d.behaviours[0].1 = "east".into(), Severity::Warning, "leads * to east");
        one(|d, _| d.behaviours.push(("/img/*".into(), "east".into())), Severity::Warning, "leads /img/* to east");
        one(|d, _| d.behaviours.push(("/old/*".into(), "archive".into())), Severity::Note, "leads /old/* to archive");
    }

    #[test]
    fn an_answer_of_aws_is_read() {
        let answer = "<?xml version=\"1.0\"?><Distribution xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">\
            <Id>E1</Id><Status>Deployed</Status><DistributionConfig><Origins><Quantity>1</Quantity><Items><Origin><Id>east</Id>\
            <DomainName>east.example.com</DomainName><OriginShield><Enabled>false</Enabled></OriginShield></Origin></Items>\
            </Origins><OriginGroups><Items><OriginGroup><Id>shop</Id><FailoverCriteria><StatusCodes><Items>\
            <StatusCode>500</StatusCode></Items></StatusCodes></FailoverCriteria><Members><Items><OriginGroupMember>\
            <OriginId>east</OriginId></OriginGroupMember></Items></Members></OriginGroup></Items></OriginGroups>\
            <DefaultCacheBehavior><TargetOriginId>shop</TargetOriginId></DefaultCacheBehavior><CacheBehaviors><Items>\
            <CacheBehavior><PathPattern>/a</PathPattern><TargetOriginId>east</TargetOriginId></CacheBehavior></Items>\
            </CacheBehaviors><Enabled>true</Enabled></DistributionConfig></Distribution>";
        let read = Distribution::read(answer).expect("it is one");
        assert!(read.is_enabled && read.status == "Deployed");
        assert_eq!(read.origins, [("east".to_owned(), "east.example.com".to_owned())]);
        let group = OriginGroup { id: "shop".into(), members: vec!["east".into()], codes: vec![500] };
        assert_eq!(read.groups, [group]);
        assert_eq!(read.behaviours, [("/a".to_owned(), "east".to_owned()), ("*".to_owned(), "shop".to_owned())]);
        assert_eq!(Distribution::read("<Other/>"), None);
    }
}
