#!/usr/bin/env python3
"""Trains the same model on one rank with Weft and with PyTorch, in turn, and prints one JSON object.

    one_rank_vs_pytorch.py --pytorch INTERPRETER [--pytorch INTERPRETER ...] [--weft build/release/bin/train_bench]
                           [--rounds 5] [--steps 10] [--config quickstart] [--config width512]

A round runs every program once; a run's figure is the median of its steps, a program's figure the median of its rounds,
its spread their smallest and largest. Seconds are the processor's, so that neighbours on a shared machine do not count;
wall-clock figures stand beside them. `speedup`: PyTorch's seconds by Weft's, round by round, for the fastest PyTorch.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CONFIGS = {
    # The quickstart's model with 8 sequences a step.
    "quickstart": dict(layers=4, hidden=128, ffn=256, heads=4, kv_heads=2, vocab=256, experts=8, top_k=2, sequences=8, length=128),
    "width512": dict(layers=4, hidden=512, ffn=1024, heads=8, kv_heads=4, vocab=256, experts=8, top_k=2, sequences=4, length=256),
}
ONE_THREAD = dict(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="passive")


def machine():
    model = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return dict(processor=model or platform.processor(), cores=os.cpu_count(), load_average=os.getloadavg()[0],
                system=platform.platform())


def run(command):
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed ({done.returncode}):\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def middle_and_spread(values):
    return dict(median=statistics.median(values), smallest=min(values), largest=max(values))


def summary(runs):
    """Of one program's runs, one a round."""
    tokens = runs[0]["tokens_per_step"]
    seconds = [statistics.median(r["processor_seconds"]) for r in runs]
    wall = [statistics.median(r["wall_seconds"]) for r in runs]
    result = dict(
        program=runs[0]["program"],
        tokens_per_second=middle_and_spread([tokens / s for s in seconds]),
        wall_tokens_per_second=middle_and_spread([tokens / s for s in wall]),
        step_seconds=seconds,
        loss=runs[0]["loss"],
    )
    for name in ("gemm_share", "gemm_gflops", "product_gflops"):
        if name in runs[0]:
            result[name] = statistics.median(r[name] for r in runs)
    for name in ("kernel_share", "op_share", "optimizer", "attention", "blas"):
        if name in runs[0]:
            result[name] = runs[-1][name]
    return result


def compare(config, programs, options):
    settings = [f"{name}={value}" for name, value in {**CONFIGS[config], "steps": options.steps}.items()]
    runs = [[] for _ in programs]
    for _ in range(options.rounds):
        for program, of_program in zip(programs, runs):
            of_program.append(run(program + settings))
    sizes = {(r[0]["parameters"], r[0]["tokens_per_step"]) for r in runs}
    if len(sizes) != 1:
        raise SystemExit(f"the programs do not train the same model: parameters and tokens {sizes}")
    weft, *peers = (summary(r) for r in runs)
    fastest = min(peers, key=lambda peer: statistics.median(peer["step_seconds"]))
    return dict(
        settings=runs[0][0]["settings"],
        parameters=runs[0][0]["parameters"],
        weft=weft,
        pytorch=peers,
        fastest=fastest["program"],
        speedup=middle_and_spread([theirs / ours for ours, theirs in zip(weft["step_seconds"], fastest["step_seconds"])]),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", default="build/release/bin/train_bench")
    parser.add_argument("--pytorch", action="append", required=True, metavar="INTERPRETER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--config", action="append", choices=sorted(CONFIGS))
    options = parser.parse_args()
    programs = [[options.weft]] + [[python, str(HERE / "peer_pytorch" / "train.py")] for python in options.pytorch]
    result = dict(machine=machine(), rounds=options.rounds, steps=options.steps)
    for config in options.config or CONFIGS:
        result[config] = compare(config, programs, options)
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
