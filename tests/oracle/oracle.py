#!/usr/bin/python3
"""Writes the fixtures that tests/models/oracle_test.cc holds the C++ models against, or compares two sets of them.

    oracle.py write DIRECTORY
    oracle.py compare DIRECTORY DIRECTORY

A fixture is one small training run: metadata (the model, the batch, the optimizer) and
    tokens, labels            [steps, sequences, length]
    init/NAME                 every parameter at the start
    logits, rows/LAYER        of the first step: [sequences, length, vocab], choices with a row per expert
    grad/NAME                 of the first step, before clipping
    loss, balance,            [steps]: mean cross entropy, sum of the layers' balance losses,
    gradient_norm, learning_rate         norm before clipping, rate of each update
    final/NAME                every parameter after the last step
"""

import dataclasses
import math
import pathlib
import sys

import numpy as np
import torch

import safetensors_file
from reference_model import Model, Spec, parameter_shapes

STEPS = 10
# Below this, rounding in fp32 may choose another expert than float64 does: take another seed.
SMALLEST_MARGIN = 3e-4
TOLERANCE = 1e-6


@dataclasses.dataclass
class Optimizer:
    """runtime/options.h. Epsilon is large on purpose: where a gradient is zero but for rounding (the bias of the keys,
    for one), m / sqrt(v) is the sign of noise, and only epsilon keeps that out of the parameters."""

    learning_rate: float = 3e-3
    min_learning_rate: float = 5e-4
    warmup_steps: int = 3
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-4
    weight_decay: float = 0.1
    gradient_clip: float = 1.0

    def rate(self, step):
        """Linear over the warm-up, its last step being the peak; then half a cosine that would end at STEPS."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / (STEPS - self.warmup_steps)
        floor = self.min_learning_rate
        return floor + (self.learning_rate - floor) * (1 + math.cos(math.pi * progress)) / 2


@dataclasses.dataclass
class Case:
    seed: int
    spec: Spec
    sequences: int  # per micro-batch
    length: int
    micro_batches: int
    optimizer: Optimizer


def cases():
    base = dict(vocab_size=29, hidden_size=16, num_heads=4, max_sequence_length=12, top_k=2, balance_loss=0.02)
    gpt2 = dict(base, backbone="gpt2", num_kv_heads=4)
    mixtral = dict(base, backbone="mixtral", num_kv_heads=2)
    return {
        "gpt2_every_layer": Case(
            1,
            Spec(num_layers=2, ffn_hidden_size=20, num_experts=4, every=1, renormalize=True, capacity_factor=0, **gpt2),
            sequences=3, length=10, micro_batches=1, optimizer=Optimizer(gradient_clip=2.6),
        ),
        "gpt2_plain_weights": Case(
            1,
            Spec(num_layers=3, ffn_hidden_size=20, num_experts=5, every=2, renormalize=False, capacity_factor=0, **gpt2),
            sequences=2, length=9, micro_batches=2, optimizer=Optimizer(gradient_clip=0),
        ),
        "mixtral_second_layer": Case(
            2,
            Spec(num_layers=3, ffn_hidden_size=12, num_experts=8, every=2, renormalize=True, capacity_factor=0, **mixtral),
            sequences=2, length=11, micro_batches=2, optimizer=Optimizer(gradient_clip=3.0),
        ),
        "mixtral_capacity": Case(
            1,
            Spec(num_layers=2, ffn_hidden_size=16, num_experts=4, every=1, renormalize=True, capacity_factor=0.9, **mixtral),
            sequences=3, length=12, micro_batches=1, optimizer=Optimizer(),
        ),
        "mixtral_plain_capacity": Case(
            2,
            Spec(num_layers=2, ffn_hidden_size=8, num_experts=6, every=1, renormalize=False, capacity_factor=1.1, **mixtral),
            sequences=2, length=12, micro_batches=2, optimizer=Optimizer(),
        ),
        "mixtral_shared_experts": Case(
            2,
            Spec(num_layers=3, ffn_hidden_size=12, num_experts=6, every=2, renormalize=False, capacity_factor=0,
                 shared_experts=2, **mixtral),
            sequences=2, length=11, micro_batches=2, optimizer=Optimizer(gradient_clip=3.0),
        ),
        "gpt2_shared_expert": Case(
            1,
            Spec(num_layers=2, ffn_hidden_size=20, num_experts=4, every=1, renormalize=True, capacity_factor=0.9,
                 shared_experts=1, **gpt2),
            sequences=3, length=10, micro_batches=1, optimizer=Optimizer(),
        ),
    }


def initial_parameters(spec, random):
    """Far from zero and one everywhere, so that no term of any gradient can hide; rounded to what fp32 holds."""
    parameters = {}
    for name, shape in parameter_shapes(spec).items():
        values = random.standard_normal(shape) * (0.3 if len(shape) == 2 else 0.1)
        if name.endswith("norm.weight"):
            values += 1
        parameters[name] = torch.tensor(values.astype(np.float32).astype(np.float64), requires_grad=True)
    return parameters


def clip(parameters, limit):
    """The norm before clipping; gradients are scaled in place."""
    norm = math.sqrt(sum((p.grad * p.grad).sum().item() for p in parameters.values()))
    if 0 < limit < norm:
        for p in parameters.values():
            p.grad.mul_(limit / norm)
    return norm


def run(case):
    """Name -> array of everything in the fixture."""
    spec, settings = case.spec, case.optimizer
    random = np.random.default_rng(case.seed)
    shape = (STEPS, case.sequences * case.micro_batches, case.length)
    tokens = random.integers(0, spec.vocab_size, shape, dtype=np.int32)
    labels = random.integers(0, spec.vocab_size, shape, dtype=np.int32)
    p = initial_parameters(spec, random)
    out = {"tokens": tokens, "labels": labels}

    def keep(prefix, tensors):
        for name, tensor in tensors.items():
            out[prefix + name] = tensor.detach().numpy().astype(np.float32)

    keep("init/", p)
    optimizer = torch.optim.AdamW(
        [
            {"params": [t for t in p.values() if t.dim() == 2], "weight_decay": settings.weight_decay},
            {"params": [t for t in p.values() if t.dim() == 1], "weight_decay": 0.0},
        ],
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
    )
    series = {"loss": [], "balance": [], "gradient_norm": [], "learning_rate": []}
    for step in range(STEPS):
        model = Model(spec, p)
        logits = model.logits(torch.from_numpy(tokens[step]).long())
        loss = model.loss(logits, torch.from_numpy(labels[step]).long())
        optimizer.zero_grad()
        (loss + model.balance).backward()
        if model.margin < SMALLEST_MARGIN:
            raise SystemExit(f"{case}: an expert is chosen by a margin of only {model.margin:.1e}; take another seed")
        if step == 0:
            out["logits"] = logits.detach().numpy().astype(np.float32)
            for layer, rows in model.rows.items():
                out[f"rows/{layer}"] = rows.numpy().astype(np.int32)
            keep("grad/", {name: tensor.grad for name, tensor in p.items()})
        series["loss"].append(loss.item())
        series["balance"].append(model.balance.item())
        series["gradient_norm"].append(clip(p, settings.gradient_clip))
        series["learning_rate"].append(settings.rate(step))
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        optimizer.step()
    keep("final/", p)
    out.update({name: np.array(values, dtype=np.float64) for name, values in series.items()})
    return out


def metadata(case):
    fields = {**dataclasses.asdict(case.spec), **dataclasses.asdict(case.optimizer)}
    fields.update(sequences=case.sequences, length=case.length, micro_batches=case.micro_batches, steps=STEPS)
    return {name: str(int(value) if isinstance(value, bool) else value) for name, value in fields.items()}


def write(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, case in cases().items():
        safetensors_file.save(directory / f"{name}.safetensors", run(case), metadata(case))


def difference(ours, theirs):
    """max |difference| / max |value|, or exact for integers; infinite when they are not comparable."""
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return math.inf
    if ours.dtype.kind == "i":
        return 0.0 if np.array_equal(ours, theirs) else math.inf
    largest = np.abs(theirs).max()
    return float(np.abs(ours - theirs).max() / largest) if largest > 0 else float(np.abs(ours).max())


def compare(left, right):
    """The number of differences between two directories, each printed."""
    names = sorted({f.name for d in (left, right) for f in d.glob("*.safetensors")})
    failures = 0 if names else 1
    for name in names:
        if not (left / name).exists() or not (right / name).exists():
            print(f"{name}: in one directory only")
            failures += 1
            continue
        (ours, our_metadata), (theirs, their_metadata) = (safetensors_file.load(d / name) for d in (left, right))
        worst = 0.0
        for tensor in sorted(set(ours) | set(theirs)):
            gap = difference(ours[tensor], theirs[tensor]) if tensor in ours and tensor in theirs else math.inf
            worst = max(worst, gap)
            if not gap <= TOLERANCE:
                print(f"{name}: {tensor} differs by {gap:.2e} of its largest value (allowed {TOLERANCE:.0e})")
                failures += 1
        if our_metadata != their_metadata:
            print(f"{name}: the metadata differ")
            failures += 1
        print(f"{name}: {len(theirs)} tensors, largest difference {worst:.1e}")
    return failures


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "write":
        write(pathlib.Path(arguments[1]))
        return 0
    if len(arguments) == 3 and arguments[0] == "compare":
        return 1 if compare(pathlib.Path(arguments[1]), pathlib.Path(arguments[2])) else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
