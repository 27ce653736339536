"""Modelled time: real time, so many times faster. Everything that takes a while in AWS takes it on this clock."""

import time


class Clock:
    """Counts modelled seconds since the server started."""

    def __init__(self):
        self.speed = 1.0
        self.before = 0.0
        self.since = time.monotonic()

    def now(self):
        return self.before + (time.monotonic() - self.since) * self.speed

    def set(self, speed):
        """Goes on from now at another pace."""
        self.before, self.since, self.speed = self.now(), time.monotonic(), speed

    def skip(self, seconds):
        """So much later at once."""
        self.before += seconds


CLOCK = Clock()

# How long each phase takes, in modelled seconds; `POST /pilotlight/phases` changes them.
PHASES = {
    "switchover": 60.0,
    "failover": 60.0,
    "detach": 60.0,
    "resync": 120.0,
    "create-cluster": 120.0,
    "create-instance": 120.0,
    "snapshot": 60.0,
    "promote": 90.0,
    "modify": 20.0,
    "reboot-shown": 5.0,
    "reboot": 120.0,
    "rename": 60.0,
    "replica-lag": 1.0,
    "task": 90.0,
    "instance": 90.0,
    "node-update": 20.0,
    "change": 30.0,
    "cache-failover": 60.0,
    "object-lag": 5.0,
    "deploy": 60.0,
}


# Every phase that was begun: which, of what, when it was accepted and when it is over, in modelled seconds; and when it was
# accepted by the wall clock, so that it can be laid beside a journal.
TAKEN = []


def begin(phase, of):
    """A change is accepted: its phase goes on until the moment that is returned."""
    now = CLOCK.now()
    until = now + PHASES[phase]
    TAKEN.append({"phase": phase, "of": of, "began": now, "ends": until, "wall": time.time()})
    return until


class Ramp:
    """A number on its way to another: falls at once, rises in even steps until the phase is over."""

    def __init__(self, value=0):
        self.start, self.goal, self.since, self.phase = value, value, 0.0, "task"

    def aim(self, goal, phase, of):
        self.start, self.goal, self.since, self.phase = self.now(), goal, CLOCK.now(), phase
        if self.goal > self.start:
            begin(phase, of)

    def now(self):
        if self.goal <= self.start:
            return self.goal
        share = min(1.0, (CLOCK.now() - self.since) / max(PHASES[self.phase], 1e-9))
        return self.start + int((self.goal - self.start) * share)
