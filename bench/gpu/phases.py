"""The phases of bench/gpu/run.sh: each is one program with a deadline, and leaves its part of the JSON file behind before the next
begins. The exit code is 0 when the device passed all of them."""

import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import provenance  # noqa: E402

DEADLINE_SECONDS = 480


def run(words):
    """Exit code (None: cut off) and output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=DEADLINE_SECONDS,
                              env=environment)
    except subprocess.TimeoutExpired as error:
        return None, (error.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout + done.stderr


def count(output, word):
    """Of GoogleTest's summary: '[  PASSED  ] 39 tests.'"""
    found = re.search(r"^\[ *" + word + r" *\] (\d+) test", output, re.MULTILINE)
    return int(found.group(1)) if found else 0


def test_phase(program):
    code, output = run([program])
    failed = re.findall(r"^\[ *FAILED *\] (\S+?),? ", output, re.MULTILINE)
    skipped = re.search(r": Skipped\n(.+)$", output, re.MULTILINE)
    return {"exit_code": code, "passed": count(output, "PASSED"), "skipped": count(output, "SKIPPED"),
            "why_skipped": skipped.group(1) if skipped else "", "failed": sorted(set(failed)),
            "end_of_output": "" if code == 0 else output[-3000:]}


def bench_phase(program, seconds):
    code, output = run([program, seconds])
    try:
        return {"exit_code": code, **json.loads(output)}
    except json.JSONDecodeError:
        return {"exit_code": code, "end_of_output": output[-3000:]}


def good(name, result):
    # A test that skips everything has shown nothing.
    return result["exit_code"] == 0 and (name == "kernels_measured" or (result["passed"] > 0 and result["skipped"] == 0))


def table(result):
    lines = [f"{'kernel':24} {'median':>10} {'TFLOP/s':>9} {'GB/s':>9} {'of bound':>9}"]
    for kernel in result.get("kernels", []):
        lines.append(f"{kernel['kernel']:24} {kernel['seconds'] * 1e6:8.1f}us {kernel['tflops']:9.2f} "
                     f"{kernel['gb_per_second']:9.1f} {kernel['of_bound'] * 100:8.1f}%")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", default="0.5")
    args = parser.parse_args()
    report = {"command": "bench/gpu/run.sh --json FILE", "date": datetime.date.today().isoformat(),
              "commit": provenance.commit(), "machine": provenance.machine(), "phases": {}}
    phases = {"kernels_checked": lambda: test_phase(args.programs / "cuda_kernels_test"),
              "collectives_checked": lambda: test_phase(args.programs / "comm_on_device_test"),
              "training_checked": lambda: test_phase(args.programs / "cuda_training_test"),
              "kernels_measured": lambda: bench_phase(args.programs / "gpu_bench", args.seconds)}
    passed = True
    for name, phase in phases.items():
        result = phase()
        report["phases"][name] = result
        passed &= good(name, result)
        args.json.write_text(json.dumps(report, indent=1) + "\n")
        print(f"{name}: {'passed' if good(name, result) else 'FAILED'}", flush=True)
        if name == "kernels_measured":
            print(table(result))
        elif not good(name, result):
            print(result["why_skipped"] or result["end_of_output"])
            if result["passed"] == 0 and result["skipped"] > 0:
                break  # no device
    sys.exit(0 if passed else 1)


main()
