"""Makes or applies one delta with PyPI's hdiffpatch, in a process of its own so that its cost can be seen.

    hdiffpatch_once.py version
    hdiffpatch_once.py make OLD NEW DELTA
    hdiffpatch_once.py apply OLD DELTA NEW

The package has one way to match, that of `hdiffz -m` without a block match before it; of its compressors LZMA2 comes
first, with the level and the dictionary that `hdiffz` is measured with.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import hdiffpatch


def main() -> int:
    match sys.argv[1:]:
        case ["version"]:
            print(version("hdiffpatch"))
        case ["make", old, new, delta]:
            compressor = hdiffpatch.Lzma2Config(level=9, window=24)
            made = hdiffpatch.diff(Path(old).read_bytes(), Path(new).read_bytes(), compressor)
            Path(delta).write_bytes(made)
        case ["apply", old, delta, new]:
            Path(new).write_bytes(hdiffpatch.apply(Path(old).read_bytes(), Path(delta).read_bytes()))
        case _:
            print(__doc__, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
