"""Playbook and wave as data, the planner and the state machine of a wave; pure."""
