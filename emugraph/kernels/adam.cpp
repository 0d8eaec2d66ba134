// Adam's steps on rows of a table, on a CPU: those that a row missed, and the one it has a gradient for.
//
// A row without gradient moves in dense Adam all the same: its moments decay, and it goes on along its momentum. Here
// that waits until the row is needed. What a row missed is then made up for in registers, one step after the other by
// the operations that dense Adam takes, so that when it is made up for changes nothing by a bit. Every row is one
// thread's, and gradients of one row are added in the order of their positions: nor does the number of threads.
//
// Plain C interface for ctypes. All arrays are dense, row-major, float32; all numbers are 64-bit.
//
// parameter, mean, square   (rows x width) the table, the moving mean of its gradients (m) and that of their squares (v)
// done                      (rows) steps of the history that a row has made; -1: it never had a gradient, moves not
// history                   (steps x 2) of each step: -(learning rate / bias correction of m), and 1 / root of v's
// constants                 1 - beta1, beta2, 1 - beta2, epsilon
//
// Functions return 0, or 1 when memory ran out, or 2 when an id lies outside the table; nothing is changed then.

#include "gradients.h"

namespace {

struct Table {
    float *parameter, *mean, *square;
    Index width;
    const float *history, *constants;
};

// p after a step. As torch.optim.Adam does it, but for one division: by the root of the bias correction of v.
inline Vec moved(Vec p, Vec m, Vec v, const float* scalars, Vec epsilon) {
    return p + scalars[0] * m / madd(square_root(v), splat(scalars[1]), epsilon);
}

// Make the steps from..to - 1 of the history without a gradient, then the step `to`, with the sum of its gradients, if
// there are any.
void advance(const Table& table, Index row, Index from, Index to, Index first, const Gradients& gradients) {
    const Vec weight1 = splat(table.constants[0]), beta2 = splat(table.constants[1]);
    const Vec weight2 = splat(table.constants[2]), epsilon = splat(table.constants[3]);
    for (Index column = 0; column < table.width; column += V) {
        const Index lanes = smaller(V, table.width - column), at = row * table.width + column;
        Vec p = load_part(table.parameter + at, lanes), m = load_part(table.mean + at, lanes);
        Vec v = load_part(table.square + at, lanes);
        for (Index step = from; step < to; ++step) {
            m = madd(-weight1, m, m);
            v *= beta2;
            p = moved(p, m, v, table.history + 2 * step, epsilon);
        }
        if (first >= 0) {
            Vec g = load_part(gradients.values + first * table.width + column, lanes);
            if (gradients.next)
                for (Index i = gradients.next[first]; i >= 0; i = gradients.next[i])
                    g += load_part(gradients.values + i * table.width + column, lanes);
            m = madd(weight1, g - m, m);
            v = madd(weight2 * g, g, v * beta2);
            p = moved(p, m, v, table.history + 2 * to, epsilon);
        }
        store_part(table.parameter + at, p, lanes);
        store_part(table.mean + at, m, lanes);
        store_part(table.square + at, v, lanes);
    }
}

// Ask for a row before it is needed: the rows of a step lie anywhere in the table.
inline void fetch(const Table& table, Index row) {
    for (Index column = 0; column < table.width; column += 16) {
        const Index at = row * table.width + column;
        __builtin_prefetch(table.parameter + at, 1);
        __builtin_prefetch(table.mean + at, 1);
        __builtin_prefetch(table.square + at, 1);
    }
}

}  // namespace

extern "C" {

// Make up for all of the history's `steps` that the rows `ids` (count), in which a row may be named again, have missed;
// ids null: all rows, count of them.
Index emugraph_adam_refresh(float* parameter, float* mean, float* square, Index rows, Index width, Index* done,
                            const float* history, Index steps, const float* constants, const Index* ids, Index count,
                            Index threads) {
    const Table table{parameter, mean, square, width, history, constants};
    if (ids && outside(rows, ids, count)) return 2;
    struct Task {
        Index row, from;
    };
    Buffer<Task> memory(count);
    if (memory.empty()) return 1;
    Task* const tasks = memory.get();
    Index waiting = 0;
    for (Index i = 0; i < count; ++i) {
        const Index row = ids ? ids[i] : i;
        if (done[row] < 0 || done[row] == steps) continue;
        tasks[waiting++] = {row, done[row]};
        done[row] = steps;  // said at once: a row that is named again is not made twice
    }
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads) if (waiting * width > worth_threads)
    for (Index i = 0; i < waiting; ++i) {
        if (i + 1 < waiting) fetch(table, tasks[i + 1].row);
        advance(table, tasks[i].row, tasks[i].from, steps, -1, {});
    }
    return 0;
}

// Make the last of the history's `steps` with gradients (count x width) for the rows `ids` (count), in which a row may
// be named again: its gradients are summed. ids null: one gradient for each row. Rows that are behind catch up first.
// first (rows): -1 everywhere, working memory that is left as it was.
Index emugraph_adam_step(float* parameter, float* mean, float* square, Index rows, Index width, Index* done,
                         const float* history, Index steps, const float* constants, const Index* ids,
                         const float* values, Index count, Index* first, Index threads) {
    const Table table{parameter, mean, square, width, history, constants};
    if (ids && outside(rows, ids, count)) return 2;
    Buffer<Index> memory(2 * count);
    if (memory.empty()) return 1;
    Index *const next = memory.get(), *const tasks = next + count;
    const Index distinct = ids ? link(ids, count, first, next, tasks) : rows;
    const Gradients gradients{values, ids ? next : nullptr};
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads) if (count * width > worth_threads)
    for (Index i = 0; i < distinct; ++i) {
        const Index row = ids ? tasks[i] : i;
        advance(table, row, done[row] < 0 ? steps - 1 : done[row], steps - 1, ids ? first[row] : row, gradients);
        done[row] = steps;
        if (ids) first[row] = -1;
    }
    return 0;
}

}  // extern "C"
