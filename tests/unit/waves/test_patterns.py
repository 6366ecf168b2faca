"""Patterns as RE2 reads them."""

import pytest

from healthd.waves.patterns import Pattern, PatternError


@pytest.mark.parametrize(
    ("pattern", "matched", "unmatched"),
    [
        ("", [""], ["a"]),
        ("kafka-.*|zk-.*", ["kafka-1", "zk-"], ["xkafka-1", "kafka"]),
        ("(?i)crit.*", ["CRITICAL"], ["a critical"]),
        ("(?i:a)b", ["Ab", "ab"], ["aB"]),
        ("a(?i)b|c", ["aB", "C"], ["AB"]),
        ("(?s).", ["\n"], [""]),
        (".", ["a"], ["\n"]),
        ("[^a]", ["\n", "b"], ["a", ""]),
        (r"\w+\s\d", ["a_1 3"], ["ä 3"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["-", "a"], ["b"]),
        (r"[\]\\]", ["]", "\\"], ["a"]),
        ("a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        ("a{,3}", ["a{,3}"], ["a"]),
        ("x{", ["x{"], ["x"]),
        ("^a$", ["a"], ["ba"]),
        ("a^b", [], ["ab"]),
        ("(?P<name>a)b", ["ab"], ["b"]),
        ("a*?", ["", "aa"], ["b"]),
        (r"[\d-z]", ["1", "-", "z"], ["y"]),
        ("(a*)*b", ["b", "aab"], ["a"]),
        ("ä+", ["ää"], ["a"]),
    ],
)
def test_a_pattern_has_to_match_the_whole_text(
    pattern: str, matched: list[str], unmatched: list[str]
) -> None:
    found = Pattern(pattern)
    assert [text for text in [*matched, *unmatched] if found.matches(text)] == matched


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "a)", "[", "[a", "[z-a]", "*", "a**", "a{2}{3}", "(?=a)", "(?!a)", "(?<=a)b",
        r"(a)\1", "(?P=a)", r"\b", r"\pN", r"\Z", r"\x41", "[[:alpha:]]", "(?x)a", "(?m)a", "a\\",
        "a{3,2}", "a{1001}", "((a{100}){100}){100}", "(" * 60, "(?P<1>a)", "[a-\\d]",
    ],
)  # fmt: skip
def test_what_is_no_pattern_or_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*b", "(a?){50}a{50}b", ".*a.*a.*a.*a.*b"])
def test_no_pattern_is_tried_for_longer_than_its_length_and_the_texts_allow(pattern: str) -> None:
    # Python's own engine would not come to an end of these.
    assert not Pattern(pattern).matches("a" * 500)
