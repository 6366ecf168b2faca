"""What names a step's command on its host."""

from hypothesis import given
from hypothesis import strategies as st

from healthd.engine.step_commands import mark_of
from healthd.execute.detached import Work


def test_a_mark_says_whose_it_is() -> None:
    assert mark_of("os-patch-1", "3.2.step-4") == "os-patch-1.3.2.step-4"


@given(st.text(max_size=400), st.text(max_size=40))
def test_every_name_makes_a_mark_of_its_own_that_a_host_takes(wave: str, effect: str) -> None:
    mark = mark_of(wave, effect)
    Work(argv=("true",), effect_id=f"{mark}.boot", timeout_seconds=1)
    assert mark != mark_of(wave + "x", effect)
    assert mark == mark_of(wave, effect)
