"""Special functions under the names of `torch.special`."""

# ruff: noqa: F401 - names to be offered, not used

from devtensor.functions import operands as _operands
from devtensor.functions import out as _out
from devtensor.functions.polynomials import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)
from devtensor.functions.reducing import logsumexp
from devtensor.functions.specials import polygamma
from devtensor.functions.unary import logit, round
from devtensor.nn.functional import log_softmax, softmax
from devtensor.ops.bessel import (
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)
from devtensor.ops.error_functions import erf, erfc, erfinv
from devtensor.ops.functions import exp2, expm1, log1p
from devtensor.ops.gamma import digamma, zeta
from devtensor.ops.gamma import digamma as psi
from devtensor.ops.gamma import igamma as gammainc
from devtensor.ops.gamma import igammac as gammaincc
from devtensor.ops.gamma import lgamma as gammaln
from devtensor.ops.gamma import mvlgamma as multigammaln
from devtensor.ops.hyperbolic import sigmoid as expit
from devtensor.ops.numbers import sinc
from devtensor.ops.probability import entr, erfcx, i0, i0e, i1, i1e, log_ndtr, ndtr, ndtri, xlog1py, xlogy

modified_bessel_i0, modified_bessel_i1 = i0, i1

_operands.attach(globals())
_out.attach(globals(), _out.SPECIAL)
