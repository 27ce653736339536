//! What a payload wants. SNS messages of CloudWatch alarms, the same alarms through EventBridge or straight from CloudWatch,
//! schedules, and requests by hand.
//!
//! Border: reads; whether the plan knows an alarm or a unit is not its business.
//!
//! Invariant: what is not understood wholly is refused: a request with a key too many may mean something else than we read.

use crate::problem::Problem;
use pilotlight_core::code;
use pilotlight_core::id::{Region, RunId, StepId, Unit};
use pilotlight_core::placement::Verb;
use pilotlight_core::time::parse_duration;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::time::Duration;

/// A drill lasts so long where its length is not named, as on the command line.
const DRILL: Duration = Duration::from_secs(3_600);

/// What an invocation is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// Alarms have changed.
    Alarms(Vec<News>),
    /// Whatever is open shall go on.
    GoOn,
    /// Somebody asks for something.
    Ask(Ask),
}

/// A change of an alarm, as CloudWatch tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// Which: a name alone is that of one alarm in each region of each account.
    pub(crate) arn: String,
    pub(crate) state: AlarmState,
    /// When it changed: text of a fixed width in UTC, so that a later one sorts after.
    pub(crate) changed: String,
    /// CloudWatch's own words.
    pub(crate) why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum AlarmState {
    #[serde(rename = "ALARM")]
    On,
    #[serde(rename = "OK")]
    Off,
    #[serde(rename = "INSUFFICIENT_DATA")]
    NoData,
}

/// A request by hand or by a schedule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// Whatever is open shall go on.
    Continue(Nothing),
    /// A controller looks and decides for a while.
    Watch(Nothing),
    /// Tells what is known.
    Status(Nothing),
    Failover(Move),
    Switchover(Move),
    Failback(Move),
    Rejoin(Move),
    Drill(Drill),
    Pause(Steer),
    Resume(Steer),
    Abort(Steer),
    Approve(Steer),
    Skip(Steer),
    Acknowledge(Acknowledge),
    /// Nothing shall start by itself, or may again.
    Hold(Hold),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    pub(crate) unit: Option<Unit>,
    pub(crate) to: Option<Region>,
    /// A person says that the writer there is off.
    pub(crate) writer_is_off: Option<Region>,
    /// The person who lets a copy be rewound without a rescue bundle.
    pub(crate) waive_rescue: Option<String>,
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Who asks.
    pub(crate) by: Option<String>,
    #[serde(default)]
    pub(crate) why: String,
}

/// A planned move that is taken back by itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drill {
    pub(crate) unit: Option<Unit>,
    pub(crate) to: Option<Region>,
    /// How long it goes on from the end of the move.
    #[serde(default = "an_hour", rename = "for", deserialize_with = "duration")]
    pub(crate) lasts: Duration,
    /// When the schedule wanted it, as in [`News::changed`].
    #[serde(default, deserialize_with = "time")]
    pub(crate) at: Option<String>,
    #[serde(default)]
    pub(crate) dry_run: bool,
    pub(crate) by: Option<String>,
    #[serde(default)]
    pub(crate) why: String,
}

fn an_hour() -> Duration {
    DRILL
}

fn duration<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(text)?;
    let wrong = || serde::de::Error::custom(format!("`for`: {text} is not a duration, for example 1h"));
    parse_duration(&text).ok_or_else(wrong)
}

fn time<'de, D: Deserializer<'de>>(text: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(text)?;
    let wrong = || serde::de::Error::custom(format!("`at`: {text} is not a time, for example 2026-11-26T18:02:03Z"));
    sortable(&text).map(Some).ok_or_else(wrong)
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steer {
    pub(crate) run: RunId,
    pub(crate) step: Option<StepId>,
    pub(crate) by: Option<String>,
    #[serde(default)]
    pub(crate) why: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    pub(crate) unit: Unit,
    pub(crate) by: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    pub(crate) by: String,
    #[serde(default)]
    pub(crate) why: String,
    #[serde(default = "yes")]
    pub(crate) on: bool,
}

fn yes() -> bool {
    true
}

impl Ask {
    /// The move that is asked for.
    pub(crate) fn movement(&self) -> Option<(Verb, &Move)> {
        match self {
            Ask::Failover(m) => Some((Verb::Failover, m)),
            Ask::Switchover(m) => Some((Verb::Switchover, m)),
            Ask::Failback(m) => Some((Verb::Failback, m)),
            Ask::Rejoin(m) => Some((Verb::Rejoin, m)),
            _ => None,
        }
    }
}

/// Reads the payload of an invocation.
pub(crate) fn read(payload: &Value) -> Result<Event, Problem> {
    if payload.get("action").is_some() {
        return Ask::deserialize(payload).map(Event::Ask).map_err(|e| unknown(&format!("the request: {e}")));
    }
    if let Some(records) = payload.get("Records").and_then(Value::as_array) {
        return records.iter().map(of_sns).collect::<Result<_, _>>().map(Event::Alarms);
    }
    match payload.get("source").and_then(Value::as_str) {
        Some("aws.events" | "aws.scheduler") => Ok(Event::GoOn),
        Some("aws.cloudwatch") => of_cloudwatch(payload).map(|news| Event::Alarms(vec![news])),
        Some(source) => Err(unknown(&format!("an event of `{source}`"))),
        None => Err(unknown("neither `action`, nor `Records`, nor `source` is in it")),
    }
}

fn unknown(what: &str) -> Problem {
    Problem::new(
        code::EVENT_UNKNOWN,
        format!("the event is none that this function knows: {what}"),
        "it takes SNS messages and EventBridge events of CloudWatch alarms, schedules, and `{\"action\": ...}`: docs/lambda.md",
    )
}

/// CloudWatch's message, as text inside of SNS's.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    alarm_arn: String,
    new_state_value: AlarmState,
    #[serde(default)]
    new_state_reason: String,
    state_change_time: String,
}

fn of_sns(record: &Value) -> Result<News, Problem> {
    let text = record.pointer("/Sns/Message").and_then(Value::as_str);
    let text = text.ok_or_else(|| unknown("a record of it is no message of SNS"))?;
    let message: Message =
        serde_json::from_str(text).map_err(|e| unknown(&format!("the SNS message is no alarm of CloudWatch ({e})")))?;
    Ok(News {
        arn: message.alarm_arn,
        state: message.new_state_value,
        changed: moment(&message.state_change_time)?,
        why: message.new_state_reason,
    })
}

/// EventBridge has the alarm in `detail`; CloudWatch itself in `alarmData`.
fn of_cloudwatch(payload: &Value) -> Result<News, Problem> {
    #[derive(Deserialize)]
    struct Told {
        value: AlarmState,
        #[serde(default)]
        reason: String,
        timestamp: String,
    }
    #[derive(Deserialize)]
    struct Detail {
        state: Told,
    }
    let detail = payload.get("detail").or_else(|| payload.get("alarmData"));
    let detail = detail.ok_or_else(|| unknown("an event of CloudWatch without an alarm"))?;
    let detail =
        Detail::deserialize(detail).map_err(|e| unknown(&format!("an event of CloudWatch, but no alarm: {e}")))?;
    let arn = payload.get("alarmArn").or_else(|| payload.pointer("/resources/0")).and_then(Value::as_str);
    Ok(News {
        arn: arn.ok_or_else(|| unknown("an event of CloudWatch without the ARN of its alarm"))?.to_owned(),
        state: detail.state.value,
        changed: moment(&detail.state.timestamp)?,
        why: detail.state.reason,
    })
}

/// When an alarm changed. A time that is written otherwise than CloudWatch does would be compared wrongly.
fn moment(text: &str) -> Result<String, Problem> {
    sortable(text).ok_or_else(|| unknown(&format!("the alarm's time `{text}` is not in CloudWatch's form")))
}

/// `2026-11-26T18:02:03.456+0000`: CloudWatch and EventBridge write all times so, in UTC, some without the fraction.
fn sortable(text: &str) -> Option<String> {
    let stem = text.strip_suffix("+0000").or_else(|| text.strip_suffix('Z')).or_else(|| text.strip_suffix("+00:00"))?;
    let form: String = stem.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match form.as_str() {
        "0000-00-00T00:00:00.000" => Some(stem.to_owned()),
        "0000-00-00T00:00:00" => Some(format!("{stem}.000")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sns(state: &str, at: &str) -> Value {
        let message = json!({
            "AlarmName": "East is down", "AlarmArn": "arn:aws:cloudwatch:us-east-1:1:alarm:East is down",
            "NewStateValue": state, "NewStateReason": "3 datapoints", "StateChangeTime": at, "OldStateValue": "OK",
        });
        json!({"Records": [{"EventSource": "aws:sns", "Sns": {"MessageId": "m", "Message": message.to_string()}}]})
    }

    #[test]
    fn an_alarm_is_the_same_whichever_way_it_comes() {
        let at = "2026-11-26T18:02:03.456+0000";
        let Ok(Event::Alarms(by_sns)) = read(&sns("ALARM", at)) else { panic!() };
        let state = json!({"value": "ALARM", "reason": "3 datapoints", "timestamp": at});
        let detail = json!({"alarmName": "East is down", "state": state});
        let arn = "arn:aws:cloudwatch:us-east-1:1:alarm:East is down";
        let bridged = json!({"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
                             "resources": [arn], "detail": detail});
        let straight = json!({"source": "aws.cloudwatch", "alarmArn": arn, "alarmData": detail});
        for other in [bridged, straight] {
            assert_eq!(read(&other), Ok(Event::Alarms(by_sns.clone())));
        }
        assert_eq!(by_sns[0].changed, "2026-11-26T18:02:03.456");
        assert_eq!((by_sns[0].state, by_sns[0].why.as_str()), (AlarmState::On, "3 datapoints"));
    }

    #[test]
    fn schedules_and_requests_are_told_apart() {
        assert_eq!(read(&json!({"source": "aws.events", "detail-type": "Scheduled Event"})), Ok(Event::GoOn));
        assert_eq!(read(&json!({"action": "continue"})), Ok(Event::Ask(Ask::Continue(Nothing {}))));
        let Ok(Event::Ask(ask)) = read(&json!({"action": "failover", "to": "west", "by": "ada"})) else { panic!() };
        let (verb, movement) = ask.movement().unwrap();
        assert_eq!((verb, movement.to.as_ref().map(Region::as_str)), (Verb::Failover, Some("west")));
        assert!(!movement.dry_run);
        let drill = json!({"action": "drill", "to": "west", "for": "90s", "at": "2026-11-26T18:02:03Z"});
        let Ok(Event::Ask(Ask::Drill(drill))) = read(&drill) else { panic!() };
        assert_eq!((drill.lasts.as_secs(), drill.at.as_deref()), (90, Some("2026-11-26T18:02:03.000")));
        let Ok(Event::Ask(Ask::Drill(drill))) = read(&json!({"action": "drill"})) else { panic!() };
        assert_eq!((drill.lasts, drill.at), (DRILL, None));
    }

    #[test]
    fn what_is_not_understood_says_so() {
        let bad = [
            json!(null),
            json!("go"),
            json!({"action": "fly"}),
            json!({"action": "failover", "too": "west"}),
            json!({"action": "continue", "to": "west"}),
            json!({"action": "approve"}),
            json!({"action": "hold"}),
            json!({"action": "drill", "for": "long"}),
            json!({"action": "drill", "at": "noon"}),
            json!({"action": "drill", "waive_rescue": "ada"}),
            json!({"Records": [{"s3": {}}]}),
            json!({"Records": [{"Sns": {"Message": "hello"}}]}),
            json!({"source": "aws.s3"}),
            json!({"source": "aws.cloudwatch"}),
            json!({"source": "aws.cloudwatch", "detail": {"alarmName": "a", "state": {"value": "OK", "timestamp": "2026-11-26T18:02:03Z"}}}),
            sns("BROKEN", "2026-11-26T18:02:03.456+0000"),
            sns("ALARM", "yesterday"),
            sns("ALARM", "2026-11-26T18:02:03.456+0100"),
        ];
        for payload in bad {
            let problem = read(&payload).unwrap_err();
            assert_eq!(problem.code, code::EVENT_UNKNOWN.to_string(), "{payload}");
            assert!(problem.message.len() > 50 && !problem.hint.is_empty(), "{payload}: {problem:?}");
        }
    }

    #[test]
    fn later_times_sort_after() {
        let earlier = moment("2026-11-26T18:02:03Z").unwrap();
        assert!(earlier < moment("2026-11-26T18:02:03.001+00:00").unwrap());
        assert!(earlier < moment("2026-11-26T18:10:00.000+0000").unwrap());
    }
}
