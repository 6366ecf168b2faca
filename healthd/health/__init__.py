"""How well a cluster serves its clients: checks, the Health Index and the health class.

Pure: a snapshot goes in, a report comes out (health-index.md). Start reading in `index`.
"""
