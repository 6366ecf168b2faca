"""Levels of features by the names of releases, as Kafka 4.2's own tool maps them."""

import pytest

from healthd.waves.feature_levels import level_of, words_of

METADATA = "metadata.version"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        *(("3.3", 7), ("3.4", 8), ("3.5", 11), ("3.6", 14), ("3.7", 19), ("3.8", 20)),
        *(("3.9", 21), ("4.0", 25), ("4.1", 27), ("4.2", 29)),
        *(("4.0-IV0", 22), ("4.1-IV0", 26), ("3.7-IV2", 17), ("4.1.0", 27), ("25", 25)),
    ],
)
def test_a_release_has_its_level(text: str, level: int) -> None:
    assert level_of(METADATA, text) == level


@pytest.mark.parametrize("text", ["4.1-IV2", "9.9", "latest", "", "4", "-1", "4.1-IV"])
def test_what_is_no_release_has_none(text: str) -> None:
    assert level_of(METADATA, text) == (4 if text == "4" else None)


def test_other_features_have_numbers_only() -> None:
    assert level_of("group.version", "1") == 1
    assert level_of("group.version", "4.1") is None


def test_a_level_is_told_with_its_release() -> None:
    assert words_of(METADATA, 27) == "27 (4.1-IV1)"
    assert words_of(METADATA, 21) == "21 (3.9-IV0)"
    assert words_of(METADATA, 99) == "99"
    assert words_of("group.version", 1) == "1"
