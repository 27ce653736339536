//! Paths of a plan, made to start at the plan's own folder.

use super::{Kind, Plan, SecretRef};
use crate::effect::CommandLine;
use std::path::{Path, PathBuf};

impl Plan {
    /// Makes every relative path start at `dir`, the folder of the plan's file: state, certificates, secrets, data
    /// directories, programs that start with `./` or `../`. Absolute paths stay; programs found by `PATH` too.
    pub fn resolve_paths(&mut self, dir: &Path) {
        let place = |path: &mut PathBuf| *path = dir.join(path.as_path());
        self.controller.members.iter_mut().for_each(|member| place(&mut member.state));
        let (paths, secrets) = self.controller.store.places();
        paths.into_iter().for_each(place);
        secrets.into_iter().for_each(|s| secret(s, dir));
        secret(&mut self.controller.token, dir);
        let controller = &mut self.controller;
        let tokens = [&mut controller.agent_token, &mut controller.observer_token, &mut controller.dns_token];
        let tokens = tokens.into_iter().flatten().chain(controller.region_tokens.values_mut());
        tokens.for_each(|token| secret(token, dir));
        if let Some(file) = &mut self.policy.hold_file {
            place(file);
        }
        if let Some(tls) = &mut self.controller.tls {
            place(&mut tls.ca);
            place(&mut tls.certificate);
            place(&mut tls.key);
        }
        for component in self.components.values_mut() {
            match &mut component.kind {
                Kind::Postgres(postgres) => {
                    if let Some(password) = &mut postgres.password {
                        secret(password, dir);
                    }
                    for server in postgres.regions.values_mut() {
                        place(&mut server.data_dir);
                        if let Some(bin_dir) = &mut server.bin_dir {
                            place(bin_dir);
                        }
                    }
                }
                Kind::Process(process) => process.regions.values_mut().for_each(|c| program(c, dir)),
                Kind::Exec(exec) => program(&mut exec.command, dir),
                Kind::Webhook(webhook) => secret(&mut webhook.url, dir),
                Kind::Dns(_) | Kind::Aws(_) => {}
            }
        }
    }
}

fn secret(secret: &mut SecretRef, dir: &Path) {
    if let SecretRef::File(path) = secret {
        *path = dir.join(path.as_path());
    }
}

fn program(command: &mut CommandLine, dir: &Path) {
    let Some(first) = command.argv.first_mut() else { return };
    if first.starts_with("./") || first.starts_with("../") {
        // A path that is not text cannot be an argument; then the program stays as written.
        if let Some(text) = dir.join(&first).to_str() {
            *first = text.to_owned();
        }
    }
}
