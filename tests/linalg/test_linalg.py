"""devtensor.linalg: results that recombine to what went in, on every device; gradients; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.linalg import LinAlgError
from devtensor.testing.cases import to_numpy, to_tensor

DTYPES = ("float32", "float64", "complex64", "complex128")
SHAPES = ((3, 3), (4, 3), (3, 5), (2, 3, 3), (2, 1, 4, 2), (0, 3), (3, 0), (0, 2, 2))


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    numbers = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        numbers = numbers + 1j * rng.standard_normal(shape)
    return numbers.astype(dtype)


def positive(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Hermitian and positive definite."""
    half = drawn(shape, dtype, seed)
    return half @ half.conj().swapaxes(-1, -2) + np.eye(shape[-1], dtype=dtype)


def near(found: dt.Tensor, wanted: np.ndarray) -> None:
    assert tuple(found.shape) == wanted.shape
    assert found.dtype.name == wanted.dtype.name
    near_enough = 1e-3 if wanted.dtype.itemsize * (1 if wanted.dtype.kind == "f" else 0.5) == 4 else 1e-9
    np.testing.assert_allclose(to_numpy(found), wanted, near_enough, near_enough)


def adjoint(x: np.ndarray) -> np.ndarray:
    return x.conj().swapaxes(-1, -2)


def eye(size: int, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.eye(size, dtype=like.dtype), (*like.shape[:-2], size, size))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestAnyMatrix:
    def test_svd(self, shape, dtype, device):
        x = drawn(shape, dtype)
        for full in (True, False):
            left, values, right = map(to_numpy, dt.linalg.svd(to_tensor(x, device), full))
            count = values.shape[-1]
            near(to_tensor((left[..., :count] * values[..., None, :]) @ right[..., :count, :], device), x)
            near(to_tensor(adjoint(left) @ left, device), eye(left.shape[-1], x))
            near(to_tensor(right @ adjoint(right), device), eye(right.shape[-2], x))
            assert (np.diff(values, axis=-1) <= 0).all()
            near(dt.linalg.svdvals(to_tensor(x, device)), values)

    def test_qr(self, shape, dtype, device):
        x = drawn(shape, dtype)
        for mode in ("reduced", "complete"):
            orthogonal, triangle = map(to_numpy, dt.linalg.qr(to_tensor(x, device), mode))
            near(to_tensor(orthogonal @ triangle, device), x)
            near(to_tensor(adjoint(orthogonal) @ orthogonal, device), eye(orthogonal.shape[-1], x))
            assert not np.tril(triangle, -1).any()
        near(dt.linalg.qr(to_tensor(x, device), "r").R, to_numpy(dt.linalg.qr(to_tensor(x, device)).R))

    def test_lu(self, shape, dtype, device):
        x = drawn(shape, dtype)
        order, lower, upper = map(to_numpy, dt.linalg.lu(to_tensor(x, device)))
        near(to_tensor(order @ lower @ upper, device), x)
        assert np.abs(lower).max(initial=0) <= 1.5
        packed, pivots = dt.linalg.lu_factor(to_tensor(x, device)) if 0 not in shape else (None, None)
        if packed is not None and shape[-1] == shape[-2]:
            right = drawn((*shape[:-1], 2), dtype, 1)
            near(dt.linalg.lu_solve(packed, pivots, to_tensor(right, device)), np.linalg.solve(x, right))

    def test_pinv(self, shape, dtype, device):
        x = drawn(shape, dtype)
        near(dt.linalg.pinv(to_tensor(x, device)), np.linalg.pinv(x) if x.size else x.swapaxes(-1, -2))

    def test_householder(self, shape, dtype, device):
        x = drawn(shape, dtype)
        if shape[-2] < shape[-1]:
            return
        packed, tau = dt.geqrf(to_tensor(x, device))
        product = to_numpy(dt.linalg.householder_product(packed, tau))
        near(to_tensor(product @ np.triu(to_numpy(packed))[..., : x.shape[-1], :], device), x)
        other = drawn((*shape[:-1], 2), dtype, 2)
        whole = to_numpy(dt.linalg.qr(to_tensor(x, device), "complete").Q)
        near(dt.ormqr(packed, tau, to_tensor(other, device), True, True), adjoint(whole) @ other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if s[-1] == s[-2]], ids=str)
class TestSquareMatrix:
    def test_equations(self, shape, dtype, device):
        x, right = drawn(shape, dtype), drawn((*shape[:-1], 2), dtype, 1)
        a, b = to_tensor(x, device), to_tensor(right, device)
        near(dt.linalg.solve(a, b), np.linalg.solve(x, right))
        near(
            dt.linalg.solve(a, b.mT, left=False), np.linalg.solve(x.swapaxes(-1, -2), right).swapaxes(-1, -2)
        )
        near(dt.linalg.solve(a, b[..., 0]), np.linalg.solve(x, right)[..., 0])
        near(dt.linalg.inv(a), np.linalg.inv(x))
        near(dt.linalg.matrix_power(a, -2), np.linalg.matrix_power(x, -2))

    def test_triangles(self, shape, dtype, device):
        x, right = drawn(shape, dtype), drawn((*shape[:-1], 2), dtype, 1)
        for upper in (True, False):
            for unit in (True, False):
                triangle = np.triu(x) if upper else np.tril(x)
                if unit:
                    triangle = triangle - triangle * eye(shape[-1], x) + eye(shape[-1], x)
                found = dt.linalg.solve_triangular(
                    to_tensor(x, device), to_tensor(right, device), upper=upper, unitriangular=unit
                )
                near(to_tensor(triangle @ to_numpy(found), device), right)

    def test_determinants(self, shape, dtype, device):
        x = drawn(shape, dtype)
        near(dt.linalg.det(to_tensor(x, device)), np.linalg.det(x))
        sign, logarithm = dt.linalg.slogdet(to_tensor(x, device))
        near(sign, np.linalg.slogdet(x)[0])
        near(logarithm, np.linalg.slogdet(x)[1])

    def test_hermitian(self, shape, dtype, device):
        x = positive(shape, dtype)
        for upper in (True, False):
            factor = to_numpy(dt.linalg.cholesky(to_tensor(x, device), upper=upper))
            near(to_tensor(adjoint(factor) @ factor if upper else factor @ adjoint(factor), device), x)
            values, vectors = map(to_numpy, dt.linalg.eigh(to_tensor(x, device), "U" if upper else "L"))
            near(to_tensor((vectors * values[..., None, :]) @ adjoint(vectors), device), x)
            near(dt.cholesky_inverse(to_tensor(factor, device), upper), np.linalg.inv(x))

    def test_eigenvectors(self, shape, dtype, device):
        x = drawn(shape, dtype)
        values, vectors = map(to_numpy, dt.linalg.eig(to_tensor(x, device)))
        assert values.dtype == ("complex64" if dtype in ("float32", "complex64") else "complex128")
        near(to_tensor(x @ vectors, device), (vectors * values[..., None, :]).astype(values.dtype))


def test_long_elimination_by_panels(device):
    x = drawn((2, 70, 70), "float64")
    order, lower, upper = map(to_numpy, dt.linalg.lu(to_tensor(x, device)))
    near(to_tensor(order @ lower @ upper, device), x)


def test_half_matrices_are_refused_and_integers_too(device):
    for dtype in (dt.float16, dt.int64):
        with pytest.raises(RuntimeError, match="linalg_"):
            dt.linalg.inv(dt.ones(2, 2, dtype=dtype, device=device))


def test_singular_matrices_say_which(device):
    x = dt.stack([dt.eye(2), dt.ones(2, 2)]).to(device)
    with pytest.raises(LinAlgError, match=r"Batch element 1"):
        dt.linalg.inv(x)
    with pytest.raises(RuntimeError, match="singular"):
        dt.linalg.solve(x[1], dt.ones(2, device=device))
    inverse, info = dt.linalg.inv_ex(x)
    assert info.tolist() == [0, 2]
    assert inverse[0].tolist() == [[1, 0], [0, 1]]
    _, info = dt.linalg.cholesky_ex(x - 2 * dt.eye(2, device=device))
    assert info.tolist() == [1, 1]
    with pytest.raises(LinAlgError, match="leading minor of order 2"):
        dt.linalg.cholesky(dt.tensor([[1.0, 2.0], [2.0, 1.0]], device=device))
    assert dt.linalg.lu_factor_ex(x).info.tolist() == [0, 2]
    assert dt.linalg.matrix_rank(x).tolist() == [2, 1]
    assert dt.linalg.cond(x)[1].item() > 1e7
    assert dt.linalg.solve_triangular(dt.zeros(1, 1), dt.ones(1, 1), upper=True).item() == float("inf")


DIFFERENTIABLE = {
    "inv": lambda x: dt.linalg.inv(x),
    "det": lambda x: dt.linalg.det(x),
    "slogdet": lambda x: dt.linalg.slogdet(x)[1],
    "solve": lambda x: dt.linalg.solve(x, x.sum(-1)),
    "pinv": lambda x: dt.linalg.pinv(x[..., :2]),
    "cholesky": lambda x: dt.linalg.cholesky(x @ x.mH + dt.eye(3)),
    "eigh": lambda x: abs(dt.linalg.eigh(x + x.mH)[1]),
    "eigvalsh": lambda x: dt.linalg.eigvalsh(x + x.mH),
    "eigvals": lambda x: dt.linalg.eigvals(x).abs(),
    "eig": lambda x: dt.linalg.eig(x)[1].abs(),
    "svd": lambda x: (lambda u, s, v: u[..., :2] @ dt.diag_embed(s) ** 2 @ v[..., :2, :])(
        *[t.to(x.dtype) for t in dt.linalg.svd(x[..., :2], False)]
    ),
    "qr": lambda x: dt.linalg.qr(x)[1].abs(),
    "wide qr": lambda x: dt.linalg.qr(x[..., :2, :])[0].abs(),
    "lu": lambda x: dt.linalg.lu_factor(x)[0],
    "wide lu": lambda x: dt.linalg.lu_factor(x[..., :2, :])[0],
    "tall lu": lambda x: dt.linalg.lu_factor(x[..., :2])[0],
    "matrix_exp": lambda x: dt.linalg.matrix_exp(x),
    "matrix_power": lambda x: dt.linalg.matrix_power(x, 5),
    "lstsq": lambda x: dt.linalg.lstsq(x[..., :2], x[..., 1:]).solution,
    "householder_product": lambda x: dt.linalg.householder_product(x, x[..., 0]),
    "matrix_norm": lambda x: dt.linalg.matrix_norm(x, "nuc"),
    "cond": lambda x: dt.linalg.cond(x),
}


def over_real_numbers(function):
    """A function of complex tensors as one of pairs of real numbers."""

    def real(pairs: dt.Tensor) -> dt.Tensor:
        found = function(dt.view_as_complex(pairs))
        return dt.view_as_real(found) if found.dtype.is_complex else found

    return real


@pytest.mark.parametrize("complex_numbers", [False, True])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name, complex_numbers):
    shape = (2, 3, 3, 2) if complex_numbers else (2, 3, 3)
    function = over_real_numbers(DIFFERENTIABLE[name]) if complex_numbers else DIFFERENTIABLE[name]
    x = to_tensor(drawn(shape, "float64", 7)).requires_grad_()
    assert gradcheck(function, (x,))
    assert gradgradcheck(function, (x,), atol=1e-4)


def test_gradient_of_a_singular_matrix_is_its_cofactors():
    x = dt.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=dt.float64, requires_grad=True)
    (g,) = dt.autograd.grad(dt.linalg.det(x), x)
    dt.testing.assert_close(g, dt.tensor([[4.0, -2.0], [-2.0, 1.0]], dtype=dt.float64))


def test_named_results_and_out():
    x = to_tensor(positive((3, 3), "float64"))
    found = dt.linalg.eigh(x)
    assert type(found).__name__ == "linalg_eigh" and found.eigenvalues is found[0]
    out = (dt.empty(0, dtype=dt.float64), dt.empty(0, 0, dtype=dt.float64))
    dt.linalg.eigh(x, out=out)
    assert out[0].tolist() == found.eigenvalues.tolist()
    made = dt.empty(3, 3, dtype=dt.float64)
    assert dt.linalg.inv(x, out=made) is made


def test_indefinite_factorizations_are_refused_by_name():
    with pytest.raises(NotImplementedError, match="lu_factor"):
        dt.linalg.ldl_factor(dt.eye(2))
