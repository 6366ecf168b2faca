"""Writes the JSON Schemas: `python -m healthd.schemas FOLDER`."""

import sys
from pathlib import Path

from healthd.schemas.files import write_schemas

_ARGUMENTS = 2

if __name__ == "__main__":
    if len(sys.argv) != _ARGUMENTS or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m healthd.schemas FOLDER (one that is there)")
    for path in write_schemas(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
