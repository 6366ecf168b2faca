"""Values of variables: layer over layer, checked, and never a secret among them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.waves.codec import decode_value, encode_value
from healthd.waves.playbook_steps import Variable, VariableType
from healthd.waves.playbook_texts import names_in
from healthd.waves.playbook_variables import ValueRefused, checked_value
from healthd.waves.spec_findings import Findings
from healthd.waves.variable_values import (
    Layer,
    Resolved,
    SecretSource,
    joined,
    parse_values,
    plain_values,
    resolve_variables,
    split,
)

VERSION = Variable(name="version", pattern=r"[0-9.]+")
HEAP = Variable(name="heap", type=VariableType.INTEGER, default="4", minimum=1, maximum=64)
FAST = Variable(name="fast", type=VariableType.BOOLEAN, default="false")
PASSWORD = Variable(name="password", type=VariableType.SECRET)
FILE = SecretSource(file="/etc/healthd/password")


def layer(where: str = "the wave file", *, is_for_one: bool = False, **values: Any) -> Layer:
    return Layer(where=where, values=values, is_for_one=is_for_one)


def words(found: object) -> list[str]:
    assert isinstance(found, list), found
    return [f"{each.variable}: {each.message}" for each in found]


def test_a_later_layer_goes_over_an_earlier_one() -> None:
    layers = [layer(version="4.0", heap=6), layer(version="4.1"), layer(fast=True)]
    assert resolve_variables([VERSION, HEAP, FAST], layers) == Resolved(
        texts=(("fast", "true"), ("heap", "6"), ("version", "4.1"))
    )


def test_every_missing_and_every_wrong_one_is_told() -> None:
    layers = [layer("cluster a", heap=0), layer(fast="maybe", is_for_one=True, verison="4.1")]
    assert words(resolve_variables([VERSION, HEAP, FAST, PASSWORD], layers)) == [
        "verison: is given in the wave file, but the playbook has no such variable",
        "version: has no value",
        "heap: 0 is below the minimum, 1 (cluster a)",
        "fast: must be of type boolean, not text (the wave file)",
        "password: has no value",
    ]


def test_the_fleet_file_may_give_what_another_playbook_wants() -> None:
    assert resolve_variables([], [layer(anything=1)]) == Resolved()


def test_a_secret_is_a_place_and_only_a_place() -> None:
    assert resolve_variables([PASSWORD], [layer(password=FILE)]) == Resolved(
        secrets=(("password", FILE),)
    )
    (found,) = words(resolve_variables([PASSWORD], [layer(password="hunter2")]))
    assert "never written down" in found
    assert "hunter2" not in found
    (found,) = words(resolve_variables([VERSION], [layer(version=FILE)]))
    assert "is no secret" in found


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "4.10", "4.10"),
        ("string", "", ""),
        ("integer", 7, "7"),
        ("integer", "7", "7"),
        ("number", 0.5, "0.5"),
        ("number", 3, "3"),
        ("boolean", True, "true"),
        ("boolean", "false", "false"),
    ],
)
def test_a_value_of_the_right_type_is_taken(kind: str, value: object, text: str) -> None:
    assert checked_value(Variable(name="x", type=VariableType(kind)), value) == text


WRONG: dict[str, list[object]] = {
    "string": [4.1, 7, True, None, [], "a\0b", "x" * 10_001],
    "integer": [True, 1.0, "1.0", "", " 7", "x", 10**30, None],
    "number": [True, float("nan"), float("inf"), "nan", "1e", None],
    "boolean": [1, "yes", "True", None],
}


@pytest.mark.parametrize(
    ("kind", "value"),
    [(kind, value) for kind, values in WRONG.items() for value in values],
)
def test_a_value_of_another_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(ValueRefused):
        checked_value(Variable(name="x", type=VariableType(kind)), value)


def test_a_number_too_long_to_be_written_is_no_traceback() -> None:
    endless = 10**5000
    assert parsed({"a": endless})[1] == ["variables.a: is no number that is used here"]
    with pytest.raises(ValueRefused):
        checked_value(Variable(name="x", type=VariableType.NUMBER), endless)


def test_a_pattern_counts_for_the_whole_value() -> None:
    with pytest.raises(ValueRefused, match="does not match"):
        checked_value(VERSION, "4.1; reboot")


PLAIN = st.one_of(st.text(max_size=10), st.integers(-(10**20), 10**20), st.booleans())
NAMES = st.from_regex(r"x[a-z0-9_]{0,8}", fullmatch=True)
GIVEN = st.dictionaries(NAMES, PLAIN | st.just(FILE), max_size=5)


@given(values=GIVEN)
def test_what_a_state_keeps_is_what_was_given_as_texts(values: dict[str, Any]) -> None:
    texts, secrets = split(values)
    back = joined(texts, secrets)
    assert back.keys() == values.keys()
    assert {name for name, value in back.items() if value == FILE} == {
        name for name, value in values.items() if value == FILE
    }
    assert parsed(plain_values(values), may_run=True) == (values, [])


def test_a_state_with_a_secret_survives_the_journal_as_the_place() -> None:
    for source in (FILE, SecretSource(env="X"), SecretSource(command=("pass", "show", "x"))):
        assert decode_value(SecretSource, encode_value(source), "secret") == source
        assert str(source).split()[0] in {"file", "environment", "command"}


def parsed(value: object, *, may_run: bool = False) -> tuple[dict[str, Any], list[str]]:
    found = Findings()
    values = parse_values(value, ("variables",), found, may_run=may_run)
    return values, [f"{each.path}: {each.message}" for each in found.problems]


def test_places_of_secrets_are_read() -> None:
    given = {"a": {"file": "x"}, "b": {"env": "X"}, "c": {"command": ["p"]}, "d": 1}
    values, wrong = parsed(given, may_run=True)
    assert wrong == []
    assert values == {
        "a": SecretSource(file="x"),
        "b": SecretSource(env="X"),
        "c": SecretSource(command=("p",)),
        "d": 1,
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be a mapping"),
        ({"a b": 1}, "no variable's name"),
        ({"host": "x"}, "every playbook has"),
        ({"a": None}, "must be text, a number or a boolean"),
        ({"a": [1]}, "must be text, a number or a boolean"),
        ({"a": float("inf")}, "is no number"),
        ({"a": 10**30}, "is no number"),
        ({"a": {}}, "must say where one secret is"),
        ({"a": {"file": "x", "env": "X"}}, "must say where one secret is"),
        ({"a": {"flie": "x"}}, "did you mean file"),
        ({"a": {"env": "TOKEN"}}, "named in the fleet file only"),
        ({"a": {"command": ["pass"]}}, "named in the fleet file only"),
        ({f"x{at}": 1 for at in range(201)}, "more than 200"),
    ],
)
def test_one_mistake_is_one_problem(value: object, words: str) -> None:
    _, (found,) = parsed(value)
    assert words in found


def test_what_is_no_name_of_an_environment_variable_is_not_shown() -> None:
    _, (found,) = parsed({"a": {"env": "hunter 2"}}, may_run=True)
    assert "its value is not shown here" in found
    assert "hunter" not in found


@given(text=st.text(alphabet="${}ab x", max_size=20))
def test_names_are_found_in_any_text(text: str) -> None:
    assert all("}" not in name for name in names_in(text))
