"""Time the bare backbone, encoding and reasoning on one model, in one run.

    python tests/benchmarks/bench_reason.py [--checkpoint DIR] [--rounds N]

Encoding starts from a decoded array; reasoning applies an edit of 20 patches. The three take turns,
so that whatever else the computer does meets them alike.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from timing import milliseconds

ROOT = Path(__file__).parents[2]
CELLS = 20
REASONS_PER_ROUND = 20
TARGET_REASON, TARGET_ENCODE = 1 / 30, 1.3  # of encoding, of the backbone


def main() -> None:
    """Load, warm up, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint", type=Path, default=ROOT / "checkpoints" / "dermoscopy-phantom"
    )
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    import csr_core

    reasoner = csr_core.load(arguments.checkpoint)
    size = reasoner.network.config.image_size
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    tensor = torch.rand(1, 3, size, size)
    case = reasoner.encode(image)
    rows, columns = reasoner.grid
    cells = [divmod(index * 7 % (rows * columns), columns) for index in range(CELLS)]
    edit = csr_core.Suppress(0, cells)

    @torch.inference_mode()
    def backbone() -> None:
        reasoner.network.backbone(tensor)

    times: dict[str, list[float]] = {"backbone": [], "encode": [], "reason": []}
    for measured in [False] * 3 + [True] * arguments.rounds:
        found = {
            "backbone": [milliseconds(backbone)],
            "encode": [milliseconds(lambda: reasoner.encode(image))],
            "reason": [
                milliseconds(lambda: reasoner.reason(case, [edit]))
                for _ in range(REASONS_PER_ROUND)
            ],
        }
        if measured:
            for name, values in found.items():
                times[name] += values
    median = {name: statistics.median(values) for name, values in times.items()}
    K, M = case.similarity_scores.shape
    print(f"{arguments.checkpoint.name}: {K} x {M} prototypes, grid {rows} x {columns}, ", end="")
    print(f"{torch.get_num_threads()} threads, {arguments.rounds} rounds; median milliseconds")
    for name, value in median.items():
        print(f"  {name:8} {value:9.3f}")
    print(
        f"  reason / encode    1/{median['encode'] / median['reason']:.0f}"
        f"  (target at most 1/{1 / TARGET_REASON:.0f})\n"
        f"  encode / backbone  {median['encode'] / median['backbone']:.2f}"
        f"  (target at most {TARGET_ENCODE})"
    )


if __name__ == "__main__":
    main()
