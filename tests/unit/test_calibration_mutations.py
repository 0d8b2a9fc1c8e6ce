"""Calibration files that something happened to, of every sort and at random."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from calibration_files import made, noise
from stepcache.cache_core.calibration.file import SIZE_LIMIT, lay_out, read
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.sites import SiteKind
from work import Work

RAW = ("NaN", "Infinity", "1e999", "-1", "1" + "0" * 60, "9" * 5000, '"3"', "true", "null", "[[1]]",
       "{}", "0", "1", "0.5", "7")  # fmt: skip

MARK = "@here@"

MAX_LINES = 2
"""Of Python, as often as for the whole file: damage makes none much longer than it was."""

MAX_BYTES = 2 * SIZE_LIMIT
"""What reading a file may ask for: the largest one, and what becomes of one."""


def places_in(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a node."""
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [each for key in keys for each in ((node, key), *places_in(node[key]))]


def damaged(text: str, rng: random.Random) -> bytes:
    """A file that something happened to."""
    document = json.loads(text)
    # Branches of equal weight: most places in the file are errors.
    branch = rng.choice([document, document["run"], document["model"], document["errors"]])
    node, key = rng.choice(places_in(branch))
    at = rng.randrange(len(text))

    def replaced(raw: str) -> bytes:
        node[key] = MARK
        return json.dumps(document).replace(f'"{MARK}"', raw).encode()

    def flipped() -> bytes:
        data = bytearray(text.encode())
        data[at] ^= 1 << rng.randrange(8)
        return bytes(data)

    def deleted() -> bytes:
        del node[key]
        return json.dumps(document).encode()

    def doubled() -> bytes:
        colon = text.find('":', at) if '":' in text[at:] else text.find('":')
        quote = text.rfind('"', 0, colon)
        return f'{text[:quote]}{text[quote:colon]}":0,{text[quote:]}'.encode()

    def resized() -> bytes:
        some = rng.choice([n[k] for n, k in places_in(document) if isinstance(n[k], list) and n[k]])
        some.append(some[-1]) if rng.random() < 0.5 else some.pop()
        return json.dumps(document).encode()

    def swapped() -> bytes:
        other, name = rng.choice(places_in(document))
        return replaced(json.dumps(other[name]))

    def foreign() -> bytes:
        strange = "".join(chr(rng.randrange(1, 0xD800)) for _ in range(rng.randrange(1, 9)))
        return f"{text[:at]}{strange}{text[at:]}".encode()

    def extended() -> bytes:
        document[f"key {at}"] = rng.choice([None, [], {"a": [1]}, "text"])
        return json.dumps(document, ensure_ascii=False).encode()

    return rng.choice([
        lambda: text[:at].encode(),
        flipped,
        deleted,
        doubled,
        lambda: replaced(rng.choice(RAW)),
        lambda: replaced(rng.choice(RAW)),
        lambda: replaced("[" * 50_000),
        lambda: replaced("[" * 300 + "]" * 300),
        lambda: replaced(json.dumps("".join(map(chr, rng.choices(range(1, 0x2FFFF), k=9))))),
        swapped,
        resized,
        foreign,
        extended,
        lambda: text.encode() + b" " * rng.choice([10, SIZE_LIMIT]),
        lambda: text.encode(rng.choice(["utf-8-sig", "utf-16"])),
    ])()  # fmt: skip


def test_damaged_files_are_read_or_refused_in_words_and_nothing_else(file: Path) -> None:
    rng = random.Random(20)
    text = lay_out(made(noise=noise())).text
    outcomes = {"read": 0, "refused": 0}
    file.write_text(text)
    with Work().counted() as whole:
        read(file)
    for _ in range(500):
        file.write_bytes(damaged(text, rng))
        work = Work(MAX_LINES * whole.lines)
        try:
            with work.counted():
                calibration = read(file)
        except ConfigError as error:
            outcomes["refused"] += 1
            assert str(error).startswith("the calibration mine.json ")
            assert len(str(error)) < 400
        else:
            outcomes["read"] += 1
            assert lay_out(calibration).text, "what is read can be written"
            rows = calibration.table.rows
            assert all(math.isfinite(e) for lags in rows.values() for row in lags for e in row)
            assert {place.kind for place in rows} <= set(SiteKind)
        assert work.nbytes <= MAX_BYTES
    assert outcomes["refused"] >= 300, outcomes
    assert outcomes["read"] >= 25, outcomes
