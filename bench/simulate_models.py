#!/usr/bin/env python3
"""Every model of configs/models on Testbeds A and B and four H100 nodes, under every policy, by `weft simulate`. Writes one JSON
object.

    bench/simulate_models.py --json FILE

A case is a model on a cluster with one sequence a rank and step, as long as CLUSTERS says. On the testbeds it is in fp32, as
their constants were measured, and as FSMoE describes its layers: gradients all-reduced (no ZeRO), attention heads shared by as
many ranks of a node as divide them. On the six nodes of A there are six experts in place of eight. Two layouts are tried: aligned
(EP across nodes, every expert sharded over a node), and whole experts on as many ranks as divide both ranks and experts. With
each, layers are taken off until rank 0's estimated memory fits a device. The layout with which Tutel's plan takes less time a
layer counts; the other stays in `other_layouts`. `fsmoe_real_models`: the mean over FSMoE's models and both testbeds of a
policy's step by FSMoE's, beside what the paper measured.
"""

import argparse
import datetime
import json
import math
import pathlib
import statistics
import subprocess
import sys

import provenance

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEFT = "build/release/bin/weft"
USABLE = 0.9  # of a device's memory
MODELS = {  # in configs/models: what shapes the choice of a layout
    "deepseek_moe_16b": {"layers": 28, "heads": 16, "experts": 64},
    "gpt2_xl_moe": {"layers": 48, "heads": 25, "experts": 8},
    "mixtral_8x7b": {"layers": 32, "heads": 8, "experts": 8},  # heads: of keys and values
    "mixtral_8x22b": {"layers": 56, "heads": 8, "experts": 8},
    "olmoe_1b_7b": {"layers": 16, "heads": 16, "experts": 64},
    "qwen3_30b_a3b_like": {"layers": 48, "heads": 4, "experts": 128},
}
CLUSTERS = {
    "testbed_a": {"nodes": 6, "ranks_per_node": 8, "device_gib": 48, "length": 512, "testbed": True, "experts_for_8": 6},
    "testbed_b": {"nodes": 8, "ranks_per_node": 4, "device_gib": 11, "length": 256, "testbed": True, "experts_for_8": 8},
    "h100_4x8": {"nodes": 4, "ranks_per_node": 8, "device_gib": 80, "length": 1024, "testbed": False, "experts_for_8": 8},
}
# Speed-ups of FSMoE over these, on average over its real models (arXiv 2501.10714).
PAPER = {"tutel": 1.19, "tutel_improved": 1.12, "lina": 1.14, "fsmoe_no_iio": 1.07}
PAPER_MODELS = ["gpt2_xl_moe", "mixtral_8x7b", "mixtral_8x22b"]


def simulate(words):
    done = subprocess.run([WEFT, "simulate", *words, "--json"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"simulate_models: {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout)


def layouts_of(model, cluster):
    """name -> overrides of this model on this cluster, the layout's and all others but the number of layers."""
    about, where = MODELS[model], CLUSTERS[cluster]
    ranks = where["nodes"] * where["ranks_per_node"]
    experts = where["experts_for_8"] if about["experts"] == 8 else about["experts"]
    shared = [f"training.global_batch={ranks}", f"training.sequence_length={where['length']}"]
    if experts != about["experts"]:
        shared.append(f"model.moe.num_experts={experts}")
    if where["testbed"]:
        sharers = math.gcd(about["heads"], where["ranks_per_node"])
        shared += ["model.precision=fp32", "cluster.zero_stage=0", f"cluster.tensor_parallel={sharers}"]
    whole = math.gcd(ranks, experts)
    return {"aligned": shared, "whole experts": shared + [f"cluster.expert_parallel={whole}", "cluster.expert_sharding=1"]}


def most_layers(words, layers, bytes_allowed):
    """The most layers, at most `layers`, with which rank 0's memory is at most this; 0: not even one."""
    fits = lambda n: simulate([*words, f"model.num_layers={n}", "--policy", "sequential"])["memory_bytes"] <= bytes_allowed
    low, high = 0, layers
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def simulate_layout(model, cluster, name, overrides):
    words = ["--model", f"configs/models/{model}.yaml", "--cluster", f"configs/clusters/{cluster}.yaml", *overrides]
    layers = most_layers(words, MODELS[model]["layers"], USABLE * CLUSTERS[cluster]["device_gib"] * 2**30)
    if layers == 0:
        return {"name": name, "layers": 0}
    if layers != MODELS[model]["layers"]:
        words.append(f"model.num_layers={layers}")
    answer = simulate(words)
    return {"name": name, "layers": layers, "command": " ".join([WEFT, "simulate", *words, "--json"]), "layout": answer["layout"],
            "memory_gib": answer["memory_bytes"] / 2**30, "parameters": answer["parameters"], "policies": answer["policies"]}


def beside_the_paper(cases):
    """Of the models that FSMoE ran: the mean over model and testbed of a policy's step by FSMoE's, and what the paper measured."""
    steps = [case["policies"] for case in cases if case["model"] in PAPER_MODELS and CLUSTERS[case["cluster"]]["testbed"]]
    mean = lambda policy: statistics.mean(one[policy]["seconds"] / one["fsmoe"]["seconds"] for one in steps)
    return {policy: {"simulated": mean(policy), "measured": measured} for policy, measured in PAPER.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True, metavar="FILE")
    arguments = parser.parse_args()
    provenance.build("weft")
    report = {"command": " ".join(["bench/simulate_models.py", *sys.argv[1:]]), "date": datetime.date.today().isoformat(),
              "commit": provenance.commit(), "machine": provenance.machine() + "; steps are simulated and do not depend on it",
              "cases": []}
    for model in MODELS:
        for cluster in CLUSTERS:
            tried = [simulate_layout(model, cluster, *layout) for layout in layouts_of(model, cluster).items()]
            fit = [one for one in tried if one["layers"] > 0]
            if not fit:
                sys.exit(f"simulate_models: not one layer of {model} fits a device of {cluster}")
            best = min(fit, key=lambda one: one["policies"]["tutel"]["seconds"] / one["layers"])
            report["cases"].append({"model": model, "cluster": cluster, "layers_of_model": MODELS[model]["layers"], **best,
                                    "other_layouts": [one for one in tried if one is not best]})
            policies = best["policies"]
            figures = "  ".join(f"{policy} {policies[policy]['speedup']:.2f} ({policies[policy]['over_bound']:.2f})"
                                for policy in ("fsmoe", "flowmoe", "weft"))
            print(f"{model:20}{cluster:11}{best['name']:15}{best['layers']:3} layers {best['memory_gib']:6.1f} GiB  {figures}",
                  file=sys.stderr)
    report["fsmoe_real_models"] = beside_the_paper(report["cases"])
    pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
