"""What PyPI's `convex` must be able to do: URL and TOKEN are in the environment.

A line like `please: cut` asks the test that started this to do something; every other line says what was seen.
"""

import asyncio
import os
import sys

import convex
from convex import ConvexClient, ConvexError
from convex.http_client import ConvexHttpClient

URL = os.environ["URL"]
TOKEN = os.environ["TOKEN"]


def saw(what: str) -> None:
    print(f"saw: {what}", flush=True)


def please(what: str) -> None:
    print(f"please: {what}", flush=True)
    assert sys.stdin.readline() == "done\n"


def is_refused(call, code: str) -> None:
    try:
        call()
    except Exception as error:  # Each client of this package has a class of its own.
        assert isinstance(error, (ConvexError, convex.http_client.ConvexError)), repr(error)
        assert error.data["code"] == code, error.data
        assert isinstance(error.data["message"], str)
    else:
        raise AssertionError(f"not refused with {code}")


def over_http() -> None:
    client = ConvexHttpClient(URL)
    client.set_auth(TOKEN)
    assert client.query("auth:whoami")["kind"] == "user"
    created = client.mutation("chatrooms:create", {"name": "by http", "team": "solo"})
    room = client.query("chatrooms:get", {"chatroomId": created["chatroomId"]})
    assert room["name"] == "by http"
    assert isinstance(room["createdAt"], float)
    is_refused(lambda: client.query("chatrooms:get", {"chatroomId": "none"}), "not_found")
    is_refused(lambda: client.mutation("chatrooms:create", {"name": "", "team": "solo"}), "bad_request")
    # A number reaches a function that counts.
    assert client.query("messages:list", {"chatroomId": created["chatroomId"], "limit": 5}) == []
    saw("http")


async def shows(subscription, name: str) -> list:
    async def wait() -> list:
        async for rooms in subscription:
            if any(room["name"] == name for room in rooms):
                return rooms
        raise AssertionError("the subscription ended")

    return await asyncio.wait_for(wait(), 60)


async def over_socket() -> None:
    client = ConvexClient(URL)
    client.set_auth(TOKEN)
    assert client.query("auth:whoami")["kind"] == "user"
    subscription = client.subscribe("chatrooms:list")
    await shows(subscription, "by http")
    created = client.mutation("chatrooms:create", {"name": "by socket", "team": "solo"})
    assert isinstance(created["createdAt"], float)
    await shows(subscription, "by socket")
    please("create another")
    await shows(subscription, "another")
    saw("subscription")

    is_refused(lambda: client.mutation("chatrooms:create", {"name": "x", "team": "none"}), "unknown_team")
    is_refused(lambda: client.query("chatrooms:get", {"chatroomId": "none"}), "not_found")
    is_refused(lambda: client.mutation("auth:createToken", {"name": "t", "expiresInMs": 60000}), "http_only")
    saw("errors")

    please("cut")
    await shows(subscription, "after the cut")
    saw("reconnect")
    please("restart")
    await shows(subscription, "after the restart")
    saw("restart")

    # The answer to this call is lost after it took effect. This client sends it again under a new session: only the key
    # makes one call of the two.
    please("swallow the next answer")
    once = client.mutation("chatrooms:create", {"name": "once", "team": "solo", "idempotencyKey": "the one call"})
    rooms = await shows(subscription, "once")
    assert [room["chatroomId"] for room in rooms if room["name"] == "once"] == [once["chatroomId"]]
    saw("replay")


over_http()
asyncio.run(over_socket())
saw("end")
# The client's own thread has no end.
sys.stdout.flush()
os._exit(0)
