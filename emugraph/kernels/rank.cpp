// Counting, on a CPU, the entries of a row of scores that beat a value and those that it beats.

#include <cstdint>

extern "C" {

// greater and less (count): how many of the `columns` scores of row rows[i] lie above and below truth[i]; NaN does
// neither. rows null: row i. Returns 2 when a row lies outside the `height` that there are.
std::int64_t emugraph_count_better(const float* scores, std::int64_t height, std::int64_t columns, const float* truth,
                                   const std::int64_t* rows, std::int64_t count, std::int64_t* greater,
                                   std::int64_t* less, std::int64_t threads) {
    for (std::int64_t i = 0; rows && i < count; ++i)
        if (rows[i] < 0 || rows[i] >= height) return 2;
    constexpr std::int64_t stretch = 1 << 14;  // short enough for 32-bit counters, long enough to be one task
    const std::int64_t stretches = (columns + stretch - 1) / stretch;
    for (std::int64_t i = 0; i < count; ++i) greater[i] = less[i] = 0;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t task = 0; task < count * stretches; ++task) {
        const std::int64_t i = task / stretches, start = task % stretches * stretch;
        const std::int64_t stop = start + stretch < columns ? start + stretch : columns;
        const float* score = scores + (rows ? rows[i] : i) * columns;
        const float value = truth[i];
        std::int32_t above = 0, below = 0;
#pragma omp simd reduction(+ : above, below)
        for (std::int64_t k = start; k < stop; ++k) {
            above += score[k] > value;
            below += score[k] < value;
        }
#pragma omp atomic
        greater[i] += above;
#pragma omp atomic
        less[i] += below;
    }
    return 0;
}

}  // extern "C"
