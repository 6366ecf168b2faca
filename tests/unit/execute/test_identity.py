"""Whether a process is the broker that a wave means: what the host prints, and what is made of it.

The script is run for real, by this machine's shell, over processes that only look like brokers.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from healthd.execute.host_facts import HostFacts, ProcessFacts, parse_facts, parse_identity
from healthd.execute.host_script import SCRIPT, host_argv, identity_argv
from healthd.execute.identity import (
    Agreement,
    Wanted,
    told_by_absence,
    told_by_command,
    told_by_process,
)

# All processes of the machine are looked at, and these all claim to be brokers of one cluster.
pytestmark = pytest.mark.xdist_group("seeming-brokers")

CLUSTER = "AbCdEfGhIjKlMnOpQrStUv"


def a_broker(folder: Path, *, node: int = 3, meta: int | None = None, more: str = "") -> Path:
    """The configuration of a broker on disk, and its formatted log directory."""
    data = folder / "data dir"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text(
        f"#Sat\nversion=1\ncluster.id={CLUSTER}\nnode.id={node if meta is None else meta}\n"
    )
    file = folder / "server.properties"
    file.write_text(
        "# A comment\n"
        f"  node.id = {node}  \n"
        "ssl.keystore.password=never-to-be-seen\n"
        "listeners=BROKER://b3:9092,\\\n   CONTROLLER://:9093\n"
        f"log.dirs={data}\n{more}"
    )
    return file


@contextmanager
def running(*words: str, cwd: Path | None = None) -> Iterator[int]:
    """A process with these words at the end of its command line."""
    code = "import sys, time; print('up', flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code, *words], cwd=cwd, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(argv: tuple[str, ...]) -> tuple[HostFacts, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    facts = parse_facts(done.stdout)
    assert facts is not None, done.stdout
    return facts, done.stdout


def test_a_process_tells_its_node_its_cluster_and_no_secret(tmp_path: Path) -> None:
    file = a_broker(tmp_path)
    with running("kafka.Kafka", str(file)) as pid:
        facts, text = ask(identity_argv(pid))
    process = facts.process(pid)
    assert process is not None
    assert (process.main, process.file) == ("kafka.Kafka", str(file))
    assert (process.node_ids, process.cluster_ids) == ((3,), (CLUSTER,))
    assert process.advertised == (("b3", 9092),)
    assert process.ports == (9092, 9093)
    assert "never-to-be-seen" not in text
    wanted = Wanted(node=3, cluster_id=CLUSTER)
    assert told_by_process(wanted, pid, facts).agreement is Agreement.AGREES


def test_overrides_and_a_relative_path_count_as_for_the_broker_itself(tmp_path: Path) -> None:
    a_broker(tmp_path, node=3, meta=7)
    words = ("kafka.Kafka", "server.properties", "--override", "node.id=7")
    with running(*words, cwd=tmp_path) as pid:
        process = ask(identity_argv(pid))[0].process(pid)
    assert process is not None
    assert process.node_ids == (7,)


@pytest.mark.parametrize(
    ("wanted", "meta", "words"),
    [
        (Wanted(node=4, cluster_id=CLUSTER), None, "says node.id=3, and the fleet file says 4"),
        (Wanted(node=3, cluster_id=CLUSTER), 4, "says node.id=3 and node.id=4"),
        (Wanted(node=3, cluster_id="another"), None, f"is of cluster {CLUSTER}"),
        (Wanted(node=3, is_zookeeper=True), None, "is a broker (kafka.Kafka)"),
    ],
    ids=["node", "folder", "cluster", "kind"],
)
def test_another_broker_contradicts(
    wanted: Wanted, meta: int | None, words: str, tmp_path: Path
) -> None:
    with running("kafka.Kafka", str(a_broker(tmp_path, meta=meta))) as pid:
        verdict = told_by_process(wanted, pid, ask(identity_argv(pid))[0])
    assert verdict.agreement is Agreement.CONTRADICTS
    assert words in verdict.detail


def test_a_server_of_an_ensemble_is_known_by_its_myid(tmp_path: Path) -> None:
    (tmp_path / "myid").write_text("2\n")
    (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}\nclientPort=2181\n")
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    with running(main, str(tmp_path / "zoo.cfg")) as pid:
        facts = ask(identity_argv(pid))[0]
    assert told_by_process(Wanted(node=2, is_zookeeper=True), pid, facts).agreement is (
        Agreement.AGREES
    )
    other = told_by_process(Wanted(node=1, is_zookeeper=True), pid, facts)
    assert other.agreement is Agreement.CONTRADICTS


def test_what_there_was_a_way_to_tell_and_is_not_told_is_no_agreement(tmp_path: Path) -> None:
    wanted = Wanted(node=3, cluster_id=CLUSTER)
    with running("kafka.Kafka", str(tmp_path / "nowhere.properties")) as pid:
        verdict = told_by_process(wanted, pid, ask(identity_argv(pid))[0])
    assert verdict.agreement is Agreement.UNTOLD
    assert "service.identity" in verdict.detail
    with running("something", "else") as pid:
        verdict = told_by_process(wanted, pid, ask(identity_argv(pid))[0])
    assert verdict.agreement is Agreement.UNTOLD
    assert "is not known for a broker" in verdict.detail
    gone = told_by_process(wanted, pid, ask(identity_argv(pid))[0])
    assert gone.agreement is Agreement.GONE


def test_directories_that_are_shut_are_made_up_for_by_the_address_that_kafka_knows() -> None:
    process = ProcessFacts(
        pid=9, main="kafka.Kafka", values={"node.id": "3", "listeners": "A://b3:9092"}
    )
    facts = HostFacts(processes=(process,))
    there = Wanted(node=3, cluster_id=CLUSTER, address=("b3", 9092))
    assert told_by_process(there, 9, facts).agreement is Agreement.AGREES
    elsewhere = Wanted(node=3, cluster_id=CLUSTER, address=("b4", 9092))
    assert told_by_process(elsewhere, 9, facts).agreement is Agreement.UNTOLD


def test_a_broker_that_its_status_calls_stopped_is_found_running(tmp_path: Path) -> None:
    file = a_broker(tmp_path)
    with running("kafka.Kafka", str(file)) as pid:
        facts = ask(identity_argv(None))[0]
        assert facts.process(pid) is not None
    wanted = Wanted(node=3, cluster_id=CLUSTER)
    verdict = told_by_absence(wanted, facts)
    assert verdict.agreement is Agreement.CONTRADICTS
    assert f"process {pid}" in verdict.detail
    assert told_by_absence(Wanted(node=4, cluster_id=CLUSTER), facts).agreement is Agreement.NO_WAY
    assert told_by_absence(Wanted(node=3, cluster_id="other"), facts).agreement is Agreement.NO_WAY
    assert told_by_absence(Wanted(node=3), facts).agreement is Agreement.NO_WAY


def test_two_services_of_one_broker_contradict_and_a_wrapper_is_none(tmp_path: Path) -> None:
    file = a_broker(tmp_path)
    wanted = Wanted(node=3, cluster_id=CLUSTER)
    with (
        running("kafka.Kafka", str(file)) as pid,
        running("kafka.Kafka", str(file), "--override", "log.dir=/x") as second,
    ):
        verdict = told_by_process(wanted, pid, ask(identity_argv(pid))[0])
        assert verdict.agreement is Agreement.CONTRADICTS
        assert f"process {second}" in verdict.detail
        other = Wanted(node=3, cluster_id="another")
        found = told_by_process(other, pid, ask(identity_argv(pid))[0])
        assert "end and disable" not in found.detail
    # As sudo does it: it has the command line of what it waits for.
    wait = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    code = "import time; print('up', flush=True); time.sleep(600)"
    inner = [sys.executable, "-S", "-c", code, "kafka.Kafka", str(file)]
    with subprocess.Popen(
        [sys.executable, "-S", "-c", wait, *inner], stdout=subprocess.PIPE, start_new_session=True
    ) as wrapper:
        try:
            assert wrapper.stdout is not None
            wrapper.stdout.readline()
            facts = ask(identity_argv(wrapper.pid))[0]
            ours = [each for each in facts.processes if each.file == str(file)]
            assert len(ours) == 2
            for each in ours:
                assert told_by_process(wanted, each.pid, facts).agreement is Agreement.AGREES
        finally:
            os.killpg(wrapper.pid, signal.SIGKILL)


def test_the_host_tells_its_clock_its_disks_and_who_asks(tmp_path: Path) -> None:
    with running("kafka.Kafka", str(a_broker(tmp_path))) as pid:
        facts = ask(host_argv(pid))[0]
    assert facts.clock is not None
    assert abs(facts.clock - time.time()) < 600
    assert {disk.name for disk in facts.disks} >= {"/", str(tmp_path / "data dir")}
    assert all(0 <= disk.used_ratio <= 1 for disk in facts.disks)
    assert facts.user
    assert facts.boot_id


@pytest.mark.parametrize(
    "text",
    ["", "hello\n", "healthd-facts\tbegin\t1\t1700000000\n", "healthd-facts\tend\t\t\n"],
    ids=["nothing", "other", "cut off", "no beginning"],
)
def test_an_answer_that_is_not_whole_is_none(text: str) -> None:
    assert parse_facts(text) is None


def test_what_a_host_prints_steers_no_terminal() -> None:
    facts = parse_facts(
        "healthd-facts\tbegin\t1\t1700000000.5\nprocess\t7\tother\tx\x1b[31my\n"
        "healthd-facts\tend\t\t\n"
    )
    assert facts is not None
    assert facts.processes[0].program == "x[31my"
    assert (facts.clock, facts.is_clock_fine) == (1700000000.5, True)


@pytest.mark.parametrize(
    ("printed", "agreement"),
    [
        (f"node.id=3\ncluster.id={CLUSTER}\n", Agreement.AGREES),
        ("broker.id = 3\n", Agreement.AGREES),
        ("node.id=4\n", Agreement.CONTRADICTS),
        ("node.id=3\ncluster.id=other\n", Agreement.CONTRADICTS),
        ("node.id=3\nnode.id=4\n", Agreement.UNTOLD),
        ("", Agreement.UNTOLD),
    ],
)
def test_a_command_of_the_fleet_file_may_say_it(printed: str, agreement: Agreement) -> None:
    wanted = Wanted(node=3, cluster_id=CLUSTER)
    assert told_by_command(wanted, parse_identity(printed)).agreement is agreement


def test_the_script_only_reads() -> None:
    words = SCRIPT.replace("2>/dev/null", "").replace(">/dev/null", "").replace("2>&1", "")
    assert ">" not in words.replace("NR > 1", "")
    for program in ("sudo", "rm ", "mv ", "kill", "tee", "mktemp"):
        assert program not in words


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
def test_somebody_else_s_broker_is_told_by_its_file_and_the_address_that_kafka_knows(
    request: pytest.FixtureRequest,
) -> None:
    # pytest's own folders are shut for others.
    folder = Path(tempfile.mkdtemp(prefix="healthd-identity-"))
    request.addfinalizer(lambda: shutil.rmtree(folder))
    folder.chmod(0o755)
    file = a_broker(folder)
    (folder / "data dir").chmod(0o700)
    with running("kafka.Kafka", str(file)) as pid:
        facts = ask_as("nobody", identity_argv(pid))
        process = facts.process(pid)
        assert process is not None
        assert process.node_ids == (3,)
        assert [each.trouble for each in process.log_dirs] == ["unreadable"]
        known = Wanted(node=3, cluster_id=CLUSTER, address=("b3", 9092))
        assert told_by_process(known, pid, facts).agreement is Agreement.AGREES
        untold = told_by_process(Wanted(node=3, cluster_id=CLUSTER), pid, facts)
        assert untold.agreement is Agreement.UNTOLD
        assert "data dir" in untold.detail
        other = told_by_process(Wanted(node=4, cluster_id=CLUSTER), pid, facts)
        assert other.agreement is Agreement.CONTRADICTS
        file.chmod(0o600)
        shut = told_by_process(known, pid, ask_as("nobody", identity_argv(pid)))
        assert shut.agreement is Agreement.UNTOLD
        assert str(file) in shut.detail


def ask_as(user: str, argv: tuple[str, ...]) -> HostFacts:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, user=user, cwd="/", extra_groups=[]
    )
    assert done.stderr == ""
    facts = parse_facts(done.stdout)
    assert facts is not None, done.stdout
    return facts
