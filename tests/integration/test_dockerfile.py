"""No image can be built on every machine, so the install steps run in a fresh environment."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import healthd

TOP = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    stage: int
    word: str
    rest: str


def read_steps() -> list[Step]:
    text = (TOP / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    steps: list[Step] = []
    stage = 0
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            stage += word == "FROM"
            steps.append(Step(stage=stage, word=word, rest=rest.strip()))
    return steps


def stage_named(name: str) -> int:
    return next(it.stage for it in read_steps() if it.word == "FROM" and it.rest.endswith(name))


def last_step(word: str) -> Step:
    return next(step for step in reversed(read_steps()) if step.word == word)


def copy(step: Step, target: Path) -> None:
    *sources, destination = step.rest.split()
    for name in sources:
        source = TOP / name
        if source.is_dir():
            shutil.copytree(
                source, target / destination, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(source, target / destination)


@pytest.mark.timeout(600)
def test_the_install_steps_give_a_healthd_that_runs(tmp_path: Path) -> None:
    source, installed = tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    # The interpreter of the tests stands for the image's: a bare one, without our environment.
    python = Path(sys.base_prefix) / "bin" / "python3"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(python)
    wheelhouse = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    environment = {"PATH": f"{python.parent}:{tmp_path / 'bin'}:/usr/bin:/bin", **wheelhouse}
    for step in read_steps():
        if step.stage == stage_named("build") and step.word == "COPY":
            copy(step, source)
        if step.stage == stage_named("build") and step.word == "RUN":
            command = step.rest.replace("/opt/healthd", str(installed))
            result = subprocess.run(
                ["sh", "-c", command],
                cwd=source,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"

    run = [str(installed / "bin" / "healthd"), "version"]
    # Not from the checkout: what is found must come out of the wheel.
    version = subprocess.run(run, cwd="/", capture_output=True, text=True, check=False)
    assert version.returncode == 0, version.stderr
    assert healthd.__version__ in version.stdout
    shipped = next(installed.glob("lib/python*/site-packages/healthd/_shipped"))
    assert (shipped / "playbooks" / "rolling-restart.yaml").is_file()
    assert (shipped / "config" / "jmx" / "kafka.yml").is_file()


def test_what_runs_is_not_root_and_comes_from_another_stage() -> None:
    final = last_step("FROM").stage
    assert last_step("USER").rest not in {"root", "0"}
    assert last_step("USER").stage == final > stage_named("build")
    assert any("--from=build" in step.rest for step in read_steps() if step.stage == final)


def test_dependencies_are_installed_with_hashes_from_the_lock() -> None:
    installs = [step.rest for step in read_steps() if step.word == "RUN" and "pip" in step.rest]
    assert "--require-hashes --requirement requirements.lock" in installs[0]
    assert all("--no-deps" in install for install in installs[1:])


def test_everything_that_is_copied_is_let_through_to_the_build() -> None:
    let_through = (TOP / ".dockerignore").read_text(encoding="utf-8").split()
    for step in read_steps():
        if step.word == "COPY" and "--from" not in step.rest:
            assert {f"!{name}" for name in step.rest.split()[:-1]} <= set(let_through)


@contextmanager
def daemon_answering(status: int) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/-/healthy" else 404)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def run_health_check(port: int) -> int:
    _, _, words = last_step("HEALTHCHECK").rest.partition("CMD ")
    _, *arguments = json.loads(words)
    environment = {"HEALTHD_LISTEN_PORT": str(port)}
    result = subprocess.run([sys.executable, *arguments], env=environment, check=False)
    return result.returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_says_what_the_daemon_says(status: int, code: int) -> None:
    with daemon_answering(status) as port:
        assert run_health_check(port) == code


def test_the_health_check_fails_when_nobody_answers() -> None:
    with daemon_answering(200) as port:
        pass
    assert run_health_check(port) != 0
