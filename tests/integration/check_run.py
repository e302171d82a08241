"""Judges what a run left behind. Prints nothing and returns 0, or says what is wrong and returns 1.

usage: check_run.py summary RUN STEPS FIELD...
       check_run.py learned RUN STEPS
       check_run.py traces RUN WORLD_SIZE
       check_run.py exit RUN EXIT_CODE RANK
       check_run.py status FILE CONDITION     a python expression over `status`
       check_run.py losses RUN                prints step and loss of every step
"""

import json
import math
import os
import sys


def load(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return json.load(file)


def need(condition, what):
    if not condition:
        sys.exit(f"check_run: {what}")


def steps_of(run):
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as file:
        return [line for line in map(json.loads, file) if "loss" in line]


def summary(run, steps, *fields):
    got = load(run, "summary.json")
    need(set(got) == set(fields), f"summary.json has {sorted(got)}, not {sorted(fields)}")
    policies = got.pop("comparison")
    need([policy["policy"] for policy in policies] == ["sequential", "weft"], f"compared: {policies}")
    for policy in policies:
        need(len(policy["rounds"]) == 2, f"not two rounds: {policy}")
        need(0 < policy["bound_seconds"] == max(policy["busy_seconds"].values()), f"odd bound: {policy}")
    for switch in got.pop("plan_switches"):
        need(0 < switch["plan_epoch"] <= got["plan_epoch"], f"a switch to another plan: {switch}")
        need(0 < switch["predicted_gain_seconds"], f"a switch without a promise: {switch}")
    remembered = got.pop("plans_by_load")
    need(len(remembered) >= 1, "no plan was measured under any load")
    for one in remembered:
        need(1 <= one["busiest_rank_from"] < one["busiest_rank_to"], f"an odd load: {one}")
        need(0 <= one["plan_epoch"] <= got["plan_epoch"], f"a plan that never ran: {one}")
        need(one["steps"] >= 1 and one["step_seconds"] > 0, f"no measurement: {one}")
    considered = got.pop("plans_considered")
    need(sum(one["runs"] for one in considered) == 1, f"not one plan runs: {considered}")
    for one in considered:
        need(one["predicted_seconds"] > 0, f"no prediction: {one}")
        need(one["degrees"] and min(one["degrees"]) >= 1, f"odd degrees: {one}")
        p90 = one["predicted_p90_seconds"]
        need(p90 is None or p90 > 0, f"odd prediction: {one}")
        measured = one["measured_seconds"]
        need(measured > 0 if "measured_steps" in one else measured is None, f"odd measurement: {one}")
    for name, value in got.items():
        need(isinstance(value, (int, float)) and math.isfinite(value), f"{name} is {value}")
        need(value >= 0, f"{name} is {value}")
    need(got["steps"] == int(steps), f"steps is {got['steps']}, not {steps}")
    need(got["world_size"] == 4, f"world_size is {got['world_size']}")
    need(got["exit_code"] == 0 and not got["stopped"], "it did not end well")
    for name in ("tokens_per_second", "predicted_step_seconds", "measured_step_seconds",
                 "val_bits_per_byte", "exposed_communication_seconds"):
        need(got[name] > 0, f"{name} is {got[name]}")
    need(got["bigram_bits_per_byte"] < got["unigram_bits_per_byte"] < 8, "odd text statistics")
    need(got["val_bits_per_byte"] < 6, "nothing was learned")
    need(0 < got["overlap_fraction"] <= 1, f"overlap_fraction is {got['overlap_fraction']}")
    # Links of 100 us: a step of dozens of transfers takes milliseconds, never minutes.
    need(1e-3 < got["predicted_step_seconds"] < 60, "an odd prediction")


def learned(run, steps):
    lines = steps_of(run)
    need([line["step"] for line in lines] == list(range(1, int(steps) + 1)),
         f"steps {[line['step'] for line in lines]}")
    values = [line["loss"] for line in lines]
    need(all(math.isfinite(value) for value in values), f"losses {values}")
    need(sum(values[-5:]) / 5 < 0.8 * values[0], f"the loss does not fall: {values}")


def overlap(first, second):
    """Time that intervals of the one list, sorted and disjoint, share with those of the other."""
    shared, i, j = 0.0, 0, 0
    while i < len(first) and j < len(second):
        shared += max(0.0, min(first[i][1], second[j][1]) - max(first[i][0], second[j][0]))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return shared


def traces(run, world_size):
    most = 0.0
    for rank in range(int(world_size)):
        trace = load(run, f"trace-rank{rank}.json")
        info = trace["distributedInfo"]
        need(info == {"rank": rank, "world_size": int(world_size), "backend": "mpi"},
             f"rank {rank}: distributedInfo is {info}")
        lanes = {"compute": [], "intra": [], "inter": []}
        for event in trace["traceEvents"]:
            if event["ph"] != "X":
                continue
            # The start of a transfer is the wait for the others to come.
            begin = event["ts"] + event["args"]["wait"]
            end = event["ts"] + event["dur"]
            need(event["ts"] <= begin <= end + 1e-3, f"rank {rank}: {event}")
            lanes[event["cat"]].append((begin, end))
        need(all(lanes.values()), f"rank {rank} has an empty lane")
        for name, events in lanes.items():
            events.sort()
            for before, after in zip(events, events[1:]):
                need(before[1] <= after[0] + 1e-3, f"rank {rank}: {name} runs two tasks at a time")
        most = max(most, overlap(lanes["inter"], lanes["compute"]))
    need(most > 0, "no inter-node transfer ran beside compute on any rank")


def exit_file(run, exit_code, rank):
    got = load(run, "exit.json")
    need(got["exit_code"] == int(exit_code), f"exit.json: {got}")
    need(got["rank"] == int(rank), f"exit.json: {got}")
    need(got["reason"].strip(), f"exit.json: {got}")


def status(file, condition):
    # The condition is written in the test that calls this.
    sys.exit(0 if eval(condition, {"status": load(file)}) else 1)  # pylint: disable=eval-used


def losses(run):
    for line in steps_of(run):
        print(line["step"], line["loss"].hex())


CHECKS = {"summary": summary, "learned": learned, "traces": traces, "exit": exit_file,
          "status": status, "losses": losses}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](*sys.argv[2:])
