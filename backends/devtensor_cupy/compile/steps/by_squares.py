"""Rules that divide by the root of squared gradients: Adagrad, RMSprop, Adadelta.

Source: devtensor/optim/adagrad.py, rmsprop.py, adadelta.py.
"""

from __future__ import annotations

ADAGRAD = r"""
// Slots: sums of squares.
template <class W> struct Adagrad {
    enum { SLOTS = 1 };
    W length, eps;
    METHOD void prepare(const Given& given, const double* counts, double lr_decay, double eps) {
        length = given.rate / (1 + (counts[0] - 1) * lr_decay);
        this->eps = eps;
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& sum = kept[0];
        sum += gradient * gradient;
        return value - gradient / (sqrt(sum) + eps) * length;
    }
};
"""

RMSPROP = r"""
// Slots: squares, with momentum velocities, CENTERED means.
template <class W> struct Rmsprop {
    enum { SLOTS = 3 };
    W keep, fresh, eps, momentum, length;
    bool centered;
    METHOD void prepare(const Given& given, const double*, double alpha, double eps, double momentum) {
        keep = alpha;
        fresh = 1 - alpha;
        this->eps = eps;
        this->momentum = momentum;
        length = given.rate;
        centered = given.flags & CENTERED;
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& square = kept[0], & velocity = kept[1], & mean = kept[2];
        square = square * keep + gradient * gradient * fresh;
        mean += (gradient - mean) * fresh;
        W spread = centered ? square - mean * mean : square;
        velocity = velocity * momentum + gradient / (sqrt(spread) + eps);
        return value - velocity * length;
    }
};
"""

ADADELTA = r"""
// Slots: squares, squared steps.
template <class W> struct Adadelta {
    enum { SLOTS = 2 };
    W keep, fresh, eps, length;
    METHOD void prepare(const Given& given, const double*, double rho, double eps) {
        keep = rho;
        fresh = 1 - rho;
        this->eps = eps;
        length = given.rate;
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& square = kept[0], & before = kept[1];
        square = square * keep + gradient * gradient * fresh;
        W way = sqrt(before + eps) / sqrt(square + eps) * gradient;
        before = before * keep + way * way * fresh;
        return value - way * length;
    }
};
"""

BY_SQUARES = ADAGRAD + RMSPROP + ADADELTA
