"""Playbooks and waves as data, the order of brokers, and a wave's life as a pure reducer."""
