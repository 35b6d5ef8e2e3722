"""Our delta between the trees that two tar archives hold, without the list of files: a receiver of releases has the manifest."""

import json
import subprocess
import tarfile
import tempfile
from pathlib import Path


def external_bytes(program: str, old: Path, new: Path, scratch: Path) -> int | None:
    """Bytes of it; None where the program has no such commands, or the archives hold what is no tree for it."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        for archive, tree in ((old, folder / "old"), (new, folder / "new")):
            tree.mkdir()
            with tarfile.open(archive) as opened:
                opened.extractall(tree, filter="data")
        made = [program, "delta", "make", str(folder / "old"), str(folder / "new"), str(folder / "delta")]
        if subprocess.run(made, capture_output=True, check=False).returncode != 0:
            return None
        asked = [program, "delta", "show", str(folder / "delta"), "--json"]
        shown = subprocess.run(asked, capture_output=True, text=True, check=False)
        if shown.returncode != 0:
            return None
        return without_list(json.loads(shown.stdout))


def without_list(shown: dict) -> int:
    """All bytes but those of the first group, which is the list of files."""
    groups = shown["groups"]
    return shown["bytes"] - (groups[0]["bytes"] if groups else 0)
