#!/usr/bin/env python3
"""Fetches pairs of consecutive, pinned releases of real packages and lays each release out as one plain tar.

    fetch_pairs.py FOLDER [NAME ...]      (default: every pair of pairs.txt)

Writes FOLDER/NAME/VERSION.tar for both versions of each pair. The tar is deterministic: sorted, no times, no owners,
modes 644 and 755. Its SHA-256 must be the one in pairs.sha256; a tar that is there with that SHA-256 is not fetched
again, and one that has another is replaced.

Needs npm, GNU tar, and a python3 with pip (start this with such a python3). Packages are fetched by name and version
with these clients as they are set up; nothing of a package is run.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HERE = Path(__file__).resolve().parent

# No release of the table unpacks to more. An archive that does is not what was pinned.
UNPACKED_BYTES_MAX = 512 * 1024 * 1024

# A wheel's own folders carry its version in their names. Real updates of an installed tree keep their paths.
WHEEL_FOLDER = re.compile(r"^(?P<name>.+)-[0-9][^-]*\.(?P<kind>dist-info|data)$")

# The wheels of Linux on x86-64 for one version of Python, whichever computer fetches them.
WHEEL_CHOICE = [
    "--only-binary=:all:",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
    "--platform=any",
    "--python-version=3.11",
]


class FetchError(Exception):
    """Says what could not be fetched, why, and what to do."""


@dataclass(frozen=True)
class Pair:
    """Two releases of one package, as a line of pairs.txt names them."""

    name: str
    table: str
    kind: str
    client: str
    package: str
    old: str
    new: str

    @property
    def versions(self) -> tuple[str, str]:
        return self.old, self.new


def read_pairs() -> list[Pair]:
    """Every pair of pairs.txt, in its order."""
    lines = (HERE / "pairs.txt").read_text(encoding="utf-8").splitlines()
    return [Pair(*line.split()) for line in lines if line and not line.startswith("#")]


def tar_of(folder: Path, pair: Pair, version: str) -> Path:
    """Where the tar of one release lies below the folder of all pairs."""
    return folder / pair.name / f"{version}.tar"


def fetch(folder: Path, pair: Pair) -> None:
    """Makes sure that both tars of the pair are there. Raises FetchError."""
    recorded = read_sums()
    for version in pair.versions:
        tar = tar_of(folder, pair, version)
        expected = recorded.get(f"{pair.name}/{version}.tar")
        if expected is not None and tar.is_file() and sha256_of(tar) == expected:
            continue
        tar.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tar.parent) as scratch:
            made = fetch_release(pair, version, Path(scratch))
            found = sha256_of(made)
            if found != expected:
                raise FetchError(
                    f"the tar of {pair.package} {version} has SHA-256 {found}, and pairs.sha256 records "
                    f"{expected or 'none'}: the package is not the one that was pinned, or the pair is new; look at "
                    f"what was fetched before you record `{found}  {pair.name}/{version}.tar`"
                )
            made.replace(tar)


def fetch_release(pair: Pair, version: str, scratch: Path) -> Path:
    downloads, tree = scratch / "downloads", scratch / "tree"
    downloads.mkdir()
    tree.mkdir()
    if pair.client == "npm":
        run(["npm", "pack", "--silent", "--loglevel=error", f"{pair.package}@{version}"], downloads)
        unpack_npm(only_file(downloads), tree)
    elif pair.client == "pip":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run([*pip, *WHEEL_CHOICE, f"{pair.package}=={version}"], downloads)
        unpack_wheel(only_file(downloads), tree)
    else:
        raise FetchError(f"pairs.txt names the client `{pair.client}` for {pair.name}; only npm and pip are known")
    return pack(tree, scratch / "release.tar")


def unpack_npm(archive: Path, tree: Path) -> None:
    """Unpacks a package of npm, without the folder around everything."""
    budget = UNPACKED_BYTES_MAX
    with tarfile.open(archive, "r:gz") as source:
        for member in source:
            inside = PurePosixPath(member.name).parts[1:]
            if not inside:
                continue
            budget -= member.size
            place = place_of(PurePosixPath(*inside), tree, archive, budget)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                place.parent.mkdir(parents=True, exist_ok=True)
                with source.extractfile(member) as content, open(place, "wb") as out:
                    shutil.copyfileobj(content, out)
            else:
                raise FetchError(f"{archive.name} holds `{member.name}`, which is neither a file nor a folder")


def unpack_wheel(archive: Path, tree: Path) -> None:
    """Unpacks a wheel; the names of its own folders lose the version."""
    budget = UNPACKED_BYTES_MAX
    with zipfile.ZipFile(archive) as source:
        for member in source.infolist():
            parts = [WHEEL_FOLDER.sub(r"\g<name>.\g<kind>", part) for part in PurePosixPath(member.filename).parts]
            budget -= member.file_size
            place = place_of(PurePosixPath(*parts), tree, archive, budget)
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with source.open(member) as content, open(place, "wb") as out:
                shutil.copyfileobj(content, out)


def place_of(name: PurePosixPath, tree: Path, archive: Path, budget: int) -> Path:
    if name.is_absolute() or ".." in name.parts:
        raise FetchError(f"{archive.name} holds `{name}`, which leads out of the folder that it is unpacked to")
    if budget < 0:
        raise FetchError(f"{archive.name} unpacks to more than {UNPACKED_BYTES_MAX} bytes")
    return tree / name


def pack(tree: Path, tar: Path) -> Path:
    """Makes the deterministic tar of a tree."""
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    plain = ["--sort=name", "--format=ustar", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    run(["tar", *plain, "-C", str(tree), "-cf", str(tar), "."], tree.parent)
    return tar


def only_file(folder: Path) -> Path:
    files = sorted(folder.iterdir())
    if len(files) != 1:
        raise FetchError(f"one archive was asked for, and {len(files)} came: {[file.name for file in files]}")
    return files[0]


def run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as missing:
        raise FetchError(f"{command[0]} is not installed: install it by hand") from missing
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or "nothing"
        raise FetchError(f"`{' '.join(command)}` ended with {done.returncode} and said: {said[-2000:]}")


def sha256_of(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_sums() -> dict[str, str]:
    lines = (HERE / "pairs.sha256").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if line)}


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 1
    folder, wanted = Path(sys.argv[1]), sys.argv[2:]
    pairs = read_pairs()
    unknown = sorted(set(wanted) - {pair.name for pair in pairs})
    if unknown:
        print(f"pairs.txt has no pair {', '.join(unknown)}", file=sys.stderr)
        return 1
    for pair in pairs:
        if wanted and pair.name not in wanted:
            continue
        try:
            fetch(folder, pair)
        except FetchError as error:
            print(f"{pair.name} cannot be fetched: {error}", file=sys.stderr)
            return 1
        print(f"{pair.name}: {pair.package} {pair.old} and {pair.new}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
