#!/usr/bin/env python3
"""How far the plans of `weft` are from the best of all plans, simulated and measured: small models on 4 ranks over emulated links.
For each sample a job measures costs, regret_plans searches all plans of these costs, and jobs that run the chosen and the
optimal plan take turns. Writes one JSON object.

    bench/regret/run.py --json FILE [--rounds N]

`regret`: simulated step of the chosen plan by that of the optimal one, less 1. `measured`: the same of median step times, the median of
the rounds; low and high are single rounds. Plans that are equal are not run.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import provenance  # noqa: E402

RANKS = 4
MPIRUN = ["mpirun", "-n", str(RANKS), "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1", "--mca",
          "btl_vader_single_copy_mechanism", "none"]
STEPS = 40
WARM_UP = 8
EP4 = ["cluster.expert_parallel=4", "cluster.expert_sharding=1"]
SAMPLES = {
    "one layer": (["model.num_layers=1"], [1, 2, 3, 4, 6, 8]),
    "two layers": (["model.num_layers=2"], [1, 2, 4]),
    "one layer, EP 4, slow link": (["model.num_layers=1", "cluster.inter.bandwidth=60MB/s", *EP4], [1, 2, 4, 8]),
    "two layers, EP 4": (["model.num_layers=2", *EP4], [1, 2, 4]),
    "two layers, gpt2, wide experts": (["model.backbone=gpt2", "model.num_kv_heads=4", "model.num_layers=2",
                                        "model.ffn_hidden_size=1024"], [1, 2, 4]),
}


def build():
    provenance.build("weftd", "regret_plans")
    subprocess.run(["launch/fetch_quickstart_text.sh", "data/quickstart"], cwd=ROOT, check=True, stdout=sys.stderr)


def run_job(work, overrides):
    """The newest run directory."""
    own = {"run.directory": work / "runs", "run.compare": "[]", "training.steps": STEPS, "training.optimizer.warmup_steps": 5,
           "training.validate_every": 0, "checkpoint.at_end": "false"}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    words = [f"{key}={value}" for key, value in own.items()] + overrides
    weftd = ROOT / "build" / "release" / "bin" / "weftd"
    done = subprocess.run([*MPIRUN, weftd, ROOT / "configs" / "quickstart.yaml", *words], env=environment, timeout=1200,
                          cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"regret: a job failed: {done.stderr[-2000:]}")
    return (work / "runs" / "latest").resolve()


def step_seconds(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["measured_step_seconds"] for line in lines if "measured_step_seconds" in line]
    return statistics.median(steps[WARM_UP:])


def sample(name, overrides, degrees, rounds, work):
    run = run_job(work, overrides)
    program = ROOT / "build" / "release" / "bin" / "regret_plans"
    found = json.loads(subprocess.run([program, run, work, *map(str, degrees)], check=True, capture_output=True, text=True).stdout)
    result = {"sample": name, "overrides": overrides, "degrees": degrees, **found}
    if found["regret"] > 0:
        times = {"chosen": [], "optimal": []}
        for _ in range(rounds):
            for plan, seconds in times.items():
                fixed = [f"tuning.plan={work}/{plan}.json", "tuning.replan=false"]
                seconds.append(step_seconds(run_job(work, overrides + fixed)))
        ratios = [chosen / optimal - 1 for chosen, optimal in zip(times["chosen"], times["optimal"])]
        result |= {"measured": statistics.median(ratios), "measured_low": min(ratios), "measured_high": max(ratios), "rounds": times}
    print(f"{name}: {found['tasks']} tasks, regret {100 * found['regret']:.2f}%, measured " +
          (f"{100 * result['measured']:.1f}% ({100 * result['measured_low']:.1f} to {100 * result['measured_high']:.1f})"
           if "measured" in result else "equal plans"), file=sys.stderr)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    build()
    report = {"command": " ".join(["bench/regret/run.py", *sys.argv[1:]]), "date": datetime.date.today().isoformat(),
              "commit": provenance.commit(), "machine": provenance.machine(), "load_average": os.getloadavg()[0], "samples": []}
    for name, (overrides, degrees) in SAMPLES.items():
        with tempfile.TemporaryDirectory(prefix="weft-regret-") as directory:
            report["samples"].append(sample(name, overrides, degrees, arguments.rounds, pathlib.Path(directory)))
    pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
