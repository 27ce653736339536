"""Global Accelerator, which moto lacks: accelerators, listeners and endpoint groups, and where users are led.

A change takes a while to be deployed; until then the accelerator is IN_PROGRESS. Only the calls that our driver, a
test's seed and Terraform make are there; nothing is ever deleted.
"""

import itertools
import json

from clock import CLOCK, begin
from world import LOCK, making

ACCOUNT = "123456789012"
NUMBERS = itertools.count(1)
ACCELERATORS, LISTENERS, GROUPS = {}, {}, {}


class Fault(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def create_accelerator(given):
    number = next(NUMBERS)
    arn = f"arn:aws:globalaccelerator::{ACCOUNT}:accelerator/{number:08d}"
    ACCELERATORS[arn] = {
        "until": 0.0,
        "tags": given.get("Tags", []),
        "attributes": {"FlowLogsEnabled": False},
        "shown": {
            "AcceleratorArn": arn,
            "Name": given["Name"],
            "Enabled": given.get("Enabled", True),
            "IpAddressType": given.get("IpAddressType", "IPV4"),
            "DnsName": f"a{number:08d}.awsglobalaccelerator.com",
            "IpSets": [{"IpFamily": "IPv4", "IpAddresses": [f"192.0.2.{number % 256}", f"198.51.100.{number % 256}"]}],
        },
    }
    deploy(arn)
    return {"Accelerator": shown_accelerator(arn)}


def deploy(arn):
    """What a test starts from is deployed already."""
    if not making():
        accelerator = arn.split("/listener/")[0]
        ACCELERATORS[accelerator]["until"] = begin("deploy", f"globalaccelerator:{accelerator}")


def shown_accelerator(arn):
    one = known(ACCELERATORS, arn, "Accelerator")
    return {**one["shown"], "Status": "DEPLOYED" if CLOCK.now() >= one["until"] else "IN_PROGRESS"}


def known(kept, arn, kind):
    if arn not in kept:
        raise Fault(f"{kind}NotFoundException", f"no such thing: {arn}")
    return kept[arn]


def describe_accelerator(given):
    return {"Accelerator": shown_accelerator(given["AcceleratorArn"])}


def describe_accelerator_attributes(given):
    return {"AcceleratorAttributes": known(ACCELERATORS, given["AcceleratorArn"], "Accelerator")["attributes"]}


def update_accelerator_attributes(given):
    attributes = known(ACCELERATORS, given["AcceleratorArn"], "Accelerator")["attributes"]
    wanted = {**attributes, **{name: value for name, value in given.items() if name.startswith("FlowLogs")}}
    if wanted["FlowLogsEnabled"] and not wanted.get("FlowLogsS3Bucket"):
        raise Fault("InvalidArgumentException", "flow logs need a bucket")
    attributes.update(wanted)
    deploy(given["AcceleratorArn"])
    return {"AcceleratorAttributes": attributes}


def list_tags_for_resource(given):
    return {"Tags": known(ACCELERATORS, given["ResourceArn"], "Accelerator")["tags"]}


def list_cross_account_resources(_given):
    """Every endpoint is of this account."""
    return {"CrossAccountResources": []}


def create_listener(given):
    known(ACCELERATORS, given["AcceleratorArn"], "Accelerator")
    arn = f"{given['AcceleratorArn']}/listener/{next(NUMBERS):08d}"
    LISTENERS[arn] = {
        "ListenerArn": arn,
        "PortRanges": given["PortRanges"],
        "Protocol": given.get("Protocol", "TCP"),
        "ClientAffinity": given.get("ClientAffinity", "NONE"),
    }
    deploy(arn)
    return {"Listener": LISTENERS[arn]}


def describe_listener(given):
    return {"Listener": known(LISTENERS, given["ListenerArn"], "Listener")}


# How endpoints are checked, with what AWS takes where nothing is said.
CHECKS = {
    "HealthCheckPort": 443,
    "HealthCheckProtocol": "TCP",
    "HealthCheckPath": "/",
    "HealthCheckIntervalSeconds": 30,
    "ThresholdCount": 3,
}


def create_endpoint_group(given):
    listener = given["ListenerArn"]
    known(LISTENERS, listener, "Listener")
    if any(g["EndpointGroupRegion"] == given["EndpointGroupRegion"] for g in of_listener(listener)):
        raise Fault("EndpointGroupAlreadyExistsException", "one group per region and listener")
    arn = f"{listener}/endpoint-group/{next(NUMBERS):08d}"
    GROUPS[arn] = {
        "EndpointGroupArn": arn,
        "EndpointGroupRegion": given["EndpointGroupRegion"],
        "EndpointDescriptions": described(given.get("EndpointConfigurations", [])),
        "TrafficDialPercentage": given.get("TrafficDialPercentage", 100.0),
        **{name: given.get(name, usual) for name, usual in CHECKS.items()},
    }
    deploy(arn)
    return {"EndpointGroup": GROUPS[arn]}


def described(endpoints):
    return [
        {
            "EndpointId": e["EndpointId"],
            "Weight": e.get("Weight", 128),
            "ClientIPPreservationEnabled": e.get("ClientIPPreservationEnabled", True),
            "HealthState": "HEALTHY",
        }
        for e in endpoints
    ]


def describe_endpoint_group(given):
    return {"EndpointGroup": known(GROUPS, given["EndpointGroupArn"], "EndpointGroup")}


def of_listener(listener):
    return [group for arn, group in GROUPS.items() if arn.startswith(f"{listener}/endpoint-group/")]


def list_endpoint_groups(given):
    known(LISTENERS, given["ListenerArn"], "Listener")
    return {"EndpointGroups": of_listener(given["ListenerArn"])}


def update_endpoint_group(given):
    group = known(GROUPS, given["EndpointGroupArn"], "EndpointGroup")
    group.update({name: value for name, value in given.items() if name in ("TrafficDialPercentage", *CHECKS)})
    if "EndpointConfigurations" in given:
        group["EndpointDescriptions"] = described(given["EndpointConfigurations"])
    deploy(given["EndpointGroupArn"])
    return {"EndpointGroup": group}


ACTIONS = {
    "CreateAccelerator": create_accelerator,
    "DescribeAccelerator": describe_accelerator,
    "DescribeAcceleratorAttributes": describe_accelerator_attributes,
    "UpdateAcceleratorAttributes": update_accelerator_attributes,
    "ListTagsForResource": list_tags_for_resource,
    "ListCrossAccountResources": list_cross_account_resources,
    "CreateListener": create_listener,
    "DescribeListener": describe_listener,
    "CreateEndpointGroup": create_endpoint_group,
    "DescribeEndpointGroup": describe_endpoint_group,
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
