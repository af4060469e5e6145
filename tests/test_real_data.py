"""Real data, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from quick_training import ROOT

from csr_core.datasets import load_dataset


def real_data() -> Path | None:
    places = [Path(os.environ["CSR_DATA"])] if "CSR_DATA" in os.environ else []
    places.append(ROOT.parent / "shared" / "data")
    return next((place / "isic2017" for place in places if (place / "isic2017").is_dir()), None)


@pytest.mark.skipif(real_data() is None, reason="no real data: set CSR_DATA to their folder")
class TestRealData:
    def test_unknown_labels_of_isic_2017_stay_unknown(self):
        dataset = load_dataset(real_data())
        assert len(dataset.rows_of("train")) == 2000
        assert len(dataset.rows_of("val")) == 150
        assert dataset.classes == ("nevus", "melanoma", "seborrheic_keratosis")
        assert np.bincount(dataset.diagnoses[dataset.rows_of("train")]).tolist() == [1372, 374, 254]
        everything = np.concatenate([dataset.concept_labels, dataset.artefact_labels], axis=1)
        assert (everything == -1).any(axis=1).sum() == 229
