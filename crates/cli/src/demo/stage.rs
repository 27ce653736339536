//! Sets the demo up: folders, ports, certificates, two regions, controller and DNS, all out of real processes.

use super::DemoError;
use super::plan::{self, Controllers, MEMBERS, RegionSite, Settings, Sites, TOKEN_VARIABLE, ZONE};
use crate::operator::Operator;
use crate::wiring;
use pilotlight_core::plan::Plan;
use pilotlight_lab::database::Database;
use pilotlight_lab::folder::Folder;
use pilotlight_lab::net::{Net, Place};
use pilotlight_lab::region::{Child, Launch};
use pilotlight_lab::{certificates, ports, region};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// Folders of labs begin with this.
pub(crate) const PREFIX: &str = "pilotlight-demo-";

/// Where the processes of a place write.
const LOGS: [&str; 7] = [
    "controller.log",
    "controller-a.log",
    "controller-b.log",
    "controller-c.log",
    "dns.log",
    "agent.log",
    "agent/database/database-server.log",
];

/// The running demo. Dropping it ends every process and removes the folder.
pub(crate) struct Stage {
    /// What is where.
    pub(crate) sites: Sites,
    /// What this show is like.
    pub(crate) settings: Settings,
    /// The plan, checked.
    pub(crate) plan: Plan,
    /// The token of agents, DNS and operators.
    pub(crate) token: String,
    /// What is between the places.
    pub(crate) net: Net,
    /// Which kind of network that is and why, for people.
    pub(crate) net_kind: String,
    frozen: Vec<region::Process>,
    // Children before the folder: they are ended first.
    /// By name; the only one is called `controller`.
    controllers: Vec<(&'static str, Child)>,
    dns: Option<Child>,
    agents: Vec<(&'static str, Child)>,
    folder: Folder,
}

impl Stage {
    /// Prepares folders, ports, certificates and the plan; starts nothing.
    pub(crate) fn prepare(settings: Settings, keep: bool) -> Result<Self, DemoError> {
        let folder = Folder::create(PREFIX, keep).map_err(|e| DemoError::at("the demo's folder", e))?;
        let (net, net_kind) = Net::make(settings.net)?;
        let sites = sites(&folder, &net)?;
        let text = plan::text(&sites, &settings, &net, None)?;
        let plan_file = folder.path().join("plan.yaml");
        std::fs::write(&plan_file, &text).map_err(|e| DemoError::at("the demo's plan", e))?;
        for (place, home) in sites.homes() {
            let theirs = plan::text(&sites, &settings, &net, Some(place))?;
            std::fs::write(home.join("plan.yaml"), theirs).map_err(|e| DemoError::at("the demo's plan", e))?;
        }
        let plan = Plan::read(&text, &plan_file.display().to_string())
            .map_err(|faults| DemoError::Plan(faults.to_string()))?;
        let token = random_word().map_err(|e| DemoError::at("the demo's token", e))?;
        let (controllers, dns, agents, frozen) = (Vec::new(), None, Vec::new(), Vec::new());
        Ok(Self { sites, settings, plan, token, net, net_kind, frozen, controllers, dns, agents, folder })
    }

    /// The folder of everything.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The controller, asked as an operator.
    pub(crate) fn operator(&self) -> Result<Operator, DemoError> {
        Operator::with_token(&self.plan, self.token.clone()).map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))
    }

    /// The database of a region, as the lab sees it.
    pub(crate) fn database(&self, region: &str) -> Database {
        let site = self.site(region);
        let at = SocketAddr::new(self.net.address(site.place), site.database_port);
        Database { at, password: self.sites.password.clone() }
    }

    /// The site of a region.
    pub(crate) fn site(&self, region: &str) -> &RegionSite {
        if region == self.sites.west.name { &self.sites.west } else { &self.sites.east }
    }

    /// Starts the DNS server and the controllers.
    pub(crate) fn start_third_place(&mut self) -> Result<(), DemoError> {
        let s = &self.sites;
        let dns = [
            "dns".to_owned(),
            "--listen".to_owned(),
            SocketAddr::new(self.net.address(Place::Third), s.dns_port).to_string(),
            "--control".to_owned(),
            SocketAddr::new(self.net.address(Place::Third), s.dns_control_port).to_string(),
            "--zone".to_owned(),
            ZONE.to_owned(),
            "--state".to_owned(),
            s.third.join("dns").display().to_string(),
            "--certificate".to_owned(),
            s.tls.certificate.display().to_string(),
            "--key".to_owned(),
            s.tls.key.display().to_string(),
        ];
        self.dns = Some(self.launch(Place::Third, "dns", &dns)?);
        let names: &[&'static str] = match self.settings.controllers {
            Controllers::One => &["controller"],
            Controllers::Folder | Controllers::Etcd(_) | Controllers::S3 { .. } => &MEMBERS,
        };
        for name in names {
            let mut serve = vec!["serve".to_owned(), "--plan".to_owned(), self.plan_file(Place::Third)];
            if names.len() > 1 {
                serve.extend(["--member".to_owned(), (*name).to_owned()]);
            }
            let log = if names.len() > 1 { format!("controller-{name}") } else { (*name).to_owned() };
            let child = self.launch(Place::Third, &log, &serve)?;
            self.controllers.push((name, child));
        }
        Ok(())
    }

    /// Starts the agent of a region, as the region's boot would.
    pub(crate) fn start_agent(&mut self, region: &'static str) -> Result<(), DemoError> {
        self.agents.retain(|(name, _)| *name != region);
        let (place, folder) = (self.site(region).place, &self.site(region).folder);
        let words = [
            "agent".to_owned(),
            "--plan".to_owned(),
            self.plan_file(place),
            "--region".to_owned(),
            region.to_owned(),
            "--state".to_owned(),
            folder.join("agent").display().to_string(),
        ];
        let child = self.launch(place, "agent", &words)?;
        self.agents.push((region, child));
        Ok(())
    }

    /// Kills the agent of a region with -9.
    pub(crate) fn kill_agent(&mut self, region: &str) {
        // Dropped children are killed; from here on it is not one that ought to run.
        self.agents.retain(|(name, _)| *name != region);
    }

    /// Kills every process of a region with -9, the agent included.
    pub(crate) fn kill_region(&mut self, region: &str) -> Vec<region::Process> {
        let folder = self.site(region).folder.clone();
        let killed = region::processes(&folder);
        for process in &killed {
            region::kill_pid(process.pid);
        }
        // Whatever was being started in that instant.
        region::kill_all(&folder, std::time::Duration::from_secs(5));
        self.agents.retain(|(name, _)| *name != region);
        killed
    }

    /// Freezes processes of a region until [`Stage::thaw`].
    pub(crate) fn freeze(&mut self, region: &str, wanted: impl Fn(&region::Process) -> bool) {
        let frozen = region::freeze(&self.site(region).folder, wanted);
        self.frozen.extend(frozen);
    }

    /// What is frozen goes on.
    pub(crate) fn thaw(&mut self) {
        region::thaw(&std::mem::take(&mut self.frozen));
    }

    /// Kills PostgreSQL's first process in a region with -9 and nothing else.
    pub(crate) fn kill_postmaster(&self, region: &str) -> Result<i32, DemoError> {
        let file = self.site(region).data_dir().join("postmaster.pid");
        let text = std::fs::read_to_string(&file).map_err(|e| DemoError::at("postmaster.pid", e))?;
        let pid = text.lines().next().and_then(|l| l.trim().parse().ok()).ok_or_else(|| {
            DemoError::at("postmaster.pid", std::io::Error::new(std::io::ErrorKind::InvalidData, "no process id in it"))
        })?;
        region::kill_pid(pid);
        Ok(pid)
    }

    /// Kills the controllers with -9.
    pub(crate) fn kill_controllers(&mut self) {
        self.controllers.iter_mut().for_each(|(_, child)| child.kill());
    }

    /// Starts the controllers again on the state they left.
    pub(crate) fn restart_controllers(&mut self) -> Result<(), DemoError> {
        for (_, child) in &mut self.controllers {
            child.restart().map_err(|e| DemoError::at("the controller", e))?;
        }
        Ok(())
    }

    /// Kills the DNS authority with -9 and starts it again on what it left.
    pub(crate) fn restart_authority(&mut self) -> Result<(), DemoError> {
        let Some(dns) = &mut self.dns else { return Ok(()) };
        dns.restart().map_err(|e| DemoError::at("the DNS authority", e))
    }

    /// The process of the first controller.
    pub(crate) fn controller_pid(&self) -> Option<i32> {
        self.controllers.first().map(|(_, child)| child.pid())
    }

    /// One of several controllers.
    pub(crate) fn controller(&mut self, name: &str) -> Option<&mut Child> {
        self.controllers.iter_mut().find(|(known, _)| *known == name).map(|(_, child)| child)
    }

    /// What should run but does not, with the last lines it wrote.
    pub(crate) fn first_dead(&mut self) -> Option<String> {
        let third = self.controllers.iter_mut().map(|(_, child)| ("controller", child));
        for (name, child) in third.chain(self.dns.iter_mut().map(|child| ("dns", child))) {
            if !child.is_running() {
                return Some(format!("the {name} has ended; its last lines:\n{}", child.log_tail(12)));
            }
        }
        let dead = self.agents.iter_mut().find_map(|(name, child)| (!child.is_running()).then_some((*name, child)));
        dead.map(|(name, child)| format!("the agent of {name} has ended; its last lines:\n{}", child.log_tail(12)))
    }

    /// The last lines of every log, for the case that something went wrong.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for folder in [&self.sites.third, &self.sites.east.folder, &self.sites.west.folder] {
            for name in LOGS {
                let path = folder.join(name);
                if path.exists() {
                    all.push_str(&format!("--- {}\n{}\n", path.display(), region::tail(&path, 25)));
                }
            }
        }
        all
    }

    /// Ends everything; answers what would not end.
    pub(crate) fn close(mut self) -> Vec<region::Process> {
        self.agents.clear();
        for site in [&self.sites.east, &self.sites.west] {
            // Also gives back the shared memory of a server that was killed.
            wiring::lab::end_database(&site.data_dir());
        }
        self.controllers.clear();
        self.dns = None;
        self.folder.close()
    }

    fn plan_file(&self, place: Place) -> String {
        self.sites.home(place).join("plan.yaml").display().to_string()
    }

    fn launch(&self, place: Place, name: &str, words: &[String]) -> Result<Child, DemoError> {
        let mut argv = vec![self.sites.program.display().to_string()];
        argv.extend_from_slice(words);
        let launch = Launch {
            folder: self.sites.home(place).to_owned(),
            name: name.to_owned(),
            argv,
            env: vec![(TOKEN_VARIABLE.to_owned(), self.token.clone())],
            door: self.net.door(place),
        };
        launch.start().map_err(|e| DemoError::at(name, e))
    }
}

fn sites(folder: &Folder, net: &Net) -> Result<Sites, DemoError> {
    let failed = |what: &'static str| move |e| DemoError::at(what, e);
    let east = folder.subfolder("east").map_err(failed("the folder of east"))?;
    let west = folder.subfolder("west").map_err(failed("the folder of west"))?;
    let third = folder.subfolder("third").map_err(failed("the folder of the third place"))?;
    let free = ports::free(10).map_err(failed("free ports"))?;
    let names = [net.address(Place::Third).to_string(), "localhost".to_owned()];
    let tls = certificates::make(&third.join("tls"), &names.each_ref().map(String::as_str))
        .map_err(|e| DemoError::at("certificates", std::io::Error::other(e)))?;
    let password = random_word().map_err(failed("the password of the databases"))?;
    let password_file = third.join("database-password");
    write_private(&password_file, &password).map_err(failed("the password of the databases"))?;
    let passphrase_file = third.join("rescue-passphrase");
    let passphrase = random_word().map_err(failed("the passphrase of rescue bundles"))?;
    write_private(&passphrase_file, &passphrase).map_err(failed("the passphrase of rescue bundles"))?;
    let program = std::env::current_exe().map_err(failed("the path of this program"))?;
    Ok(Sites {
        east: RegionSite {
            name: "east",
            place: Place::East,
            folder: east,
            address: net.address(Place::East),
            database_port: free[0],
            proxy_port: free[8],
        },
        west: RegionSite {
            name: "west",
            place: Place::West,
            folder: west,
            address: if net.address(Place::West) == net.address(Place::East) {
                second_address()
            } else {
                net.address(Place::West)
            },
            database_port: free[1],
            proxy_port: free[9],
        },
        third,
        service_port: free[2],
        controller_ports: [free[3], free[6], free[7]],
        dns_port: free[4],
        dns_control_port: free[5],
        tls,
        password_file,
        passphrase_file,
        password,
        program,
    })
}

/// A second loopback address: Linux answers on all of 127.0.0.0/8, others only on `::1` besides the first.
fn second_address() -> IpAddr {
    if cfg!(target_os = "linux") {
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))
    } else {
        IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn random_word() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0u8; 24];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
