// Adagrad's step on rows of a table, on a CPU, with a sum of squares for each number or one for each row.
//
// A row without gradient does not move in Adagrad: only those that have one are read. Every row is one thread's, and
// gradients of one row are added in the order of their positions, so that the number of threads changes nothing by a bit.
//
// Plain C interface for ctypes. All arrays are dense, row-major, float32; all numbers are 64-bit.

#include "gradients.h"

namespace {

struct Table {
    float *parameter, *sum;
    Index width;
    float rate, epsilon;
};

// The sum of a row's gradients (width): where it lies if there is only one, else in `scratch`.
inline const float* summed(const Gradients& gradients, Index first, Index width, float* scratch) {
    const float* const from = gradients.values + first * width;
    if (!gradients.next || gradients.next[first] < 0) return from;
    std::memcpy(scratch, from, width * sizeof(float));
    for (Index i = gradients.next[first]; i >= 0; i = gradients.next[i])
        for (Index column = 0; column < width; column += V) {
            const Index lanes = smaller(V, width - column);
            const Vec g = load_part(gradients.values + i * width + column, lanes);
            store_part(scratch + column, load_part(scratch + column, lanes) + g, lanes);
        }
    return scratch;
}

// A sum for each number: sum (rows x width).
inline void step_by_number(const Table& table, Index row, const float* gradient) {
    for (Index column = 0; column < table.width; column += V) {
        const Index lanes = smaller(V, table.width - column), at = row * table.width + column;
        const Vec g = load_part(gradient + column, lanes);
        const Vec sum = madd(g, g, load_part(table.sum + at, lanes));
        const Vec p = load_part(table.parameter + at, lanes);
        store_part(table.sum + at, sum, lanes);
        store_part(table.parameter + at, p - table.rate * g / (square_root(sum) + table.epsilon), lanes);
    }
}

// One sum for the row, of the means of its gradients' squares: sum (rows).
inline void step_by_row(const Table& table, Index row, const float* gradient) {
    Vec squares = {};
    for (Index column = 0; column < table.width; column += V) {
        const Vec g = load_part(gradient + column, smaller(V, table.width - column));
        squares = madd(g, g, squares);
    }
    table.sum[row] += sum_lanes(squares) / table.width;
    const Vec factor = splat(-table.rate / (__builtin_sqrtf(table.sum[row]) + table.epsilon));
    for (Index column = 0; column < table.width; column += V) {
        const Index lanes = smaller(V, table.width - column), at = row * table.width + column;
        const Vec g = load_part(gradient + column, lanes), p = load_part(table.parameter + at, lanes);
        store_part(table.parameter + at, madd(factor, g, p), lanes);
    }
}

}  // namespace

extern "C" {

// Make a step with gradients (count x width) for the rows `ids` (count) of a table (rows x width), in which a row may be
// named again: its gradients are summed first. ids null: one gradient for each row.
//
// sum         (rows x width), or (rows) with by_row: of the squares of all gradients so far
// constants   learning rate, epsilon
// first       (rows) of -1, working memory that is left as it was
//
// Returns 0, or 1 when memory ran out, or 2 when an id lies outside the table; nothing is changed then.
Index emugraph_adagrad_step(float* parameter, float* sum, Index rows, Index width, Index by_row, const float* constants,
                            const Index* ids, const float* values, Index count, Index* first, Index threads) {
    const Table table{parameter, sum, width, constants[0], constants[1]};
    if (ids && outside(rows, ids, count)) return 2;
    const Index stride = ceil_div(width, 16) * 16;  // a cache line belongs to one thread
    Buffer<Index> memory(2 * count);
    Buffer<float> scratch(threads * stride);
    if (memory.empty() || scratch.empty()) return 1;
    Index *const next = memory.get(), *const tasks = next + count;
    const Index distinct = ids ? link(ids, count, first, next, tasks) : rows;
    const Gradients gradients{values, ids ? next : nullptr};
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads) if (count * width > worth_threads)
    for (Index i = 0; i < distinct; ++i) {
        const Index row = ids ? tasks[i] : i;
        const float* const gradient =
            summed(gradients, ids ? first[row] : row, width, scratch.get() + thread_number() * stride);
        by_row ? step_by_row(table, row, gradient) : step_by_number(table, row, gradient);
        if (ids) first[row] = -1;
    }
    return 0;
}

}  // extern "C"
