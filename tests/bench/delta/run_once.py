"""Runs one command and writes what it cost to a file: CPU seconds, KiB, exit code. Ends with 0 if it could be started.

    run_once.py REPORT COMMAND [ARGUMENT ...]

A process of its own that imports next to nothing: Linux counts the memory of the process that starts a program as that
program's largest resident set, from fork to exec. So no figure is below that of a bare Python (some 8 MiB).
"""

import os
import sys


def main() -> int:
    report, command = sys.argv[1], sys.argv[2:]
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    with open(report, "w") as out:
        out.write(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
