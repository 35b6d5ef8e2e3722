"""Prints what was measured: every pair with every peer, a line per pair, totals per class; as text or as JSON lines."""

import json
from dataclasses import dataclass

from fetch_pairs import Pair
from goals import BYTES_OVER_BEST_MAX, Figures, Goal, Total, best_of, goals_of_pair, total_of
from programs import HDIFFPATCH, HDIFFZ, OURS

KINDS = ("program", "tree", "signature")


@dataclass(frozen=True)
class Row:
    """What is known of one pair. `ours` is a message where our program failed, None where it was not measured."""

    pair: Pair
    target_bytes: int
    peers: dict[str, Figures]
    ours: Figures | str | None
    # Our delta between the unpacked trees, without the list of files: what a receiver needs who has the manifest.
    external: int | None = None

    @property
    def hdiff(self) -> str | None:
        """The peer whose cost to create is HDiffPatch's: the one that was built by hand, else PyPI's."""
        return next((name for name in (HDIFFZ, HDIFFPATCH) if name in self.peers), None)

    def goals(self) -> list[Goal]:
        # Only `hpatchz` itself says what applying costs: PyPI's figure is mostly Python's start.
        return goals_of_pair(self.ours, self.peers, self.hdiff, HDIFFZ) if isinstance(self.ours, Figures) else []


def totals(rows: list[Row]) -> list[Total]:
    """Per class: of each table, and of both."""
    found = []
    tables = list(dict.fromkeys(row.pair.table for row in rows))
    for table in tables + (["both"] if len(tables) > 1 else []):
        for kind in KINDS:
            of_class = [
                (row.ours, row.peers)
                for row in rows
                if row.pair.kind == kind and table in ("both", row.pair.table) and isinstance(row.ours, Figures)
            ]
            total = total_of(table, kind, of_class, HDIFFZ)
            if total is not None:
                found.append(total)
    return found


def print_json(rows: list[Row]) -> None:
    """One object per line: `figures` of one program for one pair, `pair`, `total`."""
    for row in rows:
        everybody = dict(row.peers)
        if isinstance(row.ours, Figures):
            everybody[OURS] = row.ours
        for name, figures in everybody.items():
            print(json.dumps({"type": "figures", "pair": row.pair.name, "program": name} | figures_json(figures)))
        best = best_of(row.peers)
        print(
            json.dumps(
                {
                    "type": "pair",
                    "pair": row.pair.name,
                    "table": row.pair.table,
                    "class": row.pair.kind,
                    "old": row.pair.old,
                    "new": row.pair.new,
                    "target_bytes": row.target_bytes,
                    "best_peer": best,
                    "best_bytes": row.peers[best].delta_bytes if best else None,
                    "our_bytes": row.ours.delta_bytes if isinstance(row.ours, Figures) else None,
                    "our_external_bytes": row.external,
                    "failed": row.ours if isinstance(row.ours, str) else None,
                    "goals": {
                        goal.name: {"figure": goal.figure, "limit": goal.limit, "reached": goal.reached}
                        for goal in row.goals()
                    },
                }
            )
        )
    for total in totals(rows):
        computed = ("ratio", "mean_ratio", "smaller", "reached", "aim_reached")
        print(json.dumps({"type": "total"} | vars(total) | {name: getattr(total, name) for name in computed}))


def figures_json(figures: Figures) -> dict:
    return {
        "delta_bytes": figures.delta_bytes,
        "make_cpu_secs": round(figures.make_cpu, 4),
        "make_peak_mib": round(figures.make_mib, 1),
        "apply_cpu_secs": round(figures.apply_cpu, 4),
        "apply_peak_mib": round(figures.apply_mib, 1),
        "rounds": len(figures.make_cpu_secs),
    }


def print_text(rows: list[Row]) -> None:
    """Every pair with every program, then a line per pair, then the totals."""
    for row in rows:
        print_programs(row)
    for table in dict.fromkeys(row.pair.table for row in rows):
        print_pairs(table, [row for row in rows if row.pair.table == table])
    print_totals(totals(rows))


def print_programs(row: Row) -> None:
    pair = row.pair
    print(f"\n{pair.name}: {pair.kind}, {pair.package} {pair.old} to {pair.new}, target of {row.target_bytes:,} bytes")
    everybody = sorted(row.peers.items(), key=lambda entry: entry[1].delta_bytes)
    if isinstance(row.ours, Figures):
        everybody.append((OURS, row.ours))
    for name, figures in everybody:
        print(
            f"  {name:<14}{figures.delta_bytes:>12,} bytes   make {figures.make_cpu:8.3f} s {figures.make_mib:7.1f} MiB"
            f"   apply {figures.apply_cpu:7.3f} s {figures.apply_mib:6.1f} MiB"
        )
    if isinstance(row.ours, str):
        print(f"  {OURS:<14}FAILED: {row.ours}")


def print_pairs(table: str, rows: list[Row]) -> None:
    print(f"\nPairs of the table {table}; a goal that is not reached is named")
    print(
        f"{'pair':<14}{'class':<11}{'best peer':<15}{'its bytes':>12}{'ours':>12}{'ours/best':>11}{'external':>12}"
        f"{'CPU s':>9}{'MiB':>8}{'apply s':>9}{'MiB':>7}  goals"
    )
    for row in rows:
        best = best_of(row.peers)
        line = f"{row.pair.name:<14}{row.pair.kind:<11}{best or '-':<15}"
        line += f"{row.peers[best].delta_bytes:>12,}" if best else f"{'-':>12}"
        if isinstance(row.ours, Figures):
            ours = row.ours
            external = "-" if row.external is None else f"{row.external:,}"
            ratio = f"{ours.delta_bytes / row.peers[best].delta_bytes:.3f}" if best else "-"
            line += f"{ours.delta_bytes:>12,}{ratio:>11}{external:>12}{ours.make_cpu:>9.3f}{ours.make_mib:>8.1f}"
            line += f"{ours.apply_cpu:>9.3f}{ours.apply_mib:>7.1f}  {goals_text(row.goals())}"
        elif row.ours is not None:
            line += "  FAILED"
        print(line)


def goals_text(goals: list[Goal]) -> str:
    missed = [missed_text(goal) for goal in goals if goal.reached is False]
    unknown = [goal.name for goal in goals if goal.reached is None]
    words = "missed: " + ", ".join(missed) if missed else "reached"
    if unknown:
        words += f" (not compared: {', '.join(unknown)})"
    return words


def missed_text(goal: Goal) -> str:
    if goal.name == "bytes":
        above = (goal.figure / (goal.limit / BYTES_OVER_BEST_MAX) - 1) * 100
        return f"bytes {above:.1f} % above"
    unit = "MiB" if goal.name == "memory" else "s"
    return f"{goal.name} above {goal.limit:.3g} {unit}"


def print_totals(found: list[Total]) -> None:
    if not found:
        return
    print(
        "\nTotals per class; the goal: below the sum of each pair's best peer, whose CPU time to make is beside ours "
        "(mean: geometric, of each pair's ours/best)"
    )
    print(
        f"{'table':<11}{'class':<11}{'pairs':>6}{'smaller':>9}{'best peers':>13}{'ours':>13}{'ours/best':>11}"
        f"{'mean':>9}{'their CPU s':>13}{'ours':>9}{'hpatchz s':>11}{'apply s':>9}  goal"
    )
    for total in found:
        hpatchz = "-" if total.hpatch_apply_cpu is None else f"{total.hpatch_apply_cpu:.3f}"
        words = "reached" if total.reached else "missed"
        words += ", and the aim" if total.aim_reached else ""
        print(
            f"{total.table:<11}{total.kind:<11}{total.pairs:>6}{total.smaller:>9}{total.best_bytes:>13,}"
            f"{total.our_bytes:>13,}{total.ratio:>11.3f}{total.mean_ratio:>9.3f}"
            f"{total.best_make_cpu:>13.2f}{total.our_make_cpu:>9.2f}{hpatchz:>11}{total.our_apply_cpu:>9.3f}  {words}"
        )
