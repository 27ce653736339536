//! Looks at the distributions of CloudFront that the plan names. CloudFront is called in us-east-1, whatever the regions are.

use crate::access::Access;
use crate::finding::{finding, not_asked};
use crate::words::origin::Distribution;
use crate::words::refusal::Said;
use pilotlight_core::code;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::AwsDistribution;

impl Access {
    /// What is wrong with a distribution.
    pub async fn distribution(&self, plan: &AwsDistribution) -> Vec<Finding> {
        let id = &plan.id;
        let road = match self.road_of(crate::plain::CLOUDFRONT_REGION).await {
            Ok(road) => road,
            Err(failure) => return vec![not_asked(failure)],
        };
        match self.ask_cloudfront(&road, id).await {
            Ok(answer) => match Distribution::read(&answer) {
                Some(seen) => seen.findings(plan),
                None => {
                    let message = format!("what CloudFront answered of distribution {id} cannot be read");
                    let hint = "nothing is known of its origin group; look at it in AWS's console";
                    vec![finding(code::AWS_ORIGINS, Severity::Warning, message, hint)]
                }
            },
            Err(refused) if refused.said == Said::Missing => {
                let message = format!("there is no distribution {id}");
                let hint = "compare `distributions` in the plan with the account";
                vec![finding(code::AWS_ORIGINS, Severity::Blocker, message, hint)]
            }
            Err(refused) => vec![Finding { severity: Severity::Warning, ..not_asked(refused.not_seen()) }],
        }
    }
}
