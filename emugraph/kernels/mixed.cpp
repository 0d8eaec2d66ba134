// Scores of rows of queries with candidates that are mixed in proportion with each query's positive (MIXUP), and their
// gradients, on a CPU.
//
// Candidate k is weight[k] * e[k] + (1 - weight[k]) * positive[b] for query b. What a distance is taken of is then
//
//     q[b] - positive[b] - weight[k] * (e[k] - positive[b])
//
// and its gradient s serves three times: the query's is the sum of -s, the positive's that of (1 - weight[k]) * s, and
// the candidate's weight[k] times the sum of s. In this form the difference is exactly 0 where all three are the same.
// Passes, tasks and threads are as in pairwise.cpp, and so is the plain C interface for ctypes.

#include "pairs.h"

namespace {

// What is known of each query, rows (queries, 2 * columns): how far it is from its positive, and the positive.
void pack_queries(const float* q, const float* positive, Index queries, Index columns, float* rows) {
    for (Index b = 0; b < queries; ++b)
        for (Index i = 0; i < columns; ++i) {
            rows[2 * b * columns + i] = q[b * columns + i] - positive[b * columns + i];
            rows[(2 * b + 1) * columns + i] = positive[b * columns + i];
        }
}

template <int D>
Unit mixed_difference(Unit apart, Unit positive, Unit candidate, Vec minus_weight) {
    const Unit d = difference<D>(candidate, positive);
    return add_times<D>(minus_weight, d, apart);
}

// Vectors of candidates in a panel.
template <int D>
constexpr int panel_vectors = (D == MODULUS ? 2 : 4) / (many_registers ? 1 : 2);

// Scores of Q queries, from pack_queries, with one panel of candidates.
template <int D, int Q>
void mixed_tile(const float* rows, Index units, const float* panel, const float* minus_weights, Index count,
                float* scores, Index leading) {
    constexpr int T = panel_vectors<D>, width = T * V;
    const Index columns = units * parts<D>;
    Vec sum[Q][T] = {}, minus_weight[T];
    for (int t = 0; t < T; ++t) minus_weight[t] = load(minus_weights + t * V);
    for (Index i = 0; i < units; ++i) {
        Unit candidate[T];
        for (int t = 0; t < T; ++t)
            candidate[t] = {load(panel + i * width + t * V),
                            D == MODULUS ? load(panel + (units + i) * width + t * V) : Vec{}};
        for (int b = 0; b < Q; ++b) {
            const float *apart = rows + 2 * b * columns + i, *positive = apart + columns;
            const Unit a = {splat(apart[0]), D == MODULUS ? splat(apart[units]) : Vec{}};
            const Unit p = {splat(positive[0]), D == MODULUS ? splat(positive[units]) : Vec{}};
            for (int t = 0; t < T; ++t)
                sum[b][t] = add_length<D>(sum[b][t], mixed_difference<D>(a, p, candidate[t], minus_weight[t]));
        }
    }
    for (int b = 0; b < Q; ++b)
        for (int t = 0; t < T && t * V < count; ++t)
            store_part(scores + b * leading + t * V, score<D>(sum[b][t]), smaller(count - t * V, V));
}

template <int D>
Index mixed(const float* q, const float* e, const float* positive, const float* weight, Index queries,
            Index candidates, Index units, float* scores, Index threads) {
    constexpr int Q = 4, width = panel_vectors<D> * V;
    const Index columns = units * parts<D>, padded = ceil_div(candidates, width) * width;
    const Panels panels(width, Q, queries, candidates, threads);
    Buffer<float> panel_of_thread(columns * width * threads), rows(queries * 2 * columns), minus_weights(padded);
    if (panel_of_thread.empty() || rows.empty() || minus_weights.empty()) return 1;
    pack_queries(q, positive, queries, columns, rows.get());
    for (Index k = 0; k < padded; ++k) minus_weights.get()[k] = k < candidates ? -weight[k] : 0.0f;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index task = 0; task < panels.tasks(); ++task) {
        float* panel = panel_of_thread.get() + columns * width * thread_number();
        const Range range = panels.candidates_of(task);
        const Index first = range.first, count = range.last - first;
        auto [b, end] = panels.queries_of(task);
        if (b >= end) continue;
        pack_panel(e, range, columns, width, panel);
        for (; b + Q <= end; b += Q)
            mixed_tile<D, Q>(rows.get() + 2 * b * columns, units, panel, minus_weights.get() + first, count,
                             scores + b * candidates + first, candidates);
        for (; b < end; ++b)
            mixed_tile<D, 1>(rows.get() + 2 * b * columns, units, panel, minus_weights.get() + first, count,
                             scores + b * candidates + first, candidates);
    }
    return 0;
}

// One vector of units for a patch, everything packed. For each tile of queries and each candidate, `weights` holds the
// weights of the tile's pairs. The sums of the gradients s are added to `drows` for each query, as they are and with
// the positive's share in each, and to `de` for each candidate, or written where these are new.
template <int D>
void mixed_patch(const float* rows, const float* e, const float* minus_weights, const float* weights, Index queries,
                 Index candidates, float* drows, float* de, bool new_drows, bool new_de) {
    constexpr int R = tile_rows<D>, S = parts<D> * V;
    for (Index b = 0; b < queries; b += R) {
        Unit sum[R], shared[R];
        for (int r = 0; r < R; ++r) {
            const float* drow = drows + (b + r) * 2 * S;
            sum[r] = new_drows ? Unit{} : load_unit<D>(drow, V, V);
            shared[r] = new_drows ? Unit{} : load_unit<D>(drow + S, V, V);
        }
        for (Index k = 0; k < candidates; ++k, weights += R) {
            const Unit candidate = load_unit<D>(e + k * S, V, V);
            const Vec minus_weight = splat(minus_weights[k]), share = minus_weight + 1.0f;
            Unit total = new_de && b == 0 ? Unit{} : load_unit<D>(de + k * S, V, V);
            for (int r = 0; r < R; ++r) {
                const float* row = rows + (b + r) * 2 * S;
                const Vec c = splat(weights[r]);
                const Unit d = mixed_difference<D>(load_unit<D>(row, V, V), load_unit<D>(row + S, V, V), candidate,
                                                   minus_weight);
                if (D == L1) {
                    const Vec derivative = with_sign(c, d.x);
                    sum[r].x = plus(sum[r].x, derivative);
                    shared[r].x = madd(share, derivative, shared[r].x);
                    total.x += derivative;
                } else {
                    const Vec by_difference = slope<D>(c, d);
                    sum[r] = add_times<D>(by_difference, d, sum[r]);
                    shared[r] = add_times<D>(by_difference * share, d, shared[r]);
                    total = add_times<D>(by_difference, d, total);
                }
            }
            store_unit<D>(de + k * S, total, V, V);
        }
        for (int r = 0; r < R; ++r) {
            float* drow = drows + (b + r) * 2 * S;
            store_unit<D>(drow, sum[r], V, V);
            store_unit<D>(drow + S, shared[r], V, V);
        }
    }
}

template <int D>
Index mixed_backward(const float* q, const float* e, const float* positive, const float* weight, Weights weights,
                     Index queries, Index candidates, Index units, float* dq, float* de, float* dpositive,
                     Index threads) {
    constexpr int R = tile_rows<D>, P = parts<D>, S = P * V;
    const Cuts cuts(queries, candidates, units, R, threads);
    const Index vectors = cuts.vectors, padded = cuts.padded, group = cuts.group, columns = units * P;
    const Index rows_size = vectors * padded * 2 * S, e_size = vectors * candidates * S;
    const Index scratch_size = patch * (group * 3 * S + patch);
    Buffer<float> rows(queries * 2 * columns), drows(queries * 2 * columns), minus_weights(candidates);
    Buffer<float> scratch(scratch_size * threads);
    Buffer<float> drows_copies(rows_size * cuts.q_copies), de_copies(e_size * cuts.e_copies);
    if (rows.empty() || drows.empty() || minus_weights.empty() || scratch.empty() || drows_copies.empty() ||
        de_copies.empty())
        return 1;
    pack_queries(q, positive, queries, columns, rows.get());
    for (Index k = 0; k < candidates; ++k) minus_weights.get()[k] = -weight[k];
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index number = 0; number < cuts.tasks(); ++number) {
        const auto [blocks, q_range, e_range, q_copy, e_copy] = cuts.task(number);
        float* rows_packed = scratch.get() + scratch_size * thread_number();
        float* e_packed = rows_packed + patch * group * 2 * S;
        float* weights_packed = e_packed + patch * group * S;
        float* drows_copy = drows_copies.get() + q_copy * rows_size;
        float* de_copy = de_copies.get() + e_copy * e_size;
        for (Index k = e_range.first; k < e_range.last; k += patch) {
            const Index n = smaller(patch, e_range.last - k);
            pack_rows(e, k, n, n, blocks, units, P, e_packed);
            for (Index b = q_range.first; b < q_range.last; b += patch) {
                const Index m = smaller(patch, q_range.last - b), count = smaller(m, queries - b);
                pack_rows(rows.get(), b, count, m, blocks, units, 2 * P, rows_packed);
                pack_weights<R, false>(weights, {}, b * candidates + k, candidates, count, m, n, weights_packed);
                for (Index block = blocks.first; block < blocks.last; ++block) {
                    const Index i = block - blocks.first;
                    mixed_patch<D>(rows_packed + i * m * 2 * S, e_packed + i * n * S, minus_weights.get() + k,
                                   weights_packed, m, n, drows_copy + (block * padded + b) * 2 * S,
                                   de_copy + (block * candidates + k) * S, k == e_range.first, b == q_range.first);
                }
            }
        }
    }
    unpack_sum(drows_copies.get(), cuts.q_copies, queries, padded, units, 2 * P, 1.0f, drows.get(), threads);
    unpack_sum(de_copies.get(), cuts.e_copies, candidates, candidates, units, P, 1.0f, de, threads);
    for (Index b = 0; b < queries; ++b)
        for (Index i = 0; i < columns; ++i) {
            dq[b * columns + i] = query_sign<D> * drows.get()[2 * b * columns + i];
            dpositive[b * columns + i] = drows.get()[(2 * b + 1) * columns + i];
        }
    for (Index k = 0; k < candidates; ++k)
        for (Index i = 0; i < columns; ++i) de[k * columns + i] *= weight[k];
    return 0;
}

// The instance of a template for a distance; a dot product, linear in the candidate, has no need of one.
#define EMUGRAPH_DISTANCE(function, kind) \
    (kind == L1 ? function<L1> : kind == L2 ? function<L2> : function<MODULUS>)

}  // namespace

extern "C" {

// scores (queries, candidates) of all queries (queries, width) with all candidates (candidates, width), each mixed with
// the query's positive (queries, width); weight (candidates) is the candidate's share.
Index emugraph_mixed(Index kind, const float* q, const float* e, const float* positive, const float* weight,
                     Index queries, Index candidates, Index units, float* scores, Index threads) {
    return EMUGRAPH_DISTANCE(mixed, kind)(q, e, positive, weight, queries, candidates, units, scores, threads);
}

// Gradients for q, e and positive, given those by the scores. The scores themselves are needed for "l2" only.
Index emugraph_mixed_backward(Index kind, const float* q, const float* e, const float* positive, const float* weight,
                              const float* gradient, const float* scores, Index queries, Index candidates, Index units,
                              float* dq, float* de, float* dpositive, Index threads) {
    return EMUGRAPH_DISTANCE(mixed_backward, kind)(q, e, positive, weight, weights_of(kind, gradient, scores), queries,
                                                   candidates, units, dq, de, dpositive, threads);
}

}  // extern "C"
