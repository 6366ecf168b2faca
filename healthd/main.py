"""The composition root: the only place that builds sources, executors and the store."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import structlog

from healthd.cli.exits import Exit
from healthd.collect.access import Access
from healthd.collect.alerts import Alertmanager, PrometheusAlerts
from healthd.collect.cluster import ClusterCollector
from healthd.collect.cluster_admin import ClusterAdmin, KafkaClusterAdmin, admin_target
from healthd.collect.cruise_control import CruiseControl
from healthd.collect.direct import (
    snapshot_of_bootstrap,
    snapshot_of_cluster,
    target_of_bootstrap,
)
from healthd.collect.doctor.examine import examine
from healthd.collect.doctor.needed import needs_json
from healthd.collect.outlook import Outlook
from healthd.collect.principal import principal_of
from healthd.collect.prometheus_pages import PrometheusReaders
from healthd.collect.protocol import ClusterSource
from healthd.collect.resolving import PatientLoop
from healthd.collect.sides import sides_of
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.fleet_file import load_fleet
from healthd.config.playbooks import PlaybookNotFound, load_playbook
from healthd.config.problems import ConfigError
from healthd.config.reload import reload_fleet
from healthd.config.settings import (
    Settings,
    SettingsFields,
    flag_of,
    is_loopback,
    load_settings,
    unknown_variables,
)
from healthd.config.wave_check import WaveContext
from healthd.config.wave_files import read_wave_files
from healthd.engine.clock import Clock
from healthd.engine.daemon import HealthDaemon, Parts
from healthd.engine.guards import Outside
from healthd.engine.hardening import harden
from healthd.engine.host_doctor import with_hosts
from healthd.engine.journal import StoreThread
from healthd.engine.logs import configure_logs, logs_of_a_command
from healthd.engine.privileges import privileged
from healthd.engine.recurring import WHO, Recurring, running_waves
from healthd.engine.thinning import HistoryLimits
from healthd.engine.tidying import Tidier
from healthd.engine.view import OrderRefused, Refusal
from healthd.execute.leaders import KafkaLeaderElector, LeaderElector
from healthd.execute.local import LocalExecutor
from healthd.execute.protocol import Executor
from healthd.execute.routed import RoutedExecutor
from healthd.execute.ssh import SshExecutor
from healthd.model.snapshot import ClusterSnapshot
from healthd.serve.app import create_app
from healthd.serve.auth import Auth, TokenAuth, TokenFileError, make_token_file
from healthd.serve.people import NamedTokensAuth
from healthd.serve.playbook_json import playbooks_json
from healthd.serve.rehearsing import in_a_process
from healthd.serve.server import HttpServer, ListenError
from healthd.store.errors import StateHeld, StoreError, StoreFull
from healthd.store.files import instance_id, prepare_folder
from healthd.store.lock import DaemonLock
from healthd.store.sqlite import RESERVE_BYTES, SqliteStore
from healthd.waves.playbook import Playbook

log = structlog.get_logger(__name__)


CLI_VARIABLES: Final = frozenset({"HEALTHD_SERVER", "HEALTHD_DEBUG", "HEALTHD_CACHE"})
"""Variables of other commands; no mistake in the daemon's environment."""


EXAMINED_AT_ONCE: Final = 64
"""Hosts that an examination logs in on at a time: each is a thread while it lasts."""


def _with_setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """One flag for every setting; what is not given stays with the environment and the file."""
    for name, field in reversed(SettingsFields.model_fields.items()):
        words = " ".join((field.description or "").split()).split(". ")[0].rstrip(".") + "."
        kind: Any = bool if field.annotation is bool else str
        command = click.option(flag_of(name), name, default=None, type=kind, help=words)(command)
    return command


@click.command("run")
@click.option("--config", metavar="FILE", help="The settings file.  [env: HEALTHD_CONFIG]")
@_with_setting_flags
def run_command(config: str | None, **flags: Any) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reads the fleet file again.

    Exit codes: 0 stopped in order, 1 something failed or a broker could not be brought back in
    time, 2 the configuration is wrong, 6 another healthd runs on the same state.
    """
    try:
        settings = load_settings(config, flags)
        fleet = load_fleet(settings.fleet_file, interval_seconds=settings.interval_seconds)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(Exit.USAGE)
    harden()
    configure_logs(settings.log_format, settings.log_level)
    for name in sorted(set(unknown_variables(os.environ)) - CLI_VARIABLES):
        log.warning("unknown_variable_ignored", name=name)
    if not is_loopback(settings) and settings.open_reads:
        log.warning("reads_open_to_network", address=settings.listen_address)
    sys.exit(_run(settings, fleet))


def _run(settings: Settings, fleet: Fleet) -> Exit:
    """Hold the state folder's lock and run the daemon in it."""
    try:
        files = prepare_folder(settings.state_dir)
        lock = DaemonLock(files)
        holder = lock.acquire(now=time.time())
        with lock:
            store = SqliteStore.open(settings.state_dir)
            _reserve(store)
            outlook = Outlook()
            parts = _parts(
                settings, store, outlook, instance=instance_id(files), holder=str(holder)
            )
            with asyncio.Runner(loop_factory=PatientLoop) as runner:
                return runner.run(_serve(settings, fleet, parts, outlook))
    except StateHeld as error:
        click.echo(str(error), err=True)
        return Exit.LEASE_HELD
    except (StoreError, TokenFileError, ListenError) as error:
        click.echo(str(error), err=True)
        return Exit.FAILED


def _reserve(store: SqliteStore) -> None:
    """Keep space for the writes that must not fail; a full disk keeps nobody from starting.

    The daemon before may have stopped a broker, which has to be started again. Until there is
    space nothing is stopped: that is asked before each stop.
    """
    try:
        store.reserve_space(RESERVE_BYTES)
    except StoreFull as error:
        log.error("space_not_reserved", detail=str(error))


def _parts(
    settings: Settings, store: SqliteStore, outlook: Outlook, *, instance: str, holder: str
) -> Parts:
    return Parts(
        store=StoreThread(store),
        executor=RoutedExecutor(
            ssh=SshExecutor(pool_size=settings.ssh_pool_size),
            local=LocalExecutor(pool_size=settings.ssh_pool_size),
        ),
        elector_of=_elector_of,
        admin_of=_admin_of,
        source_of=partial(_source_of, settings, outlook, PrometheusReaders()),
        examine=partial(_examine, settings),
        outside=Outside(
            alertmanager=Alertmanager,
            prometheus=PrometheusAlerts,
            cruise_control=CruiseControl,
        ),
        playbooks=partial(_playbook, settings.playbook_dir, settings.playbook_digests),
        wave_secret_dir=settings.wave_secret_dir,
        reload=partial(
            reload_fleet, path=settings.fleet_file, interval_seconds=settings.interval_seconds
        ),
        interval_seconds=settings.interval_seconds,
        deadline_seconds=settings.collect_deadline_seconds,
        shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
        instance=instance,
        holder=f"healthd, {holder} ({socket.gethostname()})",
        clock=Clock(),
        history=HistoryLimits(
            raw_days=settings.history_raw_days,
            fine_days=settings.history_fine_days,
            days=settings.history_days,
        ),
    )


def _source_of(
    settings: Settings,
    outlook: Outlook,
    prometheus: PrometheusReaders,
    config: ClusterConfig,
    known: ClusterSnapshot | None,
) -> ClusterSource:
    target = _target(settings, config)
    return ClusterCollector(
        target,
        configs_interval_seconds=settings.configs_interval_seconds,
        known=known,
        sides=sides_of(config, target),
        outlook=outlook,
        prometheus=prometheus,
    )


def _target(settings: Settings, config: ClusterConfig) -> ClusterTarget:
    return ClusterTarget.of(
        config,
        interval_seconds=settings.interval_seconds,
        request_timeout_seconds=settings.kafka_timeout_seconds,
        deadline_seconds=settings.collect_deadline_seconds,
        max_page_bytes=settings.max_page_bytes,
    )


async def _examine(settings: Settings, config: ClusterConfig) -> Mapping[str, Any]:
    target = _target(settings, config)
    found = examine(target, config, sides=sides_of(config, target))
    return await with_hosts(found, config, executor_of=_many_hosts)


def _many_hosts(count: int) -> Executor:
    """What logs in on all hosts of a cluster at a time, within reason."""
    ssh = SshExecutor(pool_size=min(count, EXAMINED_AT_ONCE))
    return RoutedExecutor(ssh=ssh, local=LocalExecutor())


def _elector_of(config: ClusterConfig) -> LeaderElector:
    def properties() -> dict[str, Any]:
        access = Access.of(config.security)
        access.ready()
        servers = {"bootstrap.servers": ",".join(config.bootstrap_servers)}
        return servers | access.confluent_config()

    return KafkaLeaderElector(properties)


def _admin_of(config: ClusterConfig) -> ClusterAdmin:
    return KafkaClusterAdmin(lambda: admin_target(config))


def _playbook(folder: Path | None, allowed: Path | None, name: str) -> Playbook:
    try:
        return load_playbook(name, folder, allowed)
    except (PlaybookNotFound, ConfigError) as error:
        raise OrderRefused(Refusal.INVALID, str(error)) from error


def _auth(settings: Settings) -> Auth:
    """The named tokens where there are any; the shared one is then neither made nor accepted.

    Raises:
        TokenFileError: a token cannot be used.
    """
    if settings.tokens_file is not None:
        return NamedTokensAuth(settings.tokens_file)
    make_token_file(settings.token_file)
    return TokenAuth(settings.token_file)


async def _serve(settings: Settings, fleet: Fleet, parts: Parts, outlook: Outlook) -> Exit:
    """The daemon and its HTTP server, until a signal or the end of one of them."""
    context = WaveContext(
        fleet=lambda: daemon.fleet,
        playbook_dir=settings.playbook_dir,
        playbook_digests=settings.playbook_digests,
        is_complete=True,
    )
    recurring = Recurring(
        partial(read_wave_files, settings.wave_dir, context),
        start=lambda document: daemon.start_wave(document, by=WHO),
        running=lambda: running_waves(daemon),
        store=parts.store,
        wall=parts.clock.wall,
    )
    daemon = HealthDaemon(fleet, replace(parts, reloaded=recurring.load))
    outlook.canaries = lambda: daemon.fleet.canary
    folder = settings.playbook_dir
    own = () if folder is None else ("--playbook-dir", str(folder))
    app = create_app(
        daemon,
        _auth(settings),
        settings.open_reads,
        rehearse=in_a_process(own),
        scheduled=recurring.planned,
        playbooks=partial(playbooks_json, folder, settings.playbook_digests),
    )
    server = HttpServer(app, host=settings.listen_address, port=settings.listen_port)
    port = server.listen()
    if settings.port_file is not None:
        _write_port(settings.port_file, port)
    stop = asyncio.Event()
    reloads: set[asyncio.Task[Any]] = set()

    def reload() -> None:
        task = asyncio.create_task(daemon.reload(by="SIGHUP"))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    # After the handlers: a SIGTERM that comes during the start is taken in order, too.
    await daemon.start()
    # Not before: until its state is read, the daemon would deny waves that it has under way.
    await server.start()
    await recurring.begin()
    tidier = Tidier(lambda: daemon.is_ready)
    tidier.start()
    http_ended = asyncio.create_task(server.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({http_ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    failed = http_ended.done() and not stop.is_set()
    stopped.cancel()
    recurring.close()
    await tidier.close()
    # HTTP goes on while brokers are brought back: an operator wants to watch.
    is_clean = await daemon.stop()
    await server.stop()
    http_ended.cancel()
    return Exit.OK if is_clean and not failed else Exit.FAILED


def _write_port(path: Path, port: int) -> None:
    """Whole or not at all: whoever waits for the file never reads half a number."""
    temporary = path.with_suffix(".new")
    temporary.write_text(f"{port}\n", "ascii")
    # It is no secret, and whoever wants to know it need not be the daemon's user.
    temporary.chmod(0o644)
    temporary.replace(path)


def direct_snapshot(
    *, cluster: str | None, fleet_file: Path | None, bootstrap: str | None
) -> ClusterSnapshot:
    """A snapshot that is collected now, without a daemon.

    Raises:
        ConfigError: the fleet file is wrong.
        LookupError: it has no such cluster, or no file was named.
    """
    logs_of_a_command()
    if bootstrap is not None:
        return asyncio.run(snapshot_of_bootstrap(bootstrap, name=cluster))
    return asyncio.run(snapshot_of_cluster(_configured(cluster, fleet_file)))


def direct_examination(
    *,
    cluster: str | None,
    fleet_file: Path | None,
    bootstrap: str | None,
    hosts: bool = True,
    playbook: str | None = None,
    playbook_dir: Path | None = None,
) -> dict[str, Any]:
    """What an examination finds that is made now, without a daemon, as JSON.

    Raises:
        ConfigError: the fleet file or the playbook is wrong.
        LookupError: there is no such cluster or playbook, or no file was named.
    """
    logs_of_a_command()
    if bootstrap is not None:
        found = examine(target_of_bootstrap(bootstrap, name=cluster))
        return asyncio.run(found).as_json() | {"hosts": []}
    config = _configured(cluster, fleet_file)
    target = ClusterTarget.of(config)
    book = None if playbook is None else load_playbook(playbook, playbook_dir)
    more = () if book is None else privileged(config, book)
    found = examine(target, config, sides=sides_of(config, target))
    if not hosts:
        return asyncio.run(found).as_json() | {"hosts": []}

    async def work() -> dict[str, Any]:
        return await with_hosts(found, config, executor_of=_many_hosts, more=more)

    return asyncio.run(work())


def needed_acls(*, cluster: str | None, fleet_file: Path | None) -> dict[str, Any]:
    """Every ACL that healthd needs on a cluster of the fleet file; nobody is asked anything.

    Raises:
        ConfigError: the fleet file is wrong.
        LookupError: it has no such cluster.
    """
    config = _configured(cluster, fleet_file)
    return needs_json(config, principal=principal_of(Access.of(config.security)))


def _configured(cluster: str | None, fleet_file: Path | None) -> ClusterConfig:
    if fleet_file is None:
        raise LookupError("--direct needs the fleet file: --fleet FILE")
    fleet = load_fleet(fleet_file)
    config = fleet.cluster(cluster or "")
    if config is None:
        known = ", ".join(each.name for each in fleet.clusters)
        raise LookupError(f"there is no cluster {cluster} in {fleet_file}, which has {known}")
    return config
