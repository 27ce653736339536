//! Streams of WAL between the two copies: one connection at a time, made by the standby, broken by whatever breaks
//! connections, made again from where the standby stands if its history is part of the writer's.

use super::World;
use super::events::Event;
use crate::database::{Lies, Receiver, Sender, Server};
use crate::place::Place;
use crate::timeline::nanos;
use std::time::Duration;

/// Between two entries of WAL that come in drops.
const DROP: Duration = Duration::from_millis(180);

/// A standby that hears nothing for so long gives its connection up.
const RECEIVER_TIMEOUT: Duration = Duration::from_millis(700);

impl World {
    /// The standby looks after its stream: makes one where it has none, gives up one that is silent.
    pub(super) fn reconnect(&mut self, standby: Place, again: bool) {
        if again {
            self.after(Duration::from_millis(250), Event::Reconnect { standby, again });
        }
        let now = self.now();
        let broken = self.network.is_broken(standby, standby.other());
        let silent = broken || !self.powered[standby.other().index()] || self.database(standby.other()).frozen;
        let copy = self.database(standby);
        if copy.server != Server::Standby || copy.frozen {
            return;
        }
        let Lies::AsStandby { upstream } = copy.lies else { return };
        // The network was cut when its sender died: nobody told it, and nobody sends any more.
        let sends = self.databases[standby.other().index() - 1].sender.map(|sender| sender.stream);
        let copy = self.database(standby);
        if let Some(receiver) = &mut copy.receiver {
            if !silent && sends == Some(receiver.stream) {
                receiver.last_word = now;
            } else if now - receiver.last_word > nanos(RECEIVER_TIMEOUT) {
                copy.receiver = None;
            }
            return;
        }
        if upstream == standby || silent {
            return;
        }
        let source = &self.databases[upstream.index() - 1];
        let copy = &self.databases[standby.index() - 1];
        if !source.is_primary() || source.frozen || source.stopping || !source.continues(copy) {
            return;
        }
        self.streams += 1;
        let stream = self.streams;
        let (held, timeline, end_told, name) = (copy.wal.len(), source.timeline, source.flushed, copy.name);
        let copy = self.database(standby);
        copy.receiver = Some(Receiver { stream, last_word: now, end_told });
        copy.timeline = timeline;
        self.database(upstream).sender = Some(Sender { stream, pumping: false, confirmed: held, name });
        self.note(|| format!("{} streams from {}, from {held} on", standby.name(), upstream.name()));
        self.pump(upstream);
        self.candidate_confirms(upstream);
    }

    /// The standby ends its connection; once it has started, which takes it a moment, it makes another.
    pub(super) fn follows_soon(&mut self, standby: Place) {
        self.hang_up_receiver(standby);
        let starts = self.some_ms(10, 120);
        self.after(starts, Event::Reconnect { standby, again: false });
    }

    /// The standby ends its connection.
    pub(super) fn hang_up_receiver(&mut self, standby: Place) {
        self.database(standby).receiver = None;
        if !self.network.is_cut(standby, standby.other()) {
            self.database(standby.other()).sender = None;
        }
    }

    /// Sends what is flushed and was not sent.
    pub(super) fn pump(&mut self, from: Place) {
        let to = from.other();
        let takes = self.network.takes(from, to, &mut self.chance);
        let cut = self.network.is_cut(from, to);
        let held = self.database(to).wal.len();
        let trickles = self.trickles[to.index() - 1] > 0;
        let source = self.database(from);
        let runs = matches!(source.server, Server::Primary | Server::Busy) && !source.frozen;
        let upto = if trickles { source.flushed.min(held + 1) } else { source.flushed };
        let takes = if trickles { takes + nanos(DROP) } else { takes };
        let Some(sender) = source.sender.as_mut().filter(|s| runs && !s.pumping && !cut && upto > held) else { return };
        sender.pumping = true;
        let stream = sender.stream;
        self.at(self.now() + takes, Event::WalArrives { to, stream, upto });
    }

    pub(super) fn wal_arrives(&mut self, to: Place, stream: u64, upto: usize) {
        let from = to.other();
        let (now, broken) = (self.now(), self.network.is_broken(from, to));
        if let Some(sender) = self.database(from).sender.as_mut().filter(|s| s.stream == stream) {
            sender.pumping = false;
        }
        let [east, west] = &mut self.databases;
        let (copy, source) = if to == Place::East { (east, west) } else { (west, east) };
        let open = copy.receiver.is_some_and(|r| r.stream == stream) && copy.server == Server::Standby;
        // What was sent by a server that has died since is in the network all the same.
        if !open || copy.frozen || broken {
            return;
        }
        let upto = upto.min(source.wal.len());
        if upto > copy.wal.len() {
            copy.wal.extend_from_slice(&source.wal[copy.wal.len()..upto]);
            copy.flushed = copy.wal.len();
        }
        if let Some(receiver) = &mut copy.receiver {
            (receiver.last_word, receiver.end_told) = (now, source.flushed);
        }
        if !self.network.is_cut(to, from) {
            let takes = self.network.takes(to, from, &mut self.chance);
            self.at(now + takes, Event::WalConfirmed { to: from, stream, upto });
        }
        self.pump(from);
    }

    pub(super) fn wal_confirmed(&mut self, to: Place, stream: u64, upto: usize) {
        if self.network.is_cut(to.other(), to) {
            return;
        }
        if let Some(sender) = self.database(to).sender.as_mut().filter(|s| s.stream == stream) {
            sender.confirmed = sender.confirmed.max(upto);
            self.pump(to);
            self.candidate_confirms(to);
        }
    }

    /// The server at `from` is gone: the other end hears it at once where the network carries the word.
    pub(super) fn hang_up(&mut self, from: Place, told: bool) {
        let to = from.other();
        if told && !self.network.is_cut(from, to) {
            self.database(to).receiver = None;
        }
        self.database(to).sender = None;
    }
}
