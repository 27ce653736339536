//! What a person should know before a move that goes without the old writer.

use super::{Judgement, Verdict};
use crate::code;
use crate::outcome::{Finding, Severity};
use crate::placement::{Intent, Mode};
use crate::time::show_duration;

impl Judgement {
    /// Findings about the move as a whole, beside those of its steps.
    pub fn foresee(&self, intent: &Intent) -> Option<Finding> {
        let to = &intent.target.writer;
        let stays = self.writer.as_ref() == Some(to);
        if intent.mode != Mode::Ungraceful || stays {
            return None;
        }
        let loss = match self.exposure_of(to) {
            Some(lacks) if lacks.as_millis() == 0 => {
                format!("of what was acknowledged, nothing is known that {to} lacks")
            }
            Some(lacks) => format!("{to} may lack the last {} of what was acknowledged", show_duration(lacks)),
            None => format!("nothing says how much of what was acknowledged {to} lacks"),
        };
        let may_work = self.verdict.works() || matches!(self.verdict, Verdict::Suspect | Verdict::AgentLost);
        let (severity, message, hint) = match &self.writer {
            Some(from) if may_work => {
                let message = format!("{from} is not lost ({}), and a failover goes without it: {loss}", self.verdict);
                (Severity::Warning, message, "a switchover loses nothing, as long as the old writer answers")
            }
            _ => (Severity::Note, loss, "what the old side alone holds is kept in a rescue bundle when it is back"),
        };
        Some(Finding { code: code::MAY_LOSE.to_string(), severity, message, hint: hint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::unit;
    use crate::placement::{Placement, Verb};
    use crate::verdict::{Candidate, Quorum, Scope};
    use std::time::Duration;

    fn judged(verdict: Verdict) -> Judgement {
        let west = Candidate {
            region: "west".into(),
            received_bytes: None,
            replay_bytes: None,
            exposure: Some(Duration::from_millis(400)),
            unheard: Duration::ZERO,
            by_sentinel: true,
            admitted: None,
        };
        Judgement {
            unit: unit(),
            writer: Some("east".into()),
            verdict,
            scope: Scope::Unit { unit: unit() },
            evidence: Vec::new(),
            health: Default::default(),
            quorum: Quorum::default(),
            candidates: vec![west],
            returned: Vec::new(),
            silent: Vec::new(),
            lost: Vec::new(),
            no_data: false,
        }
    }

    fn intent(mode: Mode, to: &str) -> Intent {
        Intent { unit: unit(), verb: Verb::Failover, mode, target: Placement::in_region(&to.into()) }
    }

    #[test]
    fn a_failover_away_from_a_working_writer_warns_and_says_what_it_may_lose() {
        for verdict in [Verdict::Healthy, Verdict::ServiceUnhealthy, Verdict::Suspect, Verdict::AgentLost] {
            let found = judged(verdict).foresee(&intent(Mode::Ungraceful, "west")).unwrap();
            assert_eq!(found.severity, Severity::Warning, "{verdict}");
            let says = format!("east is not lost ({verdict})");
            assert!(found.message.contains(&says) && found.message.contains("400 ms"), "{found:?}");
            assert!(found.hint.contains("switchover"));
        }
    }

    #[test]
    fn a_failover_from_a_lost_region_says_only_what_it_may_lose() {
        let found = judged(Verdict::RegionLost).foresee(&intent(Mode::Ungraceful, "west")).unwrap();
        assert_eq!(found.severity, Severity::Note);
        let mut level = judged(Verdict::RegionLost);
        level.candidates[0].exposure = Some(Duration::ZERO);
        let found = level.foresee(&intent(Mode::Ungraceful, "west")).unwrap();
        assert_eq!(found.message, "of what was acknowledged, nothing is known that west lacks");
        let mut blind = judged(Verdict::RegionLost);
        blind.candidates.clear();
        let found = blind.foresee(&intent(Mode::Ungraceful, "west")).unwrap();
        assert!(found.message.starts_with("nothing says"), "{found:?}");
    }

    #[test]
    fn a_planned_move_and_one_to_the_writer_itself_lose_nothing() {
        assert_eq!(judged(Verdict::Healthy).foresee(&intent(Mode::Graceful, "west")), None);
        assert_eq!(judged(Verdict::Healthy).foresee(&intent(Mode::Ungraceful, "east")), None);
    }
}
