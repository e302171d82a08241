"""The phases of bench/gpu/run.sh: each is one program with a deadline, and leaves its part of the JSON file behind before the next
begins. The exit code is 0 when the device passed all of them."""

import argparse
import datetime
import glob
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import provenance  # noqa: E402

DEADLINE_SECONDS = 480


def library_folders():
    """Where libcublasLt, libcudnn with the compiler that it calls, and libnccl may be beside the loader's own places: a CUDA toolkit's
    folders, and those of NVIDIA's Python packages, which PyTorch comes with. The newest major version first."""
    places = [pathlib.Path(place) for place in glob.glob("/usr/local/cuda*/lib*") + glob.glob("/usr/local/cuda*/targets/*/lib")]
    for packages in sys.path:
        places += pathlib.Path(packages or ".").glob("nvidia/*/lib")
    wanted = ("libcublasLt.so.13", "libcublasLt.so.12", "libcudnn.so.9", "libnvrtc.so.13", "libnvrtc.so.12", "libnccl.so.2")
    return [str(place) for name in wanted for place in places if (place / name).exists()]


def run(words, environment=None):
    """Exit code (None: cut off) and output. Without an environment, one for programs of ours."""
    if environment is None:
        folders = [folder for folder in (os.environ.get("LD_LIBRARY_PATH"), *library_folders()) if folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "LD_LIBRARY_PATH": ":".join(folders)}
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=DEADLINE_SECONDS,
                              env=environment)
    except subprocess.TimeoutExpired as error:
        return None, (error.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout + done.stderr


def count(output, word):
    """Of GoogleTest's summary: '[  PASSED  ] 39 tests.'"""
    found = re.search(r"^(?:rank 0: )?\[ *" + word + r" *\] (\d+) test", output, re.MULTILINE)
    return int(found.group(1)) if found else 0


def test_phase(*words):
    code, output = run(words)
    failed = re.findall(r"^(?:rank \d+: )?\[ *FAILED *\] (\S+?),? ", output, re.MULTILINE)
    skipped = re.search(r": Skipped\n(.+)$", output, re.MULTILINE)
    return {"exit_code": code, "passed": count(output, "PASSED"), "skipped": count(output, "SKIPPED"),
            "why_skipped": skipped.group(1) if skipped else "", "failed": sorted(set(failed)),
            "end_of_output": "" if code == 0 else output[-3000:]}


def bench_phase(words, environment=None):
    code, output = run(words, environment)
    try:
        # Libraries may have said something before.
        return {"exit_code": code, **json.loads(output[output.index("{"):output.rindex("}") + 1])}
    except ValueError:
        return {"exit_code": code, "end_of_output": output[-3000:]}


def experts_phase(program, seconds):
    """Weft's experts, and PyTorch's on the same device where it is installed."""
    result = bench_phase([program, seconds])
    if importlib.util.find_spec("torch") is None:
        result["pytorch"] = {"exit_code": None, "end_of_output": "PyTorch is not installed for this python3"}
    elif result["exit_code"] == 0:
        result["pytorch"] = bench_phase([sys.executable, ROOT / "bench" / "gpu" / "torch_grouped.py", seconds],
                                        dict(os.environ))  # it knows its own libraries
    return result


def ranks_phase(programs, ranks):
    """The suite of all communicators over NCCL, by processes that share the device."""
    script = ROOT / "tests" / "comm" / "nccl" / "on_one_device.sh"
    return test_phase("bash", script, programs / "comm_on_nccl_test", ranks)


def training_phase(program):
    """Training of the model that fills one H100, then of a smaller one by four ranks that exchange while they compute."""
    result = bench_phase([program])
    smaller = ["layers=4", "hidden=1024", "ffn=1024", "heads=8", "kv_heads=2", "experts=16", "sequences=1", "micro_batches=1"]
    result["four_ranks"] = bench_phase([program, "ranks=4", "degree=2", *smaller])
    result["four_ranks_uncut"] = bench_phase([program, "ranks=4", "degree=1", *smaller])
    codes = [result["exit_code"], result["four_ranks"]["exit_code"], result["four_ranks_uncut"]["exit_code"]]
    result["exit_code"] = next((code for code in codes if code != 0), 0)
    return result


def sanitizer_phase(programs):
    """compute-sanitizer over the order of rows, gathers and norms: every access of memory, on small shapes."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not pathlib.Path(tool).exists():
        return {"exit_code": None, "passed": 0, "skipped": 0, "why_skipped": "", "failed": [],
                "end_of_output": "compute-sanitizer is not installed here"}
    return test_phase(tool, "--error-exitcode", "9", programs / "cuda_kernels_test",
                      "--gtest_filter=*Order*:*Norms*:*Gather*:*Gate*:*Embedding*")


def good(name, result):
    # A test that skips everything has shown nothing.
    return result["exit_code"] == 0 and (name.endswith("_measured") or (result["passed"] > 0 and result["skipped"] == 0))


def table(result):
    lines = [f"{'kernel':24} {'median':>10} {'TFLOP/s':>9} {'GB/s':>9} {'of bound':>9}"]
    for kernel in result.get("kernels", []):
        lines.append(f"{kernel['kernel']:24} {kernel['seconds'] * 1e6:8.1f}us {kernel['tflops']:9.2f} "
                     f"{kernel['gb_per_second']:9.1f} {kernel['of_bound'] * 100:8.1f}%")
    return "\n".join(lines)


def experts_table(result):
    lines = [f"{'single product':40} {'TFLOP/s':>9} {'of bound':>9}"]
    for product in result.get("single", []):
        shape = f"{product['product']} {product['rows']} x {product['in']} x {product['out']}"
        lines.append(f"{shape:40} {product['tflops']:9.1f} {product['of_bound'] * 100:8.1f}%")
    lines.append(f"\n{'experts: tokens, hidden, width, E, k':40} {'load':9} {'by':18} {'forward':>8} {'backward':>9} TFLOP/s")
    pytorch = result.get("pytorch", {})
    for ours in result.get("layers", []):
        sizes = [ours[name] for name in ("tokens", "hidden", "width", "experts", "top_k", "load")]
        shape = ", ".join(str(size) for size in sizes[:-1])
        lines.append(f"{shape:40} {ours['load']:9} {'Weft, ' + ours['groups']:18} {ours['forward_tflops']:8.1f} "
                     f"{ours['backward_tflops']:9.1f}")
        for theirs in pytorch.get("layers", []):
            if ours["groups"] != "one_by_one" or [theirs[name] for name in
                                                  ("tokens", "hidden", "width", "experts", "top_k", "load")] != sizes:
                continue
            by = "PyTorch, fused" if theirs["fused"] else "PyTorch, eager"
            figures = (f"{theirs['forward_tflops']:8.1f} {theirs['backward_tflops']:9.1f}" if "error" not in theirs
                       else theirs["error"])
            lines.append(f"{shape:40} {ours['load']:9} {by:18} {figures}")
    if "layers" not in pytorch:
        lines.append(f"PyTorch: {pytorch.get('end_of_output', 'not run').strip() or 'said nothing'}")
    return "\n".join(lines)


def training_table(result):
    lines = []
    for what, run_of in (("one rank", result), ("four ranks, 2 chunks", result["four_ranks"]),
                         ("four ranks, uncut", result["four_ranks_uncut"])):
        if "tokens_per_second" not in run_of:
            lines.append(f"{what:22} {run_of.get('end_of_output', 'said nothing').strip()}")
            continue
        lines.append(f"{what:22} {run_of['tokens_per_second'] / 1e3:8.1f} k tokens/s, {run_of['mfu_of_790'] * 100:5.1f}% of 790, "
                     f"{run_of['mfu_of_989'] * 100:5.1f}% of 989 TFLOP/s, {run_of['overlap_share'] * 100:4.0f}% of exchanges beside compute")
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
              "products_checked": lambda: test_phase(args.programs / "cuda_products_test"),
              "attention_checked": lambda: test_phase(args.programs / "cuda_attention_test"),
              "collectives_checked": lambda: test_phase(args.programs / "comm_on_device_test"),
              "nccl_checked": lambda: test_phase(args.programs / "comm_on_nccl_test"),
              "nccl_of_2_checked": lambda: ranks_phase(args.programs, 2),
              "nccl_of_4_checked": lambda: ranks_phase(args.programs, 4),
              "training_checked": lambda: test_phase(args.programs / "cuda_training_test"),
              "kernels_measured": lambda: bench_phase([args.programs / "gpu_bench", args.seconds]),
              "experts_measured": lambda: experts_phase(args.programs / "moe_bench", args.seconds),
              "training_measured": lambda: training_phase(args.programs / "device_train_bench"),
              "memory_checked": lambda: sanitizer_phase(args.programs)}
    passed = True
    for name, phase in phases.items():
        result = phase()
        report["phases"][name] = result
        passed &= good(name, result)
        args.json.write_text(json.dumps(report, indent=1) + "\n")
        print(f"{name}: {'passed' if good(name, result) else 'FAILED'}", flush=True)
        if name == "kernels_measured":
            print(table(result))
        elif name == "experts_measured":
            print(experts_table(result))
        elif name == "training_measured":
            print(training_table(result))
        elif not good(name, result):
            print(result["why_skipped"] or result["end_of_output"])
            if result["passed"] == 0 and result["skipped"] > 0:
                break  # no device
    sys.exit(0 if passed else 1)


main()
