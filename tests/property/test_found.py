"""What `make adversary` has found once stays mended."""

from pathlib import Path

from support.rehearsing import judged, read_case

FOUND = Path(__file__).parents[1] / "rehearsals" / "found"


def test_what_was_found_breaks_nothing_any_more() -> None:
    broken = {path.stem: judged(read_case(path)) for path in sorted(FOUND.glob("*.yaml"))}
    assert {name: words for name, words in broken.items() if words} == {}
