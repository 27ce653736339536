//! `pilotlight-lambda`: a controller as a function of AWS Lambda.
//!
//! An invocation is a short life of the very controller that `pilotlight serve` runs: it takes part in the lead through the
//! plan's shared store, goes on with whatever is open there, looks, decides, walks runs, and gives the lead up before its time
//! is over. The next invocation goes on. What the event adds is only what to look into, or what somebody asks for.
//!
//! Border: nothing is decided about a move here, and nothing of AWS is called but the Runtime API; that is the controller's.
//!
//! | file | what it does |
//! |---|---|
//! | `event` | payloads of Lambda to what is wanted |
//! | `fit` | whether a plan can be run from a function |
//! | `alarm` | what the store remembers of each alarm, and what an alarm comes to |
//! | `door` | the controller's own API |
//! | `life` | one life of the controller |
//! | `work` | one invocation |
//! | `answer` | what an invocation says at its end |

mod alarm;
mod answer;
mod door;
mod event;
mod fit;
mod life;
mod problem;
mod work;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use std::process::ExitCode;
use std::sync::Arc;
use work::Function;

/// Where the Runtime API is; set by whoever starts this program.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

fn main() -> ExitCode {
    pilotlight::hosted::log();
    if std::env::var_os(RUNTIME_API).is_none() {
        problem::not_in_lambda().print();
        return ExitCode::from(2);
    }
    // A second provider cannot have been installed: nothing ran before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(serve()),
        Err(e) => Err(e.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("the Runtime API cannot be used: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let function = Arc::new(Function::of_environment());
    let invoked = |invocation: LambdaEvent<Value>| {
        let function = function.clone();
        async move { function.invoked(invocation.payload, &invocation.context).await }
    };
    lambda_runtime::run(service_fn(invoked)).await
}
