"""The SimGrid platform that bench/simgrid makes of a cluster's links, and what it makes of two answers. Needs no SimGrid."""

import json
import pathlib
import sys
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "simgrid"))

import compare  # noqa: E402
import platform_xml  # noqa: E402

LINKS = {"intra": {"latency": 8e-06, "bandwidth": 3.6e11}, "inter": {"latency": 2.5e-05, "bandwidth": 4.5e10}}


class PlatformTest(unittest.TestCase):
    NODES, RANKS_PER_NODE = 3, 2

    def platform(self, uplink):
        zone = ElementTree.fromstring(platform_xml.platform_xml(self.NODES, self.RANKS_PER_NODE, LINKS, uplink)).find("zone")
        ports = {link.get("id"): link for link in zone.findall("link")}
        routes = {(route.get("src"), route.get("dst")): [(c.get("id"), c.get("direction")) for c in route.findall("link_ctn")]
                  for route in zone.findall("route")}
        return [host.get("id") for host in zone.findall("host")], ports, routes

    def test_every_pair_has_the_stated_link(self):
        for uplink, share in (("rank", 1), ("node", self.RANKS_PER_NODE)):
            hosts, ports, routes = self.platform(uplink)
            self.assertEqual(hosts, platform_xml.hosts(self.NODES, self.RANKS_PER_NODE))
            self.assertEqual(len(set(hosts)), 6)
            self.assertEqual(set(routes), {(a, b) for a in hosts for b in hosts if a != b})
            for (source, destination), way in routes.items():
                inside = source.partition("-")[0] == destination.partition("-")[0]
                link = LINKS["intra" if inside else "inter"]
                self.assertEqual([direction for _, direction in way], ["UP", "DOWN"])
                latency = sum(float(ports[port].get("latency").removesuffix("s")) for port, _ in way)
                self.assertAlmostEqual(latency, link["latency"], delta=1e-15)
                for port, _ in way:
                    bandwidth = float(ports[port].get("bandwidth").removesuffix("Bps"))
                    self.assertEqual(bandwidth, link["bandwidth"] * (1 if inside else share))

    def test_both_directions_of_a_port_are_separate(self):
        _, ports, _ = self.platform("rank")
        self.assertEqual({port.get("sharing_policy") for port in ports.values()}, {"SPLITDUPLEX"})

    def test_who_shares_a_port(self):
        def senders(uplink, kind):
            by_port = {}
            for (source, _), way in self.platform(uplink)[2].items():
                if way[0][0].endswith(kind):
                    by_port.setdefault(way[0][0], set()).add(source)
            return sorted(len(ranks) for ranks in by_port.values())

        self.assertEqual(senders("rank", "intra"), [1] * 6)
        self.assertEqual(senders("rank", "inter"), [1] * 6)
        self.assertEqual(senders("node", "intra"), [1] * 6)
        self.assertEqual(senders("node", "inter"), [2] * 3)

    def test_another_uplink_is_refused(self):
        with self.assertRaisesRegex(ValueError, "uplink 'rack': must be one of rank, node"):
            platform_xml.platform_xml(2, 2, LINKS, "rack")


def case(size, **seconds):
    return {"collective": "all_to_all", "tier": "group", "algorithm": "direct", "bytes": size,
            **{f"{who}_seconds": value for who, value in seconds.items()}}


class CompareTest(unittest.TestCase):
    OURS = [case(1, model=3.0, emulator=1.5), case(2, model=8.0, emulator=4.0)]

    def test_cases_meet_by_what_they_are(self):
        got = compare.join(self.OURS, [case(2, simgrid=4.0), case(1, simgrid=3.0)])
        self.assertEqual([(row["bytes"], row["model_ratio"], row["emulator_ratio"]) for row in got], [(1, 1.0, 0.5), (2, 2.0, 1.0)])

    def test_other_cases_are_an_error(self):
        for sizes in ([1], [1, 3], [1, 1, 2]):
            with self.assertRaisesRegex(ValueError, "different cases"):
                compare.join(self.OURS, [case(size, simgrid=1.0) for size in sizes])

    def test_the_worst_error_may_be_below_one(self):
        ours = [case(size, model=seconds, emulator=1.0) for size, seconds in ((1, 1.0), (2, 1.2), (3, 0.5))]
        cases = compare.join(ours, [case(size, simgrid=1.0) for size in (1, 2, 3)])
        got = compare.summarise([{"uplink": "rank", "cases": cases}])["all_to_all/group/direct"]["rank"]
        self.assertEqual(got["model"], {"median_ratio": 1.0, "furthest_ratio": 0.5, "worst_error": 0.5})
        self.assertEqual(got["emulator"], {"median_ratio": 1.0, "furthest_ratio": 1.0, "worst_error": 0.0})

    def test_the_file_is_json_with_a_line_a_case(self):
        report = {"runs": [{"cases": [case(1, model=1.0), case(2, model=2.0)]}]}
        text = compare.text_of(report)
        self.assertEqual(json.loads(text), report)
        self.assertEqual(sum('"bytes"' in line for line in text.splitlines()), 2)
        self.assertIn('"bytes": 2, "model_seconds": 2.0 }', text)

    def test_the_clusters_are_there(self):
        for cluster in compare.CLUSTERS:
            self.assertTrue((ROOT / cluster).is_file(), cluster)


if __name__ == "__main__":
    unittest.main()
