"""AWS Backup beyond moto: what a plan backs up. moto keeps plans and vaults; nothing is ever backed up here."""

import json
import uuid
from urllib.parse import unquote

from moto.backup.exceptions import ResourceNotFoundException
from moto.backup.responses import BackupResponse
from moto.core.utils import unix_time

from world import LOCK

# By plan and id.
SELECTIONS = {}


def parts(self):
    """The plan and the selection that the path names."""
    _, _, _, plan, _, *rest = self.path.rstrip("/").split("/")
    return plan, rest[0] if rest else None


def create_backup_selection(self):
    with LOCK:
        plan, _ = parts(self)
        self.backup_backend.get_backup_plan(plan, None)
        one = {"BackupPlanId": plan, "SelectionId": str(uuid.uuid4()), "CreationDate": unix_time()}
        SELECTIONS[(plan, one["SelectionId"])] = {**one, "BackupSelection": json.loads(self.body)["BackupSelection"]}
        return json.dumps(one)


def get_backup_selection(self):
    with LOCK:
        found = SELECTIONS.get(parts(self))
        if found is None:
            raise ResourceNotFoundException(msg="Cannot find the backup selection")
        return json.dumps(found)


def list_tags(self):
    """moto takes the ARN to be followed by a slash, which not every client sends."""
    arn = unquote(self.path).removeprefix("/tags/").rstrip("/")
    return json.dumps({"Tags": self.backup_backend.list_tags(resource_arn=arn)})


def install():
    for call in (create_backup_selection, get_backup_selection, list_tags):
        setattr(BackupResponse, call.__name__, call)
