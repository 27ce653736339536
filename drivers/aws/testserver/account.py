"""Service Quotas and IAM beyond moto: quotas that tests set, AWS's own where none was granted, and what a policy allows.

The simulation of rights reads the policies that are in moto: statements with Action and Resource, and an explicit deny wins.
Of conditions only StringEquals is modelled: a key that the question does not name is not equal. Boundaries, policies of an organisation and NotAction are not.
"""

import fnmatch
import json

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

ACCOUNT = "123456789012"
# (region, service, quota, granted or AWS's own) to the value.
QUOTAS = {}

original = ServiceQuotasBackend.get_service_quota


def set_quota(given):
    QUOTAS[(given["region"], given["service"], given["quota"], bool(given.get("granted")))] = given["value"]
    return {}


def quota(region, service, code, granted):
    value = QUOTAS.get((region, service, code, granted))
    if value is None:
        raise NoSuchResource
    return {"ServiceCode": service, "QuotaCode": code, "QuotaName": f"quota {code}", "Value": float(value)}


def get_service_quota(backend, service_code, quota_code):
    try:
        return quota(backend.region_name, service_code, quota_code, True)
    except NoSuchResource:
        return original(backend, service_code, quota_code)


def get_aws_default_service_quota(response):
    given = json.loads(response.body)
    found = quota(response.region, given["ServiceCode"], given["QuotaCode"], False)
    return json.dumps({"Quota": found})


def documents(backend, principal):
    """Every policy of a role or user."""
    kind, name = principal.split(":")[-1].split("/")[0], principal.split("/")[-1]
    holder = backend.get_role(name) if kind == "role" else backend.get_user(name)
    inline = holder.policies
    texts = list(inline.values()) if isinstance(inline, dict) else [p["policy_document"] for p in inline]
    texts += [policy.document for policy in holder.managed_policies.values()]
    return [json.loads(text) if isinstance(text, str) else text for text in texts]


def decide(policies, action, resource, context):
    decision = "implicitDeny"
    many = lambda value: value if isinstance(value, list) else [value]  # noqa: E731
    holds = lambda s: all(  # noqa: E731
        context.get(key) in many(values) for key, values in s.get("Condition", {}).get("StringEquals", {}).items()
    )
    for statement in (s for p in policies for s in many(p["Statement"])):
        acts = any(fnmatch.fnmatchcase(action.lower(), a.lower()) for a in many(statement.get("Action", [])))
        if not acts or not any(fnmatch.fnmatchcase(resource, r) for r in many(statement.get("Resource", []))):
            continue
        if not holds(statement):
            continue
        if statement["Effect"] == "Deny":
            return "explicitDeny"
        decision = "allowed"
    return decision


def simulate_principal_policy(response):
    policies = documents(iam_backends[ACCOUNT]["aws"], response._get_param("PolicySourceArn"))
    resources = response._get_param("ResourceArns") or ["*"]
    entries = response._get_param("ContextEntries") or []
    context = {e["ContextKeyName"]: e["ContextKeyValues"][0] for e in entries}
    decided = lambda action, resource: decide(policies, action, resource, context)  # noqa: E731
    results = [
        {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decided(action, resource)}
        for action in response._get_param("ActionNames")
        for resource in resources
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def install():
    ServiceQuotasBackend.get_service_quota = get_service_quota
    ServiceQuotasResponse.get_aws_default_service_quota = get_aws_default_service_quota
    IamResponse.simulate_principal_policy = simulate_principal_policy
