"""The programs that make deltas: ours and its peers, each with the commands that are measured."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

# bsdiff takes 17 times the base in memory, and its time grows faster than the base: left out above this.
BSDIFF_BYTES_MAX = 64 * 1024 * 1024

# The crate takes more still.
BSDIFF_CRATE_BYTES_MAX = 24 * 1024 * 1024

# The release of PyPI's hdiffpatch that is measured.
HDIFFPATCH_VERSION = "2.6.0"

OURS = "ours"
HDIFFZ = "hdiffz"
HDIFFPATCH = "hdiffpatch"


@dataclass(frozen=True)
class Program:
    """A program that makes deltas. `version` and `options` say what was measured; figures are kept under them."""

    name: str
    version: str
    options: str
    make: Callable[[Path, Path, Path], list[str]]
    apply: Callable[[Path, Path, Path], list[str]]
    input_bytes_max: int | None = None

    @property
    def words(self) -> str:
        """Name, version and options, as they are printed and kept."""
        return f"{self.name} {self.version} {self.options}".strip()

    def takes(self, old: Path, new: Path) -> bool:
        largest = max(old.stat().st_size, new.stat().st_size)
        return self.input_bytes_max is None or largest <= self.input_bytes_max


def ours(program: str) -> Program:
    """`publisher`, or another build or program with the same commands."""
    return Program(
        OURS,
        "",
        "",
        lambda old, new, delta: [program, "delta", "make", str(old), str(new), str(delta)],
        lambda old, delta, new: [program, "delta", "apply", str(old), str(delta), str(new)],
    )


def peers(hdiffz: str | None, bsdiff_crate_program: str | None = None) -> list[Program]:
    """The peers that are installed. `hdiffz` is a program that was built by hand, or None; the other one is built of this tree."""
    found = []
    if bsdiff_crate_program is not None:
        found.append(bsdiff_crate(bsdiff_crate_program))
    if shutil.which("bsdiff") and shutil.which("bspatch"):
        found.append(bsdiff())
    if shutil.which("xdelta3"):
        # Its second stage makes small deltas larger, so that it is measured with and without. `-A` leaves out the names
        # of the files.
        found.append(xdelta3("xdelta3", ["-9", "-A"]))
        found.append(xdelta3("xdelta3-plain", ["-9", "-A", "-S", "none"]))
    if shutil.which("zstd"):
        found.append(zstd())
    if hdiffz is not None:
        found.append(hdiffz_of(hdiffz))
    if installed := hdiffpatch():
        found.append(installed)
    return found


def bsdiff() -> Program:
    return Program(
        "bsdiff",
        debian_version("bsdiff"),
        "",
        lambda old, new, delta: ["bsdiff", str(old), str(new), str(delta)],
        lambda old, delta, new: ["bspatch", str(old), str(new), str(delta)],
        BSDIFF_BYTES_MAX,
    )


def bsdiff_crate(program: str) -> Program:
    """The codec that our deltas were made with before, its whole patch packed with xz."""
    return Program(
        "bsdiff-crate",
        "0.2",
        "xz -9",
        lambda old, new, delta: [program, "make", str(old), str(new), str(delta)],
        lambda old, delta, new: [program, "apply", str(old), str(delta), str(new)],
        BSDIFF_CRATE_BYTES_MAX,
    )


def xdelta3(name: str, options: list[str]) -> Program:
    return Program(
        name,
        first_line(["xdelta3", "-V"], word=2).rstrip(","),
        " ".join(options),
        lambda old, new, delta: ["xdelta3", "-q", "-f", "-e", *options, "-s", str(old), str(new), str(delta)],
        lambda old, delta, new: ["xdelta3", "-q", "-f", "-d", "-s", str(old), str(delta), str(new)],
    )


def zstd() -> Program:
    options = ["--ultra", "-22", "--long=31"]
    quiet = ["zstd", "-q", "-f"]
    return Program(
        "zstd",
        first_line(["zstd", "-q", "-V"], word=0),
        " ".join(options),
        lambda old, new, delta: [*quiet, *options, f"--patch-from={old}", str(new), "-o", str(delta)],
        lambda old, delta, new: [*quiet, "-d", "--long=31", f"--patch-from={old}", str(delta), "-o", str(new)],
    )


def hdiffz_of(program: str) -> Program:
    options = ["-m-1", "-SD", "-c-lzma2-9-16m"]
    beside = Path(program).with_name("hpatchz")
    patcher = [str(beside)] if beside.is_file() else [program, "--patch"]
    return Program(
        HDIFFZ,
        first_line([program, "-v"], word=1),
        " ".join(options),
        lambda old, new, delta: [program, "-f", *options, str(old), str(new), str(delta)],
        lambda old, delta, new: [*patcher, "-f", str(old), str(delta), str(new)],
    )


def hdiffpatch() -> Program | None:
    """PyPI's hdiffpatch in the Python that runs this, or None. Its figures include Python's own start."""
    script = str(HERE / "hdiffpatch_once.py")
    asked = subprocess.run([sys.executable, script, "version"], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        return None
    return Program(
        HDIFFPATCH,
        asked.stdout.strip(),
        "lzma2 level 9 window 24",
        lambda old, new, delta: [sys.executable, script, "make", str(old), str(new), str(delta)],
        lambda old, delta, new: [sys.executable, script, "apply", str(old), str(delta), str(new)],
    )


def debian_version(package: str) -> str:
    """For a program that does not tell its version."""
    if shutil.which("dpkg-query") is None:
        return "unknown"
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def first_line(command: list[str], word: int) -> str:
    """One word of what a program says of its version, on either of its streams."""
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    words = (said.strip().splitlines() or [""])[0].split()
    return words[word] if word < len(words) else "unknown"
