// Counting, on a CPU, the entries of a row of scores that beat a value and those that it beats.

#include <cstdint>

extern "C" {

// greater and less (rows): how many of a row's `columns` scores lie above and below truth[row]; NaN does neither.
std::int64_t emugraph_count_better(const float* scores, const float* truth, std::int64_t rows, std::int64_t columns,
                           std::int64_t* greater, std::int64_t* less, std::int64_t threads) {
    constexpr std::int64_t stretch = 1 << 14;  // short enough for 32-bit counters, long enough to be one task
    const std::int64_t stretches = (columns + stretch - 1) / stretch;
    for (std::int64_t row = 0; row < rows; ++row) greater[row] = less[row] = 0;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t task = 0; task < rows * stretches; ++task) {
        const std::int64_t row = task / stretches, start = task % stretches * stretch;
        const std::int64_t stop = start + stretch < columns ? start + stretch : columns;
        const float* score = scores + row * columns;
        const float value = truth[row];
        std::int32_t above = 0, below = 0;
#pragma omp simd reduction(+ : above, below)
        for (std::int64_t k = start; k < stop; ++k) {
            above += score[k] > value;
            below += score[k] < value;
        }
#pragma omp atomic
        greater[row] += above;
#pragma omp atomic
        less[row] += below;
    }
    return 0;
}

}  // extern "C"
