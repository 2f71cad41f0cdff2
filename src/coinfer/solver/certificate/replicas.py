r"""What second copies can keep together at most, beyond what one copy of each item could: for ``local`` dispatch.

Setting. Uniform distance, so that what is not separated is kept. :math:`W` is the weight between two consecutive
layers; a row :math:`y_e` says which share of the tokens of item :math:`e` each part serves (at least 0, sum 1, and 0
where the part holds no copy), and :math:`h_f` is 1 where a part holds a copy of item :math:`f` of the next layer. A
part has at most :math:`S` slots. A token stays where the next item has a copy, and *all other* tokens change part, so

.. math:: \text{kept} = \sum_{e,f} W_{ef}\,\langle y_e, h_f\rangle.

Claim. Let item :math:`f` have :math:`c_f` copies, and let :math:`t_f^{(1)} \ge t_f^{(2)} \ge \dots` be the sums of
consecutive groups of :math:`S` entries of column :math:`f` of :math:`W` in falling order. Choose any rows
:math:`z_f \le h_f` on the simplex. Then

.. math::
    \text{kept} \le \sum_{e,f} W_{ef}\,\langle y_e, z_f\rangle + \sum_f \sum_{i=2}^{c_f} t_f^{(i-1)} .

Proof. Let :math:`u_{fg} = \sum_e W_{ef}\, y_{eg}`: the weight that waits in part :math:`g` for item :math:`f`. For a
set :math:`P` of :math:`m` parts, :math:`\sum_{g \in P} u_{fg} = \sum_e W_{ef} \sum_{g \in P} y_{eg}`. Each factor
:math:`\sum_{g \in P} y_{eg}` is at most 1, and is above 0 only for the at most :math:`mS` items with a copy in
:math:`P`, so the sum is at most that of the :math:`mS` largest entries of the column:
:math:`\sum_{g \in P} u_{fg} \le T_f(m) = t_f^{(1)} + \dots + t_f^{(m)}`. Now
:math:`\sum_e W_{ef} \langle y_e, h_f - z_f\rangle = \sum_g (h_{fg} - z_{fg})\, u_{fg}`, whose coefficients lie in
:math:`[0, 1]`, are 0 outside the :math:`c_f` parts that hold :math:`f`, and add up to :math:`c_f - 1`. Such a sum is
largest when the :math:`c_f - 1` largest of the :math:`u_{fg}` have coefficient 1, hence at most :math:`T_f(c_f - 1)`.
Summed over :math:`f` this is the claim. The groups of one item fall, so over all ways to spread :math:`R` further
copies, at most :math:`G - 1` for one item, :math:`\sum_f T_f(c_f - 1)` is at most the sum of the :math:`R` largest of
all :math:`t_f^{(i)}` with :math:`i \le G - 1`. ∎

For all layers at once take :math:`z_f = y_f`: under ``local`` dispatch a part that serves tokens of :math:`f` holds a
copy of it, so :math:`y_f \le h_f` on the simplex, and every pair of layers then speaks of the same rows :math:`y`. The
first term is thus what *one* choice of rows on the simplex keeps in all layers, with at most :math:`S` of them positive
in a part: the semidefinite bound for rows on the simplex covers it. Where the tokens of an item are that the trace
never leads to does not matter: they have no weight.

The weight kept for an item is also at most its whole column, which caps the bound again: the term of item :math:`f` is
at most :math:`\sum_e W_{ef}`; groups of consecutive entries of a column keep that by themselves.
"""

from __future__ import annotations

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.program import FloatArray, IntArray

MARGIN = 1e-12
"""Relative rounding error of the sums, far above what they can have."""


def extra_kept(weights: FloatArray, slots: IntArray, replicas: int) -> float:
    """Return the most weight that ``replicas`` second and further copies a layer keep beyond single rows, all layers.

    See the module for what is proven. Copies in the first layer keep nothing beyond the rows: no token arrives there.

    Parameters
    ----------
    weights
        (layers - 1, items, items), at least 0.
    slots
        (parts,): most copies of one layer in a part.
    replicas
        Most second and further copies in one layer.

    Raises
    ------
    InputError
        If the weights are negative or not finite.
    """
    if not (np.isfinite(weights).all() and (weights >= 0.0).all()):
        raise InputError("weights", expected="finite numbers, at least 0", found=Plain("others"))
    items, parts = weights.shape[1], int((slots > 0).sum())
    width, room = int(slots.max(initial=0)), min(int(slots.sum()) - items, items * (parts - 1))
    extra = min(replicas, room)
    if extra <= 0 or width == 0:
        return 0.0
    groups = min(parts - 1, -(-items // width))
    total = 0.0
    for flow in weights:
        falling = -np.sort(-flow, axis=0)[: groups * width]
        padded = np.zeros((groups * width, items))
        padded[: len(falling)] = falling
        sums = padded.reshape(groups, width, items).sum(axis=1).ravel()
        total += float(np.sort(sums)[::-1][:extra].sum())
    return total * (1.0 + MARGIN)
