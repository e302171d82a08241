"""The experts of whole MoE layers in PyTorch's grouped products (torch._grouped_mm), in bf16, forward and backward, at the shapes of
moe_bench. Prints one JSON object; TFLOP/s count the products' operations alone, as moe_bench's do.

usage: torch_grouped.py [SECONDS] [--device cpu --shapes tiny]   (of each measurement; 0.3)

The layer is written as PyTorch's own libraries write it: tokens sorted by expert, two grouped products with SwiGLU between them,
rows weighted and added up. Once as it is ("eager") and once with what stands between the products fused by torch.compile, where
that works. Gradients of weights are bf16 here, which is half of what moe_bench writes."""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as functional

# tokens, hidden, width, experts, top_k
SHAPES = {
    "published": [(24576, 1536, 256, 128, 8), (24576, 1536, 1024, 32, 2), (32768, 4096, 512, 128, 8), (32768, 4096, 1024, 64, 4),
                  (32768, 4096, 2048, 64, 4)],
    "tiny": [(64, 32, 16, 4, 2)],
}
WARM_UP, LEAST, MOST = 3, 5, 100


def grouped_mm(rows, matrices, ends):
    public = getattr(functional, "grouped_mm", None)
    return public(rows, matrices, offs=ends) if public else torch._grouped_mm(rows, matrices, offs=ends)


def swiglu(both):
    gate, up = both.chunk(2, dim=-1)
    return functional.silu(gate) * up


def combine(out, slot, weights):
    return (out[slot].view(*weights.shape, -1) * weights.unsqueeze(-1)).sum(dim=1)


class Experts:
    def __init__(self, shape, load, device, fused):
        tokens, hidden, width, experts, top_k = shape
        generator = torch.Generator(device="cpu").manual_seed(1)
        if load == "balanced":
            chosen = (torch.arange(tokens * top_k) % experts).view(tokens, top_k)
        else:
            chosen = torch.rand(tokens, experts, generator=generator).topk(top_k, dim=1).indices
        order = chosen.flatten().argsort(stable=True)
        slot = torch.empty_like(order)
        slot[order] = torch.arange(order.numel())
        rows = torch.bincount(chosen.flatten(), minlength=experts)
        self.token = (order // top_k).to(device)
        self.slot = slot.to(device)
        self.ends = rows.cumsum(0).to(torch.int32).to(device)

        def numbers(*sizes, scale=1.0):
            return (torch.rand(*sizes, device=device) * 2 - 1).mul_(scale).to(torch.bfloat16).requires_grad_()

        self.x = numbers(tokens, hidden)
        self.dy = numbers(tokens, hidden).detach()
        self.weights = numbers(tokens, top_k)
        self.gate_up = numbers(experts, 2 * width, hidden, scale=0.05)
        self.down = numbers(experts, hidden, width, scale=0.05)
        self.leaves = [self.x, self.weights, self.gate_up, self.down]
        if fused:
            torch.compiler.reset()  # for these sizes alone, not for any
        self.swiglu = torch.compile(swiglu, dynamic=False) if fused else swiglu
        self.combine = torch.compile(combine, dynamic=False) if fused else combine

    def forward(self):
        rows = self.x[self.token]
        active = self.swiglu(grouped_mm(rows, self.gate_up.transpose(-2, -1), self.ends))
        out = grouped_mm(active, self.down.transpose(-2, -1), self.ends)
        return self.combine(out, self.slot, self.weights)

    def backward(self, y):
        return torch.autograd.grad(y, self.leaves, self.dy, retain_graph=True)

    def expected(self):
        """Expert by expert, in fp32."""
        out = torch.zeros(self.token.numel(), self.x.shape[1], device=self.x.device)
        begin = 0
        for expert, end in enumerate(self.ends.tolist()):
            rows = self.x.detach()[self.token[begin:end]].float()
            active = swiglu(rows @ self.gate_up.detach()[expert].float().T)
            out[begin:end] = active @ self.down.detach()[expert].float().T
            begin = end
        return combine(out, self.slot, self.weights.detach().float())


def measure(run, seconds, cuda):
    """Median seconds, by the device's clock where there is one."""
    def once():
        if not cuda:
            begin = time.perf_counter()
            run()
            return lambda: time.perf_counter() - begin
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        return lambda: begin.elapsed_time(end) * 1e-3

    def times(rounds):
        pending = [once() for _ in range(rounds)]
        if cuda:
            torch.cuda.synchronize()
        return [seconds_of() for seconds_of in pending]

    last = max(times(WARM_UP)[-1], 1e-6)
    return statistics.median(times(min(max(int(seconds / last), LEAST), MOST)))


def layer(shape, load, device, fused, seconds):
    tokens, hidden, width, experts, top_k = shape
    result = {"tokens": tokens, "hidden": hidden, "width": width, "experts": experts, "top_k": top_k, "load": load,
              "fused": fused}
    cuda = device == "cuda"
    flops = 6.0 * tokens * top_k * hidden * width
    try:
        model = Experts(shape, load, device, fused)
        y = model.forward()
        with torch.no_grad():
            expected = model.expected()
            result["relative_error"] = float((y.float() - expected).norm() / expected.norm())
            del expected
        result["forward_seconds"] = measure(model.forward, seconds, cuda)
        result["backward_seconds"] = measure(lambda: model.backward(y), seconds, cuda)
        result["forward_tflops"] = flops / result["forward_seconds"] * 1e-12
        result["backward_tflops"] = 2 * flops / result["backward_seconds"] * 1e-12
    except Exception as error:  # another version of PyTorch, another device: say it and go on
        result["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if cuda:
        torch.cuda.empty_cache()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=0.3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", default="published", choices=SHAPES)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch_grouped: this PyTorch sees no CUDA device")
    name = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    layers = [layer(shape, load, args.device, fused, args.seconds)
              for shape in SHAPES[args.shapes] for load in ("balanced", "random") for fused in (False, True)]
    print(json.dumps({"device": name, "torch": torch.__version__, "layers": layers}, indent=1))


main()
