"""Rows to fit to, to select on and to measure on."""

from dataclasses import replace

import numpy as np
import pytest

from csr_core.training.roles import assign_roles


class TestRoles:
    @pytest.mark.parametrize("holdout", [0.0, 0.2, 0.5])
    @pytest.mark.parametrize("seed", [0, 1, 7])
    def test_no_row_has_two_roles_and_every_row_of_train_has_one(self, phantom, holdout, seed):
        roles = assign_roles(phantom, holdout, 0.15, seed)
        together = np.concatenate([roles.fit, roles.validation, roles.held])
        assert sorted(together) == sorted(phantom.rows_of("train"))

    def test_shares_are_those_asked_for(self, phantom):
        roles = assign_roles(phantom, 0.2, 0.15, 0)
        assert len(roles.held) == pytest.approx(0.2 * 68, abs=2)
        assert len(roles.validation) == pytest.approx(0.15 * 0.8 * 68, abs=2)
        assert not len(assign_roles(phantom, 0.0, 0.15, 0).held)

    def test_every_role_sees_every_diagnosis(self, phantom):
        roles = assign_roles(phantom, 0.2, 0.15, 0)
        for rows in (roles.fit, roles.validation, roles.held):
            assert set(phantom.diagnoses[rows]) == {0, 1, 2}

    def test_a_split_may_be_selected_on_instead(self, phantom):
        roles = assign_roles(phantom, 0.2, 0.15, 0, "val")
        assert roles.validation.tolist() == phantom.rows_of("val").tolist()
        together = np.concatenate([roles.fit, roles.held])
        assert sorted(together) == sorted(phantom.rows_of("train"))
        assert roles.held.tolist() == assign_roles(phantom, 0.2, 0.15, 0).held.tolist()

    @pytest.mark.parametrize("split", ["train", "nowhere"])
    def test_a_split_that_cannot_be_selected_on_is_refused(self, phantom, split):
        with pytest.raises(ValueError, match=f"{split}.*another one than 'train'"):
            assign_roles(phantom, 0.2, 0.15, 0, split)

    def test_a_split_without_diagnoses_cannot_be_selected_on(self, phantom):
        unknown = replace(phantom, diagnoses=np.full(len(phantom), -1))
        with pytest.raises(ValueError, match="known diagnoses"):
            assign_roles(unknown, 0.0, 0.15, 0, "val")

    def test_held_rows_do_not_depend_on_the_share_of_validation(self, phantom):
        first, second = (assign_roles(phantom, 0.2, share, 0).held for share in (0.1, 0.4))
        assert first.tolist() == second.tolist()
