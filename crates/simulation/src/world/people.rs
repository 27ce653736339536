//! People: they ask for moves, acknowledge, and steer whatever run is open. Each wish goes to the controller as a request
//! of its own, and what it answers is only noted.

use super::World;
use crate::exchange::Order;
use crate::fault::FaultKind;
use crate::setup::UNIT;
use pilotlight_core::id::{RunId, Unit};
use pilotlight_core::placement::Verb;
use pilotlight_engine::Control;
use pilotlight_server::OffstageTerm;
use pilotlight_server::api::view::MoveRequest;

/// Who asks.
const PERSON: &str = "somebody";

impl World {
    pub(super) fn person(&mut self, wish: FaultKind) {
        let Some(member) = self.leader() else { return };
        let Some(leader) = &self.controller(member).running else { return };
        let (number, Some(front)) = (leader.process, leader.front.leading()) else { return };
        if self.sites[number].paused {
            return;
        }
        let open = self.open_run();
        let exchange = self.exchange.clone();
        let Some(process) = &self.sites[number].process else { return };
        process.spawn(async move {
            let heard = ask(&front, wish, open).await;
            exchange.leave(Order::Heard(format!("{wish:?}: {heard}")));
        });
        self.dirty.insert(number);
    }
}

async fn ask(front: &OffstageTerm, wish: FaultKind, open: Option<RunId>) -> String {
    let verb = match wish {
        FaultKind::Switchover => Some(Verb::Switchover),
        FaultKind::Failback => Some(Verb::Failback),
        FaultKind::Failover | FaultKind::TakeUp(_) => Some(Verb::Failover),
        FaultKind::Rejoin => Some(Verb::Rejoin),
        _ => None,
    };
    if let Some(verb) = verb {
        let target = if let FaultKind::TakeUp(place) = wish { Some(place.region()) } else { None };
        let request = MoveRequest { target, ..MoveRequest::new(verb, PERSON) };
        return match front.request(request).await {
            Ok(_) => "started".to_owned(),
            Err(refusal) => refusal.body.message.clone(),
        };
    }
    if wish == FaultKind::Acknowledge {
        let unit = Unit::from(UNIT);
        return front.engine().acknowledge(&unit, PERSON).await.map_or_else(|e| e.to_string(), |_| "noted".to_owned());
    }
    if wish == FaultKind::EmptyStore {
        let unit = Unit::from(UNIT);
        return front.raise_epoch(&unit, PERSON).await.map_or_else(|e| e.to_string(), |()| "raised".to_owned());
    }
    let Some(run) = open else { return "nothing is under way".to_owned() };
    let control = match wish {
        FaultKind::Abort => Control::Abort,
        FaultKind::PauseRun => Control::Pause { why: String::new() },
        _ => Control::Resume,
    };
    front.engine().control(&run, control, PERSON).await.map_or_else(|e| e.to_string(), |()| "done".to_owned())
}
