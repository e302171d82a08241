#!/usr/bin/env python3
"""Draws what measure.py has written: how far predictions are off, and how fast every policy is.

    plot.py RESULTS.json DIRECTORY      writes residuals.svg and policies.svg there

Needs matplotlib (Debian: python3-matplotlib).
"""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

plt.rcParams["svg.hashsalt"] = "weft"  # equal data, equal file
COLOURS = {"2x1": "#1b6ca8", "2x2": "#d1495b", "4x1": "#5b8c3a"}


def cluster_of(run):
    return run["configuration"].split("-")[0]


def draw_residuals(report, path):
    figure, axes = plt.subplots(figsize=(7, 3.6))
    axes.axhspan(-20, 20, color="0.93", zorder=0)
    axes.axhspan(-10, 10, color="0.85", zorder=0)
    axes.axhline(0, color="0.4", linewidth=0.8)
    for name, colour in COLOURS.items():
        runs = [run for run in report["runs"] if cluster_of(run) == name]
        axes.scatter([1e3 * run["predicted_seconds"] for run in runs],
                     [100 * (run["step_seconds"] / run["predicted_seconds"] - 1) for run in runs], s=14, color=colour, alpha=0.8,
                     linewidths=0, label=f"{name} ranks")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("predicted step, ms")
    axes.set_ylabel("measured by predicted - 1, %")
    axes.set_title(f"{len(report['runs'])} plans on the emulated cluster, workload {report['workload']}: median error "
                   f"{100 * report['prediction_error_median']:.1f}%, 95th percentile {100 * report['prediction_error_p95']:.1f}%",
                   fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def draw_policies(report, path):
    """Each configuration a dot, the geometric mean a bar with its 95% interval."""
    steps = {}
    for run in report["runs"]:
        steps.setdefault(run["policy"], {})[run["configuration"]] = run["step_seconds"]
    policies = sorted(steps, key=lambda policy: report["ratios_to_tutel"][policy])
    figure, axes = plt.subplots(figsize=(7, 3.6))
    axes.axvline(1, color="0.4", linewidth=0.8)
    for row, policy in enumerate(policies):
        for configuration, seconds in steps[policy].items():
            axes.plot(steps["tutel"][configuration] / seconds, row, "o", markersize=4, color=COLOURS[configuration.split("-")[0]],
                      alpha=0.55, markeredgewidth=0)
        low, high = report["ratio_intervals"][policy]
        mean = report["ratios_to_tutel"][policy]
        axes.plot([low, high], [row, row], color="black", linewidth=1.5)
        axes.plot(mean, row, "|", markersize=14, markeredgewidth=2, color="black")
    axes.set_yticks(range(len(policies)),
                    [f"{policy}  {report['ratios_to_tutel'][policy]:.2f}" for policy in policies])
    axes.set_xlabel("time under tutel by time under the policy; bars: geometric mean, 95%")
    axes.set_title(f"{len(steps['tutel'])} configurations on the emulated cluster, workload {report['workload']}", fontsize=10)
    for name, colour in COLOURS.items():
        axes.plot([], [], "o", markersize=4, color=colour, label=f"{name} ranks")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("directory")
    arguments = parser.parse_args()
    report = json.loads(pathlib.Path(arguments.results).read_text())
    directory = pathlib.Path(arguments.directory)
    directory.mkdir(parents=True, exist_ok=True)
    draw_residuals(report, directory / "residuals.svg")
    draw_policies(report, directory / "policies.svg")


if __name__ == "__main__":
    main()
