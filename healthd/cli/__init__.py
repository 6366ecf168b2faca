"""The operator's commands: arguments in, text or JSON and an exit code out."""
