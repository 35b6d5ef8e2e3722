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
from external import external_bytes
from measure import measure_alternating


def main() -> int:
    options = read_options()
    pairs = [pair for pair in read_pairs() if options.pairs is None or pair.name in options.pairs]
    unknown = sorted(set(options.pairs or []) - {pair.name for pair in pairs})
    if unknown:
        print(f"tests/corpora/pairs.txt has no pair {', '.join(unknown)}", file=sys.stderr)
        return 1
    (options.folder / "scratch").mkdir(parents=True, exist_ok=True)
    cache = Cache(options.folder / "peers.json")
    peers = [] if options.no_peers else wanted_peers(options)
    named = kept_names(cache, pairs, options) if options.no_peers else [peer.words for peer in peers]
    print(f"peers: {', '.join(named) or 'none'}", file=sys.stderr)
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
    known, missing = {}, []
    if options.no_peers:
        known = {name: figures for name, (_, figures) in cache.kept(pair).items() if is_wanted(name, options)}
    for peer in peers:
        figures = None if options.fresh else cache.find(pair, peer)
        if figures is not None:
            known[peer.name] = figures
        elif peer.takes(old, new):
            missing.append(peer)
    ours = [] if options.no_ours else [programs.ours(options.ours)]
    results = measure_alternating(missing + ours, old, new, options.folder / "scratch", options.rounds)
    for peer in missing:
        figures = results[peer.name]
        if isinstance(figures, Exception):
            print(f"{peer.name} is left out for {pair.name}: {figures}", file=sys.stderr)
        else:
            known[peer.name] = figures
            cache.keep(pair, peer, figures)
    our_figures = results.get(programs.OURS)
    if isinstance(our_figures, Exception):
        our_figures = str(our_figures)
    external = None
    if ours and not isinstance(our_figures, str):
        external = external_bytes(options.ours, old, new, options.folder / "scratch")
    return report.Row(pair, new.stat().st_size, known, our_figures, external)


def wanted_peers(options: argparse.Namespace) -> list[programs.Program]:
    """The installed peers that are to be compared with; ends the program if one was asked for that is not there."""
    peers = programs.peers(options.hdiffz, options.bsdiff_crate)
    unknown = sorted(set(options.peers or []) - {peer.name for peer in peers})
    if unknown:
        found = ", ".join(peer.name for peer in peers)
        sys.exit(f"no peer {', '.join(unknown)} is installed; there is {found or 'none'}")
    if options.hdiffz is None:
        print(
            "hdiffz is not here: HDiffPatch's cost is that of PyPI's hdiffpatch, and the time to apply is compared "
            "with nothing; build hdiffz and hpatchz from HDiffPatch's public repository and give `--hdiffz PROGRAM`",
            file=sys.stderr,
        )
    return [peer for peer in peers if is_wanted(peer.name, options)]


def kept_names(cache: Cache, pairs: list[Pair], options: argparse.Namespace) -> list[str]:
    """What was measured when the figures were kept, in the order of the names."""
    kept = [cache.kept(pair) for pair in pairs]
    return sorted({words for of_pair in kept for name, (words, _) in of_pair.items() if is_wanted(name, options)})


def is_wanted(peer: str, options: argparse.Namespace) -> bool:
    return options.peers is None or peer in options.peers


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
    parser.add_argument("--bsdiff-crate", metavar="PROGRAM", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    if options.ours is None and not options.no_ours:
        parser.error("give --ours PROGRAM or --no-ours")
    if options.fresh and options.no_peers:
        parser.error("--fresh measures the peers again, and --no-peers measures none: give one of them")
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
