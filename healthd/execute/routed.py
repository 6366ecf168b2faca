"""Each target's commands by the way on which it is reached: over SSH, or on this machine."""

from healthd.execute.protocol import Command, Executor, Outcome, Target


class RoutedExecutor:
    """An `Executor` over two others.

    Args:
        ssh: For hosts.
        local: For targets that are this machine.
    """

    def __init__(self, *, ssh: Executor, local: Executor) -> None:
        self._ssh = ssh
        self._local = local

    async def run(self, target: Target, command: Command) -> Outcome:
        """Carry the command out once and answer what came of it."""
        executor = self._local if target.is_local else self._ssh
        return await executor.run(target, command)

    async def aclose(self) -> None:
        """Close both."""
        await self._local.aclose()
        await self._ssh.aclose()
