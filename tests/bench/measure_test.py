"""What bench/cluster/measure.py makes of the measured steps, on figures that can be worked out by hand."""

import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "cluster"))

import choose_links  # noqa: E402
import measure  # noqa: E402


def run(configuration, policy, rounds, predicted=1.0, bound=1.0, order_bound=1.0):
    return {"configuration": configuration, "policy": policy, "rounds": rounds, "step_seconds": measure.median_step(rounds),
            "predicted_seconds": predicted, "bound_seconds": bound, "order_bound_seconds": order_bound}


class SummaryTest(unittest.TestCase):
    RUNS = [
        run("a", "tutel", [[4, 4], [4, 4]], predicted=3, bound=2),
        run("a", "weft", [[2, 2], [2, 2]], predicted=2, bound=1, order_bound=2),
        run("b", "tutel", [[8, 8], [8, 8]], predicted=8, bound=7),
        run("b", "weft", [[1, 1], [1, 1]], predicted=2, bound=0.5),
    ]

    def test_ratios_are_geometric_means(self):
        got = measure.summarise(self.RUNS, ["tutel", "weft"])
        self.assertAlmostEqual(got["ratios_to_tutel"]["weft"], 4)  # of 2 and 8
        self.assertAlmostEqual(got["ratios_to_tutel"]["tutel"], 1)

    def test_the_interval_is_that_of_resampled_configurations(self):
        low, high = measure.summarise(self.RUNS, ["tutel", "weft"])["ratio_intervals"]["weft"]
        self.assertAlmostEqual(low, 2)  # twice a
        self.assertAlmostEqual(high, 8)  # twice b

    def test_the_gap_is_to_the_bound_of_the_fastest_plan(self):
        got = measure.summarise(self.RUNS, ["tutel", "weft"])["gap_closed"]
        self.assertAlmostEqual(got["weft"], ((4 - 2) / (4 - 1) + (8 - 1) / (8 - 0.5)) / 2)
        self.assertEqual(got["tutel"], 0)
        of_orders = measure.summarise(self.RUNS, ["tutel", "weft"])["gap_closed_to_order_bound"]
        self.assertAlmostEqual(of_orders["weft"], ((4 - 2) / (4 - 2) + (8 - 1) / (8 - 1)) / 2)

    def test_no_gap_is_nobodys_gain(self):
        runs = [run("a", "tutel", [[1.0]], bound=1), run("a", "weft", [[1.0]], bound=1)]
        self.assertEqual(measure.summarise(runs, ["tutel", "weft"])["gap_closed"], {"tutel": None, "weft": None})

    def test_errors_are_fractions_of_what_was_measured(self):
        got = measure.summarise(self.RUNS, ["tutel", "weft"])  # 1/4, 0, 0, 1
        self.assertAlmostEqual(got["prediction_error_median"], 0.125)
        self.assertAlmostEqual(got["prediction_error_p95"], 1)

    def test_one_slow_round_does_not_widen_every_interval(self):
        runs = [run("a", "tutel", [[2]] * 5 + [[20]]), run("a", "weft", [[1]] * 5 + [[10]])]
        low, high = measure.summarise(runs, ["tutel", "weft"])["ratio_intervals"]["weft"]
        self.assertAlmostEqual(low, 2)  # the round was slow for both
        self.assertAlmostEqual(high, 2)


class LinksTest(unittest.TestCase):
    # 0.1 s that no link speeds up, and 4e7 and 8e7 bits.
    SLOW = {"compute": 0.5, "intra": 0.1 + 4e7 / choose_links.SLOW, "inter": 0.1 + 8e7 / choose_links.SLOW}
    FAST = {"compute": 0.7, "intra": 0.1 + 4e7 / choose_links.FAST, "inter": 0.1 + 8e7 / choose_links.FAST}

    def test_both_kinds_take_half_of_what_communication_gets(self):
        got = choose_links.links_for(0.5, self.SLOW, self.FAST, has_intra=True)  # 0.3 s each
        self.assertEqual(got, {"intra": "200mbit", "inter": "400mbit"})

    def test_one_rank_a_node_has_one_kind(self):
        got = choose_links.links_for(0.4, self.SLOW, self.FAST, has_intra=False)  # 0.4 s
        self.assertEqual(got, {"intra": choose_links.NO_LIMIT, "inter": "270mbit"})

    def test_no_link_undercuts_the_fixed_time(self):
        got = choose_links.links_for(0.1, self.SLOW, self.FAST, has_intra=True)
        self.assertEqual(got, {"intra": choose_links.NO_LIMIT, "inter": choose_links.NO_LIMIT})


class GridTest(unittest.TestCase):
    def setUp(self):
        self.grid = measure.load_grid(ROOT / "bench" / "cluster" / "grid.json")

    def test_names_say_what_is_inside_and_are_unique(self):
        names = [one["name"] for one in self.grid["configurations"]]
        self.assertEqual(len(names), len(set(names)))
        for one in self.grid["configurations"]:
            self.assertEqual(one["name"], f"{one['cluster']}-{one['shape']}-c{round(100 * one['communication'])}")
            self.assertIn(one["cluster"], self.grid["clusters"])
            self.assertIn(one["shape"], self.grid["shapes"])
        self.assertEqual(len(measure.chosen(self.grid, True, [])), len(self.grid["quick"]))

    def test_it_measures_every_policy(self):
        reference = (ROOT / "configs" / "reference.yaml").read_text()
        allowed = re.search(r"\[a list; each ([^]]*)\]\n  compare:", reference).group(1)
        known = re.split(r", | or ", re.sub(r"\n *# ", " ", allowed))
        self.assertEqual(sorted(self.grid["policies"]), sorted(known))

    def test_the_batch_fits_the_ranks(self):
        for one in self.grid["configurations"]:
            cluster, shape = self.grid["clusters"][one["cluster"]], self.grid["shapes"][one["shape"]]
            ranks = cluster["nodes"] * cluster["ranks_per_node"]
            self.assertEqual(ranks, cluster["expert_parallel"] * cluster["expert_sharding"])
            self.assertEqual(shape["batch"] % ranks, 0)
            self.assertEqual(shape["experts"] % cluster["expert_parallel"], 0)

    def test_a_delay_is_passed_on_where_there_is_one(self):
        one = self.grid["configurations"][0]
        self.assertNotIn("--delay", measure.up_command(measure.cluster_of(self.grid, one)))
        command = measure.up_command(measure.cluster_of(self.grid, {**one, "delay": "200us"}))
        self.assertEqual(command[-2:], ["--delay", "200us"])
        self.grid["clusters"][one["cluster"]]["delay"] = "1ms"
        self.assertEqual(measure.cluster_of(self.grid, one)["delay"], "1ms")
        self.assertEqual(measure.cluster_of(self.grid, {**one, "delay": "200us"})["delay"], "200us")


if __name__ == "__main__":
    unittest.main()
