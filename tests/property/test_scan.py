"""The byte scan agrees with prometheus_client's parser on every page."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from healthd.collect import dialects
from healthd.collect.scan import ContradictionError, Sample, Scanner, samples_of

DATA = Path(__file__).parents[1] / "data"
PAGE = DATA / "broker_page.txt"
DIALECT_PAGES = sorted((DATA / "pages").glob("*.txt"))
NAMES = ("kafka_up", "kafka_up_total", "lag", "lag_max")
WANTED = frozenset({"kafka_up", "lag"})

values = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(["+Inf", "-Inf", "Inf", "1.5E9", "0.0"]),
)
label_values = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8
)


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@st.composite
def lines(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    labels = draw(
        st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=4), label_values)
    )
    inner = ",".join(f'{key}="{escaped(value)}"' for key, value in labels.items())
    braces = f"{{{inner}}}" if labels else draw(st.sampled_from(["", "{}"]))
    blank = draw(st.sampled_from([" ", "  ", "\t"]))
    stamp = draw(st.sampled_from(["", "", " 1700000000000"]))
    return f"{name}{braces}{blank}{draw(values)}{stamp}"


def oracle(page: str, wanted: frozenset[str]) -> dict[Sample, float]:
    families = text_string_to_metric_families(page)
    return {key: value for key, value in samples_of(families).items() if key[0] in wanted}


@given(st.lists(st.one_of(lines(), st.just("# HELP lag about lag 5"), st.just(""))))
def test_scan_agrees_with_the_oracle(rows: list[str]) -> None:
    page = "\n".join(rows) + "\n"
    assert Scanner(WANTED).scan(page.encode()) == oracle(page, WANTED)


@given(
    st.lists(st.one_of(lines(), st.just("# HELP lag about lag 5"), st.just(""))),
    st.integers(1, 40),
    st.integers(1, 100),
)
def test_a_page_in_pieces_says_the_same_or_is_refused_as_a_contradiction(
    rows: list[str], size: int, block: int
) -> None:
    page = "".join(f"{row}\n" for row in rows).encode()
    scan = Scanner(WANTED).begin(block_bytes=block)
    try:
        for at in range(0, len(page), size):
            scan.feed(page[at : at + size])
        found = scan.finish()
    except ContradictionError:
        return
    assert found == oracle(page.decode(), WANTED)


@pytest.mark.parametrize("path", [PAGE, *DIALECT_PAGES], ids=lambda path: path.stem)
def test_scan_agrees_with_the_oracle_on_real_pages(path: Path) -> None:
    page = path.read_bytes()
    wanted = frozenset(dialects.FAMILIES)
    found = Scanner(wanted).scan(page)
    assert len(found) >= 10
    assert found == oracle(page.decode(), wanted)
