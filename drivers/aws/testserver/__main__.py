"""The AWS test server: moto, with what moto lacks, in accelerated time and with faults on demand.

Started as `python testserver`; prints one line of JSON with its port, and ends when its standard input does, so that it
never outlives the test that started it. What is added stands in the files beside this one; docs/aws.md says what no
test server can show.
"""

import argparse
import json
import logging
import os
import sys
import threading

os.environ.setdefault("MOTO_ECS_SERVICE_RUNNING", "0")
# Roles take policies that AWS keeps.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402

import account  # noqa: E402
import alarms  # noqa: E402
import backups  # noqa: E402
import cache  # noqa: E402
import compute  # noqa: E402
import database  # noqa: E402
import dns  # noqa: E402
import edges  # noqa: E402
import members  # noqa: E402
import metrics  # noqa: E402
import nodes  # noqa: E402
import objects  # noqa: E402
import replicas  # noqa: E402
import selections  # noqa: E402
from clock import CLOCK  # noqa: E402
from door import Door  # noqa: E402


class Handler(WSGIRequestHandler):
    """Keeps connections open, as the SDK expects, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


def end_with_parent():
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--speed", type=float, default=60.0, help="modelled seconds in one real second")
    parser.add_argument("--stay", action="store_true", help="go on when standard input ends")
    args = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    CLOCK.set(args.speed)
    parts = (database, replicas, members, backups, dns, compute, cache, objects, metrics, alarms, nodes, account, edges, selections)
    for part in parts:
        part.install()
    app = Door(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", args.port, app, threaded=True, request_handler=Handler)
    print(json.dumps({"port": server.server_port}), flush=True)
    if not args.stay:
        threading.Thread(target=end_with_parent, daemon=True).start()
    server.serve_forever()


main()
