#!/usr/bin/env python3
"""Puts the seconds of the cost model and of the emulated links beside those of SimGrid, case by case, and writes one
JSON object. bench/simgrid/run.sh calls it; needs smpirun, build/release/bin/simgrid_model and build/release/bin/simgrid_collectives.

    compare.py --json FILE [--cluster configs/clusters/NAME.yaml]...

Every cluster lends its links to 64 ranks (8 nodes of 8) and to 16 (4 of 4), once with an uplink for each rank and once
with one for each node (platform_xml.py). A ratio is our seconds by SimGrid's: `model` is what `weft simulate` counts,
`emulator` what comm/sim makes a rank wait. `summary`: over the sizes, clusters and shapes of a kind, the median ratio
and the one furthest from 1.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import platform_xml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import provenance  # noqa: E402
BINARIES = ROOT / "build" / "release" / "bin"
CLUSTERS = ["configs/clusters/h100_512x8.yaml", "configs/clusters/testbed_a.yaml"]
SHAPES = [(8, 8), (4, 4)]  # nodes, ranks of each
DEADLINE_SECONDS = 600
KEYS = ("collective", "tier", "algorithm", "bytes")
OURS = ("model", "emulator")

# A message alone takes latency + bytes / bandwidth, messages at one port share it evenly, and nothing else costs time:
# no TCP window, no acknowledgements, no computation, no look at the clock.
OPTIONS = ["--cfg=network/model:CM02", "--cfg=network/TCP-gamma:0", "--cfg=network/crosstraffic:0",
           "--cfg=smpi/simulate-computation:no", "--cfg=smpi/wtime:0", "--log=root.thres:warning"]


def output_of(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed ({done.returncode}):\n{done.stderr}")
    return done.stdout


def ask_model(cluster, nodes, ranks_per_node):
    return json.loads(output_of([str(BINARIES / "simgrid_model"), str(ROOT / cluster), str(nodes), str(ranks_per_node)]))


def ask_simgrid(links, nodes, ranks_per_node, uplink):
    with tempfile.TemporaryDirectory(prefix="weft-simgrid-") as directory:
        described = pathlib.Path(directory, "platform.xml")
        described.write_text(platform_xml.platform_xml(nodes, ranks_per_node, links, uplink))
        hosts = pathlib.Path(directory, "hosts")
        hosts.write_text("".join(f"{host}\n" for host in platform_xml.hosts(nodes, ranks_per_node)))
        said = output_of(["smpirun", "-np", str(nodes * ranks_per_node), "-platform", str(described), "-hostfile", str(hosts),
                          str(BINARIES / "simgrid_collectives"), *OPTIONS, str(nodes), str(ranks_per_node)])
    return json.loads(said)["cases"]


def join(ours, simgrid):
    """The cases of both, which must be the same ones."""
    key = lambda case: tuple(case[k] for k in KEYS)
    simulated = {key(case): case["simgrid_seconds"] for case in simgrid}
    if len(simgrid) != len(ours) or simulated.keys() != {key(case) for case in ours}:
        raise ValueError("the model and SimGrid answer for different cases: build both programs anew")
    rounded = lambda value: float(f"{value:.6g}")
    joined = []
    for case in ours:
        seconds = {"simgrid_seconds": simulated[key(case)], **{f"{who}_seconds": case[f"{who}_seconds"] for who in OURS}}
        ratios = {f"{who}_ratio": seconds[f"{who}_seconds"] / seconds["simgrid_seconds"] for who in OURS}
        joined.append({**{k: case[k] for k in KEYS}, **{k: rounded(v) for k, v in (seconds | ratios).items()}})
    return joined


def summarise(runs):
    """By kind, uplink and who answered."""
    ratios = {}
    for run in runs:
        for case in run["cases"]:
            of_kind = ratios.setdefault("/".join(case[k] for k in KEYS[:3]), {})
            for who in OURS:
                of_kind.setdefault(run["uplink"], {}).setdefault(who, []).append(case[f"{who}_ratio"])

    def summary(values):
        furthest = max(values, key=lambda ratio: abs(ratio - 1))
        return {"median_ratio": round(statistics.median(values), 6), "furthest_ratio": furthest,
                "worst_error": round(abs(furthest - 1), 6)}

    return {kind: {uplink: {who: summary(values) for who, values in by_whom.items()} for uplink, by_whom in of_kind.items()}
            for kind, of_kind in ratios.items()}


def text_of(report):
    """JSON with every innermost object on a line of its own."""
    one_line = lambda match: re.sub(r"\s+", " ", match.group())
    return re.sub(r"\{[^{}\[\]]*\}", one_line, json.dumps(report, indent=1)) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True)
    parser.add_argument("--cluster", action="append", metavar="FILE")
    parser.add_argument("--command", default="bench/simgrid/compare.py")
    arguments = parser.parse_args()
    runs = []
    for cluster in arguments.cluster or CLUSTERS:
        for nodes, ranks_per_node in SHAPES:
            model = ask_model(cluster, nodes, ranks_per_node)
            for uplink in platform_xml.UPLINKS:
                cases = join(model["cases"], ask_simgrid(model["links"], nodes, ranks_per_node, uplink))
                runs.append({"cluster": cluster, "nodes": nodes, "ranks_per_node": ranks_per_node, "uplink": uplink,
                             "links": model["links"], "cases": cases})
    report = {"date": datetime.date.today().isoformat(), "command": arguments.command, "commit": provenance.commit(), "machine": provenance.machine(),
              "note": "simulated seconds: they do not depend on the machine", "simgrid": output_of(["smpirun", "-version"]).strip(),
              "options": OPTIONS, "summary": summarise(runs), "runs": runs}
    pathlib.Path(arguments.json).write_text(text_of(report))


if __name__ == "__main__":
    main()
