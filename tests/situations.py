"""Small models with a given head and given similarity maps, and strategies for edits."""

import functools
import itertools

import numpy as np
import torch
from hypothesis import strategies as st

from csr_core import (
    Confirm,
    EncodedCase,
    Erase,
    Focus,
    Force,
    Ignore,
    Reasoner,
    Reject,
    Suppress,
)
from csr_core.answers import AnswerWeights
from csr_core.atlas import Atlas, AtlasEntry
from csr_core.evidence import Profiles
from csr_core.network import CSRNetwork, NetworkConfig

CONCEPTS, CLASSES = ("streaks", "globules"), ("nevus", "melanoma", "keratosis")
K, M, SIDE = 2, 3, 2
CELLS = list(itertools.product(range(SIDE), repeat=2))


@functools.cache
def network(concepts=K, prototypes=M, side=SIDE, classes=3):
    return CSRNetwork(
        NetworkConfig(
            concepts,
            classes,
            "test_resnet",
            image_size=16 * side,
            prototypes=prototypes,
            projection=8,
        )
    )


def build(maps, weight, bias, absent, present, answers=None):
    """A model with that head, those profiles and answers, and a case with those maps."""
    maps = np.asarray(maps, np.float32)
    (k, m, side, _), classes = maps.shape, len(bias)
    model = network(k, m, side, classes)
    with torch.no_grad():
        model.task_head.weight.copy_(torch.as_tensor(np.asarray(weight)))
        model.task_head.bias.copy_(torch.as_tensor(np.asarray(bias)))
    atlas = Atlas([[AtlasEntry(i, j, "x", 0, 0, 1.0, 1, 0.0) for j in range(m)] for i in range(k)])
    profiles = Profiles(
        np.broadcast_to(np.float32(absent), (k, m)).copy(),
        np.broadcast_to(np.float32(present), (k, m)).copy(),
    )
    names = CONCEPTS if k == K else tuple(f"concept {i}" for i in range(k))
    classes = CLASSES if classes == 3 else tuple(f"class {i}" for i in range(classes))
    reasoner = Reasoner(model, names, classes, profiles, atlas, {}, "model", answers=answers)
    return reasoner, EncodedCase(
        maps, maps.max(axis=(2, 3)), np.zeros(4, np.float32), "image", (32, 32), "model"
    )


def random_situation(seed, k=K, m=M, side=SIDE, classes=3, answering=False):
    random = np.random.default_rng(seed)
    maps = random.uniform(-1, 1, (k, m, side, side))
    absent = random.uniform(-0.3, 0.2, (k, m))
    return build(
        maps,
        random.normal(size=(classes, k, m)) * 2,
        random.normal(size=classes) * 2,
        absent,
        absent + random.uniform(0, 0.8, (k, m)),
        AnswerWeights(*random.normal(size=(2, classes, k)), share=random.choice([0, 0.35, 1]))
        if answering
        else None,
    )


cells = st.lists(st.sampled_from(CELLS), min_size=1, max_size=3)
concepts = st.sampled_from(CONCEPTS)
edit_lists = st.lists(
    st.one_of(
        st.builds(Suppress, concepts, cells),
        st.builds(Force, concepts, cells),
        st.builds(Ignore, cells),
        st.builds(Focus, cells),
        st.builds(Reject, concepts),
        st.builds(Confirm, concepts),
        st.builds(Erase, cells, st.none() | concepts),
    ),
    max_size=3,
)
semantics = st.sampled_from(["calibrated", "paper"])
seeds = st.integers(0, 2**32 - 1)
