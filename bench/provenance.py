"""Where a recorded figure comes from: what every bench script builds, and says of its machine and of the code that it measured."""

import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def machine():
    names = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {platform.platform()}"


def commit():
    say = lambda *words: subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()
    return say("rev-parse", "--short=12", "HEAD") + ("+changes" if say("status", "--porcelain") else "")


def build(*targets):
    subprocess.run(["cmake", "--preset", "release", "--log-level=WARNING"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "release", "--target", *targets, "--", "--quiet"], cwd=ROOT, check=True,
                   stdout=sys.stderr)
