// How passes over all pairs of queries and candidates are cut into tasks, and what they pack alike.

#ifndef EMUGRAPH_PAIRS_H
#define EMUGRAPH_PAIRS_H

#include "terms.h"

namespace {

// --------------------------------------------------------------------------------- forward: lanes are candidates

// Tasks of a forward pass: a panel of candidates, with all queries or a range of them.
struct Panels {
    Index width, queries, candidates, splits, rows;

    // `tile` queries are done together.
    Panels(Index width, Index tile, Index queries, Index candidates, Index threads)
        : width(width), queries(queries), candidates(candidates) {
        // Packing a panel pays from some 64 queries on; split the queries only where the panels alone are too few.
        splits = larger(1, smaller(ceil_div(4 * threads, ceil_div(candidates, width)), queries / 64));
        rows = ceil_div(ceil_div(queries, splits), tile) * tile;
    }

    Index tasks() const { return ceil_div(candidates, width) * splits; }
    Range candidates_of(Index task) const {
        return {task / splits * width, smaller(task / splits * width + width, candidates)};
    }
    Range queries_of(Index task) const {  // may be empty
        return {task % splits * rows, smaller(task % splits * rows + rows, queries)};
    }
};

// A panel holds the candidates of one task with their columns as rows: panel[column * width + candidate].
inline void pack_panel(const float* rows, Range candidates, Index columns, int width, float* panel) {
    for (Index j = 0; j < width; ++j) {
        const Index k = candidates.first + j;
        for (Index i = 0; i < columns; ++i) panel[i * width + j] = k < candidates.last ? rows[k * columns + i] : 0.0f;
    }
}

// --------------------------------------------------------------------------------------- backward: lanes are units

// Queries whose gradients one tile holds in registers.
template <int D>
constexpr int tile_rows = (D == MODULUS ? 4 : 8) / (many_registers ? 1 : 2);

// Queries and candidates that are packed together: their vectors stay in the nearest caches.
constexpr Index patch = 128;

// Tasks of a backward pass. The longer side is cut into ranges, and the shorter one has a copy of its gradient for
// each. The cut depends on the shape alone, and so do the sums, to the last bit. Vectors of units are shared out only
// to busy all threads.
struct Cuts {
    struct Task {
        Range blocks, queries, candidates;
        Index q_copy, e_copy;  // where its gradients go
    };

    bool of_queries;
    Index vectors, group;        // of units, all and in a task
    Index padded, candidates;    // queries, to whole tiles
    Index span, q_copies, e_copies;

    Cuts(Index queries, Index candidates, Index units, Index tile, Index threads)
        : of_queries(queries >= candidates), vectors(ceil_div(units, V)), padded(ceil_div(queries, tile) * tile),
          candidates(candidates) {
        const Index ranges = smaller(8, ceil_div(larger(queries, candidates), 64));
        span = of_queries ? ceil_div(padded / tile, ranges) * tile : ceil_div(candidates, ranges);
        const Index cuts = ceil_div(of_queries ? padded : candidates, span);
        q_copies = of_queries ? 1 : cuts;
        e_copies = of_queries ? cuts : 1;
        group = ceil_div(vectors, smaller(vectors, ceil_div(3 * threads, cuts)));
    }

    Index tasks() const { return q_copies * e_copies * ceil_div(vectors, group); }

    Task task(Index number) const {
        const Index groups = ceil_div(vectors, group), cut = number / groups, start = number % groups * group;
        const Range range = {cut * span, smaller(cut * span + span, of_queries ? padded : candidates)};
        return {{start, smaller(start + group, vectors)},
                of_queries ? range : Range{0, padded},
                of_queries ? Range{0, candidates} : range,
                of_queries ? 0 : cut,
                of_queries ? cut : 0};
    }
};

// packed[tile][candidate][0 or 1][query of the tile], zeros beyond `count` queries.
template <int R, bool MASKED>
void pack_weights(Weights plain, Weights mutated, Index first, Index leading, Index count, Index padded,
                  Index candidates, float* packed) {
    constexpr int width = MASKED ? 2 * R : R;
    for (Index b = 0; b < padded; b += R)
        for (int start = 0; start < width; start += V)
            for (Index k = 0; k < candidates; k += V) {
                const Index columns = smaller(V, candidates - k);
                Vec rows[V] = {};
                for (int i = 0; i < V && start + i < width; ++i) {
                    const Index row = b + (start + i) % R;
                    const Weights& weights = start + i < R ? plain : mutated;
                    if (row < count) rows[i] = weights.at(first + row * leading + k, columns);
                }
                transpose(rows);
                float* to = packed + (b / R * candidates + k) * width + start;
                for (Index column = 0; column < columns; ++column)
                    store_part(to + column * width, rows[column], smaller(V, width - start));
            }
}

}  // namespace

#endif
