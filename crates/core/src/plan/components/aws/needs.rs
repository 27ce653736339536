//! `aws.regions.REGION.needs`: what a region needs besides the components.

use crate::code;
use crate::plan::aws::{AwsNeeds, AwsQuota};
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, default, optional, required};
use crate::plan::value::Record;

static QUOTA: Section = Section {
    doc: "A quota of the account in that region. Ask AWS for more before it is needed: that takes days.",
    keys: &[
        required("service", Shape::Text, "Code of the service, for example `ec2`."),
        required("quota", Shape::Text, "Code of the quota, for example `L-1216C47A`."),
        required(
            "least",
            Shape::Count { least: 1, most: 1_000_000_000 },
            "What it must be at least: everything that runs there after a move, in the quota's own unit.",
        ),
    ],
};

pub(super) static SECTION: Section = Section {
    doc: "What the service finds missing in a region when it is too late. It is looked at, never made.",
    keys: &[
        optional(
            "secrets",
            Shape::List { of: &Shape::Text, least: 0 },
            "Names of secrets in Secrets Manager. A secret that other regions name too must be the same version there.",
        ),
        optional(
            "keys",
            Shape::List { of: &Shape::Text, least: 0 },
            "Keys in KMS: ids, ARNs, or aliases such as `alias/payments`.",
        ),
        optional("certificates", Shape::List { of: &Shape::Text, least: 0 }, "ARNs of certificates in ACM."),
        default(
            "certificate_days",
            Shape::Count { least: 1, most: 400 },
            "30",
            "A certificate that ends sooner is a finding. ACM renews 60 days before the end.",
        ),
        optional(
            "quotas",
            Shape::List { of: &Shape::Record(&QUOTA), least: 0 },
            "Quotas that a move must not run into.",
        ),
    ],
};

pub(super) fn build(record: &Record) -> AwsNeeds {
    let texts = |key| record.list(key).iter().filter_map(|v| v.text().map(str::to_owned)).collect();
    let quota = |r: &Record| {
        Some(AwsQuota { service: r.owned("service")?, quota: r.owned("quota")?, least: r.number32("least")? })
    };
    AwsNeeds {
        secrets: texts("secrets"),
        keys: texts("keys"),
        certificates: texts("certificates"),
        certificate_days: record.number32("certificate_days").unwrap_or(30),
        quotas: record.list("quotas").iter().filter_map(|v| quota(v.record()?)).collect(),
    }
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    for value in record.list("certificates") {
        let Some(text) = value.text() else { continue };
        let parts: Vec<&str> = text.split(':').collect();
        let is_arn = matches!(parts.as_slice(), ["arn", _, "acm", region, account, id]
            if !region.is_empty() && account.len() == 12 && id.starts_with("certificate/"));
        if !is_arn {
            out.add(code::PLAN_AWS_ARN, &value.at, format!("`{text}` is not the ARN of a certificate"))
                .found(text)
                .allowed("an ARN such as `arn:aws:acm:us-west-2:123456789012:certificate/ID`");
        }
    }
}
