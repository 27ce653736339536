//! `pilotlight-lambda` as Lambda runs it: the real program as a process, the Runtime API as a server, AWS as the AWS test server,
//! its store a bucket there.

#![allow(clippy::unwrap_used)] // a failed step of a test ends it

mod alarms;
mod drills;
mod example;
mod ground;
mod refusals;
mod runs;
mod runtime;
mod wait;
