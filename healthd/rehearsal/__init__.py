"""A wave in virtual time: the real planner, gate, reducer and journal over a model of a cluster.

Every file answers one question: what happens when (`agenda`), what is true (`nodes`, `topics`,
`quorum`, `cluster`), what is seen of it (`view`), what a host does with a command (`hosts`), what a
wave has done harm to (`harm`), what must never happen (`oracle`), what goes wrong (`faults`,
`striking`), and how a daemon drives the wave through all that (`daemon`).
"""
