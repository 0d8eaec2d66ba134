// Gradients of rows of a table, in which a row may be named again.

#ifndef EMUGRAPH_GRADIENTS_H
#define EMUGRAPH_GRADIENTS_H

#include "vectors.h"

namespace {

// Where a row's gradients lie: positions first, next[first], ... until -1. A negative first: there are none. next null:
// each row has one.
struct Gradients {
    const float* values;
    const Index* next;
};

// What is less work than this, in numbers moved, is not worth waking the other threads.
constexpr Index worth_threads = 1 << 14;

inline bool outside(Index rows, const Index* ids, Index count) {
    for (Index i = 0; i < count; ++i)
        if (ids[i] < 0 || ids[i] >= rows) return true;
    return false;
}

// List the distinct rows among ids (count), and for each its positions, in their order, as Gradients has them: first[row]
// is the first. first (rows) holds -1 before. Returns how many distinct rows there are.
inline Index link(const Index* ids, Index count, Index* first, Index* next, Index* distinct) {
    Index found = 0;
    // From the last position to the first, so that each row's list begins with its first.
    for (Index i = count - 1; i >= 0; --i) {
        Index& begin = first[ids[i]];
        if (begin < 0) distinct[found++] = ids[i];
        next[i] = begin;
        begin = i;
    }
    return found;
}

}  // namespace

#endif
