"""Hosts with a real sshd for the SSH executor's tests."""

from plugins.sshd import shared_sshd, sshd_of_its_own

__all__ = ["shared_sshd", "sshd_of_its_own"]
