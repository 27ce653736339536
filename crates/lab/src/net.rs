//! The network between the places of a lab: who reaches whom, and how that is taken away.
//!
//! Two kinds do the same: [`spaces`], where each place has a network stack of its own (Linux, root), and [`relays`],
//! where each way between two places is a small TCP proxy on loopback. A cut is silent in both: nothing is refused, no
//! connection is reset, what was sent simply does not arrive, and a cut may be one-way. The lab itself sees every place
//! always: it must be able to tell what happened behind a cut.

mod pipe;
pub mod relays;
#[cfg(target_os = "linux")]
pub mod spaces;

use relays::Relays;
#[cfg(target_os = "linux")]
use spaces::Spaces;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where something can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The first region.
    East,
    /// The second region.
    West,
    /// Where the controller and the names are.
    Third,
    /// Where the users are.
    Clients,
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 4] = [Place::East, Place::West, Place::Third, Place::Clients];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Place::East => "east",
            Place::West => "west",
            Place::Third => "third",
            Place::Clients => "clients",
        }
    }

    /// Its number, from 1 on: the last part of its address.
    fn number(self) -> u8 {
        match self {
            Place::East => 1,
            Place::West => 2,
            Place::Third => 3,
            Place::Clients => 4,
        }
    }

    /// All but this one.
    pub fn others(self) -> impl Iterator<Item = Place> {
        Place::ALL.into_iter().filter(move |p| *p != self)
    }
}

/// Which kind of network is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Namespaces where the machine allows them, else relays.
    Best,
    /// Namespaces or nothing.
    Spaces,
    /// Relays.
    Relays,
    /// Nothing between the places at all: loopback, no cuts.
    Plain,
}

impl Want {
    /// One that can also [delay](Net::delay).
    pub fn with_delays(self) -> Self {
        Want::Relays
    }
}

/// Why there is no such network, or why it does not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A program of the system failed.
    #[error("`{command}` failed: {output}")]
    Program {
        /// What was run.
        command: String,
        /// What it printed.
        output: String,
    },
    /// The system refused.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// This kind of network cannot do that.
    #[error("{0}")]
    NotHere(&'static str),
}

impl NetError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> NetError {
        move |source| NetError::System { what, source }
    }
}

/// The network of a lab. What runs in it must be ended before it goes.
#[derive(Debug)]
pub enum Net {
    /// Loopback without anything between.
    Plain,
    /// A TCP proxy on each way.
    Relays(Relays),
    /// A network stack per place.
    #[cfg(target_os = "linux")]
    Spaces(Spaces),
}

impl Net {
    /// Makes it. Answers it with why it is of that kind, for people.
    pub fn make(want: Want) -> Result<(Self, String), NetError> {
        match want {
            Want::Plain => Ok((Net::Plain, "loopback, without cuts".to_owned())),
            Want::Relays => Ok((Net::Relays(Relays::make()?), "relays on loopback".to_owned())),
            Want::Spaces => Self::spaces().map(|net| (net, "network namespaces".to_owned())),
            Want::Best => match Self::spaces() {
                Ok(net) => Ok((net, "network namespaces".to_owned())),
                Err(e) => Ok((Net::Relays(Relays::make()?), format!("relays on loopback, because {e}"))),
            },
        }
    }

    #[cfg(target_os = "linux")]
    fn spaces() -> Result<Self, NetError> {
        Spaces::make().map(Net::Spaces)
    }

    #[cfg(not(target_os = "linux"))]
    fn spaces() -> Result<Self, NetError> {
        Err(NetError::NotHere("only Linux has network namespaces"))
    }

    /// Where processes of the place listen.
    pub fn address(&self, place: Place) -> IpAddr {
        match self {
            Net::Plain | Net::Relays(_) => IpAddr::from([127, 0, 0, 1]),
            #[cfg(target_os = "linux")]
            Net::Spaces(spaces) => spaces.address(place),
        }
    }

    /// What somebody at `from` dials to reach `port` in `to`; `None` is the lab itself.
    pub fn way(&self, from: Option<Place>, to: Place, port: u16) -> Result<SocketAddr, NetError> {
        let direct = SocketAddr::new(self.address(to), port);
        match (self, from) {
            (Net::Relays(relays), Some(from)) if from != to => relays.way(from, to, direct),
            _ => Ok(direct),
        }
    }

    /// A door to the place: what is started through it is in its network.
    pub fn door(&self, place: Place) -> Door {
        match self {
            Net::Plain | Net::Relays(_) => Door::default(),
            #[cfg(target_os = "linux")]
            Net::Spaces(spaces) => spaces.door(place),
        }
    }

    /// From now on nothing that `from` sends arrives at `to`. Silent; the other direction is left as it is.
    pub fn cut(&self, from: Place, to: Place) -> Result<(), NetError> {
        self.open(from, to, false)
    }

    /// What `from` sends arrives at `to` again.
    pub fn heal(&self, from: Place, to: Place) -> Result<(), NetError> {
        self.open(from, to, true)
    }

    fn open(&self, from: Place, to: Place, open: bool) -> Result<(), NetError> {
        match self {
            Net::Plain => Err(NetError::NotHere("this lab has no network of its own that could be cut")),
            Net::Relays(relays) => {
                relays.open(from, to, open);
                Ok(())
            }
            #[cfg(target_os = "linux")]
            Net::Spaces(spaces) => spaces.open(from, to, open),
        }
    }

    /// Cuts two places from each other, both ways.
    pub fn cut_between(&self, one: Place, other: Place) -> Result<(), NetError> {
        self.cut(one, other)?;
        self.cut(other, one)
    }

    /// Cuts a place from all others, both ways.
    pub fn cut_off(&self, place: Place) -> Result<(), NetError> {
        place.others().try_for_each(|other| self.cut_between(place, other))
    }

    /// Everybody reaches everybody again, without delay.
    pub fn heal_all(&self) -> Result<(), NetError> {
        for from in Place::ALL {
            for to in from.others() {
                if !matches!(self, Net::Plain) {
                    self.heal(from, to)?;
                }
            }
        }
        if let Net::Relays(relays) = self {
            relays.delay_all(Duration::ZERO);
        }
        Ok(())
    }

    /// What `from` sends to `to` arrives so much later. Relays only: the lab asks no kernel for a queue that many lack.
    pub fn delay(&self, from: Place, to: Place, by: Duration) -> Result<(), NetError> {
        match self {
            Net::Relays(relays) => {
                relays.delay(from, to, by);
                Ok(())
            }
            _ => Err(NetError::NotHere("only relays can delay: ask for a lab with relays")),
        }
    }
}

/// The way into the network of a place.
#[derive(Debug, Clone, Default)]
pub struct Door {
    #[cfg(target_os = "linux")]
    space: Option<std::sync::Arc<std::fs::File>>,
}

impl Door {
    /// Does something in the network of the place: sockets made there and processes started there belong to it.
    pub fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> io::Result<T> {
        #[cfg(target_os = "linux")]
        if let Some(space) = &self.space {
            return spaces::within(space, what);
        }
        Ok(what())
    }

    /// The same for what goes on by itself, on a thread of its own.
    pub fn spawn(&self, name: &str, what: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let door = self.clone();
        let run = move || {
            // Entering failed only if the place is gone, and then nobody waits for this any more.
            let _ = door.enter().map(|()| what());
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }

    /// Threads in the place, for what is asynchronous and goes on.
    pub fn threads(&self, name: &str) -> io::Result<Threads> {
        let door = self.clone();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        // A thread that could not enter would be in the lab's own network, which sees more than it should.
        runtime.on_thread_start(move || door.enter().expect("the namespace is held open by its door"));
        runtime.worker_threads(1).thread_name(name).enable_all().build().map(|runtime| Threads(Some(runtime)))
    }

    fn enter(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(space) = &self.space {
            return spaces::enter(space);
        }
        Ok(())
    }
}

/// What runs on these ends with them.
#[derive(Debug)]
pub struct Threads(Option<tokio::runtime::Runtime>);

impl Threads {
    /// Does something there.
    pub async fn run<F>(&self, what: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Some(runtime) = &self.0 else { return what.await };
        match runtime.spawn(what).await {
            Ok(done) => done,
            // It is aborted only when the threads end, and those are held by the caller.
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Also from within another runtime, which may not wait.
            runtime.shutdown_background();
        }
    }
}
