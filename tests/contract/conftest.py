"""Servers that the contract suites run against."""

from plugins.sshd import shared_sshd, sshd_of_its_own

__all__ = ["shared_sshd", "sshd_of_its_own"]
