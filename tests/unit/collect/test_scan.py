"""The byte scan over exposition text."""

import math
import tracemalloc

import pytest

from healthd.collect.scan import (
    ContradictionError,
    CutOffError,
    PageError,
    Sample,
    Scanner,
)

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


def in_pieces(page: bytes, size: int) -> dict[Sample, float]:
    scan = SCANNER.begin()
    for at in range(0, len(page), size):
        scan.feed(page[at : at + size])
    return scan.finish()


class TestWhileItArrives:
    @pytest.mark.parametrize("size", [1, 7, 4096, 65_535, 65_536, 10_000_000])
    def test_pieces_of_any_size_give_the_same_samples(self, size: int) -> None:
        filler = b'other{a="1"} 2\n' * 9_000
        page = b"up 1\n" + filler + b'lag{a="1",b="x\\"y"} 5\n' + filler[:-1] + b"\nlag 7\n"
        page = page[: len(page) if size > 7 else 2_000]
        page = page[: page.rindex(b"\n") + 1]
        assert in_pieces(page, size) == SCANNER.scan(page)

    def test_twenty_megabytes_are_never_held(self) -> None:
        piece = b'other{topic="t",partition="1",} 12345.0\n' * 1_600
        scan = SCANNER.begin()
        tracemalloc.start()
        try:
            for _ in range(20_000_000 // len(piece)):
                scan.feed(piece)
            scan.feed(b"up 1\n")
            assert scan.finish() == {("up", ()): 1.0}
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000

    @pytest.mark.parametrize(
        ("page", "error", "words"),
        [
            pytest.param(b"up 1\nlag 12", CutOffError, "middle of a line", id="cut-off"),
            pytest.param(
                b"up 1\nup 2\n", ContradictionError, "both 1 and 2 of up", id="two-values"
            ),
            pytest.param(b"up NaN\nup 2\n", ContradictionError, "of up", id="number-and-none"),
            pytest.param(b"up 1\n\0\n", PageError, "zero bytes", id="binary"),
            pytest.param(b"x" * 1_200_000, PageError, "a line of more than", id="endless-line"),
            pytest.param(
                b"".join(b'lag{a="%d"} 1\n' % at for at in range(10_001)),
                PageError,
                "more than 10000 samples",
                id="too-many",
            ),
        ],
    )
    def test_what_no_page_may_be(self, page: bytes, error: type[PageError], words: str) -> None:
        with pytest.raises(error, match=words):
            in_pieces(page, 65_536)

    @pytest.mark.parametrize("page", [b"up 1\nup 1\n", b"up NaN\nup NaN\n"])
    def test_the_same_twice_is_no_contradiction(self, page: bytes) -> None:
        assert len(in_pieces(page, 65_536)) == 1

    def test_blanks_after_the_last_line_do_no_harm(self) -> None:
        assert in_pieces(b"up 1\n  \t", 4096) == {("up", ()): 1.0}
