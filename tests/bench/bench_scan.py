"""The byte scan against prometheus_client's parser, on a real broker's page.

The first page is what config/jmx/kafka.yml gives for a Kafka 4.1 node with 4,000 partitions; the
second is one that jmx_exporter writes without rules, for 500 partitions.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from healthd.collect import dialects
from healthd.collect.scan import Sample, Scanner, samples_of

DATA = Path(__file__).parents[1] / "data"


def catch_all_page() -> bytes:
    """A page without rules: what is read, and among it 34 lines of each partition."""
    partitions = "".join(
        f'kafka_log_Log_Value{{name="{name}",partition="{number}",topic="orders"}} {number}.0\n'
        for number in range(500)
        for name in (f"Gauge{at}" for at in range(34))
    )
    return (DATA / "pages" / "catch-all.txt").read_bytes() + partitions.encode()


PAGES = {
    "own rules": (DATA / "broker_page.txt").read_bytes(),
    "catch-all": catch_all_page(),
}


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
@pytest.mark.parametrize("name", PAGES)
def test_scan_beside_the_oracle(name: str) -> None:
    page = PAGES[name]
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
