"""The loops that join core and shell: collect, judge, drive; supervision and shutdown."""
