"""Names of a tower's tensors, in the module's order -> the layer of each, from the input to the output."""

import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from rayforget.values.layers import Layer

_Place = tuple[str, tuple[int, ...]]
"""(what is numbered, its numbers from outside to inside)."""

_NUMBERED = re.compile(
    r"(?P<stack>.*?)(?P<stage>\d*)\.(?P<number>\d+)(?:\.(?:blocks\.|layers\.)?(?P<inner>\d+))?(?:\.|$)"
)
"""`transformer.resblocks.3.`, `layer2.0.` (a ResNet's stages), `stages.1.blocks.4.`: a name's outermost numbers."""
_IN_WORDS = re.compile(
    r"(?P<stack>(?:.*?\.)??[A-Za-z_]+?)_?(?P<number>\d+)"
    r"(?:_(?P<part>\d+)|\.(?:b|[a-z]*(?:block|layer|unit))(?P<inner>\d+))?(?=\.\w+\.)"
)
"""`s2.b4.` (a RegNet), `denseblock1.denselayer3.`, `conv3_2.`, `block7.`: numbers within the words of modules that have
parts of their own."""
_OUTPUT = re.compile(
    r"(attn_?pool|(final_|ln_)?norm_?f?|fc_norm|final_layer_?norm|ln_(f|final|out|post)|(lm_)?head|embed_out|output|pooler"
    r"|(text_)?proj(ection)?|project_out|altup_unembed_projections)"
)
"""Names of parts behind the last block, wherever they are registered."""
_INPUT = re.compile(r"(?<!un)embed|patch|stem|wte|wpe|position_bias|per_layer|altup_proj")
"""Marks a part before the first block, even if its own parts are called `proj` or `norm`, or it is registered behind
the blocks (Gemma's inputs of each layer)."""
_EITHER = "embedding_norm"
"""A norm of the embeddings, or, in LFM2, of the output."""
_MOST = 0.5
"""Share of a tower's tensors below which what is numbered can hardly be its blocks."""


def tower_layers(names: Iterable[str]) -> dict[str, Layer]:
    """The layer of every tensor of one tower.

    The blocks are the numbered parts of the stack with the most tensors: each is a layer, and if they are stages, each
    block of a stage is one. All that comes before them is the first layer (embeddings of patches, tokens and positions,
    the norm behind them), all that comes after them is the last (final norm, pooling, projection, output layer). Where
    a part's name does not tell, its module is behind the blocks if it is registered after the last of them, and in the
    layer of the block before it if it is registered between two. Stacks beside each other with one part for each block
    (XLM's attentions, norms and MLPs) make up the blocks together. A part that a tower lacks is no layer of it: a tower
    whose blocks have no numbers has one or two layers.

    Args:
        names: all tensors of the tower, parameters in the order of the module's `named_parameters()`, buffers anywhere;
            a tied tensor under one name, the embedding's.
    """
    names = tuple(names)
    blocks = max(
        (_blocks(names, by) for by in (_by_dots, _by_words)), key=lambda found: min(len(found), _MOST * len(names))
    )
    registered: dict[str, int] = {}
    for position, name in enumerate(names):
        registered.setdefault(_module(name), position)  # buffers follow all parameters
    order = sorted((registered[_module(name)], numbers) for name, numbers in blocks.items())
    positions = [position for position, _ in order]

    def key(name: str) -> tuple[int, ...]:
        if name in blocks:
            return (1, *blocks[name])
        told, before = _side(name), bisect(positions, registered[_module(name)])
        if 0 < before < len(order) and told != 0:  # a final norm is never registered between two blocks
            return (1, *order[before - 1][1])
        return (told,) if told is not None else (2,) if before and order else (0,)

    keys = {name: key(name) for name in names}
    index = {each: number for number, each in enumerate(sorted(set(keys.values())))}
    return {name: Layer(index=index[keys[name]], count=len(index)) for name in names}


def _blocks(names: Sequence[str], by: Callable[[str], _Place | None]) -> dict[str, tuple[int, ...]]:
    """The tensors of the numbered parts that are the blocks -> the numbers of their block."""
    places = {name: place for name in names if (place := by(name)) is not None and _side(place[0]) is None}
    sizes = Counter(stack for stack, _ in places.values())
    if not sizes:
        return {}
    chosen = max(sorted(sizes), key=lambda stack: sizes[stack])
    return {name: numbers for name, (stack, numbers) in places.items() if stack == chosen} | _beside(chosen, places)


def _beside(chosen: str, places: Mapping[str, _Place]) -> dict[str, tuple[int, ...]]:
    """The tensors of the stacks beside the chosen one with a part for each of its blocks -> the block's numbers."""
    of_stacks: dict[tuple[str, tuple[int, ...]], dict[str, int]] = {}
    for name, (stack, numbers) in places.items():
        if _module(stack) == _module(chosen) and len(numbers) == 2:
            of_stacks.setdefault((stack, numbers[:1]), {})[name] = numbers[1]
    own = [(stage, set(found.values())) for (stack, stage), found in of_stacks.items() if stack == chosen]
    if len(own) != 1:  # stages, or blocks within blocks
        return {}
    ((stage, wanted),) = own
    return {
        name: (*stage, number)
        for found in of_stacks.values()
        if set(found.values()) == wanted
        for name, number in found.items()
    }


def _by_dots(name: str) -> _Place | None:
    """By modules that are numbers; None for a name without any."""
    found = _NUMBERED.match(name)
    if found is None:
        return None
    numbers = (found["stage"] or "0", found["number"], found["inner"])
    return found["stack"], tuple(int(number) for number in numbers if number is not None)


def _by_words(name: str) -> _Place | None:
    """By words that end in numbers; None for a name without any."""
    found = _IN_WORDS.match(name)
    if found is None:
        return None
    numbers = (found["number"], found["part"] or found["inner"])
    return found["stack"], tuple(int(number) for number in numbers if number is not None)


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _side(name: str) -> int | None:
    """0 before the blocks, 2 behind them, None if the name does not tell; the outermost part that tells decides."""
    for part in name.split("."):
        if _OUTPUT.fullmatch(part):
            return 2
        if _INPUT.search(part) and part != _EITHER:
            return 0
    return None
