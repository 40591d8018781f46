"""A local stand-in for W&B's service that fails when it is told to, and W&B's own reader of what a run leaves."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal

Failure = Literal["wrong key", "500", "403", "hang up"]
UPLOADS = "/file_stream"  # where a run's numbers go while it trains


class Service(ThreadingHTTPServer):
    """Answers what `wandb.init` asks, and fails from the start (`wrong key`) or once numbers have come.

    Attributes:
        received: the paths that were asked for, in order.
        uploaded: the rows of numbers that came.
        views: the specifications of the workspaces that were saved.
    """

    daemon_threads = True

    def __init__(self, failure: Failure | None) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.failure, self.received = failure, list[str]()
        self.uploaded, self.views = list[dict[str, Any]](), list[dict[str, Any]]()

    @property
    def url(self) -> str:
        """What WANDB_BASE_URL is to be."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def failing(self) -> Failure | None:
        """How the present request is to fail."""
        begun = self.failure == "wrong key" or any(path.endswith(UPLOADS) for path in self.received)
        return self.failure if begun else None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no error here."""


class _Answers(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.received.append(self.path)
        failure = self.server.failing()
        if failure == "hang up":
            self.close_connection = True
        elif failure == "wrong key":
            self._reply(401, {"errors": [{"message": "the key is wrong"}]})
        elif failure:
            self._reply(int(failure), {"error": "the service is broken"})
        else:
            if self.path.endswith(UPLOADS):
                rows = (
                    json.loads(body).get("files", {}).get("wandb-history.jsonl", {"content": []})["content"]
                )
                self.server.uploaded += [json.loads(row) for row in rows]
            asked = json.loads(body) if self.path == "/graphql" else {"query": ""}
            self._reply(200, {"data": self._data(asked)})

    do_GET = do_PUT = do_POST

    def _data(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in asked["query"]:
            project = {"id": "cHJvamVjdA==", "name": "project", "entity": {"id": "bWU=", "name": "me"}}
            run = {"id": "cnVu", "name": asked["variables"]["name"], "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": {**run, "historyLineCount": 0}, "inserted": True}}
        if "createRunFiles" in asked["query"]:
            files = [
                {"name": name, "uploadUrl": f"{self.server.url}/{name}"}
                for name in asked["variables"]["files"]
            ]
            return {"createRunFiles": {"runID": "cnVu", "uploadHeaders": [], "files": files}}
        if "viewer" in asked["query"]:
            return {"viewer": {"id": "bWU=", "entity": "me", "username": "me", "teams": {"edges": []}}}
        if "upsertView" in asked["query"]:
            self.server.views.append(asked["variables"])
            return {"upsertView": {"view": {"id": "dmlldw==", "name": "nw-saved-v"}, "inserted": True}}
        return {}

    def _reply(self, code: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(failure: Failure | None) -> Iterator[Service]:
    """The stand-in, while it is wanted."""
    with Service(failure) as service:
        Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


def records(run: Path) -> list[dict[str, Any]]:
    """All records of a run's .wandb file, as `wandb leet inspect` reads them; fails unless it is whole."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    for _ in range(10):  # W&B's own process writes the rest after `finish` has returned
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = [json.loads(line) for line in shown.splitlines()]
        if found and found[-1]["type"] == "exit":
            break
        time.sleep(1)
    assert [record["num"] for record in found] == list(range(1, len(found) + 1))
    assert found[-1]["type"] == "exit"
    return found


def history(found: list[dict[str, Any]], metric: str) -> list[float]:
    """The values that the records hold under one name, in order."""
    rows = [record["history"]["item"] for record in found if record["type"] == "history"]
    return [row[metric] for row in rows if metric in row]


def closed_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])
