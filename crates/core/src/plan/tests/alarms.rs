//! `alarms`: one alarm each, and not all of its name.

use super::*;

const ARN: &str = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:East: down";

fn with(alarm: &str, account: &str) -> Result<Plan, Faults> {
    let text = format!("{SAMPLE}\naws: {{ {account} }}\nalarms:\n  down: {{ region: east, {alarm} }}\n");
    Plan::read(&text, "plan.yaml")
}

const ACCOUNT: &str = "account: '123456789012'";

#[test]
fn an_alarm_is_the_one_of_its_region_and_account() {
    let found = |plan: &Plan, arn: &str| plan.alarm(arn).map(|(name, _)| name.to_owned());
    let by_arn = with(&format!("alarm: '{ARN}'"), "").unwrap();
    let by_name = with("alarm: 'East: down', alarm_region: us-west-2", ACCOUNT).unwrap();
    for plan in [by_arn, by_name] {
        assert_eq!(found(&plan, ARN).as_deref(), Some("down"));
        for other in [
            "arn:aws:cloudwatch:us-east-1:123456789012:alarm:East: down",
            "arn:aws:cloudwatch:us-west-2:210987654321:alarm:East: down",
            "arn:aws:cloudwatch:us-west-2:123456789012:alarm:East",
            "East: down",
        ] {
            assert_eq!(found(&plan, other), None, "{other}");
        }
    }
}

#[test]
fn a_bare_name_is_a_fault_with_its_place() {
    for (alarm, account, lacks) in [
        ("alarm: down", ACCOUNT, "`alarm_region` must"),
        ("alarm: down, alarm_region: us-west-2", "", "`aws.account` must"),
        ("alarm: down", "", "`alarm_region` and `aws.account` must"),
    ] {
        let faults = with(alarm, account).expect_err(alarm);
        let [fault] = faults.iter().as_slice() else { panic!("{faults}") };
        assert_eq!((fault.code.as_str(), fault.key_path.as_str()), ("PL-0920", "alarms.down.alarm"), "{faults}");
        assert!(fault.message.contains(lacks) && fault.hint.contains("describe-alarms"), "{faults}");
    }
    // The name of the entry is the alarm's where none is given.
    let faults = with("look_for: 1h", ACCOUNT).expect_err("no name");
    assert!(faults.iter().any(|f| f.code.as_str() == "PL-0920"), "{faults}");
    for (alarm, code) in [
        ("alarm: 'arn:aws:sns:us-west-2:123456789012:down'", "PL-0138"),
        (&*format!("alarm: '{ARN}', alarm_region: us-west-2"), "PL-0118"),
    ] {
        let faults = with(alarm, ACCOUNT).expect_err(alarm);
        let found: Vec<_> = faults.iter().map(|f| f.code.as_str()).collect();
        assert_eq!(found, [code], "{faults}");
    }
}
