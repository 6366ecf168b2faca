"""A certificate of our own whose key has a password."""

import subprocess
from pathlib import Path


def encrypted_key(folder: Path) -> tuple[Path, Path]:
    """The certificate's file and the key's."""
    files = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-subj", "/CN=healthd", "-passout", "pass:long enough"]
    words += ["-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(words, check=True, capture_output=True)
    return files
