#!/usr/bin/env python3
"""A client of the hub that shares no code with ours: Python's grpcio and stubs from hub.proto.

    peer.py --ctx PATH --stubs DIR

Starts a hub with the `ctx` binary at PATH in a temporary directory, runs the story of two projects
over protobuf, and stops the hub with `ctx hub stop`. DIR holds the modules that grpcio-tools
generates from hub.proto. Prints every check and a closing line; exits with 1 when one failed.
"""

import argparse
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import traceback

import grpc

# Longer than anything here takes, and short enough for a hang to be noticed.
PATIENCE = 30

passed = 0
failed = 0


def check(what, condition, detail=""):
    """Counts and prints one check."""
    global passed, failed
    if condition:
        passed += 1
        print(f"ok      {what}")
    else:
        failed += 1
        print(f"FAILED  {what}: {detail}")


def equal(what, found, expected):
    check(what, found == expected, f"expected {expected!r}, found {found!r}")


def refused(what, call, code, details):
    """Checks that a call ends with a status."""
    try:
        call()
    except grpc.RpcError as error:
        equal(what, (error.code(), error.details()), (code, details))
    else:
        check(what, False, "it was answered")


class Running:
    """A hub that `ctx hub start` serves, stopped with `ctx hub stop`."""

    def __init__(self, ctx, data_dir):
        self.ctx = ctx
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [ctx, "hub", "start", "--port", "0", "--data-dir", str(data_dir), "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            said = json.loads(self._first_document())
            self.address = said["address"]
            self.admin_token = pathlib.Path(said["admin_token_file"]).read_text().strip()
        except BaseException:
            self.kill()
            raise

    def _first_document(self):
        """What the hub prints once it listens: one JSON document, on one line or on several."""
        lines = queue.Queue()

        def read():
            for line in self.process.stdout:
                lines.put(line)
            lines.put("")

        threading.Thread(target=read, daemon=True).start()
        text = ""
        while True:
            line = lines.get(timeout=PATIENCE)
            if not line:
                raise RuntimeError(f"the hub ended before it listened, and printed {text!r}")
            text += line
            try:
                json.loads(text)
                return text
            except json.JSONDecodeError:
                continue

    def stop(self):
        """Stops the hub and answers the exit codes of `ctx hub stop` and of the hub."""
        stop = subprocess.run(
            [self.ctx, "hub", "stop", "--data-dir", str(self.data_dir)],
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        return stop.returncode, self.process.wait(timeout=PATIENCE)

    def kill(self):
        """Ends the hub when the story broke off before its end."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=PATIENCE)


class Listening:
    """A Listen stream, read by a thread of its own as grpcio's blocking streams want it."""

    def __init__(self, call):
        self.call = call
        self.messages = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for message in self.call:
                self.messages.put(message)
            self.messages.put(None)
        except grpc.RpcError as error:
            self.messages.put(error)

    def next(self):
        return self.messages.get(timeout=PATIENCE)


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


def metadata(call):
    return dict(call.initial_metadata())


class Story:
    """Two projects on one hub."""

    def __init__(self, hub, channel, messages, services):
        self.hub = hub
        self.channel = channel
        self.m = messages
        self.stub = services.CtxHubStub(channel)
        self.admin = services.CtxHubAdminStub(channel)
        self.alpha = None
        self.beta = None

    def register(self, name, admin_token=None):
        request = self.m.RegisterRequest(
            admin_token=self.hub.admin_token if admin_token is None else admin_token,
            project_name=name,
        )
        return self.stub.Register(request, timeout=PATIENCE)

    def publish(self, token, *entries):
        request = self.m.PublishRequest(entries=entries)
        return self.stub.Publish(request, metadata=bearer(token), timeout=PATIENCE)

    def entry(self, entry_id, **fields):
        values = {"type": "decision", "content": "c", "timestamp": 1700000000}
        return self.m.PublishEntry(id=entry_id, **(values | fields))

    def sync(self, token, **fields):
        request = self.m.SyncRequest(**fields)
        return list(self.stub.Sync(request, metadata=bearer(token), timeout=PATIENCE))

    def check_health(self):
        check_call = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=lambda message: message,
            response_deserializer=lambda message: message,
        )
        equal("health: the hub serves", check_call(b"", timeout=PATIENCE), b"\x08\x01")
        name = b"ctx.hub.v1.CtxHub"
        named = bytes([0x0A, len(name)]) + name
        equal("health: its service serves", check_call(named, timeout=PATIENCE), b"\x08\x01")
        refused(
            "health: another service is not known",
            lambda: check_call(b"\x0a\x01x", timeout=PATIENCE),
            grpc.StatusCode.NOT_FOUND,
            "service not registered",
        )

    def check_registration(self):
        self.alpha = self.register("alpha")
        self.beta = self.register("größe 42")
        check("register: a client id of 32 digits", len(self.alpha.client_id) == 32)
        token = self.alpha.client_token
        check("register: a client token", token.startswith("ctx_cli_") and len(token) == 72)
        refused(
            "register: a name that is taken",
            lambda: self.register("alpha"),
            grpc.StatusCode.ALREADY_EXISTS,
            'project "alpha" is already registered',
        )
        refused(
            "register: no name",
            lambda: self.register(""),
            grpc.StatusCode.INVALID_ARGUMENT,
            "project name required",
        )
        refused(
            "register: a wrong admin token",
            lambda: self.register("gamma", admin_token="ctx_adm_" + "0" * 64),
            grpc.StatusCode.PERMISSION_DENIED,
            "invalid admin token",
        )

    def check_publishing(self):
        alpha, beta = self.alpha.client_token, self.beta.client_token
        meta = self.m.EntryMeta(display_name="Ada", host="ü\t", tool="peer", via="grpcio")
        first = self.entry("p-1", content="Zeile 1\nline 2 <&>", origin="mallory", meta=meta)
        second = self.entry("p-2", type="task", content="", timestamp=-1)
        equal("publish: two entries", self.publish(alpha, first, second).sequences, [1, 2])
        equal("publish: an id again", self.publish(beta, self.entry("p-1")).sequences, [1])
        equal("publish: nothing", self.publish(alpha).sequences, [])
        large = "x" * 1_048_576
        third = self.publish(beta, self.entry("p-3", type="learning", content=large))
        equal("publish: one mebibyte", third.sequences, [3])
        for what, entry, details in [
            ("no id", self.entry(""), "entry ID required"),
            ("an unknown type", self.entry("q", type="x"), 'invalid entry type "x"'),
            (
                "too much content",
                self.entry("q", content=large + "x"),
                "entry content exceeds 1MB limit",
            ),
        ]:
            refused(
                f"publish: {what}",
                lambda entry=entry: self.publish(alpha, entry),
                grpc.StatusCode.INVALID_ARGUMENT,
                details,
            )

    def check_syncing(self):
        entries = self.sync(self.beta.client_token)
        equal("sync: every entry in order", [e.sequence for e in entries], [1, 2, 3])
        first = entries[0]
        equal("sync: the content", first.content, "Zeile 1\nline 2 <&>")
        equal("sync: the hub's word for the origin", first.origin, "alpha")
        equal("sync: the meta", (first.meta.host, first.meta.via), ("ü\t", "grpcio"))
        equal("sync: the time", (first.timestamp, entries[1].timestamp), (1700000000, -1))
        equal("sync: the other project's origin", entries[2].origin, "größe 42")
        equal("sync: one mebibyte", len(entries[2].content), 1_048_576)
        tasks = self.sync(self.alpha.client_token, types=["task"])
        equal("sync: one type", [e.id for e in tasks], ["p-2"])
        later = self.sync(self.alpha.client_token, since_sequence=2)
        equal("sync: after a sequence", [e.sequence for e in later], [3])
        refused(
            "sync: an unknown type",
            lambda: self.sync(self.alpha.client_token, types=["tasks"]),
            grpc.StatusCode.INVALID_ARGUMENT,
            'invalid entry type "tasks"',
        )

    def check_status(self):
        call = self.stub.Status.with_call(
            self.m.StatusRequest(), metadata=bearer(self.alpha.client_token), timeout=PATIENCE
        )
        status, said = call[0], metadata(call[1])
        equal("status: entries", status.total_entries, 3)
        by_type = {"decision": 1, "learning": 1, "task": 1}
        equal("status: by type", dict(status.entries_by_type), by_type)
        equal("status: by project", dict(status.entries_by_project), {"alpha": 2, "größe 42": 1})
        equal("status: the head", said.get("ctx-hub-head"), "3")
        equal("status: the hub's identity", len(said.get("ctx-hub-id", "")), 32)

    def check_credentials(self):
        answer = (grpc.StatusCode.UNAUTHENTICATED, "invalid or missing credentials")
        token = self.alpha.client_token
        for what, credentials in [
            ("none", ()),
            ("an unknown token", bearer("ctx_cli_" + "0" * 64)),
            ("another scheme", (("authorization", f"Basic {token}"),)),
            ("the admin token", bearer(self.hub.admin_token)),
        ]:
            refused(
                f"credentials: {what}",
                lambda given=credentials: self.stub.Status(
                    self.m.StatusRequest(), metadata=given, timeout=PATIENCE
                ),
                *answer,
            )

    def check_listening(self):
        token = self.alpha.client_token
        request = self.m.ListenRequest(types=["decision", "learning"], since_sequence=0)
        call = self.stub.Listen(request, metadata=bearer(token))
        listening = Listening(call)
        history = [listening.next().sequence for _ in range(2)]
        equal("listen: what there was", history, [1, 3])
        equal("listen: the head when it began", metadata(call).get("ctx-hub-head"), "3")
        self.publish(self.beta.client_token, self.entry("live-task", type="task"))
        self.publish(self.beta.client_token, self.entry("live", content="as it happens"))
        live = listening.next()
        equal("listen: what is new", (live.sequence, live.content), (5, "as it happens"))
        status = self.stub.Status(self.m.StatusRequest(), metadata=bearer(token), timeout=PATIENCE)
        equal("status: one listener", status.connected_clients, 1)
        return listening

    def check_revoking(self):
        request = self.m.ListenRequest(since_sequence=5)
        listening = Listening(
            self.stub.Listen(request, metadata=bearer(self.beta.client_token))
        )
        self.publish(self.beta.client_token, self.entry("before-the-end"))
        equal("revoke: the stream is open", listening.next().sequence, 6)
        self.stub.Revoke(
            self.m.RevokeRequest(
                admin_token=self.hub.admin_token, client_id=self.beta.client_id
            ),
            timeout=PATIENCE,
        )
        end = listening.next()
        code = end.code() if isinstance(end, grpc.RpcError) else end
        equal("revoke: it ends the stream", code, grpc.StatusCode.UNAUTHENTICATED)
        refused(
            "revoke: it ends the token",
            lambda: self.sync(self.beta.client_token),
            grpc.StatusCode.UNAUTHENTICATED,
            "invalid or missing credentials",
        )
        unknown = self.m.RevokeRequest(admin_token=self.hub.admin_token, client_id="0" * 32)
        refused(
            "revoke: an unknown client",
            lambda: self.stub.Revoke(unknown, timeout=PATIENCE),
            grpc.StatusCode.NOT_FOUND,
            "no such client",
        )

    def check_administration(self):
        admin = bearer(self.hub.admin_token)
        clients = self.admin.ListClients(
            self.m.ListClientsRequest(), metadata=admin, timeout=PATIENCE
        ).clients
        found = [(c.project_name, c.entries, c.revoked_at > 0) for c in clients]
        equal("admin: the clients", found, [("alpha", 2, False), ("größe 42", 4, True)])
        status = self.admin.HubStatus(
            self.m.HubStatusRequest(), metadata=admin, timeout=PATIENCE
        )
        equal("admin: the address", list(status.addresses), [self.hub.address])
        equal("admin: the process", status.pid, self.hub.process.pid)
        refused(
            "admin: shutdown from elsewhere",
            lambda: self.admin.Shutdown(
                self.m.ShutdownRequest(), metadata=admin, timeout=PATIENCE
            ),
            grpc.StatusCode.PERMISSION_DENIED,
            "shutdown is answered on the hub's admin socket only",
        )

    def check_limits(self):
        many = [self.entry(str(number)) for number in range(1_001)]
        refused(
            "limits: too many entries",
            lambda: self.publish(self.alpha.client_token, *many),
            grpc.StatusCode.INVALID_ARGUMENT,
            "publish exceeds 1000 entries",
        )
        entries = [self.entry(str(number), content="x" * 1_048_576) for number in range(17)]
        refused(
            "limits: too large a message",
            lambda: self.publish(self.alpha.client_token, *entries),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "message exceeds 16777216 bytes",
        )

    def check_stopping(self, listening):
        equal("listen: the last entry", listening.next().sequence, 6)
        equal("stop: `ctx hub stop` and the hub end well", self.hub.stop(), (0, 0))
        end = listening.next()
        said = (end.code(), end.details()) if isinstance(end, grpc.RpcError) else end
        expected = (grpc.StatusCode.UNAVAILABLE, "hub is stopping")
        equal("stop: the listener is told", said, expected)


def run(arguments):
    sys.path.insert(0, arguments.stubs)
    from ctx.hub.v1 import hub_pb2, hub_pb2_grpc

    with tempfile.TemporaryDirectory() as root:
        hub = Running(arguments.ctx, pathlib.Path(root) / "hub-data")
        try:
            with grpc.insecure_channel(
                hub.address, options=[("grpc.max_send_message_length", -1)]
            ) as channel:
                story = Story(hub, channel, hub_pb2, hub_pb2_grpc)
                story.check_health()
                story.check_registration()
                story.check_publishing()
                story.check_syncing()
                story.check_status()
                story.check_credentials()
                listening = story.check_listening()
                story.check_revoking()
                story.check_administration()
                story.check_limits()
                story.check_stopping(listening)
        finally:
            hub.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ctx", required=True, help="the binary `ctx`")
    parser.add_argument("--stubs", required=True, help="what grpcio-tools generated")
    try:
        run(parser.parse_args())
    except Exception:  # The story broke off: that is a failure like any other.
        traceback.print_exc()
        check("the story reaches its end", False, "see above")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
