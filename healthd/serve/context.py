"""What every route needs, taken from the app that it is part of."""

from typing import Annotated, Final

from fastapi import Depends, Header, Request

from healthd.engine.view import ClusterView, Daemon, FleetView, WaveView
from healthd.model.json_reader import LARGEST_ID
from healthd.model.snapshot import ClusterSnapshot
from healthd.serve.auth import USER_HEADER, Person, claimed_user
from healthd.serve.guard import PERSON
from healthd.serve.problems import ProblemError

ID_DIGITS: Final = len(str(LARGEST_ID))
"""Of the largest id; int() refuses thousands of digits."""


def _daemon(request: Request) -> Daemon:
    daemon: Daemon = request.app.state.daemon
    return daemon


TheDaemon = Annotated[Daemon, Depends(_daemon)]
"""The running daemon."""


def _user(
    request: Request,
    name: Annotated[
        str | None, Header(alias=USER_HEADER, description="Who gives the order, as claimed.")
    ] = None,
) -> str:
    person: Person | None = request.scope.get(PERSON)
    if person is not None and person.name is not None:
        return person.name  # What a token proves goes over what a client claims.
    return claimed_user(name)


User = Annotated[str, Depends(_user)]
"""Who gives the order: the name that their token proves, else the one that the client claims."""


def proven_name(request: Request) -> str:
    """The name that the sender's own token proves; 403 with the shared one."""
    person: Person | None = request.scope.get(PERSON)
    if person is None or person.name is None:
        raise ProblemError(
            403,
            "forbidden",
            "this needs a second person, and the daemon's one shared token proves nobody: "
            "give each person a token of their own (tokensFile, docs/configure.md)",
        )
    return person.name


ProvenUser = Annotated[str, Depends(proven_name)]
"""Who gives the order, proven by a token of their own; 403 with the shared token."""


def _cluster(cluster: str, daemon: TheDaemon) -> ClusterView:
    view = daemon.clusters().get(cluster)
    if view is None:
        known = ", ".join(sorted(daemon.clusters())) or "none"
        raise ProblemError(
            404, "unknown-cluster", f"there is no cluster {cluster}; the fleet file has: {known}"
        )
    return view


TheCluster = Annotated[ClusterView, Depends(_cluster)]
"""The cluster that the path names; 404 when the fleet file has none of that name."""


def require_seen(view: ClusterView) -> ClusterSnapshot:
    """The latest snapshot; 503 before there is one."""
    if view.snapshot is None:
        raise ProblemError(
            503,
            "not-observed",
            f"{view.config.name} has not been observed yet; ask again in a moment",
            headers={"Retry-After": "5"},
        )
    return view.snapshot


def require_known(view: ClusterView) -> ClusterSnapshot:
    """The latest snapshot of a cluster whose metadata was seen; 503 when it never was.

    Without it the brokers are those of the fleet file, and nobody knows what is on them.
    """
    snapshot = require_seen(view)
    if not snapshot.is_metadata_known:
        name = view.config.name
        raise ProblemError(
            503,
            "not-observed",
            f"the metadata of {name} was never seen: 'healthd status {name}' says why",
            headers={"Retry-After": "5"},
        )
    return snapshot


def ids_of(text: str, *, words: str) -> tuple[int, ...]:
    """The ids of `brokers=1,2`; 422 for anything else, which `words` says what it must be."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) <= ID_DIGITS for part in parts):
        raise invalid_query("brokers", words)
    return tuple(int(part) for part in parts)


def invalid_query(name: str, message: str) -> ProblemError:
    """422 about one part of the query."""
    return ProblemError(
        422,
        "invalid-request",
        f"{name}: {message}",
        problems=[{"path": f"query.{name}", "message": message}],
    )


def _wave(wave: str, daemon: TheDaemon) -> WaveView:
    view = daemon.wave(wave)
    if view is None:
        raise ProblemError(
            404, "unknown-wave", f"there is no wave {wave}; 'healthd wave list' shows them"
        )
    return view


TheWave = Annotated[WaveView, Depends(_wave)]
"""The wave that the path names; 404 when there is none."""


def _any_wave(wave: str, daemon: TheDaemon) -> WaveView | FleetView:
    view = daemon.fleet_waves.view(wave)
    return _wave(wave, daemon) if view is None else view


AnyWave = Annotated[WaveView | FleetView, Depends(_any_wave)]
"""As `TheWave`, and waves over several stages or clusters as well."""
