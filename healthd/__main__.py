"""`python -m healthd` is `healthd`."""

from healthd.cli.app import cli

if __name__ == "__main__":
    cli()
