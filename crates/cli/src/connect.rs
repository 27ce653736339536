//! The one place that makes HTTP clients and reads secrets.

use crate::command::check;
use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::code::{self, Code};
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::plan::{Member, Plan, SecretRef};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Reads a plan; its faults are shown like those of a compiler.
pub(crate) fn read_plan(file: &Path) -> Result<Plan, CliError> {
    check::plan(file).map_err(|e| {
        let _ = check::complain(&e, &mut std::io::stderr());
        let exit = e.code().exit().into();
        CliError::told(exit)
    })
}

/// A region of the plan by the name that was typed; one that is not there is told before anybody is asked.
pub(crate) fn region(plan: &Plan, name: &str) -> Result<Region, CliError> {
    if let Some(region) = plan.regions.iter().find(|region| region.as_str() == name) {
        return Ok(region.clone());
    }
    let known: Vec<&str> = plan.regions.iter().map(Region::as_str).collect();
    Err(CliError::say(Exit::Usage, format!("the plan has no region {name}"))
        .code(code::NO_SUCH_NAME.as_str())
        .hint(format!("its regions are {}", known.join(", "))))
}

/// The unit of that name, or the only one.
pub(crate) fn unit(plan: &Plan, name: Option<&str>) -> Result<Unit, CliError> {
    let units = plan.units();
    let found = match name {
        Some(name) => units.iter().find(|unit| unit.as_str() == name),
        None => units.first().filter(|_| units.len() == 1),
    };
    found.map(|unit| (*unit).clone()).ok_or_else(|| {
        let names: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
        let what = name.map_or("the plan has several units".to_owned(), |name| format!("the plan has no unit {name}"));
        let hint = format!("name one with --unit: {}", names.join(", "));
        CliError::say(Exit::Usage, what).code(code::NO_SUCH_NAME.as_str()).hint(hint)
    })
}

/// Why an address cannot be listened on: taken by somebody, or none of this machine.
pub(crate) fn cannot_listen(cause: &std::io::Error) -> (Code, &'static str) {
    match cause.kind() {
        ErrorKind::AddrNotAvailable => {
            (code::NOT_OUR_ADDRESS, "name an address that this machine has; `ip address` lists them")
        }
        ErrorKind::PermissionDenied => {
            (code::PORT_IN_USE, "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another port, or allow it")
        }
        _ => (code::PORT_IN_USE, "free the address, or choose another one"),
    }
}

/// Reads a secret from where the plan says it is.
pub(crate) fn secret(reference: &SecretRef) -> Result<String, CliError> {
    let value = match reference {
        SecretRef::Env(name) => std::env::var(name).map_err(|_| {
            CliError::say(Exit::Usage, format!("the environment variable {name} is not set"))
                .code(code::SECRET_MISSING.as_str())
                .hint(format!("the plan takes a secret from it: export {name}=..."))
        })?,
        SecretRef::File(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the secret file {}", path.display()))
                .map_err(|e| CliError::new(Exit::Usage, e).code(code::SECRET_MISSING.as_str()))?;
            text.lines().next().unwrap_or_default().trim().to_owned()
        }
    };
    let complain = |what: &str| {
        let place = match reference {
            SecretRef::Env(name) => format!("the environment variable {name}"),
            SecretRef::File(path) => format!("the first line of {}", path.display()),
        };
        CliError::say(Exit::Usage, format!("{place} {what}")).code(code::SECRET_MISSING.as_str())
    };
    if value.is_empty() {
        return Err(complain("is empty, and the plan takes a secret from it"));
    }
    if value.chars().any(char::is_control) {
        let what = "holds a line break or another control character, which no secret of a plan may have";
        return Err(complain(what).hint("was it copied with the end of its line? set it anew, without"));
    }
    Ok(value)
}

/// The controller of that name, or the only one.
pub(crate) fn member<'a>(plan: &'a Plan, name: Option<&str>) -> Result<&'a Member, CliError> {
    plan.controller.member(name).ok_or_else(|| {
        let known: Vec<&str> = plan.controller.members.iter().map(|m| m.name.as_str()).collect();
        let what = match name {
            Some(name) => format!("the plan has no controller {name}"),
            None => "the plan has several controllers, and none was named".to_owned(),
        };
        CliError::say(Exit::Usage, what)
            .code(code::NO_SUCH_NAME.as_str())
            .hint(format!("name one with --member: {}", known.join(", ")))
    })
}

/// A client that trusts the plan's authority.
pub(crate) fn http_client(plan: &Plan) -> Result<reqwest::Client, CliError> {
    let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(2)).no_proxy();
    if let Some(tls) = &plan.controller.tls {
        builder = builder.tls_certs_only([authority(&tls.ca)?]);
    } else {
        builder = builder.tls_certs_only([]);
    }
    Ok(builder.build().context("cannot make an HTTP client")?)
}

/// A certificate authority out of a file.
pub(crate) fn authority(file: &Path) -> Result<reqwest::Certificate, CliError> {
    let pem = std::fs::read(file)
        .with_context(|| format!("cannot read the certificate authority {}", file.display()))
        .map_err(|e| CliError::new(Exit::Usage, e).code(code::PLAN_TLS.as_str()))?;
    reqwest::Certificate::from_pem(&pem)
        .with_context(|| format!("{} holds no certificate", file.display()))
        .map_err(|e| CliError::new(Exit::Usage, e).code(code::PLAN_TLS.as_str()))
}

/// A client for addresses outside, such as a chat service: trusts what the system trusts.
pub(crate) fn public_client() -> Result<reqwest::Client, CliError> {
    Ok(reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(10))
        .build()
        .context("cannot make an HTTP client")?)
}

/// Who asks, for the journal: the login name and the machine.
pub(crate) fn whoami() -> String {
    let name = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|u| u.name);
    let machine = nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok());
    format!("{}@{}", name.as_deref().unwrap_or("somebody"), machine.as_deref().unwrap_or("somewhere"))
}
