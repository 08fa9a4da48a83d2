"""Memory and traffic of tuning on many devices, on paper: prints the tables of docs/scaling.md.

    python benchmarks/scaling_table.py
    python benchmarks/scaling_table.py --devices 16 --bandwidth 25 --tokens 4096

The formulas stand in docs/scaling.md; here they are the functions `memory` and `traffic`. Nothing is measured.
"""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass

BITS = {"bf16": 2.0, "8bit": 1.1, "4bit": 0.6}
"""Bytes of a frozen weight, as in `bentsao.models.machine`; the embedding and the head stay in 16 bits."""
TRAINED = 16
"""Bytes of a trained weight: itself, its gradient and AdamW's two states, in float32."""
ACTIVATIONS = 50
"""Numbers kept for the backward per token, layer and unit of hidden size (measured, see `models.machine`)."""
CHUNK = 3 * (128 << 20)
"""A chunk of logits in float32, its exponentials and its gradient."""


@dataclass(frozen=True)
class Shape:
    """A decoder of the LLaMA kind. keys: of all key heads together; tied: one matrix for embedding and head."""

    name: str
    layers: int
    hidden: int
    inner: int
    keys: int
    queries: int
    vocabulary: int
    tied: bool = False

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of a layer's linear modules."""
        d, f = self.hidden, self.inner
        return [(d, self.queries), (d, self.keys), (d, self.keys), (self.queries, d), (d, f), (d, f), (f, d)]

    @property
    def layer(self) -> int:
        """Weights of a layer."""
        return sum(a * b for a, b in self.linears) + 2 * self.hidden

    @property
    def words(self) -> int:
        """Weights of embedding and head."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layers * self.layer + self.words

    def adapter(self, rank: int) -> int:
        """LoRA's weights on all linear modules."""
        return self.layers * sum(rank * (a + b) for a, b in self.linears)


SHAPES = (
    Shape("LLaMA-7B", 32, 4096, 11008, 4096, 4096, 32_000),
    Shape("Qwen3-8B", 36, 4096, 12288, 1024, 4096, 151_936),
    Shape("LLaMA-13B", 40, 5120, 13824, 5120, 5120, 32_000),
    Shape("Qwen3-32B", 64, 5120, 25600, 1024, 8192, 151_936),
    Shape("Llama-3-70B", 80, 8192, 28672, 1024, 8192, 128_256),
)

WAYS = ("QLoRA 4bit, DDP", "LoRA bf16, DDP", "LoRA bf16, shard", "full, DDP", "full, shard")


def memory(shape: Shape, way: str, devices: int, tokens: int, rank: int) -> float:
    """Bytes that a device holds at the peak of a step, with gradient checkpointing."""
    share = devices if "shard" in way else 1
    # What is put together at once: two layers (the next is fetched early), embedding and head, in 16 bits.
    gathered = 2 * (2 * shape.layer + shape.words) if share > 1 else 0
    if way.startswith("full"):
        gathered *= 2  # and their gradients, before they are scattered
    activations = 2 * tokens * shape.hidden * (shape.layers + ACTIVATIONS)
    if way.startswith("full"):
        # Autocast keeps 16-bit copies of what it computes with until the backward is over.
        copies = 2 * shape.parameters if share == 1 else 0
        return TRAINED * shape.parameters / share + copies + gathered + activations + CHUNK
    bits = BITS["4bit" if "4bit" in way else "bf16"]
    frozen = bits * shape.layers * shape.layer + 2 * shape.words
    return frozen / share + TRAINED * shape.adapter(rank) / share + gathered + activations + CHUNK


def traffic(shape: Shape, way: str, devices: int, rank: int, micro: int) -> float:
    """Bytes that a device sends in a step of `micro` micro-batches (and as many it receives)."""
    part = (devices - 1) / devices
    trained = shape.parameters if way.startswith("full") else shape.adapter(rank)
    if "shard" not in way:
        return 2 * part * 4 * trained  # gradients in float32, reduced and spread once a step
    # Layers put together for the forward and again for the backward, the rest once; gradients scattered each time.
    gathers = 2 * (2 * shape.layers * shape.layer + shape.words)
    return micro * part * (gathers + 4 * trained)


def work(shape: Shape, way: str, tokens: int, micro: int) -> float:
    """Floating-point operations of a device in a step: 2 a weight and token for each of forward, forward again
    (checkpointing), backward to the activations and, where the weights are tuned, to the weights.
    """
    return (8 if way.startswith("full") else 6) * shape.parameters * tokens * micro


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=8192, help="of one forward on a device")
    parser.add_argument("--micro", type=int, default=1, help="micro-batches of a step")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--bandwidth", type=float, default=450, help="GB/s that a device sends")
    parser.add_argument("--peak", type=float, default=400, help="TFLOP/s that a device reaches")
    given = parser.parse_args()
    print(
        f"{given.devices} devices, {given.tokens} tokens × {given.micro} a device and step, rank {given.rank}, "
        f"{given.bandwidth:g} GB/s, {given.peak:g} TFLOP/s\n"
    )
    print("| model | way | memory a device, GB | sent a step, GB | sending, s | computing, s |")
    print("|---|---|---|---|---|---|")
    for shape in SHAPES:
        for way in WAYS:
            held = memory(shape, way, given.devices, given.tokens, given.rank) / 1e9
            sent = traffic(shape, way, given.devices, given.rank, given.micro) / 1e9
            seconds = work(shape, way, given.tokens, given.micro) / (given.peak * 1e12)
            name = f"{shape.name} ({shape.parameters / 1e9:.1f}B)"
            print(f"| {name} | {way} | {held:.1f} | {sent:.2f} | {sent / given.bandwidth:.2f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
