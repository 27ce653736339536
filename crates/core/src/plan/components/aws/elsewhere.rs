//! What a plan lists under one region and AWS has in another: after the move it would be looked for in the wrong place, or
//! lost with the region it is in.

use super::{aws_name, looks_like_a_region};
use crate::code;
use crate::plan::fault::Collector;
use crate::plan::value::{Datum, Record, Value};

/// Every text below each region of `map`.
pub(super) fn check(record: &Record, map: &str, root: &Record, out: &mut Collector<'_>) {
    for (region, value) in record.map(map) {
        let name = aws_name(root, region);
        each_text(value, &mut |at, text| {
            let Some(other) = region_in(text).filter(|other| *other != name && looks_like_a_region(name)) else {
                return;
            };
            out.add(code::PLAN_ELSEWHERE, &at.at, format!("this is in {other} and stands under `{region}`"))
                .found(text)
                .allowed(format!("something in {name}"))
                .hint("Look whether two regions were mixed up, or a line was copied and not changed.");
        });
    }
}

fn each_text(value: &Value, see: &mut dyn FnMut(&Value, &str)) {
    match &value.datum {
        Datum::Text(text) => see(value, text),
        Datum::Record(record) => record.values.iter().for_each(|(_, v)| each_text(v, see)),
        Datum::List(items) => items.iter().for_each(|v| each_text(v, see)),
        Datum::Map(entries) => entries.iter().for_each(|(_, v)| each_text(v, see)),
        Datum::One(_, inner) => each_text(inner, see),
        _ => {}
    }
}

/// The region of AWS that a text names: that of an ARN, or of a host that AWS has named.
fn region_in(text: &str) -> Option<&str> {
    if text.starts_with("arn:") {
        return text.split(':').nth(3).filter(|region| !region.is_empty());
    }
    let host = text.split([':', '/']).next()?;
    let of_aws = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
    host.split('.').find(|label| of_aws && looks_like_a_region(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_out_of_arns_and_hosts() {
        for (text, region) in [
            ("arn:aws:acm:us-east-1:123456789012:certificate/a", Some("us-east-1")),
            ("arn:aws:iam::123456789012:role/pilotlight", None),
            ("arn:aws:s3:::files", None),
            ("pay.cluster-abc.us-east-1.rds.amazonaws.com:5432", Some("us-east-1")),
            ("pay.global-abc.global.rds.amazonaws.com:5432", None),
            ("lb-1.eu-west-1.elb.amazonaws.com", Some("eu-west-1")),
            ("db.eu-west-1.example.com:5432", None),
            ("alias/payments", None),
        ] {
            assert_eq!(region_in(text), region, "{text}");
        }
    }
}
