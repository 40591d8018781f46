"""A service that does not answer is given up in the time that was set."""

import socket
import time
from threading import Event

import pytest

from helpers.fake_wandb import closed_port, serving
from intrinsic_clip.loggers import wandb_service
from intrinsic_clip.loggers.wandb_service import require_answer


def test_any_answer_is_one() -> None:
    with serving(None) as service:
        require_answer(service.url, 5)
    with serving("wrong key") as service:
        require_answer(service.url, 5)


def test_silence_and_a_closed_door_are_no_answer(monkeypatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begin = time.monotonic()
        with pytest.raises(ConnectionError, match=r"127.0.0.1:\d+: no answer within 0.3 s"):
            require_answer(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.3)
        assert time.monotonic() - begin < 30  # a busy machine
    with pytest.raises(ConnectionError, match="connection refused"):
        require_answer(f"http://127.0.0.1:{closed_port()}", 5)
    with pytest.raises(ConnectionError, match="unknown url type"):
        require_answer("no address", 5)
    given_up = Event()
    monkeypatch.setattr(wandb_service, "_problem", lambda url, timeout: given_up.wait())  # as a look-up may
    begin = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no answer within 0\.2 s"):
        require_answer("http://example.org", 0.2)
    assert time.monotonic() - begin < 30
    given_up.set()
