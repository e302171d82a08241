#!/usr/bin/env python3
"""What skewed routing costs, and what letting experts follow the load makes of it: 16 experts on four ranks, each with
a fixed share of a core and a link of its own. One job for every way of placing experts; inside a job the workloads of
forced routing (docs/skew.md) take turns in blocks of one period. Writes one JSON object.

    placement.py --json FILE [--rounds N] [--workloads w0,zipf] [--top-k N] [--inter RATE] [--learn] [KEY=VALUE...]

--learn: also jobs that train on one workload each and plan again as they see it, `rebalance` with experts that change
homes alone, `auto` with all that the planner may do; their last plan is what is measured, beside w0 in the same job, and
`plans` what it chose from.

`over_balanced`: a workload's step time by that of w0 with all experts at home, from another job of the same run; a step
time is the mean over the places of a block of the median over the rounds. `slowdown`: by w0 in the same job. Needs
root, ip, tc, Open MPI and build/release/bin/weftd.
"""

import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile

import measure
import provenance

WAYS = {
    "home": {"tuning.expert_placement": "home"},
    "moves": {"tuning.expert_placement": "follow"},
    "copies": {"tuning.expert_placement": "follow", "tuning.allow_reassociation": "true"},
}
LEARNING_WAYS = ("rebalance", "auto")
LEARNS = {"tuning.allow_reassociation": "true", "tuning.replan": "true", "tuning.replan_every": 10, "tuning.trial_rounds": 1,
          "training.steps": 80}
WORKLOADS = "w0,zipf,w6,w7"
# Buffers padded to the hottest expert, as Tutel's without dropping: every expert gets as many rows as the hottest one. That is an
# even load with more experts a token: as many times the model's as the hottest expert's rows are of the mean. w6: three quarters on 4
# of 16 experts, 3 times; zipf, of 16 drawn by weight 1 / r: 4.2 times with two different ones a token and 4.7 with one, of which 4 are
# taken. w7 is w6 in a fifth of the steps.
PADDED = {"zipf": 4, "w6": 3}
BURSTS = 0.2
PERIOD = 10  # steps of a block: one move of w6's hot spot, one burst of w7
MODEL = {"backbone": "gpt2", "layers": 2, "hidden": 512, "ffn": 1024, "experts": 16, "top_k": 2, "every": 1, "sequence": 128,
         "batch": 16}


def job_of(name, options, workloads, inter, rounds, top_k, overrides, work):
    grid = measure.load_grid(measure.HERE / "grid.json")
    cluster = {**grid["clusters"]["4x1"], "intra": "10gbit", "inter": inter}
    forced = {"model.moe.routing": "forced", "model.moe.workload": workloads.split(",")[0], "model.moe.workload_period": PERIOD,
              "run.compare_workloads": f"[{workloads}]", **options}
    extra = [f"{key}={value}" for key, value in forced.items()] + overrides
    return measure.run_job(name, cluster, {**MODEL, "top_k": top_k}, [], {"rounds": rounds, "steps": PERIOD}, work, extra)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workloads", default=WORKLOADS)
    parser.add_argument("--top-k", type=int, default=MODEL["top_k"])
    parser.add_argument("--inter", default="1000mbit")
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_intermixed_args()
    measure.clean_up_on_sigterm()
    report = {"command": " ".join(["bench/cluster/placement.py", *sys.argv[1:]]), "date": datetime.date.today().isoformat(),
              "commit": provenance.commit(), "machine": provenance.machine(), "load_average": os.getloadavg()[0],
              "model": {**MODEL, "top_k": arguments.top_k}, "inter": arguments.inter, "runs": []}
    jobs = [(name, arguments.workloads, options) for name, options in WAYS.items()]
    if arguments.learn:
        jobs += [(name, f"w0,{workload}", {**LEARNS, "model.moe.workload": workload, "tuning.expert_placement": name})
                 for name in LEARNING_WAYS for workload in arguments.workloads.split(",") if workload != "w0"]
    balanced = None
    for name, workloads, options in jobs:
        with tempfile.TemporaryDirectory(prefix="weft-placement-") as directory:
            work = pathlib.Path(directory)
            measure.write_noise(work / "noise.txt")
            summary = job_of(name, options, workloads, arguments.inter, arguments.rounds, arguments.top_k, arguments.overrides, work)
        for one in summary["workloads"]:
            balanced = balanced or one["step_seconds"]
            plans = {"plans": summary["plans_considered"]} if name in LEARNING_WAYS else {}
            report["runs"].append({"placement": name, "over_balanced": one["step_seconds"] / balanced, **one, **plans})
            print(f"{name:10}{one['workload']:6}{1e3 * one['step_seconds']:9.1f} ms  {one['step_seconds'] / balanced:5.2f} times w0 at "
                  f"home, {one['slowdown']:5.2f} times the first here ({one['slowdown_low']:.2f} to {one['slowdown_high']:.2f})",
                  file=sys.stderr)
    padded = {}
    for workload, times in PADDED.items():
        if workload not in arguments.workloads.split(","):
            continue
        with tempfile.TemporaryDirectory(prefix="weft-placement-") as directory:
            work = pathlib.Path(directory)
            measure.write_noise(work / "noise.txt")
            even = job_of(f"padded {workload}", WAYS["home"], "w0", arguments.inter, arguments.rounds, times * arguments.top_k,
                          arguments.overrides, work)["workloads"][0]
        padded[workload] = even["step_seconds"] / balanced
    if "w6" in padded and "w7" in arguments.workloads.split(","):
        padded["w7"] = 1 - BURSTS + BURSTS * padded["w6"]
    for workload, ratio in padded.items():
        report["runs"].append({"placement": "padded", "workload": workload, "over_balanced": ratio})
        print(f"padded {workload:6}{ratio:22.2f} times w0 at home", file=sys.stderr)
    pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
