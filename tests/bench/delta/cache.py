"""Keeps the peers' figures between runs: zstd at level 22 and bsdiff take minutes, and their deltas do not change."""

import json
from dataclasses import asdict
from pathlib import Path

from fetch_pairs import Pair
from goals import Figures
from programs import Program


class Cache:
    """Figures in one JSON file, under the pair with its versions and the peer with its version and options."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.entries: dict[str, dict] = {}
        self.read()

    def read(self) -> None:
        if self.file.is_file():
            self.entries = json.loads(self.file.read_text(encoding="utf-8"))

    def find(self, pair: Pair, peer: Program) -> Figures | None:
        entry = self.entries.get(key_of(pair, peer))
        return None if entry is None else Figures(**entry)

    def kept(self, pair: Pair) -> dict[str, tuple[str, Figures]]:
        """All that is kept of a pair, whatever is installed now: per peer what was measured, and its figures."""
        found = {}
        for key, entry in sorted(self.entries.items()):
            of_pair, of_peer, options = key.split(" | ")
            if of_pair == pair_key(pair):
                found[of_peer.split()[0]] = f"{of_peer} {options}".strip(), Figures(**entry)
        return found

    def keep(self, pair: Pair, peer: Program, figures: Figures) -> None:
        """Writes at once, so that a run that is broken off loses nothing; keeps what another run wrote meanwhile."""
        self.read()
        self.entries[key_of(pair, peer)] = asdict(figures)
        written = self.file.with_suffix(".new")
        written.write_text(json.dumps(self.entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        written.replace(self.file)


def pair_key(pair: Pair) -> str:
    return f"{pair.name} {pair.old} {pair.new}"


def key_of(pair: Pair, peer: Program) -> str:
    return f"{pair_key(pair)} | {peer.name} {peer.version} | {peer.options}"
