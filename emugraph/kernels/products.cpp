// Scores that are sums of products, of all queries with all candidates, with bfloat16 factors and float32 sums, on a
// processor that multiplies pairs of such numbers (AVX512-BF16).
//
// As in pairwise.cpp, the lanes of a vector are candidates; a lane holds two of a candidate's columns, and each step
// adds both products. Arrays as there.

#include "pairs.h"

namespace {

#if defined(__AVX512BF16__)
constexpr int T = 4, width = T * V;

// words[row][pair]: two columns of a row in turn, rounded to the nearest; the last of an odd number beside a zero.
void round_pairs(const float* rows, Index count, Index columns, float* words) {
    const Index pairs = ceil_div(columns, 2);
    for (Index row = 0; row < count; ++row)
        for (Index i = 0; i < columns; i += 2 * V) {
            const float* from = rows + row * columns + i;
            const Index rest = smaller(2 * V, columns - i), low = smaller(V, rest);
            const Vec high = rest > V ? load_part(from + V, rest - V) : Vec{};
            const __m512bh both = _mm512_cvtne2ps_pbh((__m512)high, (__m512)load_part(from, low));
            store_part(words + row * pairs + i / 2, (Vec)both, ceil_div(rest, 2));
        }
}

template <int Q>
void products_tile(const float* q, Index pairs, const float* panel, Index count, float* scores, Index leading) {
    __m512 sums[Q][T] = {};
    for (Index i = 0; i < pairs; ++i) {
        __m512bh candidate[T];
        for (int t = 0; t < T; ++t) candidate[t] = (__m512bh)load(panel + i * width + t * V);
        for (int b = 0; b < Q; ++b) {
            const __m512bh query = (__m512bh)_mm512_set1_ps(q[b * pairs + i]);
            for (int t = 0; t < T; ++t) sums[b][t] = _mm512_dpbf16_ps(sums[b][t], query, candidate[t]);
        }
    }
    for (int b = 0; b < Q; ++b)
        for (int t = 0; t < T && t * V < count; ++t)
            store_part(scores + b * leading + t * V, (Vec)sums[b][t], smaller(count - t * V, V));
}
#endif

}  // namespace

extern "C" {

// Whether the processor has what emugraph_products_bfloat16 takes.
Index emugraph_has_bfloat16() {
#if defined(__AVX512BF16__)
    return 1;
#else
    return 0;
#endif
}

#if defined(__AVX512BF16__)
// scores (queries, candidates): the products of queries (queries, columns) and candidates (candidates, columns).
Index emugraph_products_bfloat16(const float* q, const float* e, Index queries, Index candidates, Index columns,
                                 float* scores, Index threads) {
    constexpr int Q = 6;
    const Index pairs = ceil_div(columns, 2);
    const Panels panels(width, Q, queries, candidates, threads);
    Buffer<float> q_words(queries * pairs), e_words(width * pairs * threads), panel_of_thread(width * pairs * threads);
    if (q_words.empty() || e_words.empty() || panel_of_thread.empty()) return 1;
    round_pairs(q, queries, columns, q_words.get());
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index task = 0; task < panels.tasks(); ++task) {
        float* words = e_words.get() + width * pairs * thread_number();
        float* panel = panel_of_thread.get() + width * pairs * thread_number();
        const Range range = panels.candidates_of(task);
        const Index first = range.first, count = range.last - first;
        auto [b, end] = panels.queries_of(task);
        if (b >= end) continue;
        round_pairs(e + first * columns, count, columns, words);
        pack_panel(words, {0, count}, pairs, width, panel);
        for (; b + Q <= end; b += Q)
            products_tile<Q>(q_words.get() + b * pairs, pairs, panel, count, scores + b * candidates + first, candidates);
        for (; b < end; ++b)
            products_tile<1>(q_words.get() + b * pairs, pairs, panel, count, scores + b * candidates + first, candidates);
    }
    return 0;
}
#endif

}  // extern "C"
