#!/usr/bin/env python3
"""bench/train_bench.cc in PyTorch: the same model, work, arguments and output. One process, one thread, fp32.

The plainest fast formulation: rows sorted by expert and F.linear on contiguous slices, fused attention and RMSNorm where
this PyTorch has them, the fused or the foreach AdamW.

    train.py [name=value ...]      names and defaults: see DEFAULTS
"""

import inspect
import json
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F

DEFAULTS = dict(layers=4, hidden=128, ffn=256, heads=4, kv_heads=2, vocab=256, experts=8, top_k=2, sequences=8, length=128,
                steps=20, warmup=5)
INIT_STD, NORM_EPSILON, ROPE_THETA, BALANCE = 0.02, 1e-5, 10000.0, 0.01
LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0

HAS_SDPA = hasattr(F, "scaled_dot_product_attention")
HAS_RMS_NORM = hasattr(F, "rms_norm")


def settings_of(arguments):
    settings = dict(DEFAULTS)
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in settings or not value.isdigit() or int(value) < 1:
            raise SystemExit(f"'{argument}' is not NAME=NUMBER with a number of at least 1 and a name of: {' '.join(DEFAULTS)}")
        settings[name] = int(value)
    return settings


class RmsNorm(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, x):
        if HAS_RMS_NORM:
            return F.rms_norm(x, self.weight.shape, self.weight, NORM_EPSILON)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPSILON) * self.weight


def matrix(outputs, inputs, std):
    return torch.nn.Parameter(torch.randn(outputs, inputs) * std)


class Attention(torch.nn.Module):
    def __init__(self, s):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = s["heads"], s["kv_heads"], s["hidden"] // s["heads"]
        self.norm = RmsNorm(s["hidden"])
        self.qkv = matrix((self.heads + 2 * self.kv_heads) * self.head_dim, s["hidden"], INIT_STD)
        self.out = matrix(s["hidden"], s["hidden"], INIT_STD / math.sqrt(2 * s["layers"]))
        half = self.head_dim // 2
        angles = torch.outer(torch.arange(s["length"]).float(), ROPE_THETA ** (-torch.arange(half).float() / half))
        self.cos, self.sin = torch.cat([angles.cos()] * 2, -1), torch.cat([-angles.sin(), angles.sin()], -1)
        self.future = torch.full((s["length"], s["length"]), -math.inf).triu(1)

    def forward(self, x):
        batch, length, width = x.shape
        rows = F.linear(self.norm(x), self.qkv).view(batch, length, -1, self.head_dim).transpose(1, 2)
        turning, v = rows.split([self.heads + self.kv_heads, self.kv_heads], dim=1)
        turned = turning * self.cos + turning.roll(self.head_dim // 2, -1) * self.sin
        q, k = turned.split([self.heads, self.kv_heads], dim=1)
        groups = self.heads // self.kv_heads
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        if HAS_SDPA:
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = torch.matmul(q, k.transpose(-1, -2)) * (1 / math.sqrt(self.head_dim)) + self.future
            attended = torch.matmul(scores.softmax(-1), v)
        return x + F.linear(attended.transpose(1, 2).reshape(batch, length, width), self.out)


class Experts(torch.nn.Module):
    def __init__(self, s):
        super().__init__()
        self.top_k, self.experts = s["top_k"], s["experts"]
        self.norm = RmsNorm(s["hidden"])
        self.router = matrix(s["experts"], s["hidden"], INIT_STD)
        out_std = INIT_STD / math.sqrt(2 * s["layers"])
        self.up = torch.nn.ParameterList([matrix(2 * s["ffn"], s["hidden"], INIT_STD) for _ in range(s["experts"])])
        self.down = torch.nn.ParameterList([matrix(s["hidden"], s["ffn"], out_std) for _ in range(s["experts"])])

    def forward(self, x):
        batch, length, width = x.shape
        rows = self.norm(x).view(-1, width)
        probabilities = F.linear(rows, self.router).softmax(-1)
        weights, chosen = probabilities.topk(self.top_k, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)

        choices = chosen.view(-1)
        order = choices.argsort(stable=True)
        counts = torch.bincount(choices, minlength=self.experts).tolist()
        outputs = []
        for part, up, down in zip(rows.index_select(0, order // self.top_k).split(counts), self.up, self.down):
            gate, value = F.linear(part, up).chunk(2, -1)
            outputs.append(F.linear(F.silu(gate) * value, down))
        back = torch.empty_like(order)
        back[order] = torch.arange(order.numel())
        mixed = (torch.cat(outputs).index_select(0, back).view(-1, self.top_k, width) * weights.unsqueeze(-1)).sum(1)

        fractions = F.one_hot(chosen.view(batch, -1), self.experts).float().mean(1)
        balance = (fractions * probabilities.view(batch, length, -1).mean(1)).sum() * (BALANCE * self.experts / batch)
        return x + mixed.view(batch, length, width), balance


class Model(torch.nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embed = matrix(s["vocab"], s["hidden"], INIT_STD)
        self.layers = torch.nn.ModuleList([torch.nn.ModuleList([Attention(s), Experts(s)]) for _ in range(s["layers"])])
        self.norm = RmsNorm(s["hidden"])

    def forward(self, tokens, labels):
        x = F.embedding(tokens, self.embed)
        total_balance = 0.0
        for attention, experts in self.layers:
            x, balance = experts(attention(x))
            total_balance = total_balance + balance
        logits = F.linear(self.norm(x), self.embed)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), labels.view(-1)), total_balance


def make_optimizer(model):
    groups = [
        {"params": [p for p in model.parameters() if p.dim() == 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    options = dict(lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    if "fused" in inspect.signature(torch.optim.AdamW).parameters:
        try:
            optimizer = torch.optim.AdamW(groups, fused=True, **options)
            return optimizer, "fused"
        except RuntimeError:
            pass  # this version fuses on accelerators only
    return torch.optim.AdamW(groups, foreach=True, **options), "foreach"


def product_gflops(s):
    """The rate of one plain product of the model's size: what this PyTorch's BLAS makes of this processor."""
    rows = s["sequences"] * s["length"]
    x, w = torch.randn(rows, s["hidden"]), torch.randn(2 * s["ffn"], s["hidden"])
    seconds = []
    with torch.no_grad():
        for _ in range(30):
            begin = time.process_time()
            F.linear(x, w)
            seconds.append(time.process_time() - begin)
    return 2e-9 * rows * x.shape[1] * w.shape[0] / statistics.median(seconds)


def main(arguments):
    s = settings_of(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Model(s)
    parameters = list(model.parameters())
    optimizer, optimizer_kind = make_optimizer(model)
    wall, processor = [], []
    for step in range(s["warmup"] + s["steps"]):
        tokens = torch.randint(s["vocab"], (s["sequences"], s["length"]))
        labels = torch.randint(s["vocab"], (s["sequences"], s["length"]))
        processor_begin, wall_begin = time.process_time(), time.perf_counter()
        loss, balance = model(tokens, labels)
        optimizer.zero_grad(set_to_none=True)
        (loss + balance).backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        if step >= s["warmup"]:
            wall.append(time.perf_counter() - wall_begin)
            processor.append(time.process_time() - processor_begin)
    print(json.dumps({
        "program": f"pytorch {torch.__version__}",
        "settings": s,
        "parameters": sum(p.numel() for p in parameters),
        "tokens_per_step": s["sequences"] * s["length"],
        "wall_seconds": wall,
        "processor_seconds": processor,
        "loss": loss.item(),
        "product_gflops": product_gflops(s),
        "optimizer": optimizer_kind,
        "attention": "scaled_dot_product_attention" if HAS_SDPA else "matmul",
        "blas": next((line.strip() for line in torch.__config__.show().splitlines() if "BLAS_INFO" in line), "")
                .partition("BLAS_INFO=")[2].partition(",")[0],
    }))


if __name__ == "__main__":
    main(sys.argv[1:])
