"""May these brokers stop now, and may a wave take its next one: partitions, quorum, gate.

Pure: no clock, no input or output. Every answer is a tuple of reasons that name objects.
"""
