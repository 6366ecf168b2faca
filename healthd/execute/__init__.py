"""Commands on brokers' hosts: over SSH, as a dry run, or on hosts that live in memory."""
