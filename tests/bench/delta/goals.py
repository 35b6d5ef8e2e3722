"""What the project wants of its deltas, as arithmetic: a figure, its limit, reached or not. No files, no processes."""

from dataclasses import dataclass
from statistics import geometric_mean, median

# Never more than 3 % above the best peer on any pair.
BYTES_OVER_BEST_MAX = 1.03
# The aim for programs: at least 9 % below the best peer, on each pair.
PROGRAM_AIM = 0.91
# CPU time, memory and time to apply may be 1.5 times those of HDiffPatch, or of the peer that wins the pair.
COST_FACTOR = 1.5
# Below these a cost is not worth comparing.
CPU_FLOOR_SECS = 0.5
MEMORY_FLOOR_MIB = 64.0
# To start a process and to end it differs by this much between two runs of the same program.
APPLY_NOISE_SECS = 0.01


@dataclass(frozen=True)
class Figures:
    """What one program needed for one pair: samples of one or more rounds, in seconds of CPU and MiB."""

    delta_bytes: int
    make_cpu_secs: list[float]
    make_peak_mib: list[float]
    apply_cpu_secs: list[float]
    apply_peak_mib: list[float]

    @property
    def make_cpu(self) -> float:
        return median(self.make_cpu_secs)

    @property
    def make_mib(self) -> float:
        return median(self.make_peak_mib)

    @property
    def apply_cpu(self) -> float:
        return median(self.apply_cpu_secs)

    @property
    def apply_mib(self) -> float:
        return median(self.apply_peak_mib)


@dataclass(frozen=True)
class Goal:
    """One goal: `figure` must not exceed `limit`. Without a limit nothing was there to compare with."""

    name: str
    figure: float
    limit: float | None

    @property
    def reached(self) -> bool | None:
        return None if self.limit is None else self.figure <= self.limit


def best_of(peers: dict[str, Figures]) -> str | None:
    """The name of the peer with the smallest delta; of equal ones, the cheapest."""
    return min(peers, key=lambda name: (peers[name].delta_bytes, peers[name].make_cpu), default=None)


def goals_of_pair(ours: Figures, peers: dict[str, Figures], hdiff: str | None, hpatch: str | None) -> list[Goal]:
    """The goals that each pair must reach.

    `hdiff` names the peer that stands for HDiffPatch's cost to create, `hpatch` the one that stands for its time to
    apply; either is None where that was not measured.
    """
    winner = best_of(peers)
    if winner is None:
        return [Goal(name, 0.0, None) for name in ("bytes", "cpu", "memory", "apply")]
    rivals = [peers[name] for name in (hdiff, winner) if name in peers]
    apply_limit = None
    if hpatch in peers:
        theirs = peers[hpatch].apply_cpu
        apply_limit = max(COST_FACTOR * theirs, theirs + APPLY_NOISE_SECS)
    return [
        Goal("bytes", ours.delta_bytes, BYTES_OVER_BEST_MAX * peers[winner].delta_bytes),
        Goal("cpu", ours.make_cpu, max([CPU_FLOOR_SECS] + [COST_FACTOR * rival.make_cpu for rival in rivals])),
        Goal("memory", ours.make_mib, max([MEMORY_FLOOR_MIB] + [COST_FACTOR * rival.make_mib for rival in rivals])),
        Goal("apply", ours.apply_cpu, apply_limit),
    ]


@dataclass(frozen=True)
class Total:
    """Sums over the pairs of one class that both sides have figures for."""

    table: str
    kind: str
    pairs: int
    best_bytes: int
    our_bytes: int
    ratios: list[float]
    our_make_cpu: float
    best_make_cpu: float
    our_apply_cpu: float
    hpatch_apply_cpu: float | None

    @property
    def ratio(self) -> float:
        """Of the sums: the largest pairs decide it."""
        return self.our_bytes / self.best_bytes

    @property
    def mean_ratio(self) -> float:
        """The geometric mean of ours/best: each pair counts alike."""
        return geometric_mean(self.ratios)

    @property
    def smaller(self) -> int:
        """For how many pairs ours is below the best peer."""
        return sum(ratio < 1 for ratio in self.ratios)

    @property
    def reached(self) -> bool:
        """The total must be below that of each pair's best peer: equal is not enough."""
        return self.our_bytes < self.best_bytes

    @property
    def aim_reached(self) -> bool:
        """Smaller on every pair; programs by 9 %."""
        return all(ratio <= PROGRAM_AIM if self.kind == "program" else ratio < 1 for ratio in self.ratios)


def total_of(table: str, kind: str, rows: list[tuple[Figures, dict[str, Figures]]], hpatch: str | None) -> Total | None:
    """Adds up the rows (ours, peers) of one class; None without a row that can be compared."""
    compared = [(ours, peers, peers[best_of(peers)]) for ours, peers in rows if peers]
    if not compared:
        return None
    hpatched = [peers[hpatch].apply_cpu for _, peers, _ in compared if hpatch in peers]
    return Total(
        table=table,
        kind=kind,
        pairs=len(compared),
        best_bytes=sum(best.delta_bytes for _, _, best in compared),
        our_bytes=sum(ours.delta_bytes for ours, _, _ in compared),
        ratios=[ours.delta_bytes / best.delta_bytes for ours, _, best in compared],
        our_make_cpu=sum(ours.make_cpu for ours, _, _ in compared),
        best_make_cpu=sum(best.make_cpu for _, _, best in compared),
        our_apply_cpu=sum(ours.apply_cpu for ours, _, _ in compared),
        hpatch_apply_cpu=sum(hpatched) if len(hpatched) == len(compared) else None,
    )
