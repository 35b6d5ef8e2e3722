"""Runs a program once and says what it cost; makes a delta and applies it, and compares the result bit by bit."""

import filecmp
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from goals import Figures
from programs import Program

RUN_ONCE = Path(__file__).resolve().parent / "run_once.py"

# Far above what any program needs for a pair of the table. One that takes longer hangs.
RUN_SECS_MAX = 900.0
# A program that takes longer than this to make a delta is measured once, not in every round.
SLOW_SECS = 10.0


class MeasureError(Exception):
    """A program failed, or what it made is not the target."""


@dataclass(frozen=True)
class Cost:
    """Of one whole process and what it waited for: user and system time, and the largest resident set."""

    cpu_secs: float
    peak_mib: float


def run(command: list[str]) -> Cost:
    """Runs a command to its end. Raises MeasureError with what it said, if it fails or hangs."""
    with tempfile.TemporaryDirectory() as folder:
        report, said = Path(folder) / "report", Path(folder) / "said"
        with open(said, "wb") as out:
            # A session of its own, so that the whole group can be ended.
            runner = subprocess.Popen(
                [sys.executable, "-I", "-S", str(RUN_ONCE), str(report), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            try:
                runner.wait(RUN_SECS_MAX)
            except BaseException as error:
                os.killpg(runner.pid, signal.SIGKILL)
                runner.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise MeasureError(f"`{' '.join(command)}` did not end within {RUN_SECS_MAX:.0f} s") from error
                raise
        words = said.read_bytes()[-2000:].decode(errors="replace").strip() or "nothing"
        if runner.returncode != 0:
            raise MeasureError(f"`{' '.join(command)}` could not be started: {words}")
        cpu_secs, peak_kib, code = report.read_text(encoding="ascii").split()
        if code != "0":
            raise MeasureError(f"`{' '.join(command)}` ended with {code} and said: {words}")
    return Cost(float(cpu_secs), int(peak_kib) / 1024)


def measure_once(program: Program, old: Path, new: Path, scratch: Path) -> Figures:
    """One round: makes the delta, applies it, compares. Raises MeasureError."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        delta, rebuilt = Path(folder) / "delta", Path(folder) / "rebuilt.tar"
        made = run(program.make(old, new, delta))
        if not delta.is_file():
            raise MeasureError(f"{program.name} said that it made a delta, and there is none")
        applied = run(program.apply(old, delta, rebuilt))
        if not rebuilt.is_file() or not filecmp.cmp(rebuilt, new, shallow=False):
            raise MeasureError(f"the delta that {program.name} made gives another file than the target")
        size = delta.stat().st_size
    return Figures(size, [made.cpu_secs], [made.peak_mib], [applied.cpu_secs], [applied.peak_mib])


def measure_alternating(
    programs: list[Program], old: Path, new: Path, scratch: Path, rounds: int
) -> dict[str, Figures | MeasureError]:
    """Runs the programs in turn, `rounds` times, each round beginning with another one."""
    results: dict[str, Figures | MeasureError] = {}
    for round_number in range(rounds):
        first = round_number % len(programs) if programs else 0
        for program in programs[first:] + programs[:first]:
            before = results.get(program.name)
            if isinstance(before, MeasureError) or (before is not None and before.make_cpu_secs[0] > SLOW_SECS):
                continue
            try:
                results[program.name] = joined(before, measure_once(program, old, new, scratch))
            except MeasureError as error:
                results[program.name] = error
    return results


def joined(before: Figures | None, now: Figures) -> Figures:
    """Adds the samples of another round. Where a program does not make the same delta each time, the largest counts."""
    if before is None:
        return now
    return Figures(
        max(before.delta_bytes, now.delta_bytes),
        before.make_cpu_secs + now.make_cpu_secs,
        before.make_peak_mib + now.make_peak_mib,
        before.apply_cpu_secs + now.apply_cpu_secs,
        before.apply_peak_mib + now.apply_peak_mib,
    )
