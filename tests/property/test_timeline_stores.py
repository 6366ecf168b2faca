"""Two ways to an outline: the state file's is written for speed, memory's to be read."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.history_rows import histories

from healthd.health.timeline import HistoryRow
from healthd.store.memory import MemoryStore
from healthd.store.sqlite import SqliteStore


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path_factory.mktemp("state"))
    yield store
    store.close()


@given(histories(), st.integers(0, 8000), st.integers(1, 8000))
def test_the_outline_of_the_file_is_that_of_memory(
    sqlite: SqliteStore, rows: list[HistoryRow], since: int, length: int
) -> None:
    memory = MemoryStore()
    memory.timeline.write(rows, [])
    sqlite.timeline.replace("payments", since=0, until=1e9, rows=rows)
    span = {"since": float(since), "until": float(since + length)}
    found = sqlite.timeline.outline("payments", **span)
    assert found == memory.timeline.outline("payments", **span)
