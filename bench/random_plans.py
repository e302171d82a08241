#!/usr/bin/env python3
"""Random valid plans, each run for a step by four ranks (threads) on one node or two. Writes one JSON object.

    bench/random_plans.py --json FILE [--plans N]

Of every plan the test (tests/runtime/random_plans_test.cc) asks that ValidatePlan accepts it, that its step ends on all ranks before
the deadline, that streams kept its order, that loss, gradient norm and gradients have the sequential plan's bits (to 1e-6 without
gradients where it may add in another order), and that tasks carry what a simulation takes them for. A case stops at its first failure.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import provenance

COUNTS = ["exact", "reassociating", "with_placements", "not_all_direct", "pipelined"]
TEST = "build/release/tests/random_plans_test"


def run(plans):
    """What every case says of itself, and the seconds of all."""
    environment = {**os.environ, "WEFT_RANDOM_PLANS": str(plans), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    environment.pop("WEFT_RANDOM_PLANS_FROM", None)
    with tempfile.TemporaryDirectory() as work:
        output = pathlib.Path(work) / "cases.json"
        done = subprocess.run([provenance.ROOT / TEST, "--gtest_filter=Cases/*", f"--gtest_output=json:{output}"],
                              cwd=provenance.ROOT, env=environment, stdout=sys.stderr)
        if not output.exists():
            sys.exit(f"random_plans: the test ended with {done.returncode} and said nothing of its cases")
        report = json.loads(output.read_text())
    cases = [case for suite in report["testsuites"] for case in suite["testsuite"]]
    if not cases or any(case["status"] != "RUN" for case in cases):
        sys.exit("random_plans: some case was not run")
    return cases, float(report["time"].rstrip("s"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True, type=pathlib.Path)
    parser.add_argument("--plans", type=int, default=10000, help="over all cases together; rounded up to as many in each")
    args = parser.parse_args()
    provenance.build("random_plans_test")
    commit = provenance.commit()
    cases, seconds = run(args.plans)
    by_case, failures = {}, []
    for case in cases:
        name = case["name"].partition("/")[2]
        by_case[name] = {"layout": case["layout"], **{count: int(case[count]) for count in COUNTS}}
        failures += [failure["failure"] for failure in case.get("failures", [])]
    right = {count: sum(case[count] for case in by_case.values()) for count in COUNTS}
    in_each = -(-args.plans // len(cases))
    result = {
        "command": " ".join(["bench/random_plans.py", "--json", str(args.json), "--plans", str(args.plans)]),
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "machine": provenance.machine(),
        "plans": in_each * len(cases),
        "right": right["exact"] + right["reassociating"],
        "failed": len([case for case in cases if case.get("failures")]),
        "failures": failures,
        "seeds": f"0 to {in_each - 1} in each case",
        "deadline_seconds": max(int(case["deadline_seconds"]) for case in cases),
        "of_those_right": right,
        "seconds": round(seconds, 1),
        "cases": by_case,
    }
    args.json.write_text(json.dumps(result, indent=1) + "\n")
    if failures or result["right"] != result["plans"]:
        sys.exit(f"random_plans: {result['right']} of {result['plans']} plans were right")


if __name__ == "__main__":
    main()
