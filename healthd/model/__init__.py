"""What a cluster is: brokers, partitions, quorum, and the snapshot that decisions are made from.

Pure: no clock, no input or output, no framework.
"""
