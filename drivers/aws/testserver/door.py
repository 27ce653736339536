"""Every request comes in here: the control endpoint is answered, faults are done, the rest is moto's.

Faults are matched by service, action and region, each optional, spare the first `after` calls and count down their `times`:
`throttle`, `deny`, `busy` (refused with `code`), `error` (a fault of the server, nothing is done), `done-then-error`, `latency`
(modelled seconds), `drop` (the connection is cut before anything is done) and `lose-reply` (it is done, then it is cut).
"""

import gzip
import io
import json
import re
import socket
import time
import urllib.parse

import accelerators
import control
import nodes
import objects
import rates
from clock import CLOCK
from world import LOCK, region

CALLS = []
FAULTS = []

REST = {
    "cloudfront": [("GET", r"/distribution/[^/]+$", "GetDistribution")],
    "eks": nodes.PATHS,
    "route53": [
        ("POST", r"/hostedzone/[^/]+/rrset/?$", "ChangeResourceRecordSets"),
        ("GET", r"/hostedzone/[^/]+/rrset", "ListResourceRecordSets"),
        ("GET", r"/change/", "GetChange"),
        ("GET", r"/healthcheck/[^/]+/status$", "GetHealthCheckStatus"),
        ("GET", r"/healthcheck/[^/]+$", "GetHealthCheck"),
        ("POST", r"/healthcheck/[^/]+$", "UpdateHealthCheck"),
        ("GET", r"/hostedzone/[^/]+$", "GetHostedZone"),
    ],
    "s3": [
        ("PUT", r"\?replication", "PutBucketReplication"),
        ("GET", r"\?replication", "GetBucketReplication"),
        ("GET", r"\?versioning", "GetBucketVersioning"),
        ("GET", r"\?.*list-type=2", "ListObjectsV2"),
        ("PUT", r"^/[^/?]+/[^/?]+", "PutObject"),
        ("DELETE", r"^/[^/?]+/[^/?]+", "DeleteObject"),
    ],
}


# An object asked for without credentials, as health checkers do.
ANYBODY = "GetObject by anybody"


class Cut(ConnectionError):
    """The connection ends without an answer."""


class Door:
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path.startswith("/pilotlight/"):
            return control.answer(environ, start_response, CALLS, FAULTS)
        unpack(environ)
        call = describe(environ)
        began = CLOCK.now()
        try:
            return self.serve(environ, start_response, call)
        finally:
            with LOCK:
                CALLS.append({**call, "at": began})

    def serve(self, environ, start_response, call):
        down = control_plane(call)
        if down == "refuse":
            cut(environ)
        if down == "hang":
            time.sleep(20)
            cut(environ)
        if down == "error":
            call["fault"] = "error"
            return refuse(environ, start_response, call, 503, "ServiceUnavailable", "the region is down")
        fault = take_fault(call)
        kind = fault["kind"] if fault else None
        call["fault"] = kind
        if kind == "latency":
            time.sleep(fault.get("seconds", 1.0) / CLOCK.speed)
        if kind == "drop":
            cut(environ)
        if rates.is_too_often(call) or kind == "throttle":
            call["fault"] = "throttle"
            return refuse(environ, start_response, call, 400, throttling_code(call), "Rate exceeded")
        if kind == "deny":
            text = f"User: arn:aws:iam::123456789012:user/test is not authorized to perform: {call['service']}:{call['action']}"
            return refuse(environ, start_response, call, 403, denied_code(call), text)
        if kind == "error":
            return refuse(environ, start_response, call, 500, "InternalFailure", "an error of the server")
        if kind == "busy":
            return refuse(environ, start_response, call, 400, fault["code"], "it is in another state now")
        if kind == "done-then-error":
            self.collect(environ, call)
            return refuse(environ, start_response, call, 500, "InternalFailure", "an error of the server")
        if kind == "lose-reply":
            self.collect(environ, call)
            cut(environ)
        return self.answer(environ, start_response, call)

    def answer(self, environ, start_response, call):
        """What moto has no service for is ours alone."""
        if call["action"] == ANYBODY:
            status = objects.asked_by_anybody(*bucket_and_key(environ))
            start_response(f"{status} {'OK' if status == 200 else 'Refused'}", [("Content-Length", "0")])
            return [b""]
        if call["service"] == "globalaccelerator":
            return accelerators.serve(environ, start_response, call["action"])
        if call["action"] == "DescribeUpdate":
            return nodes.serve(environ, start_response)
        return self.inner(environ, start_response)

    def collect(self, environ, call):
        answer = self.answer(environ, lambda *_: (lambda _: None), call)
        b"".join(answer)


def unpack(environ):
    """The SDK packs large bodies of metrics; moto reads only plain ones."""
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
        body = gzip.decompress(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        del environ["HTTP_CONTENT_ENCODING"]


def control_plane(call):
    """Whether it answers. A region that is lost may spare services whose control plane it only happens to house."""
    state = region(call["region"])
    return "up" if call["service"] in state.get("spare", []) else state["control"]


def bucket_and_key(environ):
    bucket, _, key = environ.get("PATH_INFO", "").lstrip("/").partition("/")
    return bucket, key


def describe(environ):
    auth = environ.get("HTTP_AUTHORIZATION", "")
    if not auth and environ["REQUEST_METHOD"] == "GET" and "X-Amz-Signature" not in environ.get("QUERY_STRING", ""):
        return {"service": "s3", "region": objects.region_of(bucket_and_key(environ)[0]), "action": ANYBODY}
    scope = re.search(r"Credential=([^,\s]+)", auth)
    parts = scope.group(1).split("/") if scope else []
    service, where = (parts[3], parts[2]) if len(parts) >= 5 else ("?", "?")
    return {"service": service, "region": where, "action": action_of(environ, service)}


def action_of(environ, service):
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return target.rsplit(".", 1)[-1]
    smithy = re.search(r"/service/[^/]+/operation/([^/?]+)", environ.get("PATH_INFO", ""))
    if smithy:
        return smithy.group(1)
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        environ["wsgi.input"] = io.BytesIO(body)
        return urllib.parse.parse_qs(body.decode()).get("Action", ["?"])[0]
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    if service == "s3":
        path = f"{path}?{environ.get('QUERY_STRING', '')}"
    for wanted, pattern, action in REST.get(service, []):
        if wanted == method and re.search(pattern, path):
            return action
    return f"{method} {path}"


def take_fault(call):
    with LOCK:
        for fault in FAULTS:
            if any(fault.get(key) not in (None, call[key]) for key in ("service", "action", "region")):
                continue
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
                continue
            fault["times"] = fault.get("times", 1) - 1
            if fault["times"] <= 0:
                FAULTS.remove(fault)
            return dict(fault)
    return None


def throttling_code(call):
    return "ThrottlingException" if call["service"] in ("ecs", "eks", "ecr") else "Throttling"


def denied_code(call):
    return "AccessDeniedException" if call["service"] in ("ecs", "eks", "ecr") else "AccessDenied"


def refuse(environ, start_response, call, status, code, message):
    if call["service"] == "eks":
        body, kind = json.dumps({"message": message}), "application/json"
    elif environ.get("HTTP_X_AMZ_TARGET"):
        body, kind = json.dumps({"__type": code, "message": message}), "application/x-amz-json-1.1"
    elif call["service"] == "s3":
        body, kind = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", "application/xml"
    else:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        body, kind = f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>", "text/xml"
    drain(environ)
    data = body.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(data))), ("x-amzn-ErrorType", code)]
    start_response(f"{status} {'Forbidden' if status == 403 else 'Refused'}", headers)
    return [data]


def drain(environ):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    if size:
        environ["wsgi.input"].read(size)


def cut(environ):
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    raise Cut()
