"""Sources to observations to snapshot: what is read of a cluster, and how.

One client of each kind for the life of a cluster, a deadline on every wait, and nothing that is
asked once for each topic or partition. `assemble` is pure; the other modules talk to servers.
"""
