#!/usr/bin/env python3
"""Finds the link speeds of the grid: for each configuration those at which communication takes the share of the
sequential step that it asks for, inside a node as long as between nodes. Runs the sequential plan only.

    choose_links.py [--grid bench/cluster/grid.json] [--only SHAPE ...]      rewrites intra and inter in the grid

A stream is busy for a fixed time and one that goes down as its links go up: one cluster and shape is measured at two
speeds, and the line through both gives the speed for any share. A share below the fixed time gets links without a limit.
"""

import argparse
import json
import pathlib
import re
import sys
import tempfile

import measure

SLOW, FAST = 4e8, 1.6e9  # bits per second
NO_LIMIT = "10gbit"  # also inside a node of one rank
MEASURED = {"rounds": 1, "steps": 2}


def rate(bits):
    """Two digits are all that a shared machine can tell."""
    mbit = float(f"{bits / 1e6:.2g}")
    return f"{mbit:.0f}mbit" if mbit >= 10 else f"{mbit:g}mbit"


def speed_for(seconds, slow, fast):
    """At which a stream is busy for `seconds`, given what it was at SLOW and FAST, as tc has it."""
    per_bit = (slow - fast) / (1 / SLOW - 1 / FAST)
    fixed = max(0.0, slow - per_bit / SLOW)
    if per_bit <= 0 or seconds <= fixed:
        return NO_LIMIT
    bits = per_bit / (seconds - fixed)
    return rate(bits) if bits < 1e10 else NO_LIMIT


def links_for(share, slow, fast, has_intra):
    """slow, fast: the busy seconds of every stream at both speeds."""
    kinds = ("intra", "inter") if has_intra else ("inter",)
    compute = (slow["compute"] + fast["compute"]) / 2
    seconds = share / (1 - share) * compute / len(kinds)
    return {"intra": NO_LIMIT} | {kind: speed_for(seconds, slow[kind], fast[kind]) for kind in kinds}


def busy_at(bits, cluster, model, work):
    has_intra = cluster["ranks_per_node"] > 1
    links = {"intra": rate(bits) if has_intra else NO_LIMIT, "inter": rate(bits)}
    summary = measure.run_job("a guess", {**cluster, **links}, model, ["sequential"], MEASURED, work, ["training.steps=15"])
    got = summary["comparison"][0]
    print(f"  {links}: step {got['step_seconds']:.3f} s, busy {got['busy_seconds']}", file=sys.stderr)
    return got["busy_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", default=measure.HERE / "grid.json")
    parser.add_argument("--only", nargs="+", default=[], metavar="SHAPE")
    arguments = parser.parse_args()
    measure.clean_up_on_sigterm()
    path = pathlib.Path(arguments.grid)
    text = path.read_text()
    grid = json.loads(text)
    found = {}
    with tempfile.TemporaryDirectory(prefix="weft-links-") as directory:
        work = pathlib.Path(directory)
        measure.write_noise(work / "noise.txt")
        for one in grid["configurations"]:
            if arguments.only and one["shape"] not in arguments.only:
                continue
            cluster = measure.cluster_of(grid, one)
            alike = (one["cluster"], one["shape"], cluster.get("delay", ""))
            if alike not in found:
                print(*alike, file=sys.stderr)
                found[alike] = [busy_at(bits, cluster, grid["shapes"][one["shape"]], work) for bits in (SLOW, FAST)]
            links = links_for(one["communication"], *found[alike], has_intra=cluster["ranks_per_node"] > 1)
            pattern = rf'("name": "{re.escape(one["name"])}".*"intra": ")[^"]*(", "inter": ")[^"]*'
            text = re.sub(pattern, rf'\g<1>{links["intra"]}\g<2>{links["inter"]}', text)
            path.write_text(text)


if __name__ == "__main__":
    main()
