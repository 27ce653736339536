//! A lease that the kernel keeps: an nftables set whose element has a timeout. While the element is there, clients reach
//! the server; when nobody renews it, the kernel drops it by its own timer, and with it every packet to and from clients.
//!
//! The table outlives the agent on purpose: a frozen or killed agent leaves a fence that closes. What clients send is
//! answered with a reset, and what the server answers is made one on its way: no acknowledgement that was under way still
//! arrives, and a client that waits for it learns at once that it will not come (dropped, it would wait for ever). Our own sessions carry a mark, and the hosts of the other regions' servers are let through,
//! because copies must go on following.
//!
//! Each order sets up all of it again, because others flush the rules of a machine.
//!
//! Border: only what comes in at this machine or goes out of it, in the network namespace of the agent. Packets that it forwards
//! would be known by nothing but the port behind the forwarding, which other servers have too.

use super::{FenceError, OWN_MARK};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::fmt::Write as _;
use std::io::{self, PipeReader, Read, Write as _};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What `nft` says of a table that is not there.
const ABSENT: &str = "No such file";

/// A program that takes longer is ended, to be tried again. Measured 5 to 20 ms; a machine that is this busy is a hundred times
/// slower, and a lease of ten seconds still leaves room for another try.
pub(super) const LONGEST_RUN: Duration = Duration::from_secs(4);

/// What the rules never see.
const FORWARDED: &str = "all clients of a server in another network namespace than the agent, as in a container with a \
    published port: what this machine only forwards is not held back";

/// The fence of one server.
#[derive(Debug, Clone)]
pub struct KernelLease {
    program: String,
    table: String,
    port: u16,
    peers: Vec<IpAddr>,
}

impl KernelLease {
    /// For the server on `port` of this machine; `name` tells it from others here, `peers` are the hosts of the copies.
    /// Touches nothing yet.
    pub fn new(name: &str, port: u16, peers: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut peers: Vec<IpAddr> = peers.into_iter().collect();
        peers.sort_unstable();
        peers.dedup();
        let table = format!("{}{port}", prefix(name));
        Self { program: "nft".to_owned(), table, port, peers }
    }

    /// Another program than `nft` on the path, for example with arguments before its own. Words are split at spaces.
    #[must_use]
    pub fn by(mut self, program: &str) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// Asks the kernel whether it would take the rules; changes nothing.
    pub fn check(&self) -> Result<(), FenceError> {
        self.run("take the rules", &["-c", "-f", "-"], &self.rules("")).map(|_| ())
    }

    /// Sets the fence up, closed. One that stands already stays open or not, as it is.
    pub fn arm(&self) -> Result<(), FenceError> {
        self.run("set up the fence", &["-f", "-"], &self.rules("")).map(|_| ())
    }

    /// Clients may pass for so long from now on; where no fence stands it is set up open, so that nobody who is at work
    /// is turned away. Less than a millisecond closes.
    pub fn allow_for(&self, left: Duration) -> Result<(), FenceError> {
        let milliseconds = left.as_millis();
        if milliseconds == 0 {
            return self.close();
        }
        // An element that is there keeps its old timeout when it is added again.
        let (table, port) = (&self.table, self.port);
        let renewal = format!(
            "add element inet {table} open {{ {port} }}\n\
             delete element inet {table} open {{ {port} }}\n\
             add element inet {table} open {{ {port} timeout {milliseconds}ms }}\n"
        );
        self.run("renew the lease of the connections", &["-f", "-"], &self.rules(&renewal)).map(|_| ())
    }

    /// Nobody passes from now on.
    pub fn close(&self) -> Result<(), FenceError> {
        let text = self.rules(&format!("flush set inet {} open\n", self.table));
        self.run("close the fence", &["-f", "-"], &text).map(|_| ())
    }

    /// Takes the fence away: the server is a standby, or not ours any more.
    pub fn lift(&self) -> Result<(), FenceError> {
        // Adding first makes it no error when there is none.
        let text = format!("add table inet {0}\ndelete table inet {0}\n", self.table);
        self.run("take the fence away", &["-f", "-"], &text).map(|_| ())
    }

    /// The ports of this machine around which a fence of that `name` stands.
    pub(super) fn ports(name: &str, program: &str) -> Result<Vec<u16>, FenceError> {
        let listed = Self::new(name, 0, []).by(program).run("list the fences", &["list", "tables", "inet"], "")?;
        let words = listed.split_whitespace();
        Ok(words.filter_map(|word| word.strip_prefix(&prefix(name))?.parse().ok()).collect())
    }

    /// Whether it stands.
    pub fn is_armed(&self) -> Result<bool, FenceError> {
        match self.run("list the fence", &["list", "table", "inet", &self.table], "") {
            Ok(_) => Ok(true),
            Err(FenceError::Refused { said, .. }) if said.contains(ABSENT) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// What gets past it, in words for people.
    pub fn bypasses(&self) -> Vec<String> {
        let mut open = vec![
            "clients on this machine that use the server's Unix socket".to_owned(),
            format!("ways to the server other than port {}, such as a pooler beside it", self.port),
            FORWARDED.to_owned(),
        ];
        if !self.peers.is_empty() {
            let hosts: Vec<String> = self.peers.iter().map(ToString::to_string).collect();
            open.push(format!("clients on the hosts of the copies ({})", hosts.join(", ")));
        }
        open
    }

    /// The whole table, whatever is left of it: one transaction of the kernel, in which packets see the old rules or the new
    /// ones. Somebody may have flushed them, as a reload of a machine's own rules does; those that stand may be of another
    /// plan. `then` is done with its set of open ports, which keeps what it holds.
    fn rules(&self, then: &str) -> String {
        let (table, port) = (format!("inet {}", self.table), self.port);
        let mut text = format!(
            "add table {table}
add set {table} open {{ type inet_service; flags timeout; }}
add chain {table} in {{ type filter hook input priority 0; policy accept; }}
add chain {table} out {{ type filter hook output priority 0; policy accept; }}
flush chain {table} in
flush chain {table} out
"
        );
        let (mut from_peers, mut to_peers) = (String::new(), String::new());
        for (set, kind, family, v4) in [("peers4", "ipv4_addr", "ip", true), ("peers6", "ipv6_addr", "ip6", false)] {
            let hosts: Vec<String> = self.peers.iter().filter(|p| p.is_ipv4() == v4).map(ToString::to_string).collect();
            if hosts.is_empty() {
                continue;
            }
            let _ = writeln!(text, "add set {table} {set} {{ type {kind}; }}\nflush set {table} {set}");
            let _ = writeln!(text, "add element {table} {set} {{ {} }}", hosts.join(", "));
            let _ = writeln!(from_peers, "add rule {table} in tcp dport {port} {family} saddr @{set} accept");
            let _ = writeln!(to_peers, "add rule {table} out tcp sport {port} {family} daddr @{set} accept");
        }
        // The mark of a packet crosses the loopback; its answers are known by the mark of their connection.
        let _ = write!(
            text,
            "add rule {table} in tcp dport {port} meta mark {OWN_MARK:#x} accept
{from_peers}add rule {table} in tcp dport {port} tcp dport != @open reject with tcp reset
add rule {table} out tcp dport {port} meta mark {OWN_MARK:#x} ct mark set {OWN_MARK:#x}
add rule {table} out tcp sport {port} ct mark {OWN_MARK:#x} accept
{to_peers}add rule {table} out tcp sport {port} tcp flags & rst == rst accept
add rule {table} out tcp sport {port} tcp sport != @open tcp flags set rst
{then}"
        );
        text
    }

    fn run(&self, what: &'static str, args: &[&str], input: &str) -> Result<String, FenceError> {
        let program = || self.program.clone();
        let failed = |source| FenceError::Program { program: program(), source };
        let (mut child, mut output) = self.start(args).map_err(failed)?;
        if let Some(mut pipe) = child.stdin.take() {
            // A program that ended early says why.
            let _ = pipe.write_all(input.as_bytes());
        }
        let said = read_within(&mut output, LONGEST_RUN);
        if !matches!(said, Ok(Some(_))) {
            // Nobody has waited for it yet, so its number is still its own. What it started is of its group.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        }
        let ended = child.wait().map_err(failed)?;
        let Some(said) = said.map_err(failed)? else {
            return Err(FenceError::Hangs { program: program(), what });
        };
        if ended.success() {
            return Ok(said);
        }
        Err(FenceError::Refused { program: program(), what, said: said.trim().to_owned() })
    }

    /// The program, and what it prints on either way.
    fn start(&self, args: &[&str]) -> io::Result<(Child, PipeReader)> {
        let (output, writer) = io::pipe()?;
        let mut words = self.program.split(' ');
        let child = Command::new(words.next().unwrap_or("nft"))
            .args(words)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()?;
        Ok((child, output))
    }
}

/// How the names of a component's tables begin; the port comes after it.
fn prefix(name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("pilotlight_{}_", name.chars().map(word).collect::<String>())
}

/// All that comes until nobody writes any more; `None` when somebody still may after so long.
fn read_within(output: &mut PipeReader, longest: Duration) -> io::Result<Option<String>> {
    let end = SystemClock.mono() + longest;
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.since(SystemClock.mono());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if SystemClock.mono() >= end => return Ok(None),
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        match output.read(&mut some)? {
            0 => return Ok(Some(String::from_utf8_lossy(&all).into_owned())),
            read => all.extend_from_slice(&some[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_components_become_names_of_tables() {
        let fence = KernelLease::new("pay-ments.db", 5432, []);
        assert!(fence.rules("").starts_with("add table inet pilotlight_pay_ments_db_5432\n"));
    }

    #[test]
    fn both_families_of_peers_are_let_through_and_said_to_be() {
        let peers = ["fd00::2", "10.0.0.2", "10.0.0.2"].map(|p| p.parse().unwrap());
        let fence = KernelLease::new("db", 5432, peers);
        let rules = fence.rules("");
        assert!(rules.contains("add element inet pilotlight_db_5432 peers4 { 10.0.0.2 }"), "{rules}");
        assert!(rules.contains("tcp dport 5432 ip6 saddr @peers6 accept"), "{rules}");
        assert!(rules.contains("tcp sport 5432 ip daddr @peers4 accept"), "{rules}");
        assert_eq!(fence.bypasses().len(), 4);
        assert_eq!(KernelLease::new("db", 5432, []).bypasses().len(), 3);
    }

    #[test]
    fn a_missing_program_is_named() {
        let fence = KernelLease::new("db", 5432, []).by("no-such-program-anywhere");
        let said = fence.check().unwrap_err().to_string();
        assert_eq!(said, "cannot run `no-such-program-anywhere`");
    }
}
