"""Names of a tower's tensors, in the module's order -> the layer of each, from the input to the output."""

import re
from collections.abc import Iterable

from rayforget.values.layers import Layer

_NUMBERED = re.compile(
    r"(?P<stack>.*?)(?P<stage>\d*)\.(?P<number>\d+)(?:\.(?:blocks\.|layers\.)?(?P<inner>\d+))?(?:\.|$)"
)
"""`transformer.resblocks.3.`, `layer2.0.` (a ResNet's stages), `stages.1.blocks.4.`: a name's outermost numbers."""
_OUTPUT = re.compile(
    r"(attn_?pool|(final_|ln_)?norm_?f?|fc_norm|final_layer_?norm|ln_(f|final|out|post)|(lm_)?head|embed_out|output|pooler"
    r"|(text_)?proj(ection)?|project_out)"
)
"""Names of parts behind the last block, wherever they are registered."""
_INPUT = re.compile(r"(?<!un)embed|patch|stem|wte|wpe|position_bias|per_layer|altup_proj")
"""Marks a part before the first block, even if its own parts are called `proj` or `norm`, or it is registered behind
the blocks (Gemma's inputs of each layer)."""


def tower_layers(names: Iterable[str]) -> dict[str, Layer]:
    """The layer of every tensor of one tower.

    The blocks are the numbered parts of the stack with the most tensors: each is a layer, and if they are stages, each
    block of a stage is one. All that comes before them is the first layer (embeddings of patches, tokens and positions,
    the norm behind them), all that comes after them is the last (final norm, pooling, projection, output layer). Where
    a part's name does not tell, its module is behind the blocks if it is registered after the last of them. A part that
    a tower lacks is no layer of it: a tower without blocks has one or two layers.

    Args:
        names: all tensors of the tower, parameters in the order of the module's `named_parameters()`, buffers anywhere;
            a tied tensor under one name, the embedding's.
    """
    names = tuple(names)
    places = {name: _numbered(name) for name in names}
    sizes: dict[str, int] = {}
    for place in places.values():
        if place is not None and _side(place[0]) is None:
            sizes[place[0]] = sizes.get(place[0], 0) + 1
    blocks = max(sorted(sizes), key=lambda stack: sizes[stack], default=None)
    registered: dict[str, int] = {}
    for position, name in enumerate(names):
        registered.setdefault(_module(name), position)  # buffers follow all parameters
    in_blocks = {name for name, place in places.items() if place is not None and place[0] == blocks}
    last = max((registered[_module(name)] for name in in_blocks), default=len(names))

    def side(name: str) -> int:
        told = _side(name)
        return told if told is not None else 2 * (registered[_module(name)] > last)

    keys = {
        name: (1, *place[1]) if name in in_blocks and place is not None else (side(name),)
        for name, place in places.items()
    }
    index = {key: number for number, key in enumerate(sorted(set(keys.values())))}
    return {name: Layer(index=index[keys[name]], count=len(index)) for name in names}


def _numbered(name: str) -> tuple[str, tuple[int, ...]] | None:
    """(what is numbered, its numbers from outside to inside); None for a name without numbered parts."""
    found = _NUMBERED.match(name)
    if found is None:
        return None
    numbers = (found["stage"] or "0", found["number"], found["inner"])
    return found["stack"], tuple(int(number) for number in numbers if number is not None)


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _side(name: str) -> int | None:
    """0 before the blocks, 2 behind them, None if the name does not tell; the outermost part that tells decides."""
    for part in name.split("."):
        if _OUTPUT.fullmatch(part):
            return 2
        if _INPUT.search(part):
            return 0
    return None
