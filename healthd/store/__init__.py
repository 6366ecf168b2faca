"""Durable state: waves and their journal, leases, audit records, last snapshots."""
