"""Fixtures shared by all tests."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# A busy computer is no failure: time is bounded for whole tests, not for single examples.
settings.register_profile("csr", deadline=None)
settings.load_profile("csr")


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small untrained checkpoints, `first` (synthetic) and `second`.

    The second knows what answers about whole concepts are worth.
    """
    import torch

    from csr_core.answers import AnswerWeights
    from csr_core.atlas import Atlas, AtlasEntry
    from csr_core.checkpoint import Checkpoint, save_checkpoint
    from csr_core.evidence import Profiles
    from csr_core.network import CSRNetwork, NetworkConfig

    folder = tmp_path_factory.mktemp("checkpoints")
    concepts = ("pigment_network", "streaks", "a_concept_with_quite_a_long_name")
    classes = ("nevus", "melanoma")
    K, M = len(concepts), 4
    weights = AnswerWeights(
        rejected=np.array([[0.5, 0.75, 0.0], [-0.5, -0.75, 0.0]]),
        confirmed=np.array([[-0.25, -1.0, 0.0], [0.25, 1.0, 0.0]]),
        share=0.4,
    )
    for number, name in enumerate(("first", "second")):
        torch.manual_seed(number)
        network = CSRNetwork(
            NetworkConfig(K, len(classes), backbone="test_resnet", prototypes=M, projection=16)
        )
        network.task_head.weight.data.normal_()
        entries = [
            [
                AtlasEntry(k, m, f"training_{k}_{m}", k, m, 0.9, hits=m, reliance=0.1)
                for m in range(M)
            ]
            for k in range(K)
        ]
        checkpoint = Checkpoint(
            network=network,
            concepts=concepts,
            classes=classes,
            profiles=Profiles(
                absent=np.full((K, M), -0.5, np.float32), present=np.full((K, M), 0.95, np.float32)
            ),
            atlas=Atlas(entries),
            card={"title": f"The {name} model", "synthetic": name == "first", "licence": "CC0-1.0"},
            metrics={},
            readme="",
            answers=weights if name == "second" else None,
        )
        save_checkpoint(checkpoint, folder / name)
    return folder


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom data set: 96 pictures of 64 pixels, 68 of them in split train."""
    from csr_core.datasets.phantom import write_phantom

    folder = tmp_path_factory.mktemp("data") / "phantom"
    write_phantom(folder, 96, 3, size=64, workers=1)
    return folder


@pytest.fixture(scope="session")
def phantom(phantom_folder: Path):
    """The small phantom, read and checked."""
    from csr_core.datasets import load_dataset

    return load_dataset(phantom_folder)


@pytest.fixture(scope="module")
def one_thread():
    """Compute on one thread, as processes started by tests do: several round differently."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; fast, as nobody kills it."""
    from postgres import Server

    server = Server("fsync=off")
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_address(request, tmp_path):
    """Where a new store may be made, in each kind of database."""
    if request.param == "sqlite":
        return str(tmp_path / "annotations.db")
    return request.getfixturevalue("postgres").address()


@pytest.fixture
def store(store_address):
    """A new store, in each kind of database."""
    from csr_core.annotation.store import Store

    store = Store(store_address)
    yield store
    store.close()


@pytest.fixture(scope="module")
def workers():
    """Other processes that use a store."""
    from annotators import Workers

    workers = Workers()
    yield workers
    workers.close()
