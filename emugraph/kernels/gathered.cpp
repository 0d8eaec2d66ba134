// Scores of rows of queries with candidates of their own, gathered from a table, and their gradients, on a CPU.
//
// The lanes of a vector are components. How work is divided among threads changes no result by a bit. Plain C interface
// for ctypes, as in pairwise.cpp.

#include "terms.h"

namespace {

template <int D, bool MASKED>
Index gathered(const float* q, const float* table, const Index* index, const float* positive, Mask mask,
               Index queries, Index candidates, Index rows, Index units, float* scores, float* mutated,
               Index threads) {
    constexpr int P = parts<D>, S = P * V;
    constexpr Index ahead = 4;  // candidates between asking for a row and using it
    const Index vectors = ceil_div(units, V), columns = units * P;
    const Index scratch_size = vectors * (S + V);
    Buffer<float> scratch(scratch_size * threads);
    if (scratch.empty()) return 1;
    bool outside = false;
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) reduction(|| : outside)
    for (Index b = 0; b < queries; ++b) {
        float* query = scratch.get() + scratch_size * thread_number();
        float* terms = query + vectors * S;
        pack_rows(q, b, 1, 1, {0, vectors}, units, P, query);
        if (MASKED) positive_terms<D>(q + b * columns, positive + b * columns, 1, units, terms, 1);
        const Index* names = index + b * candidates;
        for (Index k = 0; k < candidates; ++k) {
            if (names[k] < 0 || names[k] >= rows) {
                outside = true;
                continue;
            }
            // The table's rows come from far away, and no hardware guesses which is next.
            const Index next = names[smaller(k + ahead, candidates - 1)];
            if (next >= 0 && next < rows)
                for (Index i = 0; i < columns; i += 16) __builtin_prefetch(table + next * columns + i);
            const float* row = table + names[k] * columns;
            const Index mask_row = MASKED ? mask.row(b, k) : 0;
            Vec all = {}, mixed = {};
            const auto add = [&](Index block, Index lanes) {
                const float* e = row + block * V;
                const Vec phi = component<D>(load_unit<D>(query + block * S, V, V), load_unit<D>(e, units, lanes));
                all = plus(all, phi);
                if (MASKED) {
                    const Vec term = load_part(terms + block * V, lanes);
                    mixed = plus(mixed, select(mask.taken(mask_row, block), term, phi));
                }
            };
            for (Index block = 0; block < units / V; ++block) add(block, V);
            if (units % V) add(units / V, units % V);
            scores[b * candidates + k] = score<D>(splat(sum_lanes(all)))[0];
            if (MASKED) mutated[b * candidates + k] = score<D>(splat(sum_lanes(mixed)))[0];
        }
    }
    return outside ? 2 : 0;
}

// weights (queries, units) for positive_backward.
void taken_weights(Mask mask, Weights mutated, Index queries, Index candidates, Index units, float* weights,
                   Index threads) {
    constexpr Index group = 8;  // vectors whose sums stay in registers
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Index b = 0; b < queries; ++b)
        for (Index start = 0; start < ceil_div(units, V); start += group) {
            const Index blocks = smaller(group, ceil_div(units, V) - start);
            Vec sum[group] = {};
            for (Index k = 0; k < candidates; ++k) {
                const Index row = mask.row(b, k);
                const Vec weight = splat(mutated.at(b * candidates + k));
                for (Index i = 0; i < blocks; ++i) sum[i] = add_where(mask.taken(row, start + i), sum[i], weight);
            }
            for (Index i = 0; i < blocks; ++i) {
                const Index at = (start + i) * V;
                store_part(weights + b * units + at, sum[i], smaller(V, units - at));
            }
        }
}

// Where a row of the table was used, and the weights there.
template <bool MASKED>
struct Use {
    std::int32_t query;
    float weight;
};

template <>
struct Use<true> {
    std::int32_t query;
    float weight, mutated_weight;
};

template <int D, bool MASKED>
Index gathered_backward(const float* q, const float* table, const Index* index, const float* positive, Mask mask,
                        Weights plain, Weights mutated, Index queries, Index candidates, Index rows, Index units,
                        float* dq, float* dtable, float* dpositive, Index threads) {
    constexpr int P = parts<D>, S = P * V;
    constexpr Index shares = 4;  // of the table's rows, each with its own copy of the queries' gradients
    const Index vectors = ceil_div(units, V), columns = units * P, uses = queries * candidates;
    const Index q_size = vectors * queries * S, words = MASKED ? ceil_div(units, 64) : 0;
    const Index sorters = smaller(threads, smaller(queries, 4)), span = ceil_div(queries, sorters);
    Buffer<Index> places(rows * sorters);
    Buffer<Use<MASKED>> sorted(uses);
    Buffer<std::uint64_t> sorted_mask(uses * words);
    Buffer<float> q_packed(q_size), dq_copies(q_size * shares), taken(MASKED ? queries * units : 0);
    if (places.empty() || sorted.empty() || sorted_mask.empty() || q_packed.empty() || dq_copies.empty() ||
        taken.empty())
        return 1;
    pack_rows(q, 0, queries, queries, {0, vectors}, units, P, q_packed.get());
    // Sort the uses by row, keeping their order within a row, each sorter its part of the queries; a mask is small
    // enough to be sorted along.
    std::memset(places.get(), 0, rows * sorters * sizeof(Index));
#pragma omp parallel for schedule(static) num_threads(threads) if (sorters > 1)
    for (Index sorter = 0; sorter < sorters; ++sorter)
        for (Index i = sorter * span * candidates; i < smaller(queries, (sorter + 1) * span) * candidates; ++i)
            ++places.get()[index[i] * sorters + sorter];
    for (Index i = 0, place = 0; i < rows * sorters; ++i) {
        const Index count = places.get()[i];
        places.get()[i] = place;
        place += count;
    }
#pragma omp parallel for schedule(static) num_threads(threads) if (sorters > 1)
    for (Index sorter = 0; sorter < sorters; ++sorter)
        for (Index b = sorter * span; b < smaller(queries, (sorter + 1) * span); ++b)
            for (Index k = 0; k < candidates; ++k) {
                const Index i = b * candidates + k, place = places.get()[index[i] * sorters + sorter]++;
                Use<MASKED>& use = sorted.get()[place];
                use.query = static_cast<std::int32_t>(b);
                use.weight = plain.at(i);
                if constexpr (MASKED) {
                    use.mutated_weight = mutated.at(i);
                    for (Index word = 0; word < words; ++word)
                        sorted_mask.get()[place * words + word] = mask.words[mask.row(b, k) + word];
                }
            }
    const Mask sorted_by_row = {sorted_mask.get(), 0, words};
    // The last sorter's places have moved on to the ends of the rows' uses.
    const auto uses_before = [&](Index n) { return n ? places.get()[n * sorters - 1] : 0; };
    // A row belongs to the share in which its uses begin.
    Index bounds[shares + 1] = {};
    for (Index n = 0, share = 0; share < shares; ++n)
        while (share < shares && (n == rows || uses_before(n) * shares >= (share + 1) * uses)) bounds[++share] = n;
    bounds[shares] = rows;
    // Vectors of units that are done together: as many as leave the queries and their gradients in a cache, 4 MB, and a
    // task for each thread.
    const Index fitting = larger(1, (1 << 20) / (queries * 2 * S));
    const Index group = smaller(fitting, ceil_div(vectors, ceil_div(2 * threads, shares)));
    const Index groups = ceil_div(vectors, group);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index task = 0; task < shares * groups; ++task) {
        const Index share = task / groups, start = task % groups * group, stop = smaller(start + group, vectors);
        float* dq_copy = dq_copies.get() + share * q_size;
        std::memset(dq_copy + start * queries * S, 0, (stop - start) * queries * S * sizeof(float));
        for (Index n = bounds[share]; n < bounds[share + 1]; ++n) {
            const Range row_uses = {uses_before(n), uses_before(n + 1)};
            for (Index block = start; block < stop; ++block) {
                const Index lanes = smaller(V, units - block * V);
                const Unit e = load_unit<D>(table + n * columns + block * V, units, lanes);
                Unit total = {};
                for (Index i = row_uses.first; i < row_uses.last; ++i) {
                    const Use<MASKED> use = sorted.get()[i];
                    const float* query = q_packed.get() + (block * queries + use.query) * S;
                    float* dquery = dq_copy + (block * queries + use.query) * S;
                    Vec c = splat(use.weight);
                    if constexpr (MASKED)
                        c = add_where(sorted_by_row.kept(i * words, block), c, splat(use.mutated_weight));
                    Unit sum = load_unit<D>(dquery, V, V);
                    add_gradients<D>(c, load_unit<D>(query, V, V), e, sum, total);
                    store_unit<D>(dquery, sum, V, V);
                }
                store_unit<D>(dtable + n * columns + block * V, total, units, lanes);
            }
        }
    }
    unpack_sum(dq_copies.get(), shares, queries, queries, units, P, query_sign<D>, dq, threads);
    if (MASKED) {
        taken_weights(mask, mutated, queries, candidates, units, taken.get(), threads);
        positive_backward<D>(q, positive, taken.get(), queries, units, dq, dpositive, threads);
    }
    return 0;
}

}  // namespace

extern "C" {

// packed (rows, ceil(units / 64)): bit i % 64 of word i / 64 is the lowest bit of mask[row][i].
Index emugraph_pack_mask(const std::uint8_t* mask, Index rows, Index units, std::uint64_t* packed, Index threads) {
    const Index words = ceil_div(units, 64);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Index row = 0; row < rows; ++row)
        for (Index word = 0; word < words; ++word) {
            const std::uint8_t* from = mask + row * units + word * 64;
            const Index count = smaller(64, units - word * 64);
            std::uint64_t bits = 0;
            for (Index i = 0; i < count; i += 8) {
                std::uint64_t bytes = 0;
                std::memcpy(&bytes, from + i, smaller(8, count - i));
                // The product moves the lowest bit of each byte into the highest byte, in order.
                bits |= ((bytes & 0x0101010101010101) * 0x0102040810204080) >> 56 << i;
            }
            packed[row * words + word] = bits;
        }
    return 0;
}

// Scores (queries, candidates) of each query (queries, width) with the candidates that `index` (queries, candidates)
// names among the rows of a table (rows, width). With a mask, packed, a row of it for each candidate of each query or,
// where its queries' stride is 0, of all, also the scores of mutated candidates. Returns 2 when an index is outside the
// table.
Index emugraph_gathered(Index kind, const float* q, const float* table, const Index* index, const float* positive,
                        const std::uint64_t* mask, Index mask_query_stride, Index queries, Index candidates, Index rows,
                        Index units, float* scores, float* mutated, Index threads) {
    return EMUGRAPH_INSTANCE(gathered, kind, mask)(q, table, index, positive,
                                                   Mask{mask, mask_query_stride, ceil_div(units, 64)}, queries,
                                                   candidates, rows, units, scores, mutated, threads);
}

// Gradients for q, table and positive; the index has been checked.
Index emugraph_gathered_backward(Index kind, const float* q, const float* table, const Index* index,
                                 const float* positive, const std::uint64_t* mask, Index mask_query_stride,
                                 const float* gradient, const float* mutated_gradient, const float* scores,
                                 const float* mutated, Index queries, Index candidates, Index rows, Index units,
                                 float* dq, float* dtable, float* dpositive, Index threads) {
    return EMUGRAPH_INSTANCE(gathered_backward, kind, mask)(
        q, table, index, positive, Mask{mask, mask_query_stride, ceil_div(units, 64)},
        weights_of(kind, gradient, scores), weights_of(kind, mutated_gradient, mutated), queries, candidates, rows,
        units, dq, dtable, dpositive, threads);
}

}  // extern "C"
