"""Imitate W&B's service, with failures on demand, and read a run's files with W&B's own reader."""

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

from helpers.ports import reserved_port

Failure = Literal["wrong key", "500", "403", "hang up"]
UPLOADS = "/file_stream"  # where a run's numbers go while it trains
_CLOSED: list[socket.socket] = []  # a port that were given back could be another process's, which may answer


class Service(ThreadingHTTPServer):
    """Server that answers `wandb.init`, and fails from the start (`wrong key`) or once numbers have been sent.

    Attributes:
        received: the paths of all requests, in order.
        uploaded: the rows of numbers that were sent.
        views: the specifications of the workspaces that were saved.
    """

    daemon_threads = True

    def __init__(self, failure: Failure | None) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.failure, self.received = failure, list[str]()
        self.uploaded, self.views = list[dict[str, Any]](), list[dict[str, Any]]()

    @property
    def url(self) -> str:
        """Return the address for WANDB_BASE_URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def failing(self) -> Failure | None:
        """Return how the current request must fail, or None."""
        begun = self.failure == "wrong key" or any(path.endswith(UPLOADS) for path in self.received)
        return self.failure if begun else None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


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
            request = json.loads(body) if self.path == "/graphql" else {"query": ""}
            self._reply(200, {"data": self._data(request)})

    do_GET = do_PUT = do_POST

    def _data(self, request: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in request["query"]:
            project = {"id": "cHJvamVjdA==", "name": "project", "entity": {"id": "bWU=", "name": "me"}}
            run = {"id": "cnVu", "name": request["variables"]["name"], "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": {**run, "historyLineCount": 0}, "inserted": True}}
        if "createRunFiles" in request["query"]:
            files = [
                {"name": name, "uploadUrl": f"{self.server.url}/{name}"}
                for name in request["variables"]["files"]
            ]
            return {"createRunFiles": {"runID": "cnVu", "uploadHeaders": [], "files": files}}
        if "viewer" in request["query"]:
            return {"viewer": {"id": "bWU=", "entity": "me", "username": "me", "teams": {"edges": []}}}
        if "upsertView" in request["query"]:
            self.server.views.append(request["variables"])
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
        """Print nothing."""


@contextmanager
def serving(failure: Failure | None) -> Iterator[Service]:
    """Run the server in a thread while the context is open."""
    with Service(failure) as service:
        Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


def records(run: Path) -> list[dict[str, Any]]:
    """Return all records of a run's .wandb file, read by `wandb leet inspect`; fail unless the file is complete."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    for _ in range(60):  # W&B's own process writes the last records after `finish` has returned
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        logged = [json.loads(line) for line in printed.splitlines()]
        if logged and logged[-1]["type"] == "exit":
            break
        time.sleep(1)
    assert [record["num"] for record in logged] == list(range(1, len(logged) + 1))
    assert logged[-1]["type"] == "exit"
    return logged


def history(logged: list[dict[str, Any]], metric: str) -> list[float]:
    """Return a metric's values from a run's records, in order."""
    rows = [record["history"]["item"] for record in logged if record["type"] == "history"]
    return [row[metric] for row in rows if metric in row]


def closed_port() -> int:
    """Return a port of this machine where nothing listens, as long as this process runs."""
    _CLOSED.append(reserved_port())
    return int(_CLOSED[-1].getsockname()[1])
