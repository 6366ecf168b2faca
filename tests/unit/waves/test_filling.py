"""Variables in the texts of a playbook."""

import pytest

from healthd.waves.filling import Unfilled, fill, fill_pattern, filled, names_of
from healthd.waves.patterns import pattern
from healthd.waves.playbook_steps import (
    CommandAction,
    CommandCheck,
    FilePlace,
    KafkaAction,
    KafkaVerb,
    TemplateAction,
)

VALUES = {"version": "4.1.0", "broker_id": "3", "path": "/opt/kafka-$x"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("kafka_${version}", "kafka_4.1.0"),
        ("$${version}", "${version}"),
        ("awk '{print $1}' $HOME $$ 5$", "awk '{print $1}' $HOME $$ 5$"),
        ("${path}/${broker_id}", "/opt/kafka-$x/3"),
        ("nothing", "nothing"),
    ],
)
def test_a_text_is_filled_in_once(text: str, wanted: str) -> None:
    assert fill(text, VALUES) == wanted


def test_a_variable_without_a_value_is_named() -> None:
    with pytest.raises(Unfilled, match="the variable jdk has no value") as caught:
        fill("${version} ${jdk}", VALUES)
    assert caught.value.name == "jdk"


@pytest.mark.parametrize("text", ["${}", "${a-b}"])
def test_what_is_no_name_has_no_value(text: str) -> None:
    with pytest.raises(Unfilled, match="has no value"):
        fill(text, VALUES)


def test_a_place_that_is_not_closed_is_told() -> None:
    with pytest.raises(Unfilled, match=r"'\$\{open' is not closed") as caught:
        fill("${open", VALUES)
    assert caught.value.name is None


def test_a_pattern_keeps_its_own_dollar_sign_and_takes_values_as_they_stand() -> None:
    found = fill_pattern("^${version}$", VALUES)
    assert pattern(found).matches("4.1.0")
    assert not pattern(found).matches("4x1.0")
    with pytest.raises(Unfilled, match="jdk"):
        fill_pattern("^${jdk}$", VALUES)


def test_an_action_is_filled_in_down_to_its_last_text() -> None:
    action = CommandAction(argv=("tool", "--to=${version}"), become=True, stdin="password")
    assert filled(action, VALUES) == CommandAction(
        argv=("tool", "--to=4.1.0"), become=True, stdin="password"
    )
    checks = (CommandCheck(command=("tool", "${broker_id}"), stdout_matches="ok ${broker_id}$"),)
    assert filled(checks, VALUES)[0].stdout_matches == "ok 3$"
    values = KafkaAction(verb=KafkaVerb.SET_BROKER_CONFIG, values=(("a", "${version}"),))
    assert filled(values, VALUES).values == (("a", "4.1.0"),)
    assert filled(values, VALUES).verb is KafkaVerb.SET_BROKER_CONFIG


def test_the_text_of_a_template_is_left_to_its_own_language() -> None:
    place = FilePlace(path="/etc/b${broker_id}")
    inline = TemplateAction(place=place, template="{{ version }} $HOME", is_inline=True)
    assert filled(inline, VALUES).template == "{{ version }} $HOME"
    assert filled(inline, VALUES).place.path == "/etc/b3"


def test_what_a_step_asks_for_is_known_before_it_runs() -> None:
    action = CommandAction(argv=("tool", "${b}", "${a} ${b}"), stdin="password")
    check = CommandCheck(command=("x",), stdout_matches="${c}$")
    assert names_of((action, check)) == ("b", "a", "c")
