"""What counts as what in the verdicts of a behaviour study: every threshold, in one place."""

from __future__ import annotations

LEVEL = 0.005
"""Finding 1: widths are on one step where the larger one costs at most so much more, noise aside."""
STEPPED, SMOOTH = 0.6, 0.9
"""Latency is a step function where at most so large a share of the widths is worth keeping; it is none above."""
MOST = 0.85
"""Steps lie at the multiples of a number where so large a share of their tops does."""

FREE, DEAR = 0.05, 0.25
"""Findings 2 and 3: a part is free up to so much more latency, and dear, so that a rule speaks against it, above."""

FLAT, STEEP = 0.5, 0.8
"""Finding 4: latency grows slower than compute below this exponent, and in proportion from that on."""

PAYS = 1.5
"""Finding 5: a lower precision pays from this speed-up on."""
UNEQUAL = 2.0
"""Speed-ups are unequal where the largest is so many times the least."""

LOSSY, SOUND = 10.0, 20.0
"""Finding 6: INT8 spoils a block below so many decibels of signal to noise (a tenth of its power is then noise),
and keeps it from so many on. Blocks between the two cost trained networks a tenth of a point at the most
(``benchmarks/int8.py``)."""
BIT = 6.02
"""What blocks have that keep so many decibels less, a bit, than blocks without it, is to blame."""

ALIKE, DIFFERENT = 0.8, 0.5
"""Finding 7: platforms are alike where they share so much of their rules; they differ where at most so much."""
