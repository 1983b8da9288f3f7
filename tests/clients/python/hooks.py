"""Makes what schemathesis generates meet what is there: most ids become those of things that exist.

KNOWN in the environment is a JSON object of field names with such ids.
"""

import json
import os
import zlib

import schemathesis

KNOWN = json.loads(os.environ["KNOWN"])
# What would be gone for every later call.
SPARED = ("/machines/remove", "/chatrooms/archive")


@schemathesis.hook
def map_body(context, body):
    operation = context.operation
    if not isinstance(body, dict) or operation is None or operation.path.endswith(SPARED):
        return body
    # Decided by the body alone: a case that fails is found again.
    chance = zlib.crc32(repr(body).encode())
    return body if chance % 4 == 0 else known(body)


def known(value):
    if isinstance(value, dict):
        return {
            name: KNOWN[name] if name in KNOWN and isinstance(inner, str) else known(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [known(inner) for inner in value]
    return value


@schemathesis.hook
def after_call(context, case, response):
    # Which functions were really done, not only refused.
    if response.status_code == 200:
        with open(os.environ["DONE"], "a", encoding="utf-8") as done:
            done.write(f"{case.operation.path}\n")
