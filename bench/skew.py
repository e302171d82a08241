#!/usr/bin/env python3
"""What skewed routing costs: the quickstart's model on 4 ranks over its emulated links, with the workloads of forced
routing (docs/skew.md) in turn inside one job, under one plan. Writes one JSON object.

    bench/skew.py --json FILE [--rounds N] [--workloads w0,w2] [KEY=VALUE...]

`slowdown` is a workload's step time by that of the first one, w0 unless told otherwise; a step time is the mean over the
places of a block (one period of w6 and w7) of the median over the rounds; low and high are those of single rounds.
`fullest_rank`: the rows of the rank with the most by those of the mean rank. KEY=VALUE go to weftd, as
cluster.inter.bandwidth=40MB/s or model.moe.hot_share=0.5; they stand in the answer's `command`.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import provenance

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKLOADS = "w0,w1,w2,w3,w4,w5,w6,w7,zipf"
PERIOD = 10  # steps of a block, so that every block has one burst of w7
RANKS = 4
MPIRUN = ["mpirun", "-n", str(RANKS), "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1", "--mca",
          "btl_vader_single_copy_mechanism", "none"]
DEADLINE_SECONDS = 3600


def write_noise(path):
    """Bytes in an order that nothing can learn, the same everywhere: what is forced does not depend on the text."""
    path.write_text("".join(random.Random(20260101).choices("abcdefghijklmnopqrstuvwxyz ,.\n", k=1 << 19)))


def run_job(work, workloads, rounds, overrides):
    """summary.json of the job."""
    write_noise(work / "noise.txt")
    own = {
        "run.name": "skew", "run.directory": work / "runs", "run.compare": "[]", "run.compare_workloads": f"[{workloads}]",
        "run.compare_rounds": rounds, "run.compare_steps": PERIOD, "data.paths": f"[{work}/noise.txt]",
        "data.cache_directory": work / "cache", "model.moe.routing": "forced", "model.moe.workload": workloads.split(",")[0],
        "model.moe.workload_period": PERIOD, "training.steps": 2 * PERIOD, "training.validate_every": 0,
        "training.validation_batches": 1, "training.optimizer.warmup_steps": 0, "tuning.replan": "false", "checkpoint.at_end": "false",
    }
    words = [f"{key}={value}" for key, value in own.items()] + overrides
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    weftd = ROOT / "build" / "release" / "bin" / "weftd"
    done = subprocess.run([*MPIRUN, weftd, ROOT / "configs" / "quickstart.yaml", *words], env=environment, timeout=DEADLINE_SECONDS,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"skew: the job ended with {done.returncode}; its last words:\n{done.stderr[-3000:]}")
    return json.loads((work / "runs" / "latest" / "summary.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--workloads", default=WORKLOADS)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_intermixed_args()
    provenance.build("weftd")
    report = {"command": " ".join(["bench/skew.py", *sys.argv[1:]]), "date": datetime.date.today().isoformat(), "commit": provenance.commit(),
              "machine": provenance.machine(), "load_average": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="weft-skew-") as directory:
        summary = run_job(pathlib.Path(directory), arguments.workloads, arguments.rounds, arguments.overrides)
    report["workloads"] = summary["workloads"]
    pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    for one in report["workloads"]:
        print(f"{one['workload']:6}{1e3 * one['step_seconds']:9.1f} ms  {one['slowdown']:5.2f} times {report['workloads'][0]['workload']} "
              f"({one['slowdown_low']:.2f} to {one['slowdown_high']:.2f})  fullest rank {one['fullest_rank']:.2f}", file=sys.stderr)


if __name__ == "__main__":
    main()
