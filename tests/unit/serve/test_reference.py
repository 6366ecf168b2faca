"""docs/reference/http.md names every path, problem and field that there is, and no other."""

import re
from pathlib import Path

import httpx2
from support.daemon import InMemoryDaemon, cluster_view, wave_state

from healthd.serve.cluster_json import cluster_document
from healthd.serve.problems import PROBLEM_TYPES
from healthd.serve.wave_json import wave_document

PAGE = (Path(__file__).parents[3] / "docs/reference/http.md").read_text()


async def test_every_path_is_in_the_reference(anybody: httpx2.AsyncClient) -> None:
    document = (await anybody.get("/openapi.json")).json()
    there = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert set(re.findall(r"`((?:GET|POST) /[^`?]*)`", PAGE)) == there


def test_every_problem_is_in_the_reference() -> None:
    rows = set(re.findall(r"^\| `([a-z-]+)` \| [0-9]", PAGE, re.MULTILINE))
    assert rows == set(PROBLEM_TYPES)


def test_every_field_of_a_cluster_and_a_wave_is_in_the_reference(daemon: InMemoryDaemon) -> None:
    fields = {*cluster_document(cluster_view(), ()), *wave_document(daemon.put(wave_state()))}
    named = set(re.findall(r"[`\"]([A-Za-z]+)[`\"]", PAGE))
    assert fields - named == set()
