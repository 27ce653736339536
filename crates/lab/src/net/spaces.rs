//! A network stack per place: Linux namespaces without names, joined by a bridge in one of its own.
//!
//! Nothing here has a name that could be left over but one: the lab's own end of the bridge, an interface `plNNN` whose
//! number also is the lab's subnet, 10.213.NNN.0/24. It goes with the namespace of the bridge, and that goes with this
//! process. A namespace of a place lives as long as the lab or a process in it.
//!
//! Neighbours are static, and a one-way cut is a neighbour entry that leads to a MAC address nobody has: frames vanish,
//! no carrier is lost, nothing is refused, address resolution does not fail. That is what a dead link far away looks like.

use super::{Door, NetError, Place};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

const NOBODY: &str = "02:d5:00:ff:ff:ff";
/// The lab's own number in the subnet.
const LAB: u8 = 254;

/// Namespaces and their bridge.
#[derive(Debug)]
pub struct Spaces {
    /// The third part of every address.
    subnet: u8,
    // Kept open: the bridge lives as long.
    _hub: Arc<File>,
    places: [(Place, Arc<File>); 4],
}

impl Spaces {
    pub(super) fn make() -> Result<Self, NetError> {
        let hub = new_space()?;
        let subnet = claim(&hub)?;
        let places = [
            (Place::East, new_space()?),
            (Place::West, new_space()?),
            (Place::Third, new_space()?),
            (Place::Clients, new_space()?),
        ];
        let spaces = Self { subnet, _hub: hub.clone(), places };
        inside(&hub, || {
            ip("link add hub type bridge")?;
            ip("link set hub type bridge forward_delay 0")?;
            ip("link set lab master hub up")?;
            ip("link set hub up")
        })?;
        for (place, space) in &spaces.places {
            spaces.join(&hub, *place, space)?;
        }
        spaces.know_each_other()?;
        Ok(spaces)
    }

    /// A pair of interfaces: one end on the bridge, the other in the place.
    fn join(&self, hub: &Arc<File>, place: Place, space: &Arc<File>) -> Result<(), NetError> {
        let (name, number) = (place.name(), place.number());
        inside(hub, || {
            let (mac, at) = (self.mac(number), path_of(space));
            ip(&format!("link add {name} type veth peer name net0 address {mac} netns {at}"))?;
            ip(&format!("link set {name} master hub up"))
        })?;
        inside(space, || {
            ip("link set lo up")?;
            ip("link set net0 up")?;
            ip(&format!("addr add {}/24 dev net0", self.address(place)))
        })
    }

    fn know_each_other(&self) -> Result<(), NetError> {
        for (place, space) in &self.places {
            let (mac, at) = (self.mac(place.number()), self.address(*place));
            ip(&format!("neigh replace {at} lladdr {mac} dev {} nud permanent", interface(self.subnet)))?;
            inside(space, || {
                let lab = format!("10.213.{}.{LAB}", self.subnet);
                ip(&format!("neigh replace {lab} lladdr {} dev net0 nud permanent", self.mac(LAB)))
            })?;
            for other in place.others() {
                self.open(*place, other, true)?;
            }
        }
        Ok(())
    }

    pub(super) fn open(&self, from: Place, to: Place, open: bool) -> Result<(), NetError> {
        let mac = if open { self.mac(to.number()) } else { NOBODY.to_owned() };
        let text = format!("neigh replace {} lladdr {mac} dev net0 nud permanent", self.address(to));
        inside(self.space(from), || ip(&text))
    }

    pub(super) fn address(&self, place: Place) -> IpAddr {
        IpAddr::from([10, 213, self.subnet, place.number()])
    }

    pub(super) fn door(&self, place: Place) -> Door {
        Door { space: Some(self.space(place).clone()) }
    }

    fn space(&self, place: Place) -> &Arc<File> {
        let [(_, east), (_, west), (_, third), (_, clients)] = &self.places;
        match place {
            Place::East => east,
            Place::West => west,
            Place::Third => third,
            Place::Clients => clients,
        }
    }

    fn mac(&self, number: u8) -> String {
        mac(self.subnet, number)
    }
}

fn mac(subnet: u8, number: u8) -> String {
    format!("02:d5:00:00:{subnet:02x}:{number:02x}")
}

fn interface(subnet: u8) -> String {
    format!("pl{subnet}")
}

/// Takes a free subnet: whoever makes the interface first has it. Its other end goes to the bridge.
fn claim(hub: &Arc<File>) -> Result<u8, NetError> {
    let mut last = NetError::NotHere("every subnet of labs is taken");
    for subnet in 1..=250 {
        if !is_free(subnet)? {
            continue;
        }
        let (name, mac, at) = (interface(subnet), mac(subnet, LAB), path_of(hub));
        match ip(&format!("link add {name} address {mac} type veth peer name lab netns {at}")) {
            Ok(()) => {
                ip(&format!("addr add 10.213.{subnet}.{LAB}/24 dev {name}"))?;
                ip(&format!("link set {name} up"))?;
                return Ok(subnet);
            }
            Err(e) if e.to_string().contains("exists") => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

/// Nobody on this machine has a way of its own to that subnet.
fn is_free(subnet: u8) -> Result<bool, NetError> {
    let routes = output(&format!("-o route show to match 10.213.{subnet}.1"))?;
    Ok(routes.lines().all(|line| line.starts_with("default")))
}

/// An open namespace, by the only path it has.
fn path_of(space: &Arc<File>) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), space.as_raw_fd())
}

/// A new, empty network stack.
fn new_space() -> Result<Arc<File>, NetError> {
    let made = std::thread::scope(|scope| {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(format!("/proc/self/task/{}/ns/net", nix::unistd::gettid()))
        };
        scope.spawn(make).join()
    });
    let made = made.unwrap_or_else(|_| Err(io::Error::other("the thread that was to make it has panicked")));
    made.map(Arc::new).map_err(NetError::system("make a network namespace (that takes root)"))
}

/// Moves the calling thread, and what it starts, into a namespace.
pub(super) fn enter(space: &File) -> io::Result<()> {
    setns(space, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

/// Does something on a thread that is in a namespace.
pub(super) fn within<T: Send>(space: &File, what: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| enter(space).map(|()| what())).join();
        done.unwrap_or_else(|cause| std::panic::resume_unwind(cause))
    })
}

fn inside(space: &Arc<File>, what: impl FnOnce() -> Result<(), NetError> + Send) -> Result<(), NetError> {
    within(space, what).map_err(NetError::system("enter a network namespace"))?
}

fn ip(words: &str) -> Result<(), NetError> {
    output(words).map(drop)
}

fn output(words: &str) -> Result<String, NetError> {
    let mut command = Command::new("ip");
    command.args(words.split(' ')).stdin(Stdio::null()).env("LC_ALL", "C");
    let done = command.output().map_err(NetError::system("run `ip` of iproute2"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() {
        return Ok(text(&done.stdout));
    }
    Err(NetError::Program { command: format!("ip {words}"), output: text(&done.stderr) })
}
