#!/usr/bin/env python3
"""Writes into the grid which share of a configuration's communication is gradient reduction: seconds on its links, of the
sequential plan, as `weft simulate` has them for the shaped rates. Nothing is measured: run it when shapes or links have changed.

    gradient_share.py [--grid bench/cluster/grid.json]
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile

import measure

BITS = {"gbit": 1e9, "mbit": 1e6}
LATENCY = "40us"  # of a message through the stack (README.md)
REDUCTIONS = ("grad_reduce_scatter", "grad_all_reduce", "grad_all_gather", "expert_grad_all_reduce")


def bytes_per_second(rate):
    number, unit = re.fullmatch(r"([\d.]+)([gm]bit)", rate).groups()
    return float(number) * BITS[unit] / 8


def describe(cluster):
    links = "\n".join(f"  {kind}: {{latency: {LATENCY}, bandwidth: {bytes_per_second(cluster[kind]) / 1e6:g}MB/s}}"
                      for kind in ("intra", "inter"))
    return (f"name: shaped\nnodes: {cluster['nodes']}\nranks_per_node: {cluster['ranks_per_node']}\nlinks:\n{links}\n"
            "compute: {flops: 5e10, elements: 1e9, launch: 0s}\n")  # of no consequence here


def share_of(cluster, shape, work):
    (work / "cluster.yaml").write_text(describe(cluster))
    words = [f"{measure.MODEL_KEYS[key]}={value}" for key, value in shape.items()]
    words += [f"model.max_sequence_length={shape['sequence']}", "data.paths=[none.txt]"]
    words += [f"cluster.{key}={cluster[key]}" for key in ("expert_parallel", "expert_sharding")]
    command = [measure.ROOT / "build/release/bin/weft", "simulate", "--model", measure.HERE / "job.yaml", "--cluster",
               work / "cluster.yaml", "--policy", "sequential", "--trace", work / "trace.json", "--json", *words]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    transfers = [event for event in json.loads((work / "trace.json").read_text())["traceEvents"]
                 if event.get("cat") in ("intra", "inter")]
    reduction = sum(event["dur"] for event in transfers if event["name"].split(".")[0] in REDUCTIONS)
    return reduction / sum(event["dur"] for event in transfers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", default=measure.HERE / "grid.json")
    path = pathlib.Path(parser.parse_args().grid)
    text = path.read_text()
    grid = json.loads(text)
    with tempfile.TemporaryDirectory(prefix="weft-share-") as directory:
        for one in grid["configurations"]:
            share = share_of(measure.cluster_of(grid, one), grid["shapes"][one["shape"]], pathlib.Path(directory))
            pattern = rf'("name": "{re.escape(one["name"])}".*"inter": "[^"]*")(?:, "gradient_share": [\d.]+)?'
            text = re.sub(pattern, rf'\g<1>, "gradient_share": {share:.2f}', text)
    path.write_text(text)


if __name__ == "__main__":
    main()
