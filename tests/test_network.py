"""Eqs. 1-5 and 10 on tensors small enough to work out by hand, and the shapes of the network."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from csr_core.network import (
    CSRNetwork,
    NetworkConfig,
    Projector,
    TaskHead,
    VectorIBN,
    build_backbone,
    local_concept_vectors,
    similarity_maps,
    similarity_scores,
)

TINY = NetworkConfig(
    concepts=3, classes=2, backbone="test_resnet", image_size=64, prototypes=2, projection=8
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CSRNetwork(TINY).eval()


class TestConceptVectors:
    def test_pooling_weighs_features_by_the_softmax_of_the_activation_map(self):
        # Two cells with features (1, 0) and (0, 2); cam = (0, ln 3), softmax = (1/4, 3/4).
        features = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])  # (1, 2, 1, 2)
        cams = torch.tensor([[[[0.0, math.log(3)]]]])  # (1, 1, 1, 2)
        vectors = local_concept_vectors(features, cams)
        assert vectors.shape == (1, 1, 2)
        # 1/4 (1, 0) + 3/4 (0, 2)
        assert vectors[0, 0].tolist() == pytest.approx([0.25, 1.5])

    def test_every_concept_and_image_is_pooled_by_its_own_map(self):
        features = torch.tensor([[[[1.0], [3.0]]], [[[5.0], [7.0]]]])  # (2, 1, 2, 1)
        cams = torch.zeros(2, 2, 2, 1)
        cams[0, 1, 1] = cams[1, 0, 0] = 50.0  # a softmax of one at that cell
        vectors = local_concept_vectors(features, cams)
        assert vectors[:, :, 0].flatten().tolist() == pytest.approx([2.0, 3.0, 5.0, 6.0])

    def test_a_flat_map_is_the_spatial_mean(self):
        features = torch.rand(2, 5, 3, 4)
        vectors = local_concept_vectors(features, torch.full((2, 1, 3, 4), -7.0))
        assert torch.allclose(vectors[:, 0], features.mean(dim=(2, 3)), atol=1e-6)


class TestSimilarity:
    def test_a_map_is_the_cosine_of_prototype_and_patch(self):
        patches = torch.tensor([[1.0, 0.0], [0.6, 0.8]]).T.reshape(1, 2, 1, 2)  # (1, D, 1, 2)
        prototypes = torch.tensor([[[3.0, 0.0], [0.0, -5.0]]])  # (1, 2, 2), of any length
        maps = similarity_maps(patches, prototypes)
        assert maps.shape == (1, 1, 2, 1, 2)
        # Against (1, 0): 1 and 0.6. Against (0, -1): 0 and -0.8.
        assert maps[0, 0, 0, 0].tolist() == pytest.approx([1.0, 0.6])
        assert maps[0, 0, 1, 0].tolist() == pytest.approx([0.0, -0.8])

    def test_maps_are_ordered_by_concept_and_prototype(self):
        prototypes = F.normalize(torch.randn(3, 4, 5), dim=-1)
        patches = prototypes[2, 1].reshape(1, 5, 1, 1)
        maps = similarity_maps(patches, prototypes)[0, :, :, 0, 0]
        assert divmod(int(maps.argmax()), 4) == (2, 1)
        assert maps[2, 1].item() == pytest.approx(1.0, abs=1e-6)

    def test_a_score_is_the_largest_value_of_its_map(self):
        maps = torch.tensor([[[[[0.1, -0.2], [0.7, 0.3]], [[-0.5, -0.9], [-0.4, -0.6]]]]])
        assert similarity_scores(maps)[0, 0].tolist() == pytest.approx([0.7, -0.4])


class TestProjector:
    def test_it_starts_as_the_normalised_linear_map(self):
        projector = Projector(channels=6, projection=4).eval()
        features = torch.randn(2, 6, 3, 3)
        linear = projector.whitening(features)
        assert torch.equal(projector.blocks(linear), linear)
        assert torch.allclose(projector(features), F.normalize(linear, dim=1), atol=1e-6)

    def test_its_output_has_unit_length_at_every_cell(self):
        projector = Projector(channels=6, projection=4).eval()
        for block in projector.blocks:
            torch.nn.init.normal_(block.contract.weight)
        lengths = projector(torch.randn(2, 6, 3, 3)).norm(dim=1)
        assert torch.allclose(lengths, torch.ones(2, 3, 3), atol=1e-5)

    def test_it_has_three_residual_blocks_that_can_learn(self):
        projector = Projector(channels=6, projection=4)
        assert len(projector.blocks) == 3
        projector(torch.randn(4, 6, 2, 2))[:, 0].sum().backward()
        assert all(block.contract.weight.grad.abs().sum() > 0 for block in projector.blocks)

    def test_a_patch_of_a_map_and_the_same_vector_alone_are_projected_alike(self):
        projector = Projector(channels=6, projection=4).eval()
        for block in projector.blocks:
            torch.nn.init.normal_(block.contract.weight)
        whole = torch.randn(2, 6, 3, 3)
        alone = projector(whole[1:, :, 2:, :1])
        assert torch.allclose(projector(whole)[1:, :, 2:, :1], alone, atol=1e-6)


class TestVectorIBN:
    def test_half_the_channels_are_normalised_over_channels_at_each_cell(self):
        norm = VectorIBN(4).eval()
        cell = torch.tensor([1.0, 3.0, 5.0, -7.0]).reshape(1, 4, 1, 1)
        result = norm(cell).flatten()
        # Mean 2 and standard deviation 1 over channels (1, 3); batch statistics start as (0, 1).
        assert result.tolist() == pytest.approx([-1.0, 1.0, 5.0, -7.0], abs=1e-3)

    def test_other_cells_do_not_matter_in_evaluation(self):
        norm = VectorIBN(6).eval()
        whole = torch.randn(3, 6, 4, 5)
        whole[0, :, 0, 0] = 100.0
        for row, column in ((0, 1), (3, 4)):
            vector = whole[1:2, :, row : row + 1, column : column + 1]
            in_map = norm(whole)[1:2, :, row : row + 1, column : column + 1]
            assert torch.allclose(in_map, norm(vector), atol=1e-6)

    def test_the_instance_half_is_alike_in_training_too(self):
        norm = VectorIBN(6).train()
        whole = torch.randn(3, 6, 4, 5)
        vectors = whole.permute(0, 2, 3, 1).reshape(-1, 6, 1, 1)
        in_map = norm(whole)[:, :3].permute(0, 2, 3, 1).reshape(-1, 3)
        assert torch.allclose(in_map, norm(vectors)[:, :3, 0, 0], atol=1e-6)

    def test_an_odd_number_of_channels_is_split_without_loss(self):
        assert VectorIBN(5)(torch.randn(2, 5, 1, 1)).shape == (2, 5, 1, 1)


class TestTaskHead:
    def head(self):
        head = TaskHead(concepts=1, prototypes=2, classes=2)
        with torch.no_grad():
            head.weight.copy_(torch.tensor([[[2.0, -1.0]], [[0.5, 4.0]]]))
            head.bias.copy_(torch.tensor([0.1, -0.2]))
            head.score_mean.copy_(torch.tensor([[0.5, 0.25]]))
            head.score_deviation.copy_(torch.tensor([[0.25, 0.5]]))
        return head

    def test_logits_are_linear_in_standardised_scores(self):
        logits = self.head()(torch.tensor([[[1.0, 0.0]]]))
        # z = ((1 - 0.5) / 0.25, (0 - 0.25) / 0.5) = (2, -0.5)
        # 2·2 - 1·(-0.5) + 0.1 = 4.6 and 0.5·2 + 4·(-0.5) - 0.2 = -1.2
        assert logits[0].tolist() == pytest.approx([4.6, -1.2])

    def test_folding_moves_the_standardisation_into_weight_and_bias(self):
        weight, bias = self.head().folded()
        # W = w / deviation; b = bias - Σ W mean: 0.1 - (8·0.5 - 2·0.25), -0.2 - (2·0.5 + 8·0.25)
        assert weight.flatten().tolist() == pytest.approx([8.0, -2.0, 2.0, 8.0])
        assert bias.tolist() == pytest.approx([-3.4, -3.2])
        assert weight.dtype == bias.dtype == torch.float64

    def test_logits_are_computed_in_double_precision(self):
        assert self.head()(torch.zeros(1, 1, 2)).dtype == torch.float64


class TestNetwork:
    def test_every_quantity_has_the_shape_of_the_method(self, network):
        output = network(torch.rand(2, 3, 64, 64))
        assert output.cams.shape == (2, 3, 4, 4)
        assert output.features.shape[2:] == (4, 4)
        assert output.projected.shape == (2, 8, 4, 4)
        assert output.similarity_maps.shape == (2, 3, 2, 4, 4)
        assert output.similarity_scores.shape == (2, 3, 2)
        assert output.logits.shape == (2, 2)

    def test_the_parts_are_wired_as_the_equations_say(self, network):
        image = torch.rand(1, 3, 64, 64)
        output = network(image)
        features = network.backbone((image - 0.5) / 0.5)[-1]
        assert torch.allclose(output.features, features, atol=1e-6)
        assert torch.allclose(output.cams, network.concept_head(features), atol=1e-5)
        projected = network.projector(features)
        expected = torch.einsum(
            "bdhw,kmd->bkmhw", projected, F.normalize(network.prototypes, dim=-1)
        )
        assert torch.allclose(output.similarity_maps, expected, atol=1e-5)
        assert torch.equal(
            output.similarity_scores, output.similarity_maps.flatten(3).max(dim=-1).values
        )
        assert torch.equal(output.logits, network.task_head(output.similarity_scores))

    def test_similarities_are_cosines(self, network):
        maps = network(torch.rand(2, 3, 64, 64)).similarity_maps
        assert maps.abs().max() <= 1 + 1e-5

    def test_the_concept_head_is_a_convolution_without_bias(self, network):
        assert network.concept_head.kernel_size == (1, 1)
        assert network.concept_head.bias is None

    def test_prototypes_start_as_directions(self, network):
        assert torch.allclose(network.prototypes.norm(dim=-1), torch.ones(3, 2), atol=1e-6)

    def test_images_are_normalised_by_the_mean_and_deviation_of_the_configuration(self):
        torch.manual_seed(0)
        changed = CSRNetwork(
            NetworkConfig(3, 2, "test_resnet", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2))
        ).eval()
        image = torch.rand(1, 3, 64, 64)
        by_hand = torch.stack(
            [(image[:, 0] - 0.1) / 0.5, (image[:, 1] - 0.2) / 0.25, (image[:, 2] - 0.3) / 0.2], 1
        )
        assert torch.allclose(changed.features(image), changed.backbone(by_hand)[-1], atol=1e-5)

    def test_a_mirrored_network_takes_the_mean_of_an_image_and_its_mirror_image(self):
        torch.manual_seed(0)
        both = CSRNetwork(replace(TINY, mirrored=True))
        image = torch.rand(2, 3, 64, 64)
        single = both.backbone
        assert torch.equal(both.eval().features(image).flip(-1), both.features(image.flip(-1)))
        seen, other = (single((view - 0.5) / 0.5)[-1] for view in (image, image.flip(-1)))
        assert torch.allclose(both.features(image), (seen + other.flip(-1)) / 2, atol=1e-5)
        assert not torch.allclose(seen, other.flip(-1), atol=1e-2)
        # While it is fitted it looks at the views it is shown, each by itself.
        single.eval()
        both.training = True
        assert torch.allclose(both.features(image), seen, atol=1e-5)

    @pytest.mark.parametrize("size", [100, 8, 0, -64])
    def test_an_input_that_is_no_whole_number_of_patches_is_refused(self, size):
        with pytest.raises(ValueError, match=r"can't be cut into patches|has no patch"):
            NetworkConfig(3, 2, "test_resnet", image_size=size, output_stride=16)


class TestBackbone:
    def test_the_default_gives_a_grid_of_14_by_14(self):
        config = NetworkConfig(concepts=1, classes=2)
        backbone = build_backbone(config.backbone, config.output_stride).eval()
        with torch.inference_mode():
            features = backbone(torch.rand(1, 3, config.image_size, config.image_size))[-1]
        assert features.shape[2:] == (14, 14)
        # The last stage of the network dilated, not an earlier, shallower one.
        assert features.shape[1] == 320

    @pytest.mark.parametrize(("stride", "side"), [(32, 4), (16, 8), (8, 16)])
    def test_the_stride_sets_the_grid(self, stride, side):
        features = build_backbone("test_efficientnet", stride).eval()(torch.rand(1, 3, 128, 128))
        assert features[-1].shape[2:] == (side, side)

    def test_a_transformer_gives_the_stride_it_has(self):
        features = build_backbone("test_vit", 16).eval()(torch.rand(1, 3, 160, 160))
        assert features[-1].shape == (1, 64, 10, 10)

    def test_a_stride_the_model_has_no_map_of_is_refused(self):
        with pytest.raises(ValueError, match=r"test_vit has feature maps of stride \[16\], not 8"):
            build_backbone("test_vit", 8)

    @pytest.mark.parametrize("name", ["no_such_net", "", "hf-hub:someone/net", "../net"])
    def test_an_unknown_model_is_refused(self, name):
        with pytest.raises(ValueError, match="timm has no model"):
            build_backbone(name, 16)
