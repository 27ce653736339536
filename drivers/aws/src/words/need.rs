//! What AWS says of a secret, a key, a certificate or a quota, read as what a move would stumble over.

use pilotlight_core::code::{self, Code};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::AwsQuota;
use pilotlight_core::time::Wall;
use serde_json::Value;

const DAY_MS: f64 = 86_400_000.0;

fn found(code: Code, severity: Severity, message: String, hint: &str) -> Option<Finding> {
    Some(Finding { code: code.to_string(), severity, message, hint: hint.to_owned() })
}

/// A secret in one region, as `DescribeSecret` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Id of the version that is read.
    pub current: Option<String>,
    /// AWS's name of the region it is copied from.
    pub copied_from: Option<String>,
    /// Its copies: AWS's name of the region, the state, and what AWS says of it.
    pub copies: Vec<(String, String, String)>,
    /// It will be deleted.
    pub is_going: bool,
}

impl Secret {
    /// Reads AWS's answer.
    pub fn read(said: &Value) -> Self {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let stages = said["VersionIdsToStages"].as_object();
        let is_current = |(_, stages): &(&String, &Value)| {
            stages.as_array().is_some_and(|s| s.iter().any(|stage| stage == "AWSCURRENT"))
        };
        let copies = said["ReplicationStatus"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            current: stages.and_then(|s| s.iter().find(is_current)).map(|(id, _)| id.clone()),
            copied_from: said["PrimaryRegion"].as_str().map(str::to_owned),
            copies: copies
                .iter()
                .map(|c| (text(&c["Region"]), text(&c["Status"]), text(&c["StatusMessage"])))
                .collect(),
            is_going: !said["DeletedDate"].is_null(),
        }
    }

    /// What is wrong with it where it is.
    pub fn here(&self, name: &str, region: &Region) -> Option<Finding> {
        if self.is_going {
            let message = format!("the secret {name} in {region} is being deleted");
            let hint = "aws secretsmanager restore-secret, in that region";
            return found(code::AWS_SECRET, Severity::Blocker, message, hint);
        }
        if self.current.is_none() {
            let message = format!("the secret {name} in {region} has no current version");
            return found(code::AWS_SECRET, Severity::Blocker, message, "store a value");
        }
        None
    }

    /// What is wrong with its copy in a region that AWS calls `name_there`.
    pub fn copy(&self, name: &str, there: &Region, name_there: &str) -> Option<Finding> {
        let (_, status, said) = self.copies.iter().find(|(region, ..)| region == name_there)?;
        let severity = match status.as_str() {
            "InSync" => return None,
            "InProgress" => Severity::Warning,
            _ => Severity::Blocker,
        };
        let message = format!("the copy of the secret {name} in {there} is {status}: {said}");
        found(code::AWS_SECRET, severity, message, "the application there would read an old value, or none")
    }

    /// Whether two regions read the same: `here` and `there` are the plan's names.
    pub fn same(&self, other: &Secret, name: &str, here: &Region, there: &Region) -> Option<Finding> {
        if self.current == other.current {
            return None;
        }
        let linked = |s: &Secret| s.copied_from.is_some() || !s.copies.is_empty();
        if linked(self) || linked(other) {
            let message = format!("the secret {name} is another version in {there} than in {here}");
            let hint = "a change takes seconds to be copied; look again, then at its replication";
            return found(code::AWS_SECRET, Severity::Blocker, message, hint);
        }
        let message = format!("the secret {name} is kept separately in {here} and {there}: nothing copies a change");
        found(code::AWS_SECRET, Severity::Note, message, "change it in both, or replicate it")
    }
}

/// What `DescribeKey` says is wrong.
pub fn of_key(said: &Value, name: &str, region: &Region) -> Option<Finding> {
    let state = said["KeyMetadata"]["KeyState"].as_str().unwrap_or("unknown");
    let severity = match state {
        "Enabled" => return None,
        "Creating" | "Updating" => Severity::Warning,
        _ => Severity::Blocker,
    };
    let message = format!("the key {name} in {region} is {state}");
    found(
        code::AWS_KEY,
        severity,
        message,
        "what is encrypted with it cannot be read there; enable it, or cancel its deletion",
    )
}

/// What `DescribeCertificate` says is wrong, now.
pub fn of_certificate(said: &Value, arn: &str, region: &Region, days: u32, now: Wall) -> Option<Finding> {
    let said = &said["Certificate"];
    let domain = said["DomainName"].as_str().unwrap_or(arn);
    let status = said["Status"].as_str().unwrap_or("unknown");
    if status != "ISSUED" {
        let message = format!("the certificate of {domain} in {region} is {status}");
        return found(code::AWS_CERTIFICATE, Severity::Blocker, message, "users who are led there would be refused");
    }
    // AWS's answer is a number of seconds.
    let ends = said["NotAfter"].as_f64()? * 1_000.0;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let left = (ends - now.0 as f64) / DAY_MS;
    if left >= f64::from(days) {
        return None;
    }
    let renewal = said["RenewalSummary"]["RenewalStatus"].as_str();
    let by = match (said["Type"].as_str(), renewal) {
        (Some("IMPORTED"), _) => "it was imported, so nobody renews it".to_owned(),
        (_, Some(status)) => format!("its renewal is {status}"),
        _ => "ACM has not begun to renew it: is it used there?".to_owned(),
    };
    let (severity, when) = match left {
        left if left <= 0.0 => (Severity::Blocker, "has ended".to_owned()),
        left => (Severity::Warning, format!("ends in {left:.0} days")),
    };
    let message = format!("the certificate of {domain} in {region} {when}; {by}");
    found(code::AWS_CERTIFICATE, severity, message, "renew or import it there")
}

/// A quota below what is needed.
pub fn of_quota(said: &Value, need: &AwsQuota, region: &Region) -> Option<Finding> {
    let AwsQuota { service, quota, least } = need;
    let name = said["Quota"]["QuotaName"].as_str().unwrap_or("a quota");
    let Some(value) = said["Quota"]["Value"].as_f64() else {
        let message = format!("AWS says no value of the quota {service} {quota} in {region}");
        return found(code::AWS_NOT_ASKED, Severity::Warning, message, "look at it in AWS's console");
    };
    if value >= f64::from(*least) {
        return None;
    }
    let message = format!("the quota {service} {quota} ({name}) in {region} is {value}, and {least} are needed");
    found(code::AWS_QUOTA, Severity::Blocker, message, "ask AWS for more now; it takes days")
}

/// Code and message of an error, out of its header or the body.
pub fn error_code(header: Option<&str>, body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    let tag = |name: &str| text.split_once(&format!("<{name}>"))?.1.split('<').next();
    if let Some(code) = tag("Code") {
        return (code.to_owned(), tag("Message").unwrap_or_default().to_owned());
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = header.or(said["__type"].as_str()).unwrap_or("unknown");
    // `namespace#Code:address` in some services.
    let code = code.rsplit('#').next().unwrap_or(code).split(':').next().unwrap_or(code);
    let message = said["message"].as_str().or(said["Message"].as_str()).unwrap_or_default();
    (code.to_owned(), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn west() -> Region {
        "us-west-2".into()
    }

    fn secret(version: &str) -> Value {
        json!({"Name": "db", "VersionIdsToStages": {version: ["AWSCURRENT"], "old": ["AWSPREVIOUS"]}})
    }

    #[test]
    fn a_secret_is_judged_where_it_is_and_beside_its_copy() {
        let here = Secret::read(&secret("v2"));
        assert_eq!(here.here("db", &west()), None);
        let going = Secret::read(&json!({"DeletedDate": 1.0}));
        assert_eq!(going.here("db", &west()).map(|f| f.severity), Some(Severity::Blocker));

        let mut primary = secret("v2");
        primary["ReplicationStatus"] = json!([{"Region": "us-west-2", "Status": "Failed", "StatusMessage": "no key"}]);
        let primary = Secret::read(&primary);
        let failed = primary.copy("db", &west(), "us-west-2").expect("it failed");
        assert!(failed.message.contains("no key") && failed.severity == Severity::Blocker, "{failed:?}");
        assert_eq!(primary.copy("db", &"eu-west-1".into(), "eu-west-1"), None);

        let old = Secret::read(&secret("v1"));
        let behind = primary.same(&old, "db", &"us-east-1".into(), &west()).expect("another version");
        assert_eq!(behind.severity, Severity::Blocker);
        let apart = here.same(&old, "db", &"us-east-1".into(), &west()).expect("another version");
        assert_eq!(apart.severity, Severity::Note);
        assert_eq!(here.same(&here, "db", &"us-east-1".into(), &west()), None);
    }

    #[test]
    fn keys_and_quotas_are_judged() {
        for (state, severity) in [
            ("Enabled", None),
            ("Disabled", Some(Severity::Blocker)),
            ("PendingDeletion", Some(Severity::Blocker)),
            ("Updating", Some(Severity::Warning)),
        ] {
            let said = json!({"KeyMetadata": {"KeyState": state}});
            assert_eq!(of_key(&said, "alias/pay", &west()).map(|f| f.severity), severity, "{state}");
        }
        let need = AwsQuota { service: "ec2".to_owned(), quota: "L-1".to_owned(), least: 64 };
        let of = |value: Value| of_quota(&json!({"Quota": {"Value": value}}), &need, &west()).map(|f| f.severity);
        assert_eq!(of(json!(64.0)), None);
        assert_eq!(of(json!(32.0)), Some(Severity::Blocker));
        assert_eq!(of(Value::Null), Some(Severity::Warning), "no value is no pass");
    }

    #[test]
    fn a_certificate_is_judged_by_its_state_and_its_end() {
        let now = Wall(1_800_000_000_000);
        let of = |status: &str, days_left: f64| {
            let ends = 1_800_000_000.0 + days_left * 86_400.0;
            let said =
                json!({"Certificate": {"DomainName": "pay", "Status": status, "NotAfter": ends, "Type": "IMPORTED"}});
            of_certificate(&said, "arn", &west(), 30, now).map(|f| f.severity)
        };
        assert_eq!(of("ISSUED", 31.0), None);
        assert_eq!(of("ISSUED", 29.0), Some(Severity::Warning));
        assert_eq!(of("ISSUED", -1.0), Some(Severity::Blocker));
        assert_eq!(of("PENDING_VALIDATION", 100.0), Some(Severity::Blocker));
    }

    #[test]
    fn codes_of_errors_are_found() {
        let body = br#"{"__type": "com.amazonaws#NotFoundException", "message": "gone"}"#;
        assert_eq!(error_code(None, body), ("NotFoundException".to_owned(), "gone".to_owned()));
        let xml = b"<Error><Code>NoSuchEntity</Code><Message>no role</Message></Error>";
        assert_eq!(error_code(None, xml), ("NoSuchEntity".to_owned(), "no role".to_owned()));
        assert_eq!(error_code(Some("AccessDeniedException:http://x"), b"").0, "AccessDeniedException");
    }
}
