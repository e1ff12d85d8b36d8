"""What must come out the same on a device: the CPU's models, torch's own proximal steps, a training's second run."""

import torch
from gpu_models import clip_folder, lm_folder
from gpu_run import Run
from torch import Tensor

from rayforget.determinism import ask_cublas
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.kernels import choose_kernel
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.model import load_clip
from rayforget.interpolate.fingerprint import fingerprint
from rayforget.interpolate.lerp import lerp
from rayforget.tasks.images.augment import augmented, draws
from rayforget.train.penalties.ewc import ewc_proximal_steps
from rayforget.train.penalties.fused import Reference, Step, tried
from rayforget.train.penalties.l1 import few_kernels_step, l1_proximal_step

_STEPS: tuple[tuple[Step, Reference], ...] = (
    ("l1", lambda weights, starts, _, tau: few_kernels_step(weights, starts, tau)),
    ("ewc", ewc_proximal_steps),
)


def bits(run: Run) -> None:
    """Shares of numbers that are the same to the bit; 1 is asked for but where rounding may differ."""
    ask_cublas()
    for step, reference in _STEPS:
        if run.device.type == "cuda":
            with run.attempt(f"{step} in one kernel"):
                pairs = tried(step, reference, run.device)
                _tell(run, f"{step} in one kernel, as by torch's operations", pairs, target=1.0)
    generator = torch.Generator().manual_seed(0)
    count = 10_001 if run.toy else 4_000_001
    here = [torch.randn(count, generator=generator) for _ in range(2)]
    there = [each.to(run.device) for each in here]
    with run.attempt("L1 as on the CPU"):
        own, other = there[0].clone(), here[0].clone()
        l1_proximal_step([own], [there[1]], 0.3)
        l1_proximal_step([other], [here[1]], 0.3)
        _tell(run, "a step of L1, as on the CPU", [(own.cpu(), other)], target=1.0)
    with run.attempt("θ(α) as on the CPU"):
        pairs = []
        for alpha in (0.1, 0.5, 0.7, 1.0, 1.3):
            made = [lerp({"x": start}, {"x": end}, alpha) for start, end in (there, here)]
            pairs.append((made[0]["x"].cpu(), made[1]["x"]))
            same = torch.equal(fingerprint(made[0]).cpu(), fingerprint(made[1]))
            run.row(f"the fingerprint of θ({alpha}), as on the CPU", float(same), "", target=1.0)
        _tell(run, "θ(α), as on the CPU", pairs, target=1.0)
    with run.attempt("images as on the CPU"):
        _images(run)
    with run.attempt("kernels of texts"):
        _kernels(run)


def _images(run: Run) -> None:
    size = run.sizes.vision["image_size"]
    images = torch.randint(0, 256, (min(64, run.sizes.image_batch), 3, size, size), dtype=torch.uint8)
    drawn = draws(len(images), "crop", torch.Generator().manual_seed(3))
    there = augmented(images.to(run.device), "crop", drawn.to(run.device)).cpu()
    here = augmented(images, "crop", drawn)
    run.row("a crop's largest difference from the CPU's, of 255", float((there.int() - here.int()).abs().max()), "",
            target=1, at_most=True)  # fmt: skip
    _tell(run, "cropped pixels, as on the CPU", [(there, here)])
    model = load_clip(ClipFoundation(kind="clip", model=f"local-dir:{clip_folder(run.folder)}"), torch.device("cpu"))
    own, other = model.normalisation(images.to(run.device)).cpu(), model.normalisation(images)
    _tell(run, "normalised pixels, as on the CPU", [(own, other)])


def _kernels(run: Run) -> None:
    """What a sweep finds of each kernel on this card if it has to give the same bits twice."""
    spec = CausalLmFoundation(kind="causal_lm", model=str(lm_folder(run.folder)))
    head = load_causal_lm(spec, run.device).head
    longest = min(run.sizes.positions, 1024)
    _, measured = choose_kernel(head, longest=longest, dtype=torch.bfloat16, repeatable=True)
    print(f"kernels of texts, repeatable: {measured}", flush=True)
    for kernel, found in measured.items():
        same = found["seconds"] is not None
        run.row(f"texts by {kernel}: taken where two runs must give the same bits", float(same), "")


def _tell(run: Run, what: str, pairs: list[tuple[Tensor, Tensor]], target: float | None = None) -> None:
    equal = sum(int((own == other).sum()) for own, other in pairs)
    run.row(f"{what}: share that is the same", equal / sum(own.numel() for own, _ in pairs), "", target=target)
