"""Patterns mean what Python's `re` means by them, wherever RE2 and Python agree."""

import re

from hypothesis import given
from hypothesis import strategies as st

from healthd.waves.patterns import Pattern

ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "0",
        r"\.",
        ".",
        r"\d",
        r"\w",
        r"\S",
        "[ab]",
        "[^a]",
        "[a-c0]",
        r"[\d.]",
        "^",
        "$",
        "-",
    ]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map("({})".format),
        st.tuples(
            inner.map("(?:{})".format),
            st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{1,}", "*?"]),
        ).map("".join),
        inner.map("(?i:{})".format),
    ),
    max_leaves=6,
)
TEXTS = st.text(alphabet="abAB01.-\n ", max_size=6)


@given(PATTERNS, TEXTS)
def test_a_pattern_matches_what_python_matches(pattern: str, text: str) -> None:
    # "$" of Python's fits before a last line break, too; RE2's does not.
    expected = re.compile(pattern.replace("$", r"\Z"), re.ASCII).fullmatch(text)
    assert Pattern(pattern).matches(text) is (expected is not None)
