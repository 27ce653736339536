//! Copies whose data directory is empty, although something was there.

use super::*;
use crate::placement::Verb;

fn scene(role: Role, consent: Consent) -> Scene {
    let mut scene = Scene::new(usual(), Verb::Rejoin, "east").role("database", "west", role);
    let west = scene.seen.get_mut(&target("database", "west")).expect("it was looked at");
    west.facts.insert("data".to_owned(), "gone".to_owned());
    Scene { consent, ..scene }
}

fn waivers(runbook: &Runbook) -> Vec<Option<&str>> {
    let found = runbook.steps.iter().filter_map(|s| match &s.effect {
        Effect::CaptureRescue { waived_by, .. } => Some(waived_by.as_deref()),
        _ => None,
    });
    found.collect()
}

#[test]
fn nobody_but_a_person_has_a_copy_built_where_one_is_away() {
    for role in [Role::Unknown, FENCED] {
        for consent in [Consent::Policy, Consent::AskFirst] {
            assert_eq!(scene(role.clone(), consent).refusal().code(), "PL-0213", "{role:?}, {consent:?}");
        }
        let asked = scene(role.clone(), Consent::Given);
        assert_eq!(
            asked.graph()[1..4],
            [
                "fence-database-west",
                "rescue-database-west < fence-database-west",
                "rejoin-database-west < fence-database-west, rescue-database-west",
            ],
            "{role:?}"
        );
        let mut runbook = asked.runbook();
        let step = runbook.step(&"rescue-database-west".into()).expect("it is there");
        assert!(step.title.starts_with("Give up what database in west held"), "{}", step.title);
        assert!(runbook.gives_up());
        runbook.sign("ada");
        assert_eq!(waivers(&runbook), [Some("ada")]);
    }
    let mut whole = Scene::new(usual(), Verb::Rejoin, "east").role("database", "west", FENCED).runbook();
    whole.sign("ada");
    assert_eq!((whole.gives_up(), waivers(&whole)), (false, vec![None]), "what is there is kept, whoever asks");
}
