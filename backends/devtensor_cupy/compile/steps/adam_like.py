"""Rules with a running mean of the gradients: Adam and AdamW, Adamax, NAdam, RAdam.

Source: devtensor/optim/adam.py, adamax.py, nadam.py, radam.py.
"""

from __future__ import annotations

MOVED = r"""
template <class W> __device__ W moved(W mean, W to, W weight) { return mean + (to - mean) * weight; }
"""

ADAM = r"""
// Slots: means, squares, with AMSGRAD the largest squares.
template <class W> struct Adam {
    enum { SLOTS = 3 };
    W fresh, keep, fresh_square, length, floor;
    bool amsgrad;
    METHOD void prepare(const Given& given, const double* counts, double beta1, double beta2, double eps) {
        double root = sqrt(1 - pow(beta2, counts[0]));
        fresh = 1 - beta1;
        keep = beta2;
        fresh_square = 1 - beta2;
        length = root / (1 - pow(beta1, counts[0])) * given.rate;
        floor = root * eps;
        amsgrad = given.flags & AMSGRAD;
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& mean = kept[0], & square = kept[1], & largest = kept[2];
        mean = moved(mean, gradient, fresh);
        square = square * keep + gradient * gradient * fresh_square;
        largest = larger(square, largest);
        return value - mean / (sqrt(amsgrad ? largest : square) + floor) * length;
    }
};
"""

ADAMAX = r"""
// Slots: means, largest gradients.
template <class W> struct Adamax {
    enum { SLOTS = 2 };
    W fresh, keep, eps, length;
    METHOD void prepare(const Given& given, const double* counts, double beta1, double beta2, double eps) {
        fresh = 1 - beta1;
        keep = beta2;
        this->eps = eps;
        length = given.rate / (1 - pow(beta1, counts[0]));
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& mean = kept[0], & largest = kept[1];
        mean = moved(mean, gradient, fresh);
        largest = larger(largest * keep, (W)fabs(gradient) + eps);
        return value - mean / largest * length;
    }
};
"""

MU = r"""
// How much of a step NAdam's mean is, which grows with the steps.
__device__ double mu_of(double step, double beta1, double momentum_decay) {
    return beta1 * (1 - 0.5 * pow(0.96, step * momentum_decay));
}
"""

NADAM = (
    MU
    + r"""
// Slots: means, squares. The second count is the product of all mu so far, this step's among them.
template <class W> struct Nadam {
    enum { SLOTS = 2 };
    W fresh, keep, fresh_square, eps, now, ahead, root;
    METHOD void prepare(
        const Given& given, const double* counts, double beta1, double beta2, double eps,
        double momentum_decay) {
        double mu = mu_of(counts[0], beta1, momentum_decay), product = counts[1];
        double following = mu_of(counts[0] + 1, beta1, momentum_decay);
        fresh = 1 - beta1;
        keep = beta2;
        fresh_square = 1 - beta2;
        this->eps = eps;
        now = given.rate * (1 - mu) / (1 - product);
        ahead = given.rate * following / (1 - product * following);
        root = sqrt(1 - pow(beta2, counts[0]));
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& mean = kept[0], & square = kept[1];
        mean = moved(mean, gradient, fresh);
        square = square * keep + gradient * gradient * fresh_square;
        return value - (gradient * now + mean * ahead) / (sqrt(square) / root + eps);
    }
};
"""
)

RADAM = r"""
// Slots: means, squares. Steps of the length `plain` as long as too few squares stand behind their mean.
template <class W> struct Radam {
    enum { SLOTS = 2 };
    W fresh, keep, fresh_square, eps, plain, scaled;
    bool trusted;
    METHOD void prepare(const Given& given, const double* counts, double beta1, double beta2, double eps) {
        double power = pow(beta2, counts[0]), last = 2 / (1 - beta2) - 1;
        double rho = last - 2 * counts[0] * power / (1 - power);
        double length = given.rate / (1 - pow(beta1, counts[0]));
        fresh = 1 - beta1;
        keep = beta2;
        fresh_square = 1 - beta2;
        this->eps = eps;
        plain = length;
        trusted = rho > 5;
        double part = trusted ? (rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho) : 0;
        scaled = length * sqrt(part * (1 - power));
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& mean = kept[0], & square = kept[1];
        mean = moved(mean, gradient, fresh);
        square = square * keep + gradient * gradient * fresh_square;
        return value - mean * (trusted ? scaled / (sqrt(square) + eps) : plain);
    }
};
"""

ADAM_LIKE = MOVED + ADAM + ADAMAX + NADAM + RADAM
