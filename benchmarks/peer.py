"""What a PyTorch user would train instead: `nn.TransformerEncoder` of the same sizes, without relative positions.

Adam, dropout, bfloat16 autocast, a loss on the first token; eager, and through `torch.compile`. It runs in its own
process (`python -m benchmarks.peer JSON`), so that it shares no memory with JAX. PyTorch comes with the extra `peer`.
"""

import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from benchmarks.results import Row
from benchmarks.timing import Timing, measure
from benchmarks.training import model_config
from benchmarks.workloads import workload

MISSING = (
    "No PyTorch peer in the table: torch is not installed; pip install 'torch>=2.9', or this project's extra 'peer'."
)
ANSWERS = 22


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the peer's model and batch."""

    sequences: int
    tokens: int
    token: int
    layers: int
    heads: int
    width: int
    hidden: int
    dropout: float
    bfloat16: bool
    compiled: bool
    repeats: int


def sizes(config: ConfigDict, *, compiled: bool, repeats: int) -> Sizes:
    model = model_config(config)
    return Sizes(
        sequences=sum(workload(config.task).sequences(config).values()),
        tokens=model.tokens,
        token=model.token,
        layers=model.layers,
        heads=model.heads,
        width=model.width,
        hidden=model.hidden,
        dropout=model.dropout,
        bfloat16=model.dtype == "bfloat16",
        compiled=compiled,
        repeats=repeats,
    )


def rows(config: ConfigDict, case: dict[str, str | int], repeats: int) -> Iterator[Row]:
    """The peer's step next to ours, eager and compiled; none, and a line that says why, if PyTorch is missing."""
    if importlib.util.find_spec("torch") is None:
        print(MISSING, file=sys.stderr)
        return
    for compiled in (False, True):
        argument = json.dumps(dataclasses.asdict(sizes(config, compiled=compiled, repeats=repeats)))
        done = subprocess.run([sys.executable, "-m", "benchmarks.peer", argument], capture_output=True, text=True)
        name = "compiled" if compiled else "eager"
        if done.returncode:
            print(f"The {name} PyTorch peer failed:\n{done.stderr[-2000:]}", file=sys.stderr)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        timing = Timing(**found["timing"])
        tokens = int(case["sequences"]) * int(case["T"])
        figures = {"tokens_per_second": tokens / timing.median, "device peak_bytes": found["device_peak_bytes"]}
        yield Row({"program": "PyTorch", "path": name} | case, timing, figures=figures)


def train(sizes: Sizes) -> dict[str, Any]:
    """Times training steps; returns the timing and the peak bytes in use on the GPU."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    class Peer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.projection = torch.nn.Linear(sizes.token, sizes.width)
            layer = torch.nn.TransformerEncoderLayer(
                sizes.width, sizes.heads, sizes.hidden, sizes.dropout, batch_first=True, norm_first=True
            )
            self.encoder = torch.nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False)
            self.answer = torch.nn.Linear(sizes.width, ANSWERS)

        def forward(self, tokens_BxTxP: torch.Tensor) -> torch.Tensor:
            return self.answer(self.encoder(self.projection(tokens_BxTxP))[:, 0])

    torch.manual_seed(0)
    model = Peer().to(device).train()
    forward = torch.compile(model) if sizes.compiled else model
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    tokens_BxTxP = torch.randn(sizes.sequences, sizes.tokens, sizes.token, device=device)
    answers_B = torch.randint(ANSWERS, (sizes.sequences,), device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=sizes.bfloat16):
            logits_BxA = forward(tokens_BxTxP)
        torch.nn.functional.cross_entropy(logits_BxA.float(), answers_B).backward()
        optimizer.step()

    cuda = device.type == "cuda"
    timing = measure(step, repeats=sizes.repeats, wait=lambda _: torch.cuda.synchronize() if cuda else None)
    peak = torch.cuda.max_memory_allocated() if cuda else None
    return {"timing": dataclasses.asdict(timing), "device_peak_bytes": peak}


if __name__ == "__main__":
    print(json.dumps(train(Sizes(**json.loads(sys.argv[1])))))
