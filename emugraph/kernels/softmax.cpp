// Softmax cross entropy of a positive against its negatives, and its gradients, on a CPU.
//
// One pass over a row finds its largest score, one adds up, one writes the gradients: nothing is kept but two numbers a
// row. Each row is one thread's work, so that the number of threads changes no result by a bit. Plain C interface for
// ctypes, as in pairwise.cpp.

#include "vectors.h"

namespace {

// Two units in the last place from exp(x) for x <= 0; 0 comes out as about 1e-38 for very small x, and NaN as NaN.
inline Vec exponential(Vec x) {
    const Vec lowest = splat(-87.0f), shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers
    x = (Vec)(((Bits)x & ~(x < lowest)) | ((Bits)lowest & (x < lowest)));
    const Vec shifted = madd(x, splat(1.44269504f), shift), n = shifted - shift;
    const Vec r = madd(n, splat(1.42860677e-6f), madd(n, splat(-0.693148613f), x));  // x - n ln 2, in two parts
    constexpr float series[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    Vec p = splat(1.0f / 5040);  // exp(r) for |r| <= ln 2 / 2
    for (const float coefficient : series) p = madd(p, r, splat(coefficient));
    return p * (Vec)(((Bits)shifted << 23) + 0x3f800000);  // the low bits of `shifted` are n: this is 2^n
}

inline Vec larger_of(Vec x, Vec y) { return (Vec)(((Bits)x & (x > y)) | ((Bits)y & ~(x > y))); }

// What a softmax divides by, as exp(most + rest): apart, neither loses digits of large scores.
struct Partition {
    float most, rest;
};

Partition partition(const float* row, Index columns, float positive) {
    Vec high = splat(positive);
    Index k = 0;
    for (; k + V <= columns; k += V) high = larger_of(load(row + k), high);
    float most = positive;
    for (int lane = 0; lane < V; ++lane) most = high[lane] > most ? high[lane] : most;
    for (; k < columns; ++k) most = row[k] > most ? row[k] : most;
    Vec sums[4] = {};
    const Vec top = splat(most);
    for (k = 0; k + 4 * V <= columns; k += 4 * V)
        for (int i = 0; i < 4; ++i) sums[i] += exponential(load(row + k + i * V) - top);
    for (; k + V <= columns; k += V) sums[0] += exponential(load(row + k) - top);
    float sum = sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
    const Vec last = exponential(load_part(row + k, columns - k) - top);
    for (Index lane = 0; lane < columns - k; ++lane) sum += last[lane];
    return {most, __builtin_logf(sum + exponential(splat(positive - most))[0])};
}

// The sum of how far a row's scores lie below a number: none of them is negative, and so nothing cancels.
float sum_below(const float* row, Index columns, float from) {
    Vec sums[4] = {};
    Index k = 0;
    for (; k + 4 * V <= columns; k += 4 * V)
        for (int i = 0; i < 4; ++i) sums[i] += from - load(row + k + i * V);
    for (; k + V <= columns; k += V) sums[0] += from - load(row + k);
    float sum = sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; k < columns; ++k) sum += from - row[k];
    return sum;
}

}  // namespace

extern "C" {

// losses (rows) = -log p(positive) - label * the sum of log p over a row's negatives (rows, columns), and the
// partitions (rows, 2). The label, *label, is that of each negative; that of the positive is 1.
Index emugraph_softmax_loss(const float* positive, const float* negatives, const float* label, Index rows,
                            Index columns, float* losses, float* partitions, Index threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Index b = 0; b < rows; ++b) {
        const float* row = negatives + b * columns;
        const Partition z = partition(row, columns, positive[b]);
        losses[b] = (z.most - positive[b]) + z.rest;
        if (*label != 0.0f) losses[b] += *label * (sum_below(row, columns, z.most) + float(columns) * z.rest);
        partitions[2 * b] = z.most;
        partitions[2 * b + 1] = z.rest;
    }
    return 0;
}

// Gradients by the scores, given those by the losses.
Index emugraph_softmax_loss_backward(const float* positive, const float* negatives, const float* label,
                                     const float* partitions, const float* gradients, Index rows, Index columns,
                                     float* by_positive, float* by_negatives, Index threads) {
    const float total = 1.0f + *label * float(columns);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Index b = 0; b < rows; ++b) {
        const float* row = negatives + b * columns;
        float* to = by_negatives + b * columns;
        const Vec most = splat(partitions[2 * b]), rest = splat(partitions[2 * b + 1]);
        const Vec scale = splat(gradients[b] * total), label_part = splat(-gradients[b] * *label);
        for (Index k = 0; k < columns; k += V) {
            const Index lanes = smaller(V, columns - k);
            store_part(to + k, madd(scale, exponential(load_part(row + k, lanes) - most - rest), label_part), lanes);
        }
        by_positive[b] = gradients[b] * (total * exponential(splat(positive[b]) - most - rest)[0] - 1.0f);
    }
    return 0;
}

}  // extern "C"
