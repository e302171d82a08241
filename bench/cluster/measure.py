#!/usr/bin/env python3
"""Runs every configuration of a grid on an emulated cluster, all policies in turn inside one job, and writes one JSON
object. bench/cluster/run.sh calls it; needs root, ip, tc, Open MPI and build/release/bin/weftd.

    measure.py --json FILE [--quick] [--grid bench/cluster/grid.json] [--only NAME]... [--resume]

--resume: keep the configurations that FILE has, measure the others.

A policy's time in a configuration is the median of its measured steps. `ratios_to_tutel`: geometric mean over the
configurations of tutel's time by the policy's; `ratio_intervals`: 95% of 2000 bootstrap samples, which draw
configurations and, inside each, rounds. `gap_closed`: mean of (tutel - policy) / (tutel - bound), the bound being what
the busiest stream of the fastest plan needs; `gap_closed_to_order_bound`: the same with what no order of that plan's tasks could
undercut, given what they need of one another. Prediction errors are |measured - predicted| / measured over all runs.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import provenance  # noqa: E402
REFERENCE = "tutel"
RESAMPLES = 2000
MODEL_KEYS = {  # of a configuration of the grid -> of the job's configuration
    "backbone": "model.backbone",
    "layers": "model.num_layers",
    "hidden": "model.hidden_size",
    "ffn": "model.ffn_hidden_size",
    "experts": "model.moe.num_experts",
    "top_k": "model.moe.top_k",
    "every": "model.moe.every",
    "sequence": "training.sequence_length",
    "batch": "training.global_batch",
}


def fail(sentence):
    sys.exit(f"measure: {sentence}")


# The grid ----------------------------------------------------------------------------------------------------------


def load_grid(path):
    grid = json.loads(pathlib.Path(path).read_text())
    for one in grid["configurations"]:
        if not one["intra"] or not one["inter"]:
            fail(f"{one['name']} has no link speeds; bench/cluster/choose_links.py finds them")
    return grid


def cluster_of(grid, one):
    """A "delay" between nodes may stand in the cluster or, which wins, in the configuration."""
    of_configuration = {key: one[key] for key in ("intra", "inter", "delay") if key in one}
    return {**grid["clusters"][one["cluster"]], **of_configuration}


def chosen(grid, quick, only):
    names = {one["name"] for one in grid["configurations"]}
    if set(only) - names:
        fail(f"the grid has no configuration {', '.join(sorted(set(only) - names))}")
    wanted = set(only) or (set(grid["quick"]) if quick else names)
    return [one for one in grid["configurations"] if one["name"] in wanted]


def clean_up_on_sigterm():
    """The cluster and the temporary directory go, as after an exception."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


# One job -----------------------------------------------------------------------------------------------------------


def write_noise(path):
    """Bytes in an order that nothing can learn, the same everywhere."""
    draw = random.Random(20260101)
    path.write_text("".join(draw.choices("abcdefghijklmnopqrstuvwxyz ,.\n", k=1 << 19)))


def up_command(cluster):
    command = [HERE / "up.sh", "--nodes", cluster["nodes"], "--ranks-per-node", cluster["ranks_per_node"],
               "--intra", cluster["intra"], "--inter", cluster["inter"]]
    if "delay" in cluster:
        command += ["--delay", cluster["delay"]]
    return [str(word) for word in command]


def bring_up(cluster):
    subprocess.run(up_command(cluster), check=True, stderr=subprocess.DEVNULL)


def take_down():
    subprocess.run([HERE / "down.sh"], check=True)


def run_job(name, cluster, model, policies, length, work, extra=()):
    """What summary.json says of one configuration; the cluster is up only while the job runs. `extra`: more KEY=VALUE."""
    overrides = {MODEL_KEYS[key]: value for key, value in model.items()}
    overrides |= {
        "model.max_sequence_length": model["sequence"],
        "cluster.expert_parallel": cluster["expert_parallel"],
        "cluster.expert_sharding": cluster["expert_sharding"],
        "cluster.compute_share": cluster["compute_share"],
        "cluster.compute_processors": cluster["compute_processors"],
        "data.paths": f"[{work}/noise.txt]",
        "data.cache_directory": f"{work}/cache",
        "run.directory": f"{work}/runs",
        "run.compare": f"[{','.join(policies)}]",
        "run.compare_rounds": length["rounds"],
        "run.compare_steps": length["steps"],
    }
    words = [f"{key}={value}" for key, value in overrides.items()] + list(extra)
    bring_up(cluster)
    try:
        done = subprocess.run([HERE / "mpirun.sh", HERE / "job.yaml", *words], capture_output=True, text=True)
    finally:
        take_down()
    if done.returncode != 0:
        fail(f"the job of {name} ended with {done.returncode}; its last words:\n{done.stderr[-3000:]}")
    return json.loads((work / "runs" / "latest" / "summary.json").read_text())


# What the times say ------------------------------------------------------------------------------------------------


def median_step(rounds):
    return statistics.median(step for block in rounds for step in block)


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def ratios_to_reference(measured, policies):
    """measured: one {policy: rounds} a configuration."""
    times = [{policy: median_step(rounds) for policy, rounds in one.items()} for one in measured]
    return {policy: geometric_mean(one[REFERENCE] / one[policy] for one in times) for policy in policies}


def resample(measured, draw):
    sample = []
    for one in draw.choices(measured, k=len(measured)):
        count = len(one[REFERENCE])
        picked = draw.choices(range(count), k=count)  # the same rounds of all policies: they ran side by side
        sample.append({policy: [rounds[i] for i in picked] for policy, rounds in one.items()})
    return sample


def ratio_intervals(measured, policies):
    draw = random.Random(1)
    samples = [ratios_to_reference(resample(measured, draw), policies) for _ in range(RESAMPLES)]
    ends = {}
    for policy in policies:
        values = sorted(sample[policy] for sample in samples)
        ends[policy] = [values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES) - 1]]
    return ends


def gap_closed(runs, policies, kind):
    """Configurations in which tutel is at the bound have no gap to close. `kind`: of bound, a field of the runs."""
    by_configuration = {}
    for run in runs:
        by_configuration.setdefault(run["configuration"], {})[run["policy"]] = run
    gaps = {policy: [] for policy in policies}
    for one in by_configuration.values():
        bound = min(one.values(), key=lambda run: run["step_seconds"])[kind]
        reference = one[REFERENCE]["step_seconds"]
        if reference <= bound:
            continue
        for policy in policies:
            gaps[policy].append((reference - one[policy]["step_seconds"]) / (reference - bound))
    return {policy: statistics.fmean(values) if values else None for policy, values in gaps.items()}


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def summarise(runs, policies):
    measured = {}
    for run in runs:
        measured.setdefault(run["configuration"], {})[run["policy"]] = run["rounds"]
    measured = list(measured.values())
    errors = [abs(run["step_seconds"] - run["predicted_seconds"]) / run["step_seconds"] for run in runs]
    result = {}
    if REFERENCE in policies:
        result["ratios_to_tutel"] = ratios_to_reference(measured, policies)
        result["ratio_intervals"] = ratio_intervals(measured, policies)
        result["gap_closed"] = gap_closed(runs, policies, "bound_seconds")
        result["gap_closed_to_order_bound"] = gap_closed(runs, policies, "order_bound_seconds")
    return result | {"prediction_error_median": statistics.median(errors),
                     "prediction_error_p95": quantile(errors, 0.95)}


# -------------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--grid", default=HERE / "grid.json")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--command", default=" ".join(["bench/cluster/measure.py", *sys.argv[1:]]))
    arguments = parser.parse_args()
    clean_up_on_sigterm()
    grid = load_grid(arguments.grid)
    policies = grid["policies"]
    length = grid["length"]["quick" if arguments.quick else "full"]
    wanted = chosen(grid, arguments.quick, arguments.only)
    report = {"command": arguments.command, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "commit": provenance.commit(), "machine": provenance.machine(), "load_average": os.getloadavg()[0],
              "workload": None, "cluster": {}, "runs": []}
    if arguments.resume:
        if not pathlib.Path(arguments.json).is_file():
            fail(f"--resume: there is no {arguments.json} to go on with")
        kept = json.loads(pathlib.Path(arguments.json).read_text())
        if kept["commit"] != report["commit"]:
            fail(f"--resume: {arguments.json} was measured at commit {kept['commit']}, this is {report['commit']}")
        report |= {key: kept[key] for key in ("date", "load_average", "workload", "cluster", "runs")}
    todo = [one for one in wanted if one["name"] not in report["cluster"]]
    with tempfile.TemporaryDirectory(prefix="weft-cluster-") as directory:
        work = pathlib.Path(directory)
        write_noise(work / "noise.txt")
        for number, one in enumerate(todo, 1):
            begin = datetime.datetime.now()
            cluster = cluster_of(grid, one)
            summary = run_job(one["name"], cluster, grid["shapes"][one["shape"]], policies, length, work)
            report["cluster"][one["name"]] = cluster
            report["workload"] = summary["workload"]
            for got in summary["comparison"]:
                report["runs"].append({"configuration": one["name"], "policy": got["policy"],
                                       "step_seconds": got["step_seconds"],
                                       "predicted_seconds": got["predicted_step_seconds"],
                                       "bound_seconds": got["bound_seconds"],
                                       "order_bound_seconds": got["order_bound_seconds"], "busy_seconds": got["busy_seconds"],
                                       "rounds": got["rounds"]})
            first = summary["comparison"][0]
            best = min(summary["comparison"], key=lambda got: got["step_seconds"])
            # After each: what an interrupted run has measured is kept.
            measured = f"{len(wanted) - len(todo) + number} of {len(wanted)}"
            whole = report | {"configurations": measured} | summarise(report["runs"], policies)
            pathlib.Path(arguments.json).write_text(json.dumps(whole, indent=1) + "\n")
            print(f"[{number}/{len(todo)}] {one['name']}: {first['policy']} {first['step_seconds']:.3f} s, fastest "
                  f"{best['policy']} {best['step_seconds']:.3f} s ({(datetime.datetime.now() - begin).seconds} s)",
                  file=sys.stderr)
    print(f"measure: wrote {arguments.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
