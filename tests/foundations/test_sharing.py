"""theta_0 and the base model are the same memory, wherever it lies, and nothing ever writes to it."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from forked import run_script
from tiny_clip import RESNET, VIT, save_clip
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.clip.attention import split_names
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.protocol import State
from rayforget.foundations.sharing import point_at
from rayforget.interpolate.hashing import state_hash

CPU = torch.device("cpu")


class Elsewhere:
    """Returns copies of what it gets."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, key: str, theta_0: State) -> State:
        self.keys.append(key)
        return {name: tensor.clone() for name, tensor in theta_0.items()}


def memories(tensors: Iterable[Tensor]) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("custom_text", [False, True])
def test_the_base_model_lies_in_theta_0s_memory(
    tmp_path: Path, vision: dict[str, object], custom_text: bool, shared: bool
) -> None:
    spec = save_clip(tmp_path, vision=vision, custom_text=custom_text)
    elsewhere = Elsewhere()
    model = load_clip(spec, CPU, elsewhere) if shared else load_clip(spec, CPU)
    assert elsewhere.keys == ([model.theta_0_hash] if shared else [])
    assert state_hash(model.theta_0) == model.theta_0_hash
    kept = memories(model.theta_0.values())
    assert memories(model.clip.parameters()) <= kept
    own = {**model.clip.state_dict(), **dict(model.clip.named_parameters())}
    for name, tensor in split_names(model.theta_0, model.swapped).items():
        assert own[name].data_ptr() == tensor.data_ptr()
        assert torch.equal(own[name], tensor)


@torch.no_grad()
def test_features_are_the_same_to_the_bit_wherever_theta_0_lies(tmp_path: Path) -> None:
    spec = save_clip(tmp_path)
    here, there = load_clip(spec, CPU), load_clip(spec, CPU, Elsewhere())
    images, tokens = torch.randn(3, 3, 24, 24), here.tokenizer(["a dog", "the house"])
    assert torch.equal(here.image_features(images, {}), there.image_features(images, {}))
    assert torch.equal(here.text_features(tokens, {}), there.text_features(tokens, {}))


@pytest.mark.parametrize("head", ["frozen", "trained", "text"])
@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
def test_what_is_trained_is_a_copy_of_its_own(tmp_path: Path, vision: dict[str, object], head: str) -> None:
    model = load_clip(save_clip(tmp_path, vision=vision), CPU, Elsewhere())
    module = build_module(model, head, torch.randn(3, 24), gradient_checkpointing=False)  # type: ignore[arg-type]
    assert not memories((*module.parameters(), *module.buffers())) & memories(model.theta_0.values())
    assert all(tensor.is_contiguous() for tensor in module.parameters())


def test_tied_tensors_stay_tied_and_flags_stay() -> None:
    module = nn.ModuleDict({"a": nn.Linear(3, 1, bias=False), "b": nn.Linear(3, 1, bias=False), "c": nn.BatchNorm1d(5)})
    module["b"].weight = module["a"].weight
    module["c"].weight.requires_grad_(False)
    tensors = {"a.weight": torch.ones(1, 3), "c.weight": torch.zeros(5), "c.running_mean": torch.full((5,), 2.0)}
    point_at(module, tensors)
    assert module["b"].weight is module["a"].weight
    own = module.state_dict()
    assert all(own[name].data_ptr() == tensor.data_ptr() for name, tensor in tensors.items())
    assert module["a"].weight.requires_grad
    assert not module["c"].weight.requires_grad


@pytest.mark.parametrize("wrong", [{"b": torch.ones(1)}, {"weight": torch.ones(2)}, {"weight": torch.ones(1).double()}])
def test_what_does_not_fit_is_refused(wrong: dict[str, Tensor]) -> None:
    module = nn.LayerNorm(1)
    with pytest.raises(FoundationError, match="the model has"):
        point_at(module, {"c": torch.ones(1), **wrong} if "b" in wrong else wrong)


READ_ONLY = """
import mmap, sys, warnings
from pathlib import Path
import torch
warnings.simplefilter("ignore")
sys.path[:0] = sys.argv[1:3]
from test_clip_prepared import CPU, folder, recipe
from tiny_clip import TEMPLATES, save_clip
from rayforget.foundations.clip.prepared import prepare_clip
from rayforget.interpolate.lerp import changed_tensors, lerp
from rayforget.space.tasks.data import ZeroShotTask
from rayforget.tasks.resolve import resolve_tasks
from rayforget.train.loop import train

def share(key, theta_0):
    result = {}
    for name, tensor in theta_0.items():
        path = root / f"{len(result)}.bytes"
        path.write_bytes(tensor.numpy().tobytes())
        with path.open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)  # the operating system lets nobody write
        result[name] = torch.frombuffer(pages, dtype=torch.float32).view(tensor.shape)
    return result

root = Path(sys.argv[3])
names = ("train", "val", "test")
splits = {split: folder(root / split, {"dog": 3, "cat": 4}, seed) for seed, split in enumerate(names)}
task = ZeroShotTask(kind="zero_shot", role="speciality", templates=TEMPLATES, **splits)
tasks, model = resolve_tasks({"speciality": task}), save_clip(root / "model")
prepared = prepare_clip(model, tasks, cache=root / "cache", device=CPU, evaluation_batch=4, share=share)
penalties = [{"kind": kind, "strength": 0.1} for kind in ("l1", "l2", "kd")]
recipes = [recipe(head=head, penalties=penalties) for head in ("frozen", "trained", "text")]
recipes += [recipe(head=head, adapter={"kind": "lora", "rank": 2}) for head in ("frozen", "text")]
for each in recipes:
    snapshots = list(train(prepared.learner(each), each, seed=0, fractions=(1.0,)))
    theta_0 = prepared.initial(each)
    changed = changed_tensors(theta_0, snapshots[-1].theta_1)
    assert changed
    prepared.scorer(each).score([lerp(theta_0, changed, 0.5)], "val")
print("nothing was written", flush=True)
next(iter(prepared.theta_0.values())).add_(1)
print("one can write")
"""


@pytest.mark.slow
def test_no_training_and_no_scoring_writes_to_theta_0(tmp_path: Path) -> None:
    script = tmp_path / "read_only.py"
    script.write_text(READ_ONLY)
    done = run_script(script, str(Path(__file__).parent / "clip"), str(Path(__file__).parents[1]), str(tmp_path))
    assert done.stdout == "nothing was written\n", (done.returncode, done.stderr)
    assert done.returncode < 0  # the memory is read-only, as the test assumes: whoever writes dies
