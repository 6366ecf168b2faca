"""What every test folder shares."""

pytest_plugins = ["plugins.fleet"]
