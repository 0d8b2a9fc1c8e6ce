"""The pack's one route on a running server: what it answers, and what it refuses."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pack

import host
import pytest
from patience import HANG

PAB = {"node": "StepCacheApplyPAB", "steps": 8, "inputs": {"self_attention": 3}}


def post(address: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(f"{address}/stepcache/preview", data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=HANG) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_page_is_told_which_nodes_have_strips(address: str) -> None:
    with urllib.request.urlopen(f"{address}/stepcache/preview", timeout=HANG) as answer:
        told = json.loads(answer.read())
    host.boot(cpu=True)
    from stepcache.nodes.extension import with_strips

    assert told == list(with_strips())
    # No page keeps a list of its own.
    script = (pack.ROOT / "web" / "js" / "step_cache_strip.js").read_text(encoding="utf-8")
    assert [name for name in told if name in script] == []


def test_questions_are_answered_in_order(address: str) -> None:
    others = {**PAB, "steps": 12}
    status, answers = post(address, json.dumps([PAB, {"node": "KSampler"}, others]).encode())
    assert status == 200
    assert [len(a.get("strips", {}).get("self_attention", "")) for a in answers] == [8, 0, 12]
    assert answers[1]["refused"] == "there is no node 'KSampler' with a strip"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the question is no JSON"),
        (b"{", "the question is no JSON"),
        (b"\xff\xfe", "the question is no JSON"),
        (b"{}", "expected a list of at most 200 questions"),
        (json.dumps([PAB] * 201).encode(), "expected a list of at most 200 questions"),
        (b"[" + b" " * 2**20 + b"]", "the question is too long"),
        (b"[" * 100_000, "the question is no JSON"),
    ],
    ids=["empty", "half", "no text", "no list", "too many", "too long", "too deep"],
)
def test_what_cannot_be_read_is_refused_in_words(address: str, body: bytes, words: str) -> None:
    status, answer = post(address, body)
    assert status == 400
    assert words in answer["refused"]
    assert post(address, json.dumps([PAB]).encode())[0] == 200, "the server goes on"


def test_nothing_outside_of_the_library_is_read(address: str) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "..\\secret.json", "a/../../b.json"):
        question = {
            "node": "StepCacheSmoothCache", "steps": 8, "inputs": {"schedule": name},
        }  # fmt: skip
        _, (answer,) = post(address, json.dumps([question]).encode())
        assert answer["error"].startswith("SmoothCache Schedule: ")
        assert "root:" not in json.dumps(answer)
