"""LPIPS, with random backbone weights in a torch hub cache of the test's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from benchbench import protocols
from benchbench.clip import Clip
from benchbench.errors import DataMissing, Unfit
from benchbench.scoring.lpips import BACKBONES, hub_folder

FACES: dict[str, Callable[..., torch.nn.Module]] = {
    "alex": torchvision.models.alexnet,
    "vgg": torchvision.models.vgg16,
    "squeeze": torchvision.models.squeezenet1_1,
}
NET = {
    "lpips_alex": "alex",
    "lpips_vgg": "vgg",
    "lpips_squeeze": "squeeze",
    "predrnn_lpips": "alex",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with random weights."""
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for net, build in FACES.items():
            with torch.device("meta"):
                shapes = build().state_dict()
            weights = {name: random(name, like.shape) for name, like in shapes.items()}
            torch.save(weights, folder / BACKBONES[net][0])
    return home


def random(name: str, shape: torch.Size) -> torch.Tensor:
    """Weights of the layers LPIPS uses; one number for the classifier, which is most of VGG."""
    if name.startswith("features") and name.endswith("weight"):
        return torch.randn(shape) * (2 / shape[1:].numel()) ** 0.5
    return torch.zeros(()).expand(shape)


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(cache))
    return cache


def clips(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def package(net: str, x: torch.Tensor, y: torch.Tensor, normalize: bool) -> float:
    """What the package itself gives for one pair of (3, H, W) frames."""
    import lpips

    network = lpips.LPIPS(net=net, verbose=False, pnet_rand=True)
    state = torch.load(hub_folder() / "checkpoints" / BACKBONES[net][0], weights_only=True)
    for name, parameter in network.net.named_parameters():
        _, place = name.split(".", 1)  # of slice 1 to 7
        parameter.data.copy_(state[f"features.{place}"])
    with torch.no_grad():
        return float(network(x[None], y[None], normalize=normalize))


@pytest.mark.filterwarnings("ignore:The parameter 'pretrained':UserWarning")
@pytest.mark.filterwarnings("ignore:Arguments other than a weight enum:UserWarning")
@pytest.mark.parametrize("name", sorted(NET))
def test_it_is_the_packages_on_the_range_the_protocol_says(hub: Path, name: str) -> None:
    x, y = clips(2, 2, 3, 40, 40), clips(2, 2, 3, 40, 40, seed=1)
    scores = protocols.score(name, x, y)["lpips"]
    theirs = package(NET[name], x[1, 0], y[1, 0], normalize=name != "predrnn_lpips")
    assert scores.shape == (2, 2)
    assert scores[1, 0] == pytest.approx(theirs, rel=1e-4)
    np.testing.assert_allclose(protocols.score(name, x, x)["lpips"], 0, atol=1e-9)


def test_grey_is_repeated_to_three_channels(hub: Path) -> None:
    x, y = clips(1, 2, 1, 40, 40), clips(1, 2, 1, 40, 40, seed=1)
    grey = protocols.score("lpips_squeeze", x, y)["lpips"]
    rgb = protocols.score("lpips_squeeze", x.expand(-1, -1, 3, -1, -1), y.expand(-1, -1, 3, -1, -1))
    np.testing.assert_allclose(grey, rgb["lpips"], rtol=1e-6)


def test_the_wrong_range_gives_another_score_under_another_signature(hub: Path) -> None:
    x, y = clips(1, 1, 3, 40, 40), clips(1, 1, 3, 40, 40, seed=1)
    right, wrong = (
        protocols.score(n, x, y)["lpips"][0, 0] for n in ("lpips_alex", "predrnn_lpips")
    )
    assert right != pytest.approx(wrong, rel=0.01)
    signatures = [protocols.get(n).signature("lpips") for n in ("lpips_alex", "predrnn_lpips")]
    assert "scale:-1..1" in signatures[0]
    assert "scale:0..1" in signatures[1]


def test_two_channels_suit_only_the_protocol_that_takes_the_first(hub: Path) -> None:
    clip = Clip(channels=2, height=40, width=40, context=1, horizon=1)
    with pytest.raises(Unfit, match="grey or RGB frames, not 2 channels"):
        protocols.get("lpips_alex").check(clip)
    protocols.get("predrnn_lpips").check(clip)
    x, y = clips(1, 1, 2, 40, 40), clips(1, 1, 2, 40, 40, seed=1)
    first = protocols.score("predrnn_lpips", x[:, :, :1], y[:, :, :1])["lpips"]
    np.testing.assert_allclose(protocols.score("predrnn_lpips", x, y)["lpips"], first, rtol=1e-6)


def test_missing_weights_are_named_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    clip = Clip(channels=1, height=64, width=64, context=1, horizon=1)
    for name, file in (
        ("lpips_alex", "alexnet-owt-7be5be79.pth"),
        ("lpips_vgg", "vgg16-397923af.pth"),
    ):
        with pytest.raises(DataMissing, match=f"put torchvision's '{file}' into {tmp_path}"):
            protocols.get(name).check(clip)


def test_a_damaged_weight_file_is_named(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    x, file = clips(1, 1, 3, 40, 40), BACKBONES["squeeze"][0]
    whole = (hub / "hub" / "checkpoints" / file).read_bytes()
    for content in (whole[:1000], b"<html>", b""):
        (folder / file).write_bytes(content)
        with pytest.raises(DataMissing, match=f"{file}: not the weights of LPIPS"):
            protocols.score("lpips_squeeze", x, x)
    (folder / file).write_bytes(whole)
    assert protocols.score("lpips_squeeze", x, x)["lpips"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME", None])
def test_the_cache_is_where_torch_looks(
    variable: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    assert hub_folder() == Path(torch.hub.get_dir())


@pytest.mark.parametrize("net", sorted(BACKBONES))
def test_file_names_are_torchvisions(net: str) -> None:
    weights = {
        "alex": torchvision.models.AlexNet_Weights.IMAGENET1K_V1,
        "vgg": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
        "squeeze": torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
    }
    assert weights[net].url.endswith("/" + BACKBONES[net][0])


@pytest.mark.parametrize("name", ["lpips_alex", "lpips_vgg", "lpips_squeeze"])
def test_frames_below_the_networks_size_are_refused_and_those_of_it_scored(
    hub: Path, name: str
) -> None:
    size = BACKBONES[NET[name]][1]
    with pytest.raises(Unfit, match="too small for LPIPS"):
        protocols.get(name).check(Clip(1, size - 1, size, 1, 1))
    assert protocols.score(name, clips(1, 1, 1, size, size), clips(1, 1, 1, size, size, seed=1))
