"""The composition root: where the command line begins."""

from healthd.cli.app import cli


def main() -> None:
    """Run the command line."""
    cli()
