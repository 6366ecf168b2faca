"""Servers that the contract suites run against."""

from plugins.sshd import shared_sshd

__all__ = ["shared_sshd"]
