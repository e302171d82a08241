"""The mathematics of Weft's models, as plainly as PyTorch allows: float64, autograd, every expert on every token.

Nothing here is fast and nothing is shared with the C++ code: a mistake would have to be made twice, in two different
formulations, to go unnoticed. Parameters are a dict of tensors under the names of models/parameters.h; linear weights
are [out, in].
"""

import dataclasses
import math

import torch
import torch.nn.functional as F


@dataclasses.dataclass
class Spec:
    """The fields of models/model_spec.h that change the mathematics."""

    backbone: str  # "gpt2" or "mixtral"
    vocab_size: int
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    ffn_hidden_size: int
    max_sequence_length: int
    num_experts: int
    top_k: int
    every: int
    renormalize: bool
    balance_loss: float
    capacity_factor: float  # 0: dropless
    norm_epsilon: float = 1e-5
    rope_theta: float = 10000.0
    shared_experts: int = 0

    @property
    def gpt2(self):
        return self.backbone == "gpt2"

    @property
    def head_dim(self):
        return self.hidden_size // self.num_heads

    def is_moe_layer(self, layer):
        return (layer + 1) % self.every == 0


def parameter_shapes(spec):
    """Name -> shape of every parameter of the whole model."""
    width, ffn = spec.hidden_size, spec.ffn_hidden_size
    shapes = {"embed.weight": (spec.vocab_size, width)}

    def norm(name):
        shapes[name + ".weight"] = (width,)
        if spec.gpt2:
            shapes[name + ".bias"] = (width,)

    def linear(name, outputs, inputs):
        shapes[name + ".weight"] = (outputs, inputs)
        if spec.gpt2:
            shapes[name + ".bias"] = (outputs,)

    def feed_forward(name, units=ffn):
        linear(name + ".in", units if spec.gpt2 else 2 * units, width)
        linear(name + ".out", width, units)

    if spec.gpt2:
        shapes["positions.weight"] = (spec.max_sequence_length, width)
    norm("final_norm")
    for i in range(spec.num_layers):
        layer = f"layers.{i}."
        norm(layer + "attn_norm")
        linear(layer + "attn.qkv", (spec.num_heads + 2 * spec.num_kv_heads) * spec.head_dim, width)
        linear(layer + "attn.out", width, width)
        norm(layer + "ffn_norm")
        if spec.is_moe_layer(i):
            shapes[layer + "router.weight"] = (spec.num_experts, width)
            for e in range(spec.num_experts):
                feed_forward(f"{layer}experts.{e}")
            if spec.shared_experts > 0:
                feed_forward(layer + "shared_experts", spec.shared_experts * ffn)
        else:
            feed_forward(layer + "ffn")
    return shapes


class Model:
    """One forward pass over x [sequences, length, hidden], with what the tests look at beside the loss."""

    def __init__(self, spec, parameters):
        self.spec = spec
        self.p = parameters
        self.balance = None  # sum over layers
        self.rows = {}  # MoE layer -> [experts]: choices that got a row
        self.margin = math.inf  # smallest distance, in log probability, of a chosen expert from the best not chosen

    def logits(self, tokens):
        spec, p = self.spec, self.p
        self.balance = torch.zeros((), dtype=torch.float64)
        x = p["embed.weight"][tokens]
        if spec.gpt2:
            x = x + p["positions.weight"][: tokens.shape[1]]
        for i in range(spec.num_layers):
            layer = f"layers.{i}."
            x = x + self.attention(layer + "attn", self.norm(layer + "attn_norm", x))
            normed = self.norm(layer + "ffn_norm", x)
            x = x + (self.experts(i, normed) if spec.is_moe_layer(i) else self.feed_forward(layer + "ffn", normed))
        return self.norm("final_norm", x) @ p["embed.weight"].T

    def loss(self, logits, labels):
        """Cross entropy, mean over all tokens; the training loss is this plus self.balance."""
        log_p = F.log_softmax(logits, dim=-1)
        return -log_p.gather(-1, labels.unsqueeze(-1)).mean()

    def norm(self, name, x):
        weight = self.p[name + ".weight"]
        if self.spec.gpt2:
            return F.layer_norm(x, x.shape[-1:], weight, self.p[name + ".bias"], self.spec.norm_epsilon)
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.spec.norm_epsilon) * weight

    def linear(self, name, x):
        return F.linear(x, self.p[name + ".weight"], self.p.get(name + ".bias"))

    def feed_forward(self, name, x):
        pre = self.linear(name + ".in", x)
        if self.spec.gpt2:
            hidden = F.gelu(pre, approximate="tanh")
        else:
            gate, up = pre.chunk(2, dim=-1)
            hidden = F.silu(gate) * up
        return self.linear(name + ".out", hidden)

    def attention(self, name, x):
        spec = self.spec
        sequences, length, _ = x.shape
        sizes = [spec.num_heads * spec.head_dim] + 2 * [spec.num_kv_heads * spec.head_dim]
        q, k, v = (
            part.view(sequences, length, -1, spec.head_dim).transpose(1, 2)
            for part in self.linear(name + ".qkv", x).split(sizes, dim=-1)
        )
        if not spec.gpt2:
            q, k = self.rotate(q), self.rotate(k)
        k, v = (part.repeat_interleave(spec.num_heads // spec.num_kv_heads, dim=1) for part in (k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(spec.head_dim)
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        attended = scores.masked_fill(future, -math.inf).softmax(-1) @ v
        return self.linear(name + ".out", attended.transpose(1, 2).reshape(sequences, length, -1))

    def rotate(self, x):
        """x [sequences, heads, length, head_dim]: the pair (x[i], x[i + half]) is a complex number that turns."""
        half = x.shape[-1] // 2
        frequencies = self.spec.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.outer(torch.arange(x.shape[-2], dtype=torch.float64), frequencies)
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([turned.real, turned.imag], dim=-1)

    def experts(self, layer, x):
        spec = self.spec
        probabilities = self.linear(f"layers.{layer}.router", x).softmax(-1)  # [sequences, length, experts]
        ranked = probabilities.sort(dim=-1, descending=True, stable=True)
        if spec.top_k < spec.num_experts:
            gap = ranked.values[..., spec.top_k - 1].log() - ranked.values[..., spec.top_k].log()
            self.margin = min(self.margin, gap.min().item())
        chosen = torch.zeros_like(probabilities).scatter(-1, ranked.indices[..., : spec.top_k], 1.0)
        weights = probabilities * chosen
        if spec.renormalize:
            weights = weights / weights.sum(-1, keepdim=True)

        # Switch Transformer, eq. 4, per sequence; a choice counts whether or not it finds a place.
        fractions = chosen.mean(1) / spec.top_k
        per_sequence = (fractions * probabilities.mean(1)).sum(-1)
        self.balance = self.balance + spec.balance_loss * spec.num_experts * per_sequence.mean()

        if spec.capacity_factor > 0:
            capacity = math.ceil(spec.capacity_factor * spec.top_k * x.shape[1] / spec.num_experts)
            chosen = chosen * (chosen.cumsum(1) <= capacity)
        self.rows[layer] = chosen.sum((0, 1))
        outputs = torch.stack([self.feed_forward(f"layers.{layer}.experts.{e}", x) for e in range(spec.num_experts)], -1)
        y = (outputs * (weights * chosen).unsqueeze(-2)).sum(-1)
        return y + self.feed_forward(f"layers.{layer}.shared_experts", x) if spec.shared_experts > 0 else y
