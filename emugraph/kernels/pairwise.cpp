// Scores of rows of queries with rows of candidates that they share, and their gradients, on a CPU.
//
// Nothing of size queries x candidates x components is ever made. Forward, the lanes of a vector are candidates, so
// that a sum over components needs no reduction across lanes and adds up in the same order whatever the tile, the
// batch and the number of threads. Backward, the lanes are components, so that both gradients, one summed over
// candidates and one over queries, come from one evaluation of each component. How work is divided among threads
// changes no result by a bit.
//
// Plain C interface for ctypes. All arrays are dense, row-major, float32. A unit is what a score adds up: a component
// ("l1", "l2", "dot"), or a complex number whose real parts are the first `units` columns of a row and whose
// imaginary parts are the next ("modulus"). All numbers are 64-bit. Functions return 0, or 1 when memory ran out.

#include "pairs.h"

namespace {

// How many candidates a task takes.
template <int D, bool MASKED>
struct Panel {
    static constexpr int vectors = (D == MODULUS || MASKED ? 2 : 4) / (many_registers ? 1 : 2);
    static constexpr int width = vectors * V;
};

// bits[unit * vectors + vector]: the lanes whose candidates take that unit from the positive.
template <int T>
void pack_mask_panel(Mask mask, Range candidates, Index units, std::uint16_t* bits) {
    for (Index i = 0; i < units; ++i)
        for (int t = 0; t < T; ++t) {
            const Index first = candidates.first + t * V;
            unsigned lanes = 0;
            for (Index k = first; k < smaller(candidates.last, first + V); ++k)
                lanes |= unsigned(mask.unit(mask.row(0, k), i)) << (k - first);
            bits[i * T + t] = static_cast<std::uint16_t>(lanes);
        }
}

// Scores of Q queries with one panel of candidates; with a mask, `positive` holds what their positives add up, for
// "dot" the positives themselves.
template <int D, bool MASKED, int Q>
void pairwise_tile(const float* q, const float* positive, Index units, const float* panel, const std::uint16_t* bits,
                   Index count, float* scores, float* mutated, Index leading) {
    constexpr int T = Panel<D, MASKED>::vectors, width = Panel<D, MASKED>::width;
    const Index columns = units * parts<D>;
    Vec all[Q][T] = {}, mixed[Q][T] = {};
    for (Index i = 0; i < units; ++i) {
        Unit candidate[T];
        Lanes taken[T];
        for (int t = 0; t < T; ++t) {
            candidate[t].x = load(panel + i * width + t * V);
            if (D == MODULUS) candidate[t].y = load(panel + (units + i) * width + t * V);
            if (MASKED) taken[t] = lanes_of(bits[i * T + t]);
        }
        for (int b = 0; b < Q; ++b) {
            const Unit query = {splat(q[b * columns + i]), D == MODULUS ? splat(q[b * columns + units + i]) : Vec{}};
            const Vec term = MASKED ? splat(positive[b * units + i]) : Vec{};
            for (int t = 0; t < T; ++t) {
                if (!MASKED || D == DOT) all[b][t] = add_component<D>(all[b][t], query, candidate[t]);
                if (MASKED && D == DOT) {
                    mixed[b][t] = madd(query.x, select(taken[t], term, candidate[t].x), mixed[b][t]);
                } else if (MASKED) {
                    const Vec phi = component<D>(query, candidate[t]);
                    all[b][t] += phi;
                    mixed[b][t] = plus(mixed[b][t], select(taken[t], term, phi));
                }
            }
        }
    }
    for (int b = 0; b < Q; ++b)
        for (int t = 0; t < T && t * V < count; ++t) {
            const Index lanes = smaller(count - t * V, V);
            store_part(scores + b * leading + t * V, score<D>(all[b][t]), lanes);
            if (MASKED) store_part(mutated + b * leading + t * V, score<D>(mixed[b][t]), lanes);
        }
}

template <int D, bool MASKED>
Index pairwise(const float* q, const float* e, const float* positive, Mask mask, Index queries, Index candidates,
               Index units, float* scores, float* mutated, Index threads) {
    constexpr int Q = D == DOT && many_registers ? 6 : 4, T = Panel<D, MASKED>::vectors, width = Panel<D, MASKED>::width;
    const Index columns = units * parts<D>;
    const Panels panels(width, Q, queries, candidates, threads);
    const Index panel_size = columns * width, bits_size = ceil_div(units * T, 32) * 32;
    const bool has_terms = MASKED && D != DOT;
    Buffer<float> panel_of_thread(panel_size * threads), terms(has_terms ? queries * units : 0);
    Buffer<std::uint16_t> bits_of_thread(bits_size * threads);
    if (panel_of_thread.empty() || terms.empty() || bits_of_thread.empty()) return 1;
    if (has_terms) positive_terms<D>(q, positive, queries, units, terms.get(), threads);
    const float* taken = has_terms ? terms.get() : positive;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index task = 0; task < panels.tasks(); ++task) {
        float* panel = panel_of_thread.get() + panel_size * thread_number();
        std::uint16_t* bits = bits_of_thread.get() + bits_size * thread_number();
        const Range range = panels.candidates_of(task);
        const Index first = range.first, count = range.last - first;
        auto [b, end] = panels.queries_of(task);
        if (b >= end) continue;
        pack_panel(e, range, columns, width, panel);
        if (MASKED) pack_mask_panel<T>(mask, range, units, bits);
        for (; b + Q <= end; b += Q)
            pairwise_tile<D, MASKED, Q>(q + b * columns, taken + b * units, units, panel, bits, count,
                                        scores + b * candidates + first, mutated + b * candidates + first, candidates);
        for (; b < end; ++b)
            pairwise_tile<D, MASKED, 1>(q + b * columns, taken + b * units, units, panel, bits, count,
                                        scores + b * candidates + first, mutated + b * candidates + first, candidates);
    }
    return 0;
}

// What each query's positive adds up where a mask takes its units: sums (queries, masks).
void sum_taken(const float* terms, Mask mask, Index queries, Index masks, Index units, float* sums, Index threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Index b = 0; b < queries; ++b)
        for (Index m = 0; m < masks; ++m) {
            Vec sum = {};
            for (Index i = 0; i < units; i += V)
                sum = add_where(mask.taken(mask.row(0, m), i / V), sum,
                                load_part(terms + b * units + i, smaller(V, units - i)));
            sums[b * masks + m] = sum_lanes(sum);
        }
}

// Scores of Q queries with V candidates that share a mask. Units come in the given order, those that the mask leaves
// first: up to there the sum is what the mutated scores have of the candidates.
template <int D, int Q>
void run_tile(const float* q, const float* taken, Index masks, Index units, Index kept, const Index* order,
              const float* panel, Index count, float* scores, float* mutated, Index leading) {
    const Index columns = units * parts<D>;
    Vec sum[Q] = {};
    const auto add = [&](Index i) {
        const Unit candidate = {load(panel + i * V), D == MODULUS ? load(panel + (units + i) * V) : Vec{}};
        const float* column = q + order[i];
        for (int b = 0; b < Q; ++b) {
            const float* query = column + b * columns;
            sum[b] = add_component<D>(sum[b], {splat(query[0]), D == MODULUS ? splat(query[units]) : Vec{}}, candidate);
        }
    };
    for (Index i = 0; i < kept; ++i) add(i);
    for (int b = 0; b < Q; ++b)
        store_part(mutated + b * leading, score<D>(sum[b] + splat(taken[b * masks])), smaller(V, count));
    for (Index i = kept; i < units; ++i) add(i);
    for (int b = 0; b < Q; ++b) store_part(scores + b * leading, score<D>(sum[b]), smaller(V, count));
}

// Where `run` candidates, a multiple of V, share a mask each, mutated scores come with the plain ones for nothing.
template <int D>
Index pairwise_runs(const float* q, const float* e, const float* positive, Mask mask, Index run, Index queries,
                    Index candidates, Index units, float* scores, float* mutated, Index threads) {
    constexpr int Q = 8;
    const Index columns = units * parts<D>, masks = ceil_div(candidates, run);
    const Panels panels(V, Q, queries, candidates, threads);
    Buffer<float> panel_of_thread(columns * V * threads), terms(queries * units), sums(queries * masks);
    Buffer<Index> order_of_thread(units * threads);
    if (panel_of_thread.empty() || terms.empty() || sums.empty() || order_of_thread.empty()) return 1;
    positive_terms<D>(q, positive, queries, units, terms.get(), threads);
    sum_taken(terms.get(), mask, queries, masks, units, sums.get(), threads);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index task = 0; task < panels.tasks(); ++task) {
        float* panel = panel_of_thread.get() + columns * V * thread_number();
        Index* order = order_of_thread.get() + units * thread_number();
        const Range range = panels.candidates_of(task);
        const Index first = range.first, count = range.last - first, m = first / run;
        auto [b, end] = panels.queries_of(task);
        if (b >= end) continue;
        Index kept = 0;
        for (Index i = 0; i < units; ++i)
            if (!mask.unit(mask.row(0, m), i)) order[kept++] = i;
        for (Index i = 0, at = kept; i < units; ++i)
            if (mask.unit(mask.row(0, m), i)) order[at++] = i;
        for (Index i = 0; i < units; ++i)
            for (int p = 0; p < parts<D>; ++p)
                for (Index j = 0; j < V; ++j)
                    panel[(p * units + i) * V + j] = j < count ? e[(first + j) * columns + p * units + order[i]] : 0.0f;
        for (; b + Q <= end; b += Q)
            run_tile<D, Q>(q + b * columns, sums.get() + b * masks + m, masks, units, kept, order, panel, count,
                           scores + b * candidates + first, mutated + b * candidates + first, candidates);
        for (; b < end; ++b)
            run_tile<D, 1>(q + b * columns, sums.get() + b * masks + m, masks, units, kept, order, panel, count,
                           scores + b * candidates + first, mutated + b * candidates + first, candidates);
    }
    return 0;
}

// One vector of units for a patch, everything packed. For each tile of queries and each candidate, `weights` holds the
// tile's weights and, with a mask, those of the mutated scores. The gradients, and with a mask of its own for each
// candidate the weights of the positives, are added to `dq`, `de` and `taken`, or written where these are new.
template <int D, bool MASKED, bool RUNS>
void backward_patch(const float* q, const float* e, const std::uint16_t* bits, const float* weights, Index queries,
                    Index candidates, float* dq, float* de, float* taken, bool new_dq, bool new_de) {
    constexpr int R = tile_rows<D>, S = parts<D> * V, G = MASKED ? 2 : 1;
    for (Index b = 0; b < queries; b += R) {
        Unit sum[R];
        Vec taken_sum[R];
        for (int r = 0; r < R; ++r) {
            sum[r] = new_dq ? Unit{} : load_unit<D>(dq + (b + r) * S, V, V);
            if (MASKED && !RUNS) taken_sum[r] = new_dq ? Vec{} : load(taken + (b + r) * V);
        }
        for (Index k = 0; k < candidates; ++k, weights += R * G) {
            const Unit candidate = load_unit<D>(e + k * S, V, V);
            Unit total = new_de && b == 0 ? Unit{} : load_unit<D>(de + k * S, V, V);
            Lanes take = {}, keep = {};
            if (MASKED) take = lanes_of(bits[k]), keep = lanes_of(~bits[k]);
            for (int r = 0; r < R; ++r) {
                Vec c = splat(weights[r]);
                if (MASKED) {
                    const Vec by_mutated = splat(weights[R + r]);
                    c = add_where(keep, c, by_mutated);
                    if (!RUNS) taken_sum[r] = add_where(take, taken_sum[r], by_mutated);
                }
                add_gradients<D>(c, load_unit<D>(q + (b + r) * S, V, V), candidate, sum[r], total);
            }
            store_unit<D>(de + k * S, total, V, V);
        }
        for (int r = 0; r < R; ++r) {
            store_unit<D>(dq + (b + r) * S, sum[r], V, V);
            if (MASKED && !RUNS) store(taken + (b + r) * V, taken_sum[r]);
        }
    }
}

// packed[block][row]: the lanes whose units a candidate takes from the positive.
void pack_mask_rows(Mask mask, Index run, Index first, Index count, Range blocks, std::uint16_t* packed) {
    for (Index block = blocks.first; block < blocks.last; ++block)
        for (Index k = 0; k < count; ++k)
            *packed++ = static_cast<std::uint16_t>(mask.words[mask.row(0, (first + k) / run) + block * V / 64] >>
                                                   block * V % 64);
}

// The weights of the positives where candidates share masks: weights (queries, units).
Index sum_run_weights(Mask mask, Index run, Weights mutated, Index queries, Index candidates, Index units,
                      float* weights, Index threads) {
    const Index vectors = ceil_div(units, V);
    Buffer<float> padded(vectors * V * threads);
    if (padded.empty()) return 1;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Index b = 0; b < queries; ++b) {
        float* sums = padded.get() + vectors * V * thread_number();
        std::memset(sums, 0, vectors * V * sizeof(float));
        for (Index first = 0; first < candidates; first += run) {
            Vec total = {};
            for (Index k = first; k < smaller(first + run, candidates); k += V)
                total += mutated.at(b * candidates + k, smaller(V, candidates - k));
            const Vec weight = splat(sum_lanes(total));
            for (Index block = 0; block < vectors; ++block) {
                const Lanes taken = mask.taken(mask.row(0, first / run), block);
                store(sums + block * V, add_where(taken, load(sums + block * V), weight));
            }
        }
        std::memcpy(weights + b * units, sums, units * sizeof(float));
    }
    return 0;
}

template <int D, bool MASKED, bool RUNS>
Index pairwise_backward(const float* q, const float* e, const float* positive, Mask mask, Index run, Weights plain,
                        Weights mutated, Index queries, Index candidates, Index units, float* dq, float* de,
                        float* dpositive, Index threads) {
    constexpr int R = tile_rows<D>, P = parts<D>, S = P * V, G = MASKED ? 2 : 1;
    const Cuts cuts(queries, candidates, units, R, threads);
    const Index vectors = cuts.vectors, padded = cuts.padded, group = cuts.group;
    const Index q_size = vectors * padded * S, e_size = vectors * candidates * S;
    const Index taken_size = MASKED && !RUNS ? vectors * padded * V : 0;
    const Index scratch_size = patch * (group * 2 * S + patch * G), bits_size = patch * group;
    Buffer<std::uint16_t> bits_of_thread(MASKED ? bits_size * threads : 0);
    Buffer<float> scratch(scratch_size * threads), dq_copies(q_size * cuts.q_copies);
    Buffer<float> de_copies(e_size * cuts.e_copies), taken_copies(taken_size * cuts.q_copies);
    Buffer<float> taken(MASKED ? queries * units : 0);
    if (bits_of_thread.empty() || scratch.empty() || dq_copies.empty() || de_copies.empty() || taken_copies.empty() ||
        taken.empty())
        return 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index number = 0; number < cuts.tasks(); ++number) {
        const auto [blocks, q_range, e_range, q_copy, e_copy] = cuts.task(number);
        float* q_packed = scratch.get() + scratch_size * thread_number();
        float* e_packed = q_packed + patch * group * S;
        float* weights_packed = e_packed + patch * group * S;
        std::uint16_t* bits = bits_of_thread.get() + bits_size * thread_number();
        float* dq_copy = dq_copies.get() + q_copy * q_size;
        float* de_copy = de_copies.get() + e_copy * e_size;
        float* taken_copy = taken_copies.get() + q_copy * taken_size;
        for (Index k = e_range.first; k < e_range.last; k += patch) {
            const Index n = smaller(patch, e_range.last - k);
            pack_rows(e, k, n, n, blocks, units, P, e_packed);
            if (MASKED) pack_mask_rows(mask, run, k, n, blocks, bits);
            for (Index b = q_range.first; b < q_range.last; b += patch) {
                const Index m = smaller(patch, q_range.last - b), count = smaller(m, queries - b);
                pack_rows(q, b, count, m, blocks, units, P, q_packed);
                pack_weights<R, MASKED>(plain, mutated, b * candidates + k, candidates, count, m, n, weights_packed);
                for (Index block = blocks.first; block < blocks.last; ++block) {
                    const Index i = block - blocks.first;
                    backward_patch<D, MASKED, RUNS>(q_packed + i * m * S, e_packed + i * n * S, bits + i * n,
                                                    weights_packed, m, n, dq_copy + (block * padded + b) * S,
                                                    de_copy + (block * candidates + k) * S,
                                                    taken_copy + (block * padded + b) * V, k == e_range.first,
                                                    b == q_range.first);
                }
            }
        }
    }
    unpack_sum(dq_copies.get(), cuts.q_copies, queries, padded, units, P, query_sign<D>, dq, threads);
    unpack_sum(de_copies.get(), cuts.e_copies, candidates, candidates, units, P, 1.0f, de, threads);
    if (MASKED) {
        if (!RUNS)
            unpack_sum(taken_copies.get(), cuts.q_copies, queries, padded, units, 1, 1.0f, taken.get(), threads);
        else if (sum_run_weights(mask, run, mutated, queries, candidates, units, taken.get(), threads))
            return 1;
        positive_backward<D>(q, positive, taken.get(), queries, units, dq, dpositive, threads);
    }
    return 0;
}

template <int D, bool MASKED>
constexpr auto* backward_each = pairwise_backward<D, MASKED, false>;

template <int D, bool MASKED>
constexpr auto* backward_runs = pairwise_backward<D, MASKED, MASKED>;

}  // namespace

extern "C" {

// Lanes of a vector: a library that answers at all has been loaded whole.
Index emugraph_lanes() { return V; }

// scores (queries, candidates) of all queries (queries, width) with all candidates (candidates, width). With masks
// (candidates / run, words), packed, also the scores of mutated candidates, whose masked units are those of the query's
// positive (queries, width). A mask serves `run` candidates in turn, 1 or a multiple of the lanes.
Index emugraph_pairwise(Index kind, const float* q, const float* e, const float* positive, const std::uint64_t* mask,
                        Index run, Index queries, Index candidates, Index units, float* scores, float* mutated,
                        Index threads) {
    const Mask masks = {mask, 0, ceil_div(units, 64)};
    if (mask && run > 1)
        return (kind == L1        ? pairwise_runs<L1>
                : kind == L2      ? pairwise_runs<L2>
                : kind == MODULUS ? pairwise_runs<MODULUS>
                                  : pairwise_runs<DOT>)(q, e, positive, masks, run, queries, candidates, units, scores,
                                                        mutated, threads);
    return EMUGRAPH_INSTANCE(pairwise, kind, mask)(q, e, positive, masks, queries, candidates, units, scores, mutated,
                                                   threads);
}

// Gradients for q, e and positive, given those by the scores and by the mutated scores; either may be null. The scores
// themselves are needed for "l2" only.
Index emugraph_pairwise_backward(Index kind, const float* q, const float* e, const float* positive,
                                 const std::uint64_t* mask, Index run, const float* gradient,
                                 const float* mutated_gradient, const float* scores, const float* mutated,
                                 Index queries, Index candidates, Index units, float* dq, float* de, float* dpositive,
                                 Index threads) {
    const auto function =
        run > 1 ? EMUGRAPH_INSTANCE(backward_runs, kind, mask) : EMUGRAPH_INSTANCE(backward_each, kind, mask);
    return function(q, e, positive, Mask{mask, 0, ceil_div(units, 64)}, run, weights_of(kind, gradient, scores),
                    weights_of(kind, mutated_gradient, mutated), queries, candidates, units, dq, de, dpositive,
                    threads);
}

}  // extern "C"
