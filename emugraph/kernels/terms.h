// What scores add up, unit by unit, and its derivatives.
//
// A score is minus the sum over units of what a distance adds up ("l1", "l2", "modulus"; for "l2" minus its root), or
// the sum of products ("dot").

#ifndef EMUGRAPH_TERMS_H
#define EMUGRAPH_TERMS_H

#include "vectors.h"

namespace {

enum Score { L1 = 0, L2 = 1, MODULUS = 2, DOT = 3 };

template <int D>
constexpr int parts = D == MODULUS ? 2 : 1;  // columns of a row for one unit

// What has to be multiplied to a component, and to a slope, because it took a step of Newton's.
template <int D>
constexpr float half_minus = D == MODULUS ? -0.5f : 1.0f;

// The units of a vector's lanes: components, or complex numbers.
struct Unit {
    Vec x, y;
};

template <int D>
Unit load_unit(const float* row, Index units, Index lanes) {
    return {load_part(row, lanes), D == MODULUS ? load_part(row + units, lanes) : Vec{}};
}

template <int D>
void store_unit(float* row, Unit unit, Index units, Index lanes) {
    store_part(row, unit.x, lanes);
    if (D == MODULUS) store_part(row + units, unit.y, lanes);
}

template <int D>
Unit difference(Unit q, Unit e) {
    return {q.x - e.x, D == MODULUS ? q.y - e.y : Vec{}};
}

// An addition on the multipliers: the adders are busy with differences.
inline Vec plus(Vec sum, Vec x) { return madd(x, splat(1.0f), sum); }

// What a distance adds up for a difference; short of a factor half_minus.
template <int D>
Vec length(Unit d) {
    if (D == L1) return absolute(d.x);
    if (D == L2) return d.x * d.x;
    const Vec square = squared_modulus(d.x, d.y), estimate = reciprocal_root(square), root = square * estimate;
    return root * newton(root, estimate);
}

template <int D>
Vec add_length(Vec sum, Unit d) {
    if (D == L1) return plus(sum, absolute(d.x));
    if (D == L2) return madd(d.x, d.x, sum);
    const Vec square = squared_modulus(d.x, d.y), estimate = reciprocal_root(square), root = square * estimate;
    return madd(root, newton(root, estimate), sum);
}

// What a unit adds up; short of a factor half_minus.
template <int D>
Vec component(Unit q, Unit e) {
    return D == DOT ? q.x * e.x : length<D>(difference<D>(q, e));
}

template <int D>
Vec add_component(Vec sum, Unit q, Unit e) {
    return D == DOT ? madd(q.x, e.x, sum) : add_length<D>(sum, difference<D>(q, e));
}

// A score for a sum of components.
template <int D>
Vec score(Vec sum) {
    if (D == DOT) return sum;
    return D == L2 ? -square_root(sum) : sum * -half_minus<D>;
}

// What a difference is to be multiplied by to give its own gradient, for the weight c of a pair; not for "l1".
template <int D>
Vec slope(Vec c, Unit d) {
    if (D != MODULUS) return c;
    const Vec square = squared_modulus(d.x, d.y), estimate = reciprocal_root(square);
    return c * estimate * newton(square * estimate, estimate);
}

template <int D>
Unit add_times(Vec factor, Unit d, Unit sum) {
    return {madd(factor, d.x, sum.x), D == MODULUS ? madd(factor, d.y, sum.y) : Vec{}};
}

// Add the gradients that the weight c of a pair gives its query, times query_sign, and its candidate. For "l2" the
// weight has half the square's derivative and the root's in it.
template <int D>
constexpr float query_sign = D == DOT ? 1.0f : -1.0f;

template <int D>
void add_gradients(Vec c, Unit q, Unit e, Unit& by_query, Unit& by_candidate) {
    if (D == DOT) {
        by_query.x = madd(c, e.x, by_query.x);
        by_candidate.x = madd(c, q.x, by_candidate.x);
        return;
    }
    const Unit d = difference<D>(q, e);
    if (D == L1) {
        const Vec derivative = with_sign(c, d.x);
        by_query.x = plus(by_query.x, derivative);
        by_candidate.x += derivative;
        return;
    }
    const Vec by_difference = slope<D>(c, d);
    by_query = add_times<D>(by_difference, d, by_query);
    by_candidate = add_times<D>(by_difference, d, by_candidate);
}

// What the positives add up, unit by unit: terms (queries, units).
template <int D>
void positive_terms(const float* q, const float* positive, Index queries, Index units, float* terms, Index threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (queries * units > 1 << 15)
    for (Index b = 0; b < queries; ++b)
        for (Index i = 0; i < units; i += V) {
            const Index lanes = smaller(V, units - i), at = b * units * parts<D> + i;
            const Unit query = load_unit<D>(q + at, units, lanes), taken = load_unit<D>(positive + at, units, lanes);
            store_part(terms + b * units + i, component<D>(query, taken), lanes);
        }
}

// The gradients by the positives, and what they add to those by the queries; weights (queries, units) are the sums
// over candidates of the mutated scores' weights where the mask is set.
template <int D>
void positive_backward(const float* q, const float* positive, const float* weights, Index queries, Index units,
                       float* dq, float* dpositive, Index threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (queries * units > 1 << 15)
    for (Index b = 0; b < queries; ++b)
        for (Index i = 0; i < units; i += V) {
            const Index lanes = smaller(V, units - i), at = b * units * parts<D> + i;
            const Unit query = load_unit<D>(q + at, units, lanes), taken = load_unit<D>(positive + at, units, lanes);
            Unit sum = load_unit<D>(dq + at, units, lanes), by_query = {}, by_positive = {};
            add_gradients<D>(load_part(weights + b * units + i, lanes), query, taken, by_query, by_positive);
            sum = {sum.x + by_query.x * query_sign<D>, sum.y + by_query.y * query_sign<D>};
            store_unit<D>(dq + at, sum, units, lanes);
            store_unit<D>(dpositive + at, by_positive, units, lanes);
        }
}

// The loss's derivatives by what scores add up (by half of it for "l2"; for distances with the sign turned), times the
// factor that slopes are short of.
struct Weights {
    const float* gradient;  // by the scores; null where they are not used
    const float* scores;    // for "l2", whose root divides the gradient; else null
    float factor;

    float at(Index i) const {
        // No float32 components have such a distance: it keeps g / 0 finite until it meets a difference of 0.
        constexpr float nothing = 1e-19f;
        if (!gradient) return 0.0f;
        if (!scores) return gradient[i] * factor;
        return gradient[i] / (-scores[i] < nothing ? nothing : -scores[i]);
    }

    Vec at(Index i, Index lanes) const {
        if (lanes == V && !scores) return gradient ? load(gradient + i) * factor : Vec{};
        Vec x = {};
        for (Index lane = 0; lane < lanes; ++lane) x[lane] = at(i + lane);
        return x;
    }
};

inline Weights weights_of(Index kind, const float* gradient, const float* scores) {
    return {gradient, scores, kind == MODULUS ? half_minus<MODULUS> : 1.0f};
}

// Which units a mutated candidate takes from the positive: one bit a unit in 64-bit words. Strides are counted in
// words; where all queries share the masks, the queries' stride is 0.
struct Mask {
    const std::uint64_t* words;
    Index query_stride, candidate_stride;

    Index row(Index query, Index candidate) const { return query * query_stride + candidate * candidate_stride; }

    Lanes taken(Index row, Index block) const { return lanes_of(words[row + block * V / 64] >> block * V % 64); }
    Lanes kept(Index row, Index block) const { return lanes_of(~words[row + block * V / 64] >> block * V % 64); }
    bool unit(Index row, Index i) const { return words[row + i / 64] >> i % 64 & 1; }
};

// The instance of a template for a score, with or without a mask.
#define EMUGRAPH_INSTANCE(function, kind, masked)                                                        \
    (kind == L1        ? (masked ? function<L1, true> : function<L1, false>)                             \
     : kind == L2      ? (masked ? function<L2, true> : function<L2, false>)                             \
     : kind == MODULUS ? (masked ? function<MODULUS, true> : function<MODULUS, false>)                   \
                       : (masked ? function<DOT, true> : function<DOT, false>))

}  // namespace

#endif
