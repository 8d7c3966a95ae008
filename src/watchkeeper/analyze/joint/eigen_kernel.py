"""Eigenvectors of small symmetric matrices by Jacobi's rotations.

Compiled here and not taken from LAPACK: its answers may depend on how many threads it has, and a
replay must give the same bits.
"""

import math

from watchkeeper.compiled.jit import kernel

SWEEPS = 30
SETTLED = 1e-18
"""The square of what is off the diagonal, of the whole: what is left is rounding."""


@kernel
def decompose(matrix, values, vectors):
    """Eigenvalues in descending order, and their vectors as rows. `matrix` is used up."""
    n = len(matrix)
    vectors[:] = 0.0
    for i in range(n):
        vectors[i, i] = 1.0
    for _ in range(SWEEPS):
        if _is_settled(matrix):
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                _rotate(matrix, vectors, p, q)
    for i in range(n):
        values[i] = matrix[i, i]
    _sort(values, vectors)


@kernel
def _is_settled(matrix):
    n = len(matrix)
    off = 0.0
    whole = 0.0
    for i in range(n):
        whole += matrix[i, i] * matrix[i, i]
        for j in range(i + 1, n):
            off += 2.0 * matrix[i, j] * matrix[i, j]
    return off <= SETTLED * (whole + off)


@kernel
def _rotate(matrix, vectors, p, q):
    """Turn the plane of p and q until nothing is left between them."""
    between = matrix[p, q]
    if between == 0.0:
        return
    theta = (matrix[q, q] - matrix[p, p]) / (2.0 * between)
    t = math.copysign(1.0, theta) / (abs(theta) + math.sqrt(theta * theta + 1.0))
    c = 1.0 / math.sqrt(t * t + 1.0)
    s = t * c
    n = len(matrix)
    for k in range(n):
        left = matrix[p, k]
        right = matrix[q, k]
        matrix[p, k] = c * left - s * right
        matrix[q, k] = s * left + c * right
    for k in range(n):
        left = matrix[k, p]
        right = matrix[k, q]
        matrix[k, p] = c * left - s * right
        matrix[k, q] = s * left + c * right
    matrix[p, q] = 0.0
    matrix[q, p] = 0.0
    for k in range(n):
        left = vectors[p, k]
        right = vectors[q, k]
        vectors[p, k] = c * left - s * right
        vectors[q, k] = s * left + c * right


@kernel
def _sort(values, vectors):
    n = len(values)
    for i in range(n - 1):
        top = i
        for j in range(i + 1, n):
            if values[j] > values[top]:
                top = j
        if top != i:
            values[i], values[top] = values[top], values[i]
            for k in range(n):
                vectors[i, k], vectors[top, k] = vectors[top, k], vectors[i, k]
