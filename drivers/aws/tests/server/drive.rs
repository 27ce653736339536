//! What tests do with any driver: look at a region, wait until it is so, carry an effect to its end.

use pilotlight_core::effect::Effect;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_driver::{Context, Driver};
use std::time::Duration;
use tokio::time::Instant;

/// Everything here takes seconds on the test server, on a busy machine many.
const LONGEST: Duration = Duration::from_secs(90);

pub(crate) async fn look(driver: &dyn Driver, component: &str, region: &str) -> State {
    let target = Target { component: component.into(), region: Some(region.into()) };
    driver.observe(&target).await.unwrap()
}

pub(crate) async fn until(driver: &dyn Driver, component: &str, region: &str, is: impl Fn(&State) -> bool) -> State {
    let until = Instant::now() + LONGEST;
    loop {
        let seen = look(driver, component, region).await;
        if is(&seen) {
            return seen;
        }
        assert!(Instant::now() < until, "{region} is still {seen:?}");
    }
}

pub(crate) async fn done(driver: &dyn Driver, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
    let mut answer = driver.apply(effect, context).await;
    let until = Instant::now() + LONGEST;
    while let Ok(Outcome::Accepted { handle }) = &answer {
        assert!(Instant::now() < until, "{effect:?} does not end");
        answer = driver.resume(handle, context).await;
    }
    answer
}
