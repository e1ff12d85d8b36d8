"""Features of images and captions -> for each image (or caption) whether a right partner is among its k nearest.

    recall@k = 1/n sum_i [ min over partners j of i of rank_i(j) <= k ]

rank_i(j) is j's place when all candidates are sorted by their inner product with i, from 1; equal ones by their order.
This is the recall of image-text retrieval (Karpathy and Fei-Fei 2015; Radford et al. 2021, table 13): an image with
five captions counts once, if any of them is found, and each caption counts once.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rayforget.evaluate.precision import finely

_MAX_PRODUCTS = 2**24
"""Most inner products at a time: 64 MiB in fp32."""


def found_among_k(
    queries: Float[Tensor, "q d"],
    candidates: Float[Tensor, "c d"],
    pairs: tuple[Int[Tensor, " p"], Int[Tensor, " p"]],
    k: int,
) -> Bool[Tensor, " q"]:
    """Whether each query has one of its partners among its k nearest candidates.

    Args:
        queries: unit features.
        candidates: unit features on the same device.
        pairs: queries (each at least once) and their partners among the candidates.
        k: at least 1.
    """
    of_pairs, partners = (each.to(queries.device) for each in pairs)
    places = torch.arange(len(candidates), device=queries.device)
    size = max(1, _MAX_PRODUCTS // len(candidates))
    found = []
    for start in range(0, len(queries), size):
        with finely(queries.device):
            products = queries[start : start + size] @ candidates.T
        here = (of_pairs >= start) & (of_pairs < start + size)
        own = torch.zeros_like(products, dtype=torch.bool)
        own[of_pairs[here] - start, partners[here]] = True
        best = products.masked_fill(~own, -torch.inf).amax(dim=1, keepdim=True)
        first = torch.where(own & (products == best), places, len(candidates)).amin(dim=1, keepdim=True)
        ahead = (products > best) | ((products == best) & (places < first))
        found.append(ahead.sum(dim=1) < k)
    return torch.cat(found)
