//! Which region of a component a look is about.

use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::Failure;

/// The region of the target, which must be a copy of the component: what a driver is asked to look at.
pub(crate) fn place_of<'a>(component: &Component, target: &'a Target) -> Result<&'a Region, Failure> {
    let region = target.region.as_ref().filter(|_| target.component == *component);
    region.ok_or_else(|| Failure::unsupported(format!("{target:?} is not {component}")))
}
