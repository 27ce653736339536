//! The plan of the demo, as a user would have written it.

use pilotlight_core::plan::{ConnectionFence, ShiftOrder};
use pilotlight_core::time::parse_duration;
use pilotlight_lab::net::{Net, NetError, Place, Want};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name users pay at.
pub(crate) const NAME: &str = "pay.demo.test";
/// The zone the built-in DNS is the authority of.
pub(crate) const ZONE: &str = "demo.test";
/// The application's name.
pub(crate) const APPLICATION: &str = "payments";
/// The environment variable with the token of agents, DNS and operators.
pub(crate) const TOKEN_VARIABLE: &str = "PILOTLIGHT_TOKEN";
/// Time to live of the DNS answers, in seconds: the lowest that DNS can say.
pub(crate) const TTL_SECONDS: u32 = 1;

/// One region of the demo.
#[derive(Debug, Clone)]
pub(crate) struct RegionSite {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it is in the lab's network.
    pub(crate) place: Place,
    /// Where its processes live.
    pub(crate) folder: PathBuf,
    /// The address its service answers on; both regions use the same port, as they would behind one name.
    pub(crate) address: IpAddr,
    /// Port of its PostgreSQL.
    pub(crate) database_port: u16,
    /// Where clients connect when a proxy stands in front of it.
    pub(crate) proxy_port: u16,
}

impl RegionSite {
    /// `PGDATA`.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.join("database")
    }

    /// Where clients of its database connect.
    pub(crate) fn client_port(&self, fence: ConnectionFence) -> u16 {
        if fence == ConnectionFence::Proxy { self.proxy_port } else { self.database_port }
    }
}

/// Everything the plan is made of.
#[derive(Debug)]
pub(crate) struct Sites {
    /// Where the writer is at first.
    pub(crate) east: RegionSite,
    /// The standby.
    pub(crate) west: RegionSite,
    /// Controller and DNS: a place of their own.
    pub(crate) third: PathBuf,
    /// Port of the payments service in both regions.
    pub(crate) service_port: u16,
    /// Ports of the controllers: of the only one, and of two more where there are several.
    pub(crate) controller_ports: [u16; 3],
    /// Port of the DNS server.
    pub(crate) dns_port: u16,
    /// Port of the DNS server's control interface.
    pub(crate) dns_control_port: u16,
    /// PEM files of the controller and the DNS server.
    pub(crate) tls: pilotlight_lab::certificates::Files,
    /// File with the password of both databases.
    pub(crate) password_file: PathBuf,
    /// File with the passphrase of rescue bundles.
    pub(crate) passphrase_file: PathBuf,
    /// The password of the databases.
    pub(crate) password: String,
    /// This program: it is also the payments service.
    pub(crate) program: PathBuf,
}

impl Sites {
    /// The folder of a place in which something runs.
    pub(crate) fn home(&self, place: Place) -> &Path {
        match place {
            Place::East => &self.east.folder,
            Place::West => &self.west.folder,
            Place::Third | Place::Clients => &self.third,
        }
    }

    /// The places in which something runs, with their folders.
    pub(crate) fn homes(&self) -> [(Place, &Path); 3] {
        [Place::East, Place::West, Place::Third].map(|place| (place, self.home(place)))
    }
}

/// What differs between one show and another.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `policy.lease`.
    pub(crate) lease: String,
    /// `objectives.rpo`, at least: past it a person decides.
    pub(crate) rpo: &'static str,
    /// `policy.on_postmaster_death`.
    pub(crate) on_postmaster_death: &'static str,
    /// `policy.guarantee`.
    pub(crate) guarantee: &'static str,
    /// Payments a second.
    pub(crate) rate: u32,
    /// `rescue.rows`.
    pub(crate) rows: bool,
    /// PostgreSQL's `shared_buffers`.
    pub(crate) shared_buffers: &'static str,
    /// What is between the places.
    pub(crate) net: Want,
    /// One controller on SQLite, or three on what they share.
    pub(crate) controllers: Controllers,
    /// Traffic goes home by shares that health checks watch, after the writer or, once a person has approved it, ahead of it;
    /// instances write to whichever region has the writer.
    pub(crate) shares: Option<ShiftOrder>,
    /// `connection_fence`.
    pub(crate) fence: ConnectionFence,
}

/// The controllers of a show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Controllers {
    /// One, on SQLite.
    One,
    /// Three on a folder.
    Folder,
    /// Three on etcd, which has these endpoints.
    Etcd(Vec<String>),
    /// Three on a bucket of a server that speaks S3.
    S3 {
        /// Where the server is.
        endpoint: String,
        /// The bucket.
        bucket: &'static str,
    },
}

/// The names of three controllers.
pub(crate) const MEMBERS: [&str; 3] = ["a", "b", "c"];

impl Controllers {
    /// One of them leads.
    pub(crate) fn are_several(&self) -> bool {
        *self != Controllers::One
    }

    /// Where they are found and what they share, as keys of `controller`, for somebody at `viewer`.
    fn text(&self, sites: &Sites, net: &Net, viewer: Option<Place>) -> Result<String, NetError> {
        let third = sites.third.display();
        let at = |port: u16| -> Result<_, NetError> {
            let listen = SocketAddr::new(net.address(Place::Third), port);
            Ok((listen, net.way(viewer, Place::Third, port)?))
        };
        let store = match self {
            Controllers::One => {
                let (listen, way) = at(sites.controller_ports[0])?;
                return Ok(format!("listen: {listen}\n  url: https://{way}\n  state: {third}/state"));
            }
            Controllers::Folder => format!("{{ folder: {third}/shared }}"),
            Controllers::Etcd(endpoints) => format!("{{ etcd: {{ endpoints: {endpoints:?} }} }}"),
            // Such a server of this machine takes any key.
            Controllers::S3 { endpoint, bucket } => format!(
                "{{ s3: {{ bucket: {bucket}, endpoint: {endpoint:?}, access_key_id: {{ env: {TOKEN_VARIABLE} }}, \
                 secret_access_key: {{ env: {TOKEN_VARIABLE} }} }} }}"
            ),
        };
        let mut text = format!("store: {store}\n  members:");
        for (name, port) in MEMBERS.iter().zip(sites.controller_ports) {
            let (listen, way) = at(port)?;
            let member = format!("{{ listen: \"{listen}\", url: \"https://{way}\", state: {third}/{name} }}");
            let _ = write!(text, "\n    {name}: {member}");
        }
        Ok(text)
    }
}

impl Settings {
    /// RTO and RPO. A plan that could not meet them is refused, so a longer lease promises less.
    fn objectives(&self) -> (String, String) {
        let lease = parse_duration(&self.lease).unwrap_or_default();
        let at_least = |usual: Duration, needed: Duration| format!("{}ms", usual.max(needed).as_millis());
        let rpo = parse_duration(self.rpo).unwrap_or_default();
        let rto = at_least(Duration::from_secs(10), lease + Duration::from_secs(7));
        (rto, at_least(rpo, lease + Duration::from_secs(2)))
    }

    /// The writer waits for a candidate, so nobody is promoted by itself before there is one.
    pub(crate) fn waits(&self) -> bool {
        self.guarantee != "best-effort"
    }
}

/// Writes the plan's text, with the addresses that somebody at `viewer` dials; `None` is the lab itself.
pub(crate) fn text(sites: &Sites, settings: &Settings, net: &Net, viewer: Option<Place>) -> Result<String, NetError> {
    let (rto, rpo) = settings.objectives();
    let Settings { lease, on_postmaster_death, guarantee, rate, rows, controllers, .. } = settings;
    let mut plan = String::new();
    let control = net.way(viewer, Place::Third, sites.dns_control_port)?;
    let dns = net.way(None, Place::Third, sites.dns_port)?;
    // Writing to a String cannot fail.
    let _ = write!(
        plan,
        r#"# The plan of `pilotlight demo`.
application: {APPLICATION}
objectives:
  rto: {rto}
  rpo: {rpo}
home: east
regions: [east, west]

controller:
  {controllers}
  token: {{ env: {TOKEN_VARIABLE} }}
  tls:
    ca: {ca}
    certificate: {certificate}
    key: {key}

policy:
  mode: automatic
  guarantee: {guarantee}
  lease: {lease}
  on_postmaster_death: {on_postmaster_death}
  rejoin: automatic

components:
  database:
    kind: postgres
    database: postgres
    user: postgres
    password: {{ file: {password} }}
    sentinel: 100ms
    rescue: {{ rows: {rows}, passphrase: {{ file: {passphrase} }} }}
{fence}    regions:
"#,
        controllers = controllers.text(sites, net, viewer)?,
        ca = sites.tls.ca.display(),
        certificate = sites.tls.certificate.display(),
        key = sites.tls.key.display(),
        password = sites.password_file.display(),
        passphrase = sites.passphrase_file.display(),
        fence = fence_line(settings.fence),
    );
    for site in [&sites.east, &sites.west] {
        let at = net.way(viewer, site.place, site.database_port)?;
        let (name, data_dir) = (site.name, site.data_dir());
        let (host, port, data_dir) = (at.ip(), at.port(), data_dir.display());
        let proxy = match settings.fence {
            ConnectionFence::Proxy => {
                format!(", proxy: \"{}\"", SocketAddr::new(net.address(site.place), site.proxy_port))
            }
            ConnectionFence::None | ConnectionFence::Kernel => String::new(),
        };
        let _ = writeln!(plan, "      {name}: {{ host: {host}, port: {port}, data_dir: {data_dir}{proxy} }}");
    }
    plan.push_str("  service:\n    kind: process\n    active: 2\n    standby: 1\n    regions:\n");
    for site in [&sites.east, &sites.west] {
        let fence = settings.fence;
        let dsn = if settings.shares.is_some() {
            dsn_of_writer(sites, site, net, fence)?
        } else {
            dsn_beside(site, net, fence)
        };
        let _ = writeln!(plan, "      {}: {{ command: {} }}", site.name, service_command(sites, site, dsn));
    }
    plan.push_str("    ready:\n");
    for site in [&sites.east, &sites.west] {
        let _ = writeln!(plan, "      {}: {{ tcp: {{ address: \"{}\" }} }}", site.name, service_address(sites, site));
    }
    let _ = write!(
        plan,
        r#"  name:
    kind: dns
    name: {NAME}
    ttl: {TTL_SECONDS}s
    server: {dns}
    control_url: https://{control}
    answers: {{ east: "{east}", west: "{west}" }}

verify:
  - http: {{ url: "{url}/health" }}
measure: {{ url: "{url}/pay", rate: {rate} }}
"#,
        east = sites.east.address,
        west = sites.west.address,
        url = service_url(sites),
    );
    if let Some(order) = settings.shares {
        plan.push_str(&by_shares(sites, order));
    }
    Ok(plan)
}

/// The fence around the clients of the database, if there is to be one.
fn fence_line(fence: ConnectionFence) -> &'static str {
    match fence {
        ConnectionFence::None => "",
        ConnectionFence::Kernel => "    connection_fence: kernel\n",
        ConnectionFence::Proxy => "    connection_fence: proxy\n",
    }
}

/// How the service goes home when it goes by shares, and what watches it.
fn by_shares(sites: &Sites, order: ShiftOrder) -> String {
    let url = |site| format!("{{ http: {{ url: \"http://{}/health\" }} }}", service_address(sites, site));
    let order = match order {
        ShiftOrder::WriterFirst => "order: writer-first",
        ShiftOrder::TrafficFirst => "order: traffic-first, approval: true",
    };
    format!(
        "health:\n  front:\n    regions: {{ east: {}, west: {} }}\n    every: 500ms\n\
         failback: {{ {order}, shares: [10, 50, 100], watch: 3s, every: 200ms, max_errors: 40, soak: 1s }}\n",
        url(&sites.east),
        url(&sites.west)
    )
}

/// Where users pay, by name.
pub(crate) fn service_url(sites: &Sites) -> String {
    format!("http://{NAME}:{}", sites.service_port)
}

fn service_address(sites: &Sites, site: &RegionSite) -> String {
    std::net::SocketAddr::new(site.address, sites.service_port).to_string()
}

/// The region's own database.
fn dsn_beside(site: &RegionSite, net: &Net, fence: ConnectionFence) -> String {
    let (host, port) = (net.address(site.place), site.client_port(fence));
    format!("host={host} port={port} user=postgres dbname=postgres")
}

/// Whichever of the two databases takes writes, the region's own asked first.
fn dsn_of_writer(sites: &Sites, site: &RegionSite, net: &Net, fence: ConnectionFence) -> Result<String, NetError> {
    let other = if site.name == sites.east.name { &sites.west } else { &sites.east };
    let (here, there) = (net.address(site.place), net.way(Some(site.place), other.place, other.client_port(fence))?);
    let (port, host) = (site.client_port(fence), there.ip());
    let ports = format!("{port},{}", there.port());
    Ok(format!("host={here},{host} port={ports} user=postgres dbname=postgres target_session_attrs=read-write"))
}

fn service_command(sites: &Sites, site: &RegionSite, dsn: String) -> String {
    let words = [
        path_word(&sites.program),
        "payments".to_owned(),
        "--listen".to_owned(),
        service_address(sites, site),
        "--region".to_owned(),
        site.name.to_owned(),
        "--dsn".to_owned(),
        dsn,
        "--password-file".to_owned(),
        path_word(&sites.password_file),
    ];
    let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

fn path_word(path: &Path) -> String {
    path.display().to_string()
}
