"""The byte scan against prometheus_client's parser, on a real broker's page.

The page is what config/jmx/kafka.yml gives for a Kafka 4.1 node with 4,000 partitions; a second one
repeats it 50 times, as large as the page of a catch-all rule file.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from healthd.collect import dialects
from healthd.collect.scan import Sample, Scanner, samples_of

PAGE = (Path(__file__).parents[1] / "data" / "broker_page.txt").read_bytes()
TIMES = 50


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The best of some rounds: what others do on this machine only adds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def by_oracle(page: bytes) -> dict[Sample, float]:
    families = samples_of(text_string_to_metric_families(page.decode()))
    return {key: value for key, value in families.items() if key[0] in dialects.FAMILIES}


@pytest.mark.bench
@pytest.mark.parametrize("times", [1, TIMES], ids=["own rules", "catch-all size"])
def test_scan_beside_the_oracle(times: int) -> None:
    page = PAGE * times
    scanner = Scanner(dialects.FAMILIES)
    assert scanner.scan(page) == by_oracle(page)
    own = seconds(lambda: scanner.scan(page), 20)
    oracle = seconds(lambda: by_oracle(page), 5)
    lines = page.count(b"\n")
    print(
        f"\nscan of {len(page):,} bytes, {lines:,} lines: {own * 1e3:.3f} ms, "
        f"{lines / own:,.0f} lines/s; prometheus_client {oracle * 1e3:.2f} ms, "
        f"{lines / oracle:,.0f} lines/s; same values, {oracle / own:.0f} times faster"
    )
