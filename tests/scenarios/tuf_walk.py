#!/usr/bin/env python3
"""Walks a published repository with python-tuf, the reference implementation of TUF, and downloads one target.

    tuf_walk.py ROOT METADATA_URL TARGETS_URL TARGET_NAME OUT

ROOT is the pinned root.json; the two URLs are the folders metadata/ and targets/ of the repository, behind any web
server. Needs the package `tuf` (tried with 7.0). Exit code 0 and the target at OUT, or a message and 1.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tuf.ngclient import Updater


def main() -> int:
    if len(sys.argv) != 6:
        print(__doc__, file=sys.stderr)
        return 1
    root, metadata_url, targets_url, name, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        updater = Updater(
            metadata_dir=str(Path(folder) / "metadata"),
            metadata_base_url=metadata_url.rstrip("/") + "/",
            target_dir=folder,
            target_base_url=targets_url.rstrip("/") + "/",
            bootstrap=Path(root).read_bytes(),
        )
        updater.refresh()
        info = updater.get_targetinfo(name)
        if info is None:
            print(f"no trusted role lists {name}", file=sys.stderr)
            return 1
        fetched = updater.download_target(info, str(Path(folder) / "target"))
        shutil.copyfile(fetched, out)
        print(f"{name}: {info.length} bytes, sha256 {info.hashes['sha256']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
