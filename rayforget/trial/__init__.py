"""One trial, as a worker does it: train, score the curve, record; and what stays warm from trial to trial."""
