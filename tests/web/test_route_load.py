"""The route under load and bad will: what it answers, and that the server goes on beside it."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import host
import pytest
from patience import HANG, until

KINDS = (
    "self_attention", "joint_attention", "temporal_attention", "cross_attention", "feed_forward",
    "block", "deep_branch",
)  # fmt: skip
PAB: dict[str, Any] = {"node": "StepCacheApplyPAB", "steps": 8, "inputs": {"self_attention": 3}}
DEEP: dict[str, Any] = {
    "node": "StepCacheDeepCacheUNet",
    "steps": 10_000,
    "inputs": {"schedule": "non-uniform", "interval": 2, "center": 500, "power": 3},
}
LAYERS: dict[str, Any] = {**PAB, "steps": 10_000, "layers": dict.fromkeys(KINDS, 10_000)}
SEEN = [{"reused": {f"deep_branch-{n}": 0.5}, "seconds": 1, "steps": 1} for n in range(5_000)]
OBSERVED: dict[str, Any] = {**DEEP, "observed": {"seen": SEEN, "value_bytes": {}}}
TOO_MUCH = "more work than a preview may take"


def post(address: str, body: bytes, **headers: str) -> tuple[int, Any]:
    """Without a limit of time: an answer that never comes ends with the server."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc)
    try:
        connection.request("POST", "/stepcache/preview", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def ask(address: str, *questions: dict[str, Any]) -> list[dict[str, Any]]:
    status, answers = post(address, json.dumps(questions).encode())
    assert status == 200, answers
    return answers


def test_a_long_run_is_shown(address: str) -> None:
    (answer,) = ask(address, DEEP)
    assert answer["error"] is None
    assert len(answer["strips"]["deep_branch"]) == 10_000


@pytest.mark.parametrize("question", [LAYERS, OBSERVED], ids=["layers", "observed"])
def test_a_question_of_too_much_work_is_refused_for_good(
    address: str, question: dict[str, Any]
) -> None:
    (answer,) = ask(address, question)
    assert TOO_MUCH in answer["refused"]
    assert answer["is_pending"] is False


def test_of_too_many_questions_the_later_ones_may_be_asked_again(address: str) -> None:
    answers = ask(address, *[DEEP] * 200)
    assert answers[0]["error"] is None
    refused = [answer for answer in answers if "refused" in answer]
    assert len(refused) > 190
    assert all(TOO_MUCH in each["refused"] and each["is_pending"] for each in refused)
    assert ask(address, PAB)[0]["error"] is None


def test_what_is_packed_is_unpacked(address: str) -> None:
    body = json.dumps([PAB]).encode()
    status, (answer,) = post(address, gzip.compress(body), **{"Content-Encoding": "gzip"})
    assert status == 200
    assert answer["strips"]


@pytest.mark.parametrize("size", [2**20, 90 * 2**20], ids=["just too long", "90 MiB"])
def test_the_limit_counts_what_is_unpacked(address: str, size: int) -> None:
    bomb = gzip.compress(b"[" + b" " * size + b"]")
    assert len(bomb) < 2**17
    status, answer = post(address, bomb, **{"Content-Encoding": "gzip"})
    assert status == 400
    assert answer["refused"].startswith("Step Cache: the question is too long")
    assert ask(address, PAB)[0]["error"] is None


def test_what_is_not_packed_as_it_says_is_refused(address: str) -> None:
    status, _ = post(address, b"[]", **{"Content-Encoding": "gzip"})
    assert status == 400


@pytest.mark.parametrize(
    "text",
    [
        '{"node": "StepCacheApplyPAB", "steps": NaN}',
        '{"node": "StepCacheApplyPAB", "steps": 1' + "0" * 4000 + "}",
        '{"node": "StepCacheApplyPAB", "steps": 1e999}',
        '{"node": "StepCacheApplyPAB", "steps": 8, "first": -Infinity}',
        '{"node": ' + "[" * 500 + "]" * 500 + ', "steps": 8}',
        '{"node": "StepCacheApplyPAB", "steps": 8, "inputs": {"preset": "' + "a" * 5000 + '"}}',
        '{"node": "StepCacheSmoothCache", "steps": 8, "inputs": {"schedule": ' + "[" * 500
        + "]" * 500 + "}}",
        '{"node": "StepCacheApplyPAB", "steps": 8, "observed": {"seen": [], "value_bytes": '
        + json.dumps({f"deep_branch-{n}": 1 for n in range(1000)}) + "}}",
    ],
    ids=["NaN", "huge", "infinite", "-infinite", "nested", "long name", "nested name", "parts"],
)  # fmt: skip
def test_values_that_are_none_are_refused_in_words(address: str, text: str) -> None:
    _, (answer, other) = post(address, f"[{text}, {json.dumps(PAB)}]".encode())
    assert "an error in Step Cache" not in answer["refused"]
    assert len(answer["refused"]) < 300
    assert other["error"] is None


@pytest.mark.parametrize("name", ["\ud800.json", "a\0b.json", "a" * 4000])
def test_names_that_no_file_has_are_refused_by_the_node(address: str, name: str) -> None:
    question = {"node": "StepCacheSmoothCache", "steps": 8, "inputs": {"schedule": name}}
    (answer,) = ask(address, question)
    assert answer["error"].startswith("SmoothCache Schedule: there is no file")


def test_pages_and_queue_are_served_while_many_ask(address: str) -> None:
    """More requests than the server's own threads; they are given up once both have answered."""
    body = json.dumps([DEEP] * 200).encode()
    netloc = urllib.parse.urlsplit(address).netloc
    asking = [http.client.HTTPConnection(netloc) for _ in range(40)]
    for connection in asking:
        connection.request("POST", "/stepcache/preview", body)
    for path in ("/queue", "/"):
        with urllib.request.urlopen(f"{address}{path}") as answer:
            assert answer.status == 200
    statuses: list[int] = []
    for connection in asking[-4:]:
        statuses.append(connection.getresponse().status)
    assert 503 in statuses, "they would wait for those before them"
    for connection in asking:
        connection.close()
    body = json.dumps([PAB]).encode()
    status, (answer,) = until(lambda: _unless_busy(post(address, body)))
    assert status == 200
    assert answer["error"] is None


def _unless_busy(answer: tuple[int, Any]) -> tuple[int, Any] | None:
    return None if answer[0] == 503 else answer


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server that a test may end."""
    from demonstration.server import started_server

    options = ("--cpu",)
    python, log = Path(sys.executable), tmp_path / "server.log"
    with started_server(python, host.comfyui_path(), log, options=options) as started:
        yield started


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal for another process")
def test_ctrl_c_ends_the_server_while_pages_ask(
    process: tuple[subprocess.Popen[bytes], str],
) -> None:
    server, address = process
    body = json.dumps([DEEP] * 200).encode()
    has_begun = threading.Event()

    def go_on_asking() -> None:
        while True:
            try:
                post(address, body)
            except (OSError, http.client.HTTPException):
                return
            has_begun.set()

    with ThreadPoolExecutor(8) as pages:
        for _ in range(8):
            pages.submit(go_on_asking)
        assert has_begun.wait(HANG)
        server.send_signal(signal.SIGINT)
        server.wait(HANG)
