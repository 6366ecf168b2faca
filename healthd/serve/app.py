"""The HTTP application over a running daemon."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from healthd import __version__
from healthd.engine.view import Daemon
from healthd.serve import problems
from healthd.serve.auth import Auth
from healthd.serve.guard import Guard
from healthd.serve.metrics import Exposition
from healthd.serve.playbook_json import playbooks_json
from healthd.serve.rehearsing import Rehearse, in_a_process
from healthd.serve.route_answers import RouteAnswers
from healthd.serve.routes import (
    approvals,
    audit,
    clusters,
    discovery,
    freezes,
    history,
    mutes,
    operations,
    plans,
    routes,
    wave_overrides,
    waves,
)
from healthd.serve.routes import playbooks as playbook_routes


def create_app(
    daemon: Daemon,
    auth: Auth,
    open_reads: bool,  # noqa: FBT001 - named at its one call.
    *,
    rehearse: Rehearse | None = None,
    scheduled: Callable[[], list[dict[str, Any]]] = list,
    playbooks: Callable[[], dict[str, Any]] = playbooks_json,
) -> FastAPI:
    """The application: it reads what the daemon has published, and hands orders in.

    Args:
        daemon: The running daemon.
        auth: Knows the tokens; every write needs one.
        open_reads: Whether reads go without the token.
        rehearse: Rehearses a wave; in a process of its own, with the playbooks that healthd ships,
            unless it is said.
        scheduled: The waves that are started by their schedule, and when.
        playbooks: What a wave can name, read from disk; what healthd ships, unless it is said.
    """
    app = FastAPI(
        title="healthd",
        version=__version__,
        summary="Health and rolling maintenance of a fleet of Apache Kafka clusters",
        # The pages of Swagger and ReDoc load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.daemon = daemon
    app.state.exposition = Exposition()
    app.state.scheduled = scheduled
    app.state.playbooks = playbooks
    app.state.rehearse = rehearse or in_a_process()
    for router in (
        operations.router,
        clusters.router,
        plans.router,
        routes.router,
        mutes.router,
        freezes.router,
        history.router,
        wave_overrides.router,
        approvals.router,
        playbook_routes.router,
        waves.router,
        audit.router,
        discovery.router,
    ):
        app.include_router(router)
    problems.install(app)
    app.add_middleware(RouteAnswers, router_of=lambda: daemon.router)
    # The last one added stands before all others.
    app.add_middleware(Guard, auth=auth, open_reads=open_reads)
    return app


def _operation_id(route: APIRoute) -> str:
    """The name of a route's function, so that generated clients read well."""
    return route.name
