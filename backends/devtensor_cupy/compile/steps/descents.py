"""Rules that go down the gradient or by its sign: SGD, averaged SGD, Rprop.

Source: devtensor/optim/sgd.py, asgd.py, rprop.py.
"""

from __future__ import annotations

SGD = r"""
// Slots: with momentum velocities. Steps are counted where gradients are dampened: the first is not.
template <class W> struct Sgd {
    enum { SLOTS = 1 };
    W momentum, weight, length;
    bool nesterov;
    METHOD void prepare(const Given& given, const double* counts, double momentum, double dampening) {
        this->momentum = momentum;
        weight = momentum != 0 && counts[0] > 1 ? 1 - dampening : 1;
        length = given.rate;
        nesterov = given.flags & NESTEROV;
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& velocity = kept[0];
        velocity = velocity * momentum + gradient * weight;
        return value - (nesterov ? gradient + velocity * momentum : velocity) * length;
    }
};
"""

ASGD = r"""
// Slots: averages. The counts after the step's are eta and mu, which the step before has left for this one.
template <class W> struct Asgd {
    enum { SLOTS = 1 };
    W shrink, length, mu;
    METHOD void prepare(const Given& given, const double* counts, double lambd, double, double) {
        float eta = counts[1] + (counts[0] == 0 ? given.rate : 0);
        shrink = 1 - lambd * eta;
        length = eta;
        mu = counts[2];
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& average = kept[0], after = value * shrink - gradient * length;
        average = mu == 1 ? after : average + (after - average) * mu;
        return after;
    }
};
"""

RPROP = r"""
// Slots: gradients before, step sizes.
template <class W> struct Rprop {
    enum { SLOTS = 2 };
    W first, low, high, smallest, largest;
    METHOD void prepare(
        const Given& given, const double* counts, double low, double high, double smallest, double largest) {
        first = counts[0] == 1 ? given.rate : 0;
        this->low = low;
        this->high = high;
        this->smallest = smallest;
        this->largest = largest;
    }
    METHOD W updated(W value, W gradient, W* kept) const {
        W& before = kept[0], & size = kept[1], agree = gradient * before;
        size = (size + first) * (agree > 0 ? high : agree < 0 ? low : 1);
        size = size < smallest ? smallest : size;
        size = size > largest ? largest : size;
        before = agree < 0 ? 0 : gradient;
        return value - size * ((before > 0) - (before < 0));
    }
};
"""

DESCENTS = SGD + ASGD + RPROP
