"""What the control endpoint changes and the added services read: regions that are down, and who was told what."""

import threading

LOCK = threading.RLock()

# Region to {"control": up|refuse|hang|error, "data": up|down}.
REGIONS = {}


MAKING = []


def making():
    """What a test starts from is being made."""
    return bool(MAKING)


def region(name):
    return REGIONS.setdefault(name, {"control": "up", "data": "up"})


def data_is_up(name):
    return region(name)["data"] == "up"
