"""Global Accelerator, which moto lacks: accelerators, listeners and endpoint groups, and where users are led.

A change takes a while to be deployed; until then the accelerator is IN_PROGRESS. Only the calls that our driver and a
test's seed make are there.
"""

import itertools
import json

from clock import CLOCK, begin
from world import LOCK

ACCOUNT = "123456789012"
NUMBERS = itertools.count(1)
ACCELERATORS, LISTENERS, GROUPS = {}, {}, {}


class Fault(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def create_accelerator(given):
    arn = f"arn:aws:globalaccelerator::{ACCOUNT}:accelerator/{next(NUMBERS):08d}"
    ACCELERATORS[arn] = {"name": given["Name"], "until": 0.0}
    return {"Accelerator": shown_accelerator(arn)}


def shown_accelerator(arn):
    one = ACCELERATORS[arn]
    status = "DEPLOYED" if CLOCK.now() >= one["until"] else "IN_PROGRESS"
    return {"AcceleratorArn": arn, "Name": one["name"], "Enabled": True, "Status": status}


def describe_accelerator(given):
    arn = given["AcceleratorArn"]
    if arn not in ACCELERATORS:
        raise Fault("AcceleratorNotFoundException", f"no accelerator {arn}")
    return {"Accelerator": shown_accelerator(arn)}


def create_listener(given):
    arn = f"{given['AcceleratorArn']}/listener/{next(NUMBERS):08d}"
    LISTENERS[arn] = {"PortRanges": given["PortRanges"]}
    return {"Listener": {"ListenerArn": arn, **LISTENERS[arn]}}


def create_endpoint_group(given):
    listener = given["ListenerArn"]
    if any(g["EndpointGroupRegion"] == given["EndpointGroupRegion"] for g in of_listener(listener)):
        raise Fault("EndpointGroupAlreadyExistsException", "one group per region and listener")
    arn = f"{listener}/endpoint-group/{next(NUMBERS):08d}"
    GROUPS[arn] = {
        "EndpointGroupArn": arn,
        "EndpointGroupRegion": given["EndpointGroupRegion"],
        "EndpointDescriptions": described(given.get("EndpointConfigurations", [])),
        "TrafficDialPercentage": given.get("TrafficDialPercentage", 100.0),
    }
    return {"EndpointGroup": GROUPS[arn]}


def described(endpoints):
    return [
        {"EndpointId": e["EndpointId"], "Weight": e.get("Weight", 128), "HealthState": "HEALTHY"} for e in endpoints
    ]


def of_listener(listener):
    return [group for arn, group in GROUPS.items() if arn.startswith(f"{listener}/endpoint-group/")]


def list_endpoint_groups(given):
    if given["ListenerArn"] not in LISTENERS:
        raise Fault("ListenerNotFoundException", f"no listener {given['ListenerArn']}")
    return {"EndpointGroups": of_listener(given["ListenerArn"])}


def update_endpoint_group(given):
    group = GROUPS.get(given["EndpointGroupArn"])
    if group is None:
        raise Fault("EndpointGroupNotFoundException", f"no group {given['EndpointGroupArn']}")
    if "TrafficDialPercentage" in given:
        group["TrafficDialPercentage"] = given["TrafficDialPercentage"]
    if "EndpointConfigurations" in given:
        group["EndpointDescriptions"] = described(given["EndpointConfigurations"])
    accelerator = given["EndpointGroupArn"].split("/listener/")[0]
    ACCELERATORS[accelerator]["until"] = begin("deploy", f"globalaccelerator:{accelerator}")
    return {"EndpointGroup": group}


ACTIONS = {
    "CreateAccelerator": create_accelerator,
    "DescribeAccelerator": describe_accelerator,
    "CreateListener": create_listener,
    "CreateEndpointGroup": create_endpoint_group,
    "ListEndpointGroups": list_endpoint_groups,
    "UpdateEndpointGroup": update_endpoint_group,
}


def led_to(given):
    """Regions that take users: a dial that is open and an endpoint with a weight."""
    groups = of_listener(given["listener"])
    takes = [g for g in groups if g["TrafficDialPercentage"] > 0 and any(e["Weight"] for e in g["EndpointDescriptions"])]
    return [g["EndpointGroupRegion"] for g in takes]


def serve(environ, start_response, action):
    """Answers as a service of AWS that speaks JSON 1.1 does."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    given = json.loads(environ["wsgi.input"].read(size) or b"{}")
    status = "200 OK"
    with LOCK:
        try:
            reply = ACTIONS[action](given)
        except Fault as fault:
            status, reply = "400 Refused", {"__type": fault.code, "message": str(fault)}
        except KeyError as missing:
            status, reply = "400 Refused", {"__type": "InvalidArgumentException", "message": f"{missing}"}
        data = json.dumps(reply).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(data)))]
    start_response(status, headers)
    return [data]
