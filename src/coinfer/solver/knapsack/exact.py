"""Sums of floats without any rounding, at the speed of numpy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from coinfer.solver.program import FloatArray, IntArray

SMALLEST, LARGEST, MOST_COPIES = 2.0**-900, 2.0**900, 2**52
"""Numbers and copies between which products keep every bit of their rounding error."""
_SPLIT = float(2**27 + 1)


def exact_sum(terms: FloatArray) -> Fraction:
    """Return the sum of ``terms``, exactly.

    Each round takes from every term the bits above a common place, whose sum is exact in floats (Rump, Ogita and Oishi,
    Accurate Floating-Point Summation, 2008, section 3).
    """
    left = np.array(terms, dtype=np.float64)
    size = 2.0 ** math.ceil(math.log2(len(left) + 2))
    total = Fraction(0)
    for _ in range(8):
        largest = float(np.abs(left).max(initial=0.0))
        if largest == 0.0:
            return total
        if largest > 1e290 or largest < 1e-270:
            break
        place = size * 2.0 ** math.frexp(largest)[1]
        upper = (left + place) - place
        left -= upper
        total += Fraction(float(upper.sum()))
    return total + sum(map(Fraction, left[left != 0.0].tolist()), Fraction(0))


def exact_product_sum(numbers: FloatArray, copies: IntArray | None) -> Fraction:
    """Return the sum of ``numbers * copies``, exactly; ``None``: one copy each."""
    if copies is None:
        return exact_sum(numbers)
    size = np.abs(numbers)
    far = (copies > MOST_COPIES) | (size > LARGEST) | ((size < SMALLEST) & (size > 0.0))
    if bool(far.any()):  # products would leave the range in which their error is a float
        pairs = zip(numbers[far].tolist(), copies[far].tolist(), strict=True)
        apart = sum((Fraction(number) * count for number, count in pairs), Fraction(0))
        return apart + exact_product_sum(numbers[~far], copies[~far])
    upper = numbers * copies
    if bool((numbers == np.trunc(numbers)).all()) and float(np.abs(upper).max(initial=0.0)) < 2**53:
        return exact_sum(upper)  # products of whole numbers: nothing was rounded
    return exact_sum(np.concatenate([upper, _product_error(numbers, copies.astype(np.float64), upper)]))


def _product_error(left: FloatArray, right: FloatArray, product: FloatArray) -> FloatArray:
    """Return what rounding took from ``left * right`` (Dekker 1971)."""
    left_upper, right_upper = left * _SPLIT, right * _SPLIT
    left_upper, right_upper = left_upper - (left_upper - left), right_upper - (right_upper - right)
    left_lower, right_lower = left - left_upper, right - right_upper
    error = left_upper * right_upper - product
    return error + left_upper * right_lower + left_lower * right_upper + left_lower * right_lower
