"""Time an evaluation against the bare forward passes of the same batches, in one run.

    python tests/benchmarks/bench_evaluate.py [--checkpoint DIR] [--data DIR] [--images N]

An evaluation decodes images, runs the network over them and keeps what figures need. The two take
turns, and the fastest round of each counts: other work on the computer only slows.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from timing import milliseconds

ROOT = Path(__file__).parents[2]
ROUNDS = 5
TARGET = 1.3


def main() -> None:
    """Load or render images, warm up, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint", type=Path, default=ROOT / "checkpoints" / "dermoscopy-phantom"
    )
    parser.add_argument("--data", type=Path, help="A data set; by default phantoms are rendered.")
    parser.add_argument("--images", type=int, default=96)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from csr_core.datasets.phantom import write_phantom

    if arguments.data is not None:
        measure(arguments.checkpoint, arguments.data, arguments.images)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "phantom"
        write_phantom(data, arguments.images, seed=1)
        measure(arguments.checkpoint, data, arguments.images)


def measure(checkpoint: Path, data: Path, images: int) -> None:
    """Compare and print."""
    import csr_core
    from csr_core.datasets import load_dataset
    from csr_core.inference import run_network, square_batches

    network = csr_core.load(checkpoint).network
    dataset = load_dataset(data, for_training=False)
    rows = np.arange(min(images, len(dataset)))
    batches = list(square_batches(dataset, rows, network.config.image_size))

    @torch.inference_mode()
    def forward() -> None:
        for batch in batches:
            network(batch)

    def evaluate() -> None:
        run_network(network, dataset, rows)

    forward()
    rounds = [(milliseconds(forward), milliseconds(evaluate)) for _ in range(ROUNDS)]
    bare, whole = (min(times) / len(rows) for times in zip(*rounds, strict=True))
    print(f"{len(rows)} images, {torch.get_num_threads()} threads, fastest of {ROUNDS} rounds")
    print(f"forward passes  {bare:7.2f} ms an image")
    print(f"evaluation      {whole:7.2f} ms an image, {whole / bare:.2f} x (at most {TARGET} x)")


if __name__ == "__main__":
    main()
