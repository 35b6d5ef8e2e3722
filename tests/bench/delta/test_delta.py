"""Tests of the benchmark itself: what it calls reached, and that a wrong result is never a figure.

    python3 -m unittest discover --start-directory tests/bench/delta
"""

import re
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path, PurePosixPath

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "corpora")]

from cache import Cache
from external import external_bytes, without_list
from fetch_pairs import FetchError, Pair, place_of, read_pairs, read_sums
from goals import Figures, best_of, goals_of_pair, total_of
from measure import MeasureError, measure_alternating, measure_once, run
from programs import Program
from report import KINDS, Row, totals


def figures(size: int, cpu: float = 0.1, mib: float = 10.0, apply_cpu: float = 0.1) -> Figures:
    return Figures(size, [cpu], [mib], [apply_cpu], [5.0])


def missed(ours: Figures, peers: dict[str, Figures]) -> list[str]:
    return [goal.name for goal in goals_of_pair(ours, peers, "hdiffz", "hdiffz") if goal.reached is False]


def copier(name: str, make: str, apply: str) -> Program:
    """A program of two shell scripts that see old, new, delta and old, delta, new as $1, $2, $3."""

    def command(script: str):
        return lambda *paths: ["sh", "-c", script, "sh", *map(str, paths)]

    return Program(name, "1", "", command(make), command(apply))


class External(unittest.TestCase):
    def test_the_list_of_files_is_left_out_and_nothing_else(self):
        shown = {"bytes": 900, "groups": [{"bytes": 300}, {"bytes": 500}]}
        self.assertEqual(without_list(shown), 600)
        self.assertEqual(without_list({"bytes": 20, "groups": []}), 20)

    def test_a_program_without_such_commands_has_no_such_figure(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for archive in ("old.tar", "new.tar"):
                with tarfile.open(folder / archive, "w"):
                    pass
            self.assertIsNone(external_bytes("false", folder / "old.tar", folder / "new.tar", folder))


class Goals(unittest.TestCase):
    def test_three_percent_above_the_best_peer_is_reached_and_a_byte_more_is_missed(self):
        peers = {"hdiffz": figures(1000), "zstd": figures(2000)}
        self.assertEqual(missed(figures(1030), peers), [])
        self.assertEqual(missed(figures(1031), peers), ["bytes"])

    def test_cost_is_judged_by_hdiffpatch_or_by_the_winner_whichever_takes_more(self):
        peers = {"hdiffz": figures(1000, cpu=1.0, mib=100), "zstd": figures(900, cpu=4.0, mib=800)}
        self.assertEqual(missed(figures(900, cpu=6.0, mib=1200), peers), [])
        self.assertEqual(missed(figures(900, cpu=6.1, mib=1201), peers), ["cpu", "memory"])
        # bsdiff wins nothing here, and what it takes allows nothing.
        peers["bsdiff"] = figures(5000, cpu=60.0, mib=2000)
        self.assertEqual(missed(figures(900, cpu=6.1, mib=1201), peers), ["cpu", "memory"])

    def test_half_a_second_and_64_mib_are_always_allowed(self):
        peers = {"hdiffz": figures(1000, cpu=0.01, mib=8)}
        self.assertEqual(missed(figures(1000, cpu=0.5, mib=64), peers), [])
        self.assertEqual(missed(figures(1000, cpu=0.51, mib=64.1), peers), ["cpu", "memory"])

    def test_applying_is_compared_with_hpatchz_alone(self):
        peers = {"hdiffz": figures(1000, apply_cpu=0.1), "zstd": figures(900, apply_cpu=1.0)}
        self.assertEqual(missed(figures(900, apply_cpu=0.15), peers), [])
        self.assertEqual(missed(figures(900, apply_cpu=0.16), peers), ["apply"])
        unknown = goals_of_pair(figures(900), {"zstd": figures(900)}, None, None)
        self.assertEqual([goal.name for goal in unknown if goal.reached is None], ["apply"])

    def test_of_equal_deltas_the_cheaper_peer_is_the_best(self):
        self.assertEqual(best_of({"zstd": figures(10, cpu=2.0), "hdiffz": figures(10, cpu=1.0)}), "hdiffz")
        self.assertIsNone(best_of({}))

    def test_a_class_must_be_below_the_sum_of_each_pairs_best_peer(self):
        one = {"hdiffz": figures(100), "zstd": figures(300)}
        other = {"hdiffz": figures(300), "zstd": figures(200)}
        total = total_of("corpora", "tree", [(figures(101), one), (figures(199), other)], "hdiffz")
        self.assertEqual((total.best_bytes, total.our_bytes, total.smaller), (300, 300, 1))
        self.assertFalse(total.reached)
        total = total_of("corpora", "tree", [(figures(99), one), (figures(199), other)], "hdiffz")
        self.assertTrue(total.reached and total.aim_reached)

    def test_the_aim_for_programs_is_nine_percent_on_each_pair(self):
        peers = {"hdiffz": figures(1000)}
        self.assertTrue(total_of("corpora", "program", [(figures(910), peers)], None).aim_reached)
        both = [(figures(800), peers), (figures(911), peers)]
        self.assertFalse(total_of("corpora", "program", both, None).aim_reached)
        self.assertTrue(total_of("corpora", "tree", both, None).aim_reached)

    def test_a_pair_for_which_ours_failed_is_in_no_total(self):
        pair = Pair("a", "corpora", "tree", "npm", "a", "1", "2")
        self.assertEqual(totals([Row(pair, 9, {"zstd": figures(10)}, "it failed")]), [])


class Measuring(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.old, self.new = self.folder / "old.tar", self.folder / "new.tar"
        self.old.write_bytes(b"old" * 100)
        self.new.write_bytes(b"new" * 100)

    def test_a_right_result_has_its_size_and_its_cost(self):
        found = measure_once(copier("right", 'cp "$2" "$3"', 'cp "$2" "$3"'), self.old, self.new, self.folder)
        self.assertEqual(found.delta_bytes, 300)
        self.assertGreater(found.make_mib, 0)

    def test_a_result_that_differs_in_one_byte_is_refused(self):
        wrong = copier("wrong", 'cp "$2" "$3"', '{ head -c 299 "$2"; printf x; } >"$3"')
        with self.assertRaisesRegex(MeasureError, "another file than the target"):
            measure_once(wrong, self.old, self.new, self.folder)

    def test_a_program_that_makes_nothing_is_refused(self):
        with self.assertRaisesRegex(MeasureError, "there is none"):
            measure_once(copier("nothing", "true", "true"), self.old, self.new, self.folder)

    def test_a_program_that_fails_is_heard(self):
        with self.assertRaisesRegex(MeasureError, "ended with 3 and said: no room"):
            run(["sh", "-c", "echo no room >&2; exit 3"])
        with self.assertRaisesRegex(MeasureError, "could not be started"):
            run([str(self.folder / "missing")])

    def test_the_time_of_children_counts(self):
        spin = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done"
        self.assertGreater(run(["sh", "-c", f"sh -c '{spin}'; true"]).cpu_secs, 0.02)

    def test_programs_alternate_and_each_round_begins_with_another(self):
        log = self.folder / "log"
        programs = [copier(name, f'echo {name} >>{log}; cp "$2" "$3"', 'cp "$2" "$3"') for name in ("a", "b")]
        found = measure_alternating(programs, self.old, self.new, self.folder, 3)
        self.assertEqual(log.read_text().split(), ["a", "b", "b", "a", "a", "b"])
        self.assertEqual(len(found["a"].make_cpu_secs), 3)

    def test_figures_are_kept_for_this_version_of_the_peer_only(self):
        pair = Pair("a", "corpora", "tree", "npm", "a", "1", "2")
        peer = copier("peer", "true", "true")
        Cache(self.folder / "peers.json").keep(pair, peer, figures(7))
        kept = Cache(self.folder / "peers.json")
        self.assertEqual(kept.find(pair, peer), figures(7))
        # A run beside this one keeps figures too.
        other = Pair("b", "corpora", "tree", "npm", "b", "1", "2")
        Cache(self.folder / "peers.json").keep(other, peer, figures(8))
        kept.keep(pair, peer, figures(9))
        self.assertEqual(Cache(self.folder / "peers.json").find(other, peer), figures(8))
        newer = Program("peer", "2", "", peer.make, peer.apply)
        self.assertIsNone(kept.find(pair, newer))
        self.assertEqual(kept.kept(pair), {"peer": ("peer 1", figures(9))})


class Pairs(unittest.TestCase):
    def test_every_pair_is_complete_and_both_of_its_tars_are_pinned(self):
        pairs, sums = read_pairs(), read_sums()
        self.assertEqual(len({pair.name for pair in pairs}), len(pairs))
        pinned = {f"{pair.name}/{version}.tar" for pair in pairs for version in pair.versions}
        self.assertEqual(pinned, set(sums))
        for pair in pairs:
            self.assertIn(pair.kind, KINDS)
            self.assertIn(pair.client, ("npm", "pip"))
            self.assertIn(pair.table, ("corpora", "held-out"))
        self.assertTrue(all(re.fullmatch("[0-9a-f]{64}", digest) for digest in sums.values()))

    def test_an_archive_leads_nowhere_else(self):
        for name in ("../outside", "a/../../outside", "/etc/outside"):
            with self.assertRaises(FetchError):
                place_of(PurePosixPath(name), Path("tree"), Path("some.whl"), 1)
        with self.assertRaisesRegex(FetchError, "unpacks to more"):
            place_of(PurePosixPath("a"), Path("tree"), Path("some.whl"), -1)


if __name__ == "__main__":
    unittest.main()
