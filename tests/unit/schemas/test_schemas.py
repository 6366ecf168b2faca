"""The JSON Schemas of files: checked in as generated, never stricter than what reads the files."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.json_schema import Evaluator

from healthd.config.fleet_file import parse_fleet
from healthd.config.fleet_schema import ClusterModel, FleetModel
from healthd.config.schema import FileModel
from healthd.config.settings import settings_problems
from healthd.config.tokens_file import TokensModel
from healthd.config.yaml_source import Document, parse_document
from healthd.model.json_reader import load_json
from healthd.model.parse import snapshot_of
from healthd.rehearsal.document import parse_rehearsal
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.schemas import (
    models,
    playbook_steps,
    playbooks,
    policy,
    rehearsal,
    waves,
    words,
)
from healthd.schemas.files import SCHEMAS, file_name, schema_of, schema_text
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_parse import parse_playbook
from healthd.waves.policy import POLICY_READERS
from healthd.waves.spec import WaveSpec, parse_wave

ROOT = Path(__file__).parents[3]
CHECKED_IN = ROOT / "docs" / "schemas"
EVALUATORS = {kind: Evaluator(schema_of(kind)) for kind in SCHEMAS}


def plain(content: str, name: str = "file.yaml") -> dict[str, Any]:
    document, problems = parse_document(content.encode(), name, max_nodes=10**7)
    assert document is not None, problems
    assert not problems
    return document.data


def kind_of(data: dict[str, Any]) -> str | None:
    kind = data.get("kind", "Settings")
    return kind if kind in SCHEMAS else None


def good_files() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every file of ours that a schema is for, and every example of the documents."""
    for folder in ("config", "playbooks", "tests/rehearsals", "tests/rehearsals/found"):
        for path in sorted((ROOT / folder).glob("*.yaml")):
            yield str(path.relative_to(ROOT)), plain(path.read_text("utf-8"))
    for path in sorted((ROOT / "docs").rglob("*.md")):
        blocks = re.findall(
            r"^```ya?ml\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        for at, block in enumerate(blocks):
            if re.search(r"^kind: ", block, re.MULTILINE):
                yield f"{path.relative_to(ROOT)}#{at}", plain(block)


FILES = [(name, data) for name, data in good_files() if kind_of(data) is not None]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_what_is_checked_in_is_what_the_code_says_now(kind: str) -> None:
    now = schema_text(kind)
    assert (CHECKED_IN / file_name(kind)).read_text("utf-8") == now, "run make schemas"


def test_no_other_schema_is_checked_in() -> None:
    assert {path.name for path in CHECKED_IN.glob("*.json")} == set(map(file_name, SCHEMAS))


def test_there_are_examples_of_every_kind() -> None:
    kinds = [kind_of(data) for _, data in FILES]
    assert set(kinds) == set(SCHEMAS)
    assert kinds.count("Rehearsal") > 70
    assert kinds.count("Fleet") > 7


@pytest.mark.parametrize(("name", "data"), FILES, ids=[name for name, _ in FILES])
def test_our_own_files_and_examples_are_valid(name: str, data: dict[str, Any]) -> None:
    kind = kind_of(data)
    assert kind is not None
    assert EVALUATORS[kind].errors(data) == []


def properties_of(schema: Any, at: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that an editor offers, with its schema."""
    for name, part in {"$": schema, **schema.get("$defs", {})}.items():
        for key, inner in part.get("properties", {}).items():
            yield f"{name}.{key}", inner


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_key_is_described_and_its_examples_and_default_are_valid(kind: str) -> None:
    for place, schema in properties_of(schema_of(kind)):
        assert schema["description"].strip(), place
        defaults = [schema["default"]] if "default" in schema else []
        for value in [*schema.get("examples", []), *defaults]:
            assert EVALUATORS[kind].errors(value, schema, place) == []


FLEET = plain((ROOT / "config" / "fleet.example.yaml").read_text("utf-8"))
WAVE: dict[str, Any] = {
    "apiVersion": "healthd/v1",
    "kind": "Wave",
    "name": "june-kernel",
    "reason": "CHG-1234",
    "playbook": "rolling-restart",
    "variables": {"heap": "6g"},
    "stages": [
        {"name": "canary", "clusters": ["dev"], "brokers": [1], "soakSeconds": 900},
        {"name": "prod", "match": {"env": "prod"}, "concurrency": "safe", "approval": "required"},
    ],
    "policy": {
        "soakSeconds": 120,
        "windows": [{"days": ["thu"], "start": "21:00", "end": "24:00", "timezone": "UTC"}],
        "alerts": ['severity="page"'],
        "baseline": ["orders-0"],
        "clustersAtOncePer": {"region": 1},
    },
    "schedule": {"cron": "0 22 * * thu", "timezone": "UTC"},
}
PLAYBOOK = plain((ROOT / "playbooks" / "rolling-restart.yaml").read_text("utf-8"))
EVERYTHING = plain((ROOT / "tests" / "data" / "playbooks" / "everything.yaml").read_text("utf-8"))
SETTINGS = plain((ROOT / "config" / "healthd.example.yaml").read_text("utf-8"))
TOKENS: dict[str, Any] = {
    "apiVersion": "healthd/v1",
    "kind": "Tokens",
    "tokens": [{"name": "ann", "roles": ["operator"], "tokenFile": "ann.token"}],
}
REHEARSAL: dict[str, Any] = {
    "apiVersion": "healthd/v1",
    "kind": "Rehearsal",
    "seed": 7,
    "snapshot": load_json((ROOT / "tests/rehearsals/clusters/five.json").read_bytes()),
    "wave": {"playbook": "rolling-restart", "brokers": [1], "policy": {"margin": 0}},
    "model": {"startSeconds": 15},
    "faults": [
        {"at": 60, "fault": "broker_crash", "broker": 1, "for": 5},
        {"when": {"broker": 2, "state": "stopped"}, "fault": "clock_jump", "seconds": -5},
    ],
    "until": 3600,
}
SAMPLES = {
    "Fleet": FLEET,
    "Wave": WAVE,
    "Playbook": PLAYBOOK,
    "Settings": SETTINGS,
    "Tokens": TOKENS,
    "Rehearsal": REHEARSAL,
}


def changed(data: Any, path: str, value: Any) -> Any:
    """A copy with one place changed; `...` removes it."""
    copy = json.loads(json.dumps(data))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inside = copy
    for part in parents:
        inside = inside[part]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    return copy


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_samples_of_the_tables_below_are_valid(kind: str) -> None:
    assert EVALUATORS[kind].errors(SAMPLES[kind]) == []


TYPOS: list[tuple[str, str, Any]] = [
    *((kind, "kind", "Flete") for kind in SAMPLES if "kind" in SAMPLES[kind]),
    *((kind, "apiVersion", "v1") for kind in SAMPLES if "apiVersion" in SAMPLES[kind]),
    ("Fleet", "clusters/0/bootstrapServer", ["b1:9092"]),
    ("Fleet", "clusters/0/bootstrapServers", "b1:9092"),
    ("Fleet", "clusters/0/bootstrapServers", []),
    ("Fleet", "clusters/0/bootstrapServers", ...),
    ("Fleet", "clusters/0/name", "a name"),
    ("Fleet", "clusters/0/tolerate", "racks"),
    ("Fleet", "clusters/0/labels", {"tier": 1}),
    ("Fleet", "clusters/0/security", {"protocol": "SASL-SSL"}),
    ("Fleet", "clusters/0/security", {"passwordEnv": "not a name"}),
    ("Fleet", "clusters/0/wave", {"policy": {"soakSecond": 1}}),
    ("Fleet", "clusters/0/zookeeper", {"servers": ["zk:2181"], "tls": True}),
    ("Fleet", "clusters", []),
    ("Fleet", "cluster", []),
    ("Wave", "name", "dry-run-june"),
    ("Wave", "stages", []),
    ("Wave", "stage", []),
    ("Wave", "stages/0/clusters", "dev"),
    ("Wave", "stages/0/clusters", ...),
    ("Wave", "stages/0/match", {"env": "dev"}),
    ("Wave", "stages/0/brokers", "everything"),
    ("Wave", "stages/0/brokers", [1, 1]),
    ("Wave", "stages/0/concurrency", 0),
    ("Wave", "stages/0/concurrency", "save"),
    ("Wave", "stages/0/approval", "two-persons"),
    ("Wave", "stages/0/clusterAtOnce", 1),
    ("Wave", "playbook", ...),
    ("Wave", "policy/soakSeconds", "120"),
    ("Wave", "policy/minHealthIndex", 101),
    ("Wave", "policy/soak", 120),
    ("Wave", "policy/silence", "yes"),
    ("Wave", "policy/baseline/0", "orders"),
    ("Wave", "policy/windows/0/days/0", "thursday"),
    ("Wave", "policy/windows/0/start", "9:00"),
    ("Wave", "policy/windows/0/timezone", ...),
    ("Wave", "schedule/timezone", ...),
    ("Playbook", "steps/0/service", "restart"),
    ("Playbook", "steps/0/timeoutSeconds", ...),
    ("Playbook", "steps/0/timeoutSeconds", 0),
    ("Playbook", "steps/0/timeoutSeconds", "policy.stopTimeout"),
    ("Playbook", "steps/0/waitFor", "left"),
    ("Playbook", "steps/0/waitfor", "left"),
    ("Playbook", "steps/2", ...),
    ("Settings", "listenPorts", 9780),
    ("Settings", "listenPort", "9780"),
    ("Settings", "listen_port", 9780),
    ("Settings", "logLevel", "warn"),
    ("Settings", "intervalSeconds", 0),
    ("Tokens", "tokens/0/roles", ["admin"]),
    ("Tokens", "tokens/0/token", "hunter2"),
    ("Rehearsal", "faults/0/fault", "broker_crashed"),
    ("Rehearsal", "faults/0/broker", ...),
    ("Rehearsal", "faults/0/factor", 2),
    ("Rehearsal", "faults/0/when", {"broker": 1, "state": "stopped"}),
    ("Rehearsal", "faults/0/at", ...),
    ("Rehearsal", "faults/1/when/state", "stoped"),
    ("Rehearsal", "model/startsSeconds", 1),
    ("Rehearsal", "wave/broker", [1]),
    ("Rehearsal", "snapshot", ...),
]


@pytest.mark.parametrize(("kind", "path", "value"), TYPOS)
def test_a_common_mistake_is_marked(kind: str, path: str, value: Any) -> None:
    assert EVALUATORS[kind].errors(changed(SAMPLES[kind], path, value)) != []


# --- Never stricter than the reader -----------------------------------------------------------


def _document(data: Any) -> Document:
    document, problems = parse_document(json.dumps(data).encode(), "f")
    assert document is not None, problems
    return document


def _tokens(data: Any) -> bool:
    try:
        TokensModel.model_validate(data)
    except ValueError:
        return False
    return True


def _rehearsal(data: Any) -> bool:
    shipped = parse_playbook(PLAYBOOK)
    assert isinstance(shipped, Playbook)
    five = REHEARSAL["snapshot"]
    read = parse_rehearsal(
        data,
        read_snapshot=lambda _: snapshot_of(five),
        find_playbook=lambda _: shipped,
    )
    return isinstance(read, Rehearsal)


ACCEPTS: dict[str, Callable[[Any], bool]] = {
    "Fleet": lambda data: not parse_fleet(_document(data), ROOT / "config")[1],
    "Wave": lambda data: isinstance(parse_wave(data), WaveSpec),
    "Playbook": lambda data: isinstance(parse_playbook(data), Playbook),
    "Settings": lambda data: not settings_problems(_document(data)),
    "Tokens": _tokens,
    "Rehearsal": _rehearsal,
}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2.5, 1.0, 10**10, "", " ", "a", "all", "safe", "1", "true"),
    *("21:00", "24:00", "UTC", "required", "policy.stopTimeoutSeconds", "b:1", "http://a", "mon"),
    *([], ["a"], [1], [1, 2], [""], [None], {}, {"a": "b"}, {"a": 1}, {"policy": {}}, {"port": 1}),
]


def places(data: Any, path: str = "") -> Iterator[str]:
    """Every place inside a value but a rehearsal's snapshot."""
    rows = data.items() if isinstance(data, dict) else enumerate(data)
    for key, inner in rows:
        here = f"{path}/{key}" if path else str(key)
        yield here
        if isinstance(inner, dict | list) and key != "snapshot":
            yield from places(inner, here)


@pytest.mark.parametrize(
    ("kind", "sample"), [*SAMPLES.items(), ("Playbook", EVERYTHING)], ids=[*SAMPLES, "everything"]
)
def test_every_odd_value_at_every_place_is_valid_where_the_reader_takes_it(
    kind: str, sample: Any
) -> None:
    taken = 0
    assert ACCEPTS[kind](sample)
    # Of the larger sample a share that is another for every place.
    share = 1 if sample is SAMPLES[kind] else 6
    for at, place in enumerate(places(sample)):
        for value in [..., *ODD][at % share :: share]:
            data = changed(sample, place, value)
            if ACCEPTS[kind](data):
                taken += 1
                assert EVALUATORS[kind].errors(data) == [], (place, value)
    assert taken > 10


KEYS = {
    kind: sorted({place.split(".")[-1] for place, _ in properties_of(schema_of(kind))} | {"x-y"})
    for kind in SCHEMAS
}


@pytest.mark.parametrize("kind", ["Wave", "Playbook", "Tokens", "Rehearsal"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_several_changes_at_once_are_valid_where_the_reader_takes_them(
    kind: str, data: st.DataObject
) -> None:
    value = SAMPLES[kind]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(value))))
        parent = place.rpartition("/")[0]
        key = data.draw(st.sampled_from(KEYS[kind]))
        aside = f"{parent}/{key}" if parent else key
        where = data.draw(st.sampled_from([place, aside]))
        odd = data.draw(st.sampled_from(ODD))
        try:
            value = changed(value, where, odd)
        except (TypeError, IndexError, ValueError):  # A list has no such place.
            continue
    if ACCEPTS[kind](value):
        assert EVALUATORS[kind].errors(value) == []


# --- A new key cannot be forgotten --------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "table", "make"),
    [
        (waves, "WAVE_KEYS", waves.wave_schema),
        (waves, "STAGE_KEYS", waves.wave_schema),
        (waves, "SCHEDULE_KEYS", waves.wave_schema),
        (playbooks, "PLAYBOOK_KEYS", playbooks.playbook_schema),
        (playbooks, "STEP_KEYS", playbooks.playbook_schema),
        (playbooks, "ACTION_KEYS", playbooks.playbook_schema),
        (playbooks, "OPTION_KEYS", playbooks.playbook_schema),
        (playbook_steps, "COMMAND_KEYS", playbooks.playbook_schema),
        (playbook_steps, "UPLOAD_KEYS", playbooks.playbook_schema),
        (playbook_steps, "TEMPLATE_KEYS", playbooks.playbook_schema),
        (playbook_steps, "HTTP_KEYS", playbooks.playbook_schema),
        (playbook_steps, "VARIABLE_KEYS", playbooks.playbook_schema),
        (policy, "WINDOW_KEYS", policy.window_schema),
        (models, "HEADER_KEYS", models.settings_schema),
        (rehearsal, "REHEARSAL_KEYS", rehearsal.rehearsal_schema),
        (rehearsal, "REHEARSED_WAVE_KEYS", rehearsal.rehearsal_schema),
        (rehearsal, "MODEL_KEYS", rehearsal.rehearsal_schema),
        (rehearsal, "FAULT_KEYS", rehearsal.rehearsal_schema),
        (rehearsal, "DETAIL_READERS", rehearsal.rehearsal_schema),
    ],
)
def test_a_key_that_a_reader_gets_and_the_schema_not_is_an_error(
    monkeypatch: pytest.MonkeyPatch, room: Any, table: str, make: Callable[[], Any]
) -> None:
    monkeypatch.setattr(room, table, [*getattr(room, table), "brandNew"])
    with pytest.raises(LookupError, match="brandNew"):
        make()


def test_a_policy_key_with_a_reader_of_its_own_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = {**POLICY_READERS, "brandNew": ("margin", lambda value: value)}
    monkeypatch.setattr(policy, "POLICY_READERS", readers)
    with pytest.raises(LookupError):
        policy.policy_schema()


def test_a_key_of_a_model_that_nobody_has_words_for_is_an_error() -> None:
    class NewModel(FileModel):
        brand_new: int = 1

    with pytest.raises(LookupError, match=r"NewModel\.brandNew"):
        models._definitions(NewModel)


def test_there_are_no_words_for_keys_that_are_gone() -> None:
    found = {
        **models._definitions(FleetModel, ClusterModel),
        **models._definitions(TokensModel),
    }
    used = {f"{model}.{key}" for model, schema in found.items() for key in schema["properties"]}
    for table in (words.KEYS, words.EXAMPLES):
        for name in table:
            assert name in used or any(each.endswith(f".{name}") for each in used), name
