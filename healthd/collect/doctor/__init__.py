"""What healthd may and may not see of one cluster, and what would change that.

`examine` asks, `judge` makes findings of the answers, `grants` words the commands.
"""
