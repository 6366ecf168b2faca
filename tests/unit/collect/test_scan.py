"""The byte scan over exposition text."""

import math

import pytest

from healthd.collect.scan import PageError, Scanner

SCANNER = Scanner(["up", "up_total", "lag"])


def test_keeps_wanted_families_only() -> None:
    page = b"# TYPE up gauge\nup 1\nother 2\nupper 3\nup_total 4\n"
    assert SCANNER.scan(page) == {("up", ()): 1.0, ("up_total", ()): 4.0}


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        pytest.param(b'lag{b="2",a="1"} 5', (("a", "1"), ("b", "2")), 5.0, id="labels-in-order"),
        pytest.param(b'lag{a="1",} 5', (("a", "1"),), 5.0, id="comma-at-the-end"),
        pytest.param(b"lag{} 5", (), 5.0, id="no-labels-in-braces"),
        pytest.param(b"  lag\t 5  ", (), 5.0, id="blanks"),
        pytest.param(b"lag 5\r", (), 5.0, id="carriage-return"),
        pytest.param(b"lag 1.5E9", (), 1.5e9, id="exponent"),
        pytest.param(b"lag +Inf", (), math.inf, id="infinite"),
        pytest.param(b"lag 5 1700000000000", (), 5.0, id="timestamp"),
        pytest.param(b'lag{a="x\\"y"} 5', (("a", 'x"y'),), 5.0, id="escaped-quote"),
        pytest.param(b'lag{a="x}y"} 5', (("a", "x}y"),), 5.0, id="brace-in-a-value"),
        pytest.param('lag{a="ü"} 5'.encode(), (("a", "ü"),), 5.0, id="not-ascii"),
    ],
)
def test_reads_every_form_of_a_line(
    line: bytes, labels: tuple[tuple[str, str], ...], value: float
) -> None:
    assert SCANNER.scan(line + b"\n") == {("lag", labels): value}


def test_reads_a_line_with_an_exemplar() -> None:
    page = b'up_total 7 # {trace="x"} 1\n'
    assert SCANNER.scan(page) == {("up_total", ()): 7.0}


def test_not_a_number_is_kept_as_such() -> None:
    assert math.isnan(SCANNER.scan(b"up NaN")[("up", ())])


def test_an_empty_page_has_no_samples() -> None:
    assert SCANNER.scan(b"") == {}


@pytest.mark.parametrize("line", [b"up one", b'up{a="1 5', b"up "])
def test_a_wanted_line_that_is_no_sample_is_refused(line: bytes) -> None:
    with pytest.raises(PageError, match="is no sample"):
        SCANNER.scan(line + b"\n")
