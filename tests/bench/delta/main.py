"""Measures our deltas beside those of well-known programs. `tests/bench/deltas` installs these and starts this."""

import argparse
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "corpora"))

from fetch_pairs import FetchError, Pair, fetch, read_pairs, tar_of

import programs
import report
from cache import Cache
from measure import measure_alternating


def main() -> int:
    options = read_options()
    pairs = [pair for pair in read_pairs() if options.pairs is None or pair.name in options.pairs]
    unknown = sorted(set(options.pairs or []) - {pair.name for pair in pairs})
    if unknown:
        print(f"tests/corpora/pairs.txt has no pair {', '.join(unknown)}", file=sys.stderr)
        return 1
    peers = programs.peers(options.hdiffz)
    unknown = sorted(set(options.peers or []) - {peer.name for peer in peers})
    if unknown:
        found = ", ".join(peer.name for peer in peers)
        print(f"no peer {', '.join(unknown)} is installed; there is {found or 'none'}", file=sys.stderr)
        return 1
    peers = [peer for peer in peers if options.peers is None or peer.name in options.peers]
    tell_what_is_measured(peers, options)
    (options.folder / "scratch").mkdir(parents=True, exist_ok=True)
    cache = Cache(options.folder / "peers.json")
    rows = []
    for pair in pairs:
        try:
            fetch(options.folder / "pairs", pair)
        except FetchError as error:
            print(f"{pair.name} cannot be fetched: {error}", file=sys.stderr)
            return 1
        rows.append(measure_pair(pair, peers, cache, options))
        print(f"{pair.name} is measured", file=sys.stderr)
    (report.print_json if options.json else report.print_text)(rows)
    failed = [row.pair.name for row in rows if isinstance(row.ours, str)]
    if failed:
        print(f"our program failed for {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measure_pair(pair: Pair, peers: list[programs.Program], cache: Cache, options: argparse.Namespace) -> report.Row:
    """Takes the peers' figures from the cache, and measures what is not there, and ours, in turn."""
    old, new = (tar_of(options.folder / "pairs", pair, version) for version in pair.versions)
    known, wanted = {}, []
    for peer in peers:
        if not peer.takes(old, new):
            continue
        figures = None if options.fresh else cache.find(pair, peer)
        if figures is not None:
            known[peer.name] = figures
        elif not options.no_peers:
            wanted.append(peer)
    ours = [] if options.no_ours else [programs.ours(options.ours)]
    results = measure_alternating(wanted + ours, old, new, options.folder / "scratch", options.rounds)
    for peer in wanted:
        figures = results[peer.name]
        if isinstance(figures, Exception):
            print(f"{peer.name} is left out for {pair.name}: {figures}", file=sys.stderr)
        else:
            known[peer.name] = figures
            cache.keep(pair, peer, figures)
    our_figures = results.get(programs.OURS)
    if isinstance(our_figures, Exception):
        our_figures = str(our_figures)
    return report.Row(pair, new.stat().st_size, known, our_figures)


def tell_what_is_measured(peers: list[programs.Program], options: argparse.Namespace) -> None:
    named = ", ".join(f"{peer.name} {peer.version} {peer.options}".strip() for peer in peers)
    print(f"peers: {named or 'none'}", file=sys.stderr)
    if not any(peer.name == programs.HDIFFZ for peer in peers):
        print(
            "hdiffz is not here: HDiffPatch's cost is that of PyPI's hdiffpatch, and the time to apply is compared with "
            "nothing; build hdiffz and hpatchz from HDiffPatch's public repository and give `--hdiffz PROGRAM`",
            file=sys.stderr,
        )
    if options.fresh and options.no_peers:
        print("--fresh measures the peers again, and --no-peers measures none: --fresh is left out", file=sys.stderr)
        options.fresh = False


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/deltas", description="Measures our deltas beside their peers'.")
    parser.add_argument("--folder", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--ours", metavar="PROGRAM", help="measure this instead of the publisher of this tree")
    parser.add_argument("--no-ours", action="store_true", help="measure the peers alone")
    parser.add_argument("--pairs", type=names, metavar="A,B", help="only these pairs")
    parser.add_argument("--rounds", type=at_least_one, default=3, help="alternating rounds, of which medians count")
    parser.add_argument("--no-peers", action="store_true", help="measure no peer; print the figures that were kept")
    parser.add_argument("--peers", type=names, metavar="A,B", help="only these peers, in the comparison too")
    parser.add_argument("--fresh", action="store_true", help="measure the peers again, although their figures are kept")
    parser.add_argument("--hdiffz", metavar="PROGRAM", default=shutil.which("hdiffz"), help="HDiffPatch, built by hand")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    if options.ours is None and not options.no_ours:
        parser.error("give --ours PROGRAM or --no-ours")
    for name, program in (("--ours", options.ours), ("--hdiffz", options.hdiffz)):
        if program is not None and shutil.which(program) is None:
            parser.error(f"{name} {program}: there is no such program")
    return options


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of rounds: at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
