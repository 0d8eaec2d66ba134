// Distances between rows of queries and rows of candidates, and their gradients, on a CPU.
//
// Nothing of size queries x candidates x components is ever made. Forward, the lanes of a vector are candidates, so
// that a sum over components needs no reduction across lanes and adds up in the same order whatever the tile, the
// batch and the number of threads. Backward, the lanes are components, so that both gradients, one summed over
// candidates and one over queries, come from one evaluation of each component. Where each query has candidates of its
// own, the lanes are components both ways. How work is divided among threads changes no result by a bit.
//
// Plain C interface for ctypes. All arrays are dense, row-major, float32. A unit is what a distance adds up: a
// component ("l1", "l2"), or a complex number whose real parts are the first `units` columns of a row and whose
// imaginary parts are the next ("modulus"). All numbers are 64-bit. Functions return 0, or 1 when memory ran out.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#if defined(__AVX512F__) || (defined(__AVX__) && defined(__FMA__))
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "masks are packed for little-endian processors"
#endif

namespace {

using Index = std::int64_t;

#if defined(__AVX512F__)
constexpr int V = 16;  // lanes of a vector
#elif defined(__AVX__) && defined(__FMA__)
constexpr int V = 8;
#else
constexpr int V = 4;
#endif
constexpr bool many_registers = V == 16;

typedef float Vec __attribute__((vector_size(V * sizeof(float)), may_alias));
typedef std::int32_t Bits __attribute__((vector_size(V * sizeof(float)), may_alias));
typedef float Unaligned __attribute__((vector_size(V * sizeof(float)), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
inline void store(float* p, Vec x) { *reinterpret_cast<Unaligned*>(p) = x; }
inline Vec splat(float x) { return x - Vec{}; }  // x - 0 is x, for -0 and NaN too

// The first `lanes` lanes, the others zero; touches no memory beyond them.
inline Vec load_part(const float* p, Index lanes) {
#if defined(__AVX512F__)
    return (Vec)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), p);
#else
    Vec x = {};
    std::memcpy(&x, p, lanes * sizeof(float));
    return x;
#endif
}

inline void store_part(float* p, Vec x, Index lanes) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << lanes) - 1), (__m512)x);
#else
    std::memcpy(p, &x, lanes * sizeof(float));
#endif
}

inline float sum_lanes(Vec x) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)x);
#else
    for (int half = V / 2; half; half /= 2)
        for (int lane = 0; lane < half; ++lane) x[lane] += x[lane + half];
    return x[0];
#endif
}

// a * b + c, rounded once where the processor can: spelled out, so that every caller rounds in the same way.
inline Vec madd(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
    return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX__) && defined(__FMA__)
    return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

// 1 where the bit of a lane's number is set, else 0.
inline Vec ones(std::uint64_t bits) {
#if defined(__AVX512F__)
    return (Vec)_mm512_maskz_mov_ps((__mmask16)bits, _mm512_set1_ps(1.0f));
#else
    Bits lane_bit;
    for (int lane = 0; lane < V; ++lane) lane_bit[lane] = 1 << lane;
    const Bits all = static_cast<std::int32_t>(bits & 0xffff) - Bits{};
    return (Vec)(((all & lane_bit) != 0) & 0x3f800000);
#endif
}

inline Vec absolute(Vec x) { return (Vec)((Bits)x & 0x7fffffff); }

// c times the derivative of |x|: with the sign of x, and 0 at 0.
inline Vec with_sign(Vec c, Vec x) {
#if defined(__AVX512F__)
    const __mmask16 nonzero = _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m512i bit = _mm512_set1_epi32(INT32_MIN);
    return (Vec)_mm512_maskz_ternarylogic_epi32(nonzero, (__m512i)x, bit, (__m512i)c, 0x6a);  // (x & bit) ^ c
#else
    return (Vec)((((Bits)x & INT32_MIN) ^ (Bits)c) & (x != Vec{}));
#endif
}

inline Vec square_root(Vec x) {
    Vec y;
    for (int lane = 0; lane < V; ++lane) y[lane] = __builtin_sqrtf(x[lane]);
    return y;
}

// The square of a modulus. Something far below what a float32 difference can show keeps the root's reciprocal finite
// at 0, where it meets a difference of 0 and gives a gradient of 0; it costs nothing here.
inline Vec squared_modulus(Vec x, Vec y) { return madd(x, x, madd(y, y, splat(1.2e-38f))); }

// An estimate of 1/sqrt(x); a step of Newton's makes it exact to a few units in the last place.
inline Vec reciprocal_root(Vec x) {
#if defined(__AVX512F__)
    return (Vec)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)x);
#elif defined(__AVX__) && defined(__FMA__)
    return (Vec)_mm256_rsqrt_ps((__m256)x);
#else
    return 1.0f / square_root(x);
#endif
}

// Newton's step for root = x * estimate, near sqrt(x), and for the estimate of 1/sqrt(x): the factor that corrects
// both, times -2. What is left of that factor goes where it costs nothing: half_minus below.
inline Vec newton(Vec root, Vec estimate) { return madd(root, estimate, splat(-3.0f)); }

enum Distance { L1 = 0, L2 = 1, MODULUS = 2 };

template <int D>
constexpr int parts = D == MODULUS ? 2 : 1;  // columns of a row for one unit

// What has to be multiplied to a component, and to a slope, because it took a step of Newton's.
template <int D>
constexpr float half_minus = D == MODULUS ? -0.5f : 1.0f;

// What a distance adds up for a unit whose difference q - e is x, or x + iy; short of a factor half_minus.
template <int D>
Vec component(Vec x, Vec y) {
    if (D == L1) return absolute(x);
    if (D == L2) return x * x;
    const Vec square = squared_modulus(x, y), estimate = reciprocal_root(square), root = square * estimate;
    return root * newton(root, estimate);
}

// An addition on the multipliers: the adders are busy with differences.
inline Vec plus(Vec sum, Vec x) { return madd(x, splat(1.0f), sum); }

template <int D>
Vec add_component(Vec sum, Vec x, Vec y) {
    if (D == L1) return plus(sum, absolute(x));
    if (D == L2) return madd(x, x, sum);
    const Vec square = squared_modulus(x, y), estimate = reciprocal_root(square), root = square * estimate;
    return madd(root, newton(root, estimate), sum);
}

// A score for a sum of components.
template <int D>
Vec score(Vec sum) {
    return D == L2 ? -square_root(sum) : sum * -half_minus<D>;
}

// c times a component's derivative by x is slope(x, y, c) * x, and so for y; for "l1" it is c with the sign of x. For
// "l2" this is half the square's derivative: the other half is in c, with the root's. Short of a factor half_minus.
template <int D>
Vec slope(Vec x, Vec y, Vec c) {
    if (D != MODULUS) return c;
    const Vec square = squared_modulus(x, y), estimate = reciprocal_root(square);
    return c * estimate * newton(square * estimate, estimate);
}

// Add a derivative to two sums.
template <int D>
void add_derivative(Vec scaled, Vec x, Vec& sum, Vec& total) {
    if (D == L1) {
        const Vec derivative = with_sign(scaled, x);
        sum = plus(sum, derivative);
        total += derivative;
    } else {
        sum = madd(scaled, x, sum);
        total = madd(scaled, x, total);
    }
}

Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
Index smaller(Index a, Index b) { return a < b ? a : b; }
Index larger(Index a, Index b) { return a > b ? a : b; }

int thread_number() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

// Memory that starts at a vector's boundary; empty when there was not enough.
template <typename T>
class Buffer {
  public:
    explicit Buffer(Index count)
        : items_(static_cast<T*>(std::aligned_alloc(64, ceil_div(larger(count, 1) * Index(sizeof(T)), 64) * 64))) {}
    ~Buffer() { std::free(items_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    T* get() const { return items_; }
    bool empty() const { return items_ == nullptr; }

  private:
    T* items_;
};

// --------------------------------------------------------------------------------------- rows, packed by vectors

struct Range {
    Index first, last;
};

// packed[block][row][part][lane] = rows[first + row][part * units + block * V + lane]; zeros beyond `count` rows and
// beyond the last unit.
void pack_rows(const float* rows, Index first, Index count, Index padded, Range blocks, Index units, int row_parts,
               float* packed) {
    for (Index block = blocks.first; block < blocks.last; ++block) {
        const Index lanes = smaller(V, units - block * V);
        for (Index row = 0; row < padded; ++row)
            for (int p = 0; p < row_parts; ++p, packed += V) {
                const float* from = rows + ((first + row) * row_parts + p) * units + block * V;
                store(packed, row < count ? load_part(from, lanes) : Vec{});
            }
    }
}

// rows = factor * sum of the copies, added in their order. A copy is laid out as pack_rows does.
void unpack_sum(const float* packed, Index copies, Index count, Index padded, Index units, int row_parts, float factor,
                float* rows, Index threads) {
    const Index vectors = ceil_div(units, V), size = vectors * padded * row_parts * V;
    // What one thread does in a fraction of a millisecond is not worth waking the others.
#pragma omp parallel for schedule(static) num_threads(threads) if (size * copies > 1 << 20)
    for (Index row = 0; row < count; ++row)
        for (Index block = 0; block < vectors; ++block)
            for (int p = 0; p < row_parts; ++p) {
                const float* from = packed + ((block * padded + row) * row_parts + p) * V;
                Vec sum = load(from);
                for (Index copy = 1; copy < copies; ++copy) sum += load(from + copy * size);
                store_part(rows + (row * row_parts + p) * units + block * V, sum * factor,
                           smaller(V, units - block * V));
            }
}

template <int D>
Vec imaginary_part(const float* p, Index units, Index lanes) {
    return D == MODULUS ? load_part(p + units, lanes) : Vec{};
}

// What the positives add up, unit by unit: terms (queries, units).
template <int D>
void positive_terms(const float* q, const float* positive, Index queries, Index units, float* terms) {
    for (Index b = 0; b < queries; ++b)
        for (Index i = 0; i < units; i += V) {
            const Index lanes = smaller(V, units - i), at = b * units * parts<D> + i;
            const Vec x = load_part(q + at, lanes) - load_part(positive + at, lanes);
            const Vec y = imaginary_part<D>(q + at, units, lanes) - imaginary_part<D>(positive + at, units, lanes);
            store_part(terms + b * units + i, component<D>(x, y), lanes);
        }
}

// The gradients by the positives, and what they add to those by the queries; weights (queries, units) are the sums
// over candidates of the mask times the derivative by the mutated distance.
template <int D>
void positive_backward(const float* q, const float* positive, const float* weights, Index queries, Index units,
                       float* dq, float* dpositive) {
    for (Index b = 0; b < queries; ++b)
        for (Index i = 0; i < units; i += V) {
            const Index lanes = smaller(V, units - i), at = b * units * parts<D> + i;
            const Vec x = load_part(q + at, lanes) - load_part(positive + at, lanes);
            const Vec y = imaginary_part<D>(q + at, units, lanes) - imaginary_part<D>(positive + at, units, lanes);
            const Vec scaled = slope<D>(x, y, load_part(weights + b * units + i, lanes));
            const Vec by_x = D == L1 ? with_sign(scaled, x) : scaled * x;
            store_part(dpositive + at, by_x, lanes);
            store_part(dq + at, load_part(dq + at, lanes) - by_x, lanes);
            if (D == MODULUS) {
                store_part(dpositive + at + units, scaled * y, lanes);
                store_part(dq + at + units, load_part(dq + at + units, lanes) - scaled * y, lanes);
            }
        }
}

// Derivatives of the loss by what a distance adds up (by half of it for "l2"), with their sign turned and times the
// factor that slopes are short of.
struct Weights {
    const float* gradient;  // by the scores; null where they are not used
    const float* scores;    // for "l2", whose root divides the gradient; else null
    float factor;

    float at(Index i) const {
        // No float32 components have such a distance: it keeps g / 0 finite until it meets a difference of 0.
        constexpr float nothing = 1e-19f;
        if (!gradient) return 0.0f;
        if (!scores) return gradient[i] * factor;
        return gradient[i] / (-scores[i] < nothing ? nothing : -scores[i]);
    }
};

// --------------------------------------------------------------------------- candidates shared by all queries

// A panel holds the candidates of one tile with their columns as rows: panel[column * width + candidate].
template <int D, bool MASKED>
struct Panel {
    static constexpr int vectors = (D == MODULUS || MASKED ? 2 : 4) / (many_registers ? 1 : 2);
    static constexpr int width = vectors * V;
};

void pack_panel(const float* rows, Index first, Index count, Index columns, int width, float* panel) {
    for (Index j = 0; j < width; ++j) {
        const float* row = rows + (first + j) * columns;
        for (Index i = 0; i < columns; ++i) panel[i * width + j] = j < count ? row[i] : 0.0f;
    }
}

// Distances of Q queries to one panel of candidates.
template <int D, bool MASKED, int Q>
void pairwise_tile(const float* q, const float* terms, Index units, const float* panel, Index count, float* scores,
                   float* mutated, Index leading) {
    constexpr int T = Panel<D, MASKED>::vectors, width = Panel<D, MASKED>::width;
    const Index columns = units * parts<D>;
    const float* mask_panel = panel + columns * width;
    Vec all[Q][T] = {}, mixed[Q][T] = {};
    for (Index i = 0; i < units; ++i) {
        Vec real[T], imaginary[T], take[T], keep[T];
        for (int t = 0; t < T; ++t) {
            real[t] = load(panel + i * width + t * V);
            if (D == MODULUS) imaginary[t] = load(panel + (units + i) * width + t * V);
            if (MASKED) take[t] = load(mask_panel + i * width + t * V);
            if (MASKED) keep[t] = 1.0f - take[t];
        }
        for (int b = 0; b < Q; ++b) {
            const Vec q_real = splat(q[b * columns + i]);
            const Vec q_imaginary = D == MODULUS ? splat(q[b * columns + units + i]) : Vec{};
            const Vec term = MASKED ? splat(terms[b * units + i]) : Vec{};
            for (int t = 0; t < T; ++t) {
                const Vec x = q_real - real[t];
                const Vec y = D == MODULUS ? q_imaginary - imaginary[t] : Vec{};
                if (MASKED) {
                    const Vec phi = component<D>(x, y);
                    all[b][t] += phi;
                    mixed[b][t] = madd(term, take[t], madd(phi, keep[t], mixed[b][t]));
                } else {
                    all[b][t] = add_component<D>(all[b][t], x, y);
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
Index pairwise(const float* q, const float* e, const float* positive, const float* mask, Index queries,
               Index candidates, Index units, float* scores, float* mutated, Index threads) {
    constexpr int Q = 4, width = Panel<D, MASKED>::width;
    const Index columns = units * parts<D>;
    const Index panels = ceil_div(candidates, width);
    // Packing a panel pays from some 64 queries on; split the queries only where the panels alone are too few.
    const Index splits = larger(1, smaller(ceil_div(4 * threads, panels), queries / 64));
    const Index rows = ceil_div(ceil_div(queries, splits), Q) * Q;
    const Index panel_size = ceil_div((columns + (MASKED ? units : 0)) * width, 16) * 16;
    Buffer<float> panel_of_thread(panel_size * threads), terms(MASKED ? queries * units : 0);
    if (panel_of_thread.empty() || terms.empty()) return 1;
    if (MASKED) positive_terms<D>(q, positive, queries, units, terms.get());
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index task = 0; task < panels * splits; ++task) {
        float* panel = panel_of_thread.get() + panel_size * thread_number();
        const Index first = task / splits * width, count = smaller(width, candidates - first);
        Index b = task % splits * rows;
        const Index end = smaller(queries, b + rows);
        if (b >= end) continue;
        pack_panel(e, first, count, columns, width, panel);
        if (MASKED) pack_panel(mask, first, count, units, width, panel + columns * width);
        for (; b + Q <= end; b += Q)
            pairwise_tile<D, MASKED, Q>(q + b * columns, terms.get() + b * units, units, panel, count,
                                        scores + b * candidates + first, mutated + b * candidates + first, candidates);
        for (; b < end; ++b)
            pairwise_tile<D, MASKED, 1>(q + b * columns, terms.get() + b * units, units, panel, count,
                                        scores + b * candidates + first, mutated + b * candidates + first, candidates);
    }
    return 0;
}

// Queries whose gradients one tile holds in registers.
template <int D>
constexpr int tile_rows = (D == MODULUS ? 4 : 8) / (many_registers ? 1 : 2);

// Queries and candidates that are packed together: their vectors stay in the nearest caches.
constexpr Index patch = 128;

// One vector of units for a patch, everything packed. For each tile of queries and each candidate, `weights` holds the
// tile's weights and, with a mask, those of the mutated distances. The gradients, and with a mask the weights of the
// positives, are added to `dq`, `de` and `taken`, or written where these are new.
template <int D, bool MASKED>
void backward_patch(const float* q, const float* e, const float* mask, const float* weights, Index queries,
                    Index candidates, float* dq, float* de, float* taken, bool new_dq, bool new_de) {
    constexpr int R = tile_rows<D>, P = parts<D>, S = P * V, G = MASKED ? 2 : 1;
    for (Index b = 0; b < queries; b += R) {
        Vec sum[R][P], taken_sum[R];
        for (int r = 0; r < R; ++r) {
            for (int p = 0; p < P; ++p) sum[r][p] = new_dq ? Vec{} : load(dq + (b + r) * S + p * V);
            if (MASKED) taken_sum[r] = new_dq ? Vec{} : load(taken + (b + r) * V);
        }
        for (Index k = 0; k < candidates; ++k, weights += R * G) {
            Vec candidate[P], total[P], take = {}, keep = {};
            for (int p = 0; p < P; ++p) {
                candidate[p] = load(e + k * S + p * V);
                total[p] = new_de && b == 0 ? Vec{} : load(de + k * S + p * V);
            }
            if (MASKED) take = load(mask + k * V);
            if (MASKED) keep = 1.0f - take;
            for (int r = 0; r < R; ++r) {
                Vec c = splat(weights[r]);
                if (MASKED) {
                    const Vec by_mutated = splat(weights[R + r]);
                    c = madd(keep, by_mutated, c);
                    taken_sum[r] = madd(take, by_mutated, taken_sum[r]);
                }
                const Vec x = load(q + (b + r) * S) - candidate[0];
                const Vec y = D == MODULUS ? load(q + (b + r) * S + V) - candidate[P - 1] : Vec{};
                const Vec scaled = slope<D>(x, y, c);
                add_derivative<D>(scaled, x, sum[r][0], total[0]);
                if (D == MODULUS) add_derivative<D>(scaled, y, sum[r][P - 1], total[P - 1]);
            }
            for (int p = 0; p < P; ++p) store(de + k * S + p * V, total[p]);
        }
        for (int r = 0; r < R; ++r) {
            for (int p = 0; p < P; ++p) store(dq + (b + r) * S + p * V, sum[r][p]);
            if (MASKED) store(taken + (b + r) * V, taken_sum[r]);
        }
    }
}

// packed[tile][candidate][0 or 1][query of the tile], zeros beyond `count` queries.
template <int R, bool MASKED>
void pack_weights(Weights plain, Weights mutated, Index first, Index leading, Index count, Index padded,
                  Index candidates, float* packed) {
    constexpr int G = MASKED ? 2 : 1;
    for (Index b = 0; b < padded; ++b) {
        float* to = packed + b / R * R * candidates * G + b % R;
        const Index row = first + b * leading;
        for (Index k = 0; k < candidates; ++k) to[k * R * G] = b < count ? plain.at(row + k) : 0.0f;
        if (MASKED)
            for (Index k = 0; k < candidates; ++k) to[k * R * G + R] = b < count ? mutated.at(row + k) : 0.0f;
    }
}

template <int D, bool MASKED>
Index pairwise_backward(const float* q, const float* e, const float* positive, const float* mask, Weights plain,
                        Weights mutated, Index queries, Index candidates, Index units, float* dq, float* de,
                        float* dpositive, Index threads) {
    constexpr int R = tile_rows<D>, P = parts<D>, S = P * V, G = MASKED ? 2 : 1;
    const Index vectors = ceil_div(units, V), padded = ceil_div(queries, R) * R;
    // The longer side is cut into ranges, and the shorter one has a copy of its gradient for each. The cut depends on
    // the shape alone, and so do the sums, to the last bit. Vectors of units are shared out only to busy all threads.
    const bool cut_queries = queries >= candidates;
    const Index ranges = smaller(8, ceil_div(larger(queries, candidates), 64));
    const Index span = cut_queries ? ceil_div(padded / R, ranges) * R : ceil_div(candidates, ranges);
    const Index cuts = ceil_div(cut_queries ? padded : candidates, span);
    const Index group = ceil_div(vectors, smaller(vectors, ceil_div(3 * threads, cuts)));
    const Index groups = ceil_div(vectors, group);
    const Index q_size = vectors * padded * S, e_size = vectors * candidates * S;
    const Index taken_size = MASKED ? vectors * padded * V : 0;
    const Index q_copies = cut_queries ? 1 : cuts, e_copies = cut_queries ? cuts : 1;
    const Index scratch_size = patch * (group * (2 * S + V) + patch * G);
    Buffer<float> scratch(scratch_size * threads), dq_copies(q_size * q_copies), de_copies(e_size * e_copies);
    Buffer<float> taken_copies(taken_size * q_copies), taken(MASKED ? queries * units : 0);
    if (scratch.empty() || dq_copies.empty() || de_copies.empty() || taken_copies.empty() || taken.empty()) return 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (Index task = 0; task < cuts * groups; ++task) {
        const Index cut = task / groups, start = task % groups * group;
        const Range blocks = {start, smaller(start + group, vectors)};
        const Range range = {cut * span, smaller(cut * span + span, cut_queries ? padded : candidates)};
        const Range q_range = cut_queries ? range : Range{0, padded};
        const Range e_range = cut_queries ? Range{0, candidates} : range;
        float* q_packed = scratch.get() + scratch_size * thread_number();
        float* e_packed = q_packed + patch * group * S;
        float* mask_packed = e_packed + patch * group * S;
        float* weights_packed = mask_packed + patch * group * V;
        float* dq_copy = dq_copies.get() + (cut_queries ? 0 : cut * q_size);
        float* de_copy = de_copies.get() + (cut_queries ? cut * e_size : 0);
        float* taken_copy = taken_copies.get() + (cut_queries ? 0 : cut * taken_size);
        for (Index k = e_range.first; k < e_range.last; k += patch) {
            const Index n = smaller(patch, e_range.last - k);
            pack_rows(e, k, n, n, blocks, units, P, e_packed);
            if (MASKED) pack_rows(mask, k, n, n, blocks, units, 1, mask_packed);
            for (Index b = q_range.first; b < q_range.last; b += patch) {
                const Index m = smaller(patch, q_range.last - b), count = smaller(m, queries - b);
                pack_rows(q, b, count, m, blocks, units, P, q_packed);
                pack_weights<R, MASKED>(plain, mutated, b * candidates + k, candidates, count, m, n, weights_packed);
                for (Index block = blocks.first; block < blocks.last; ++block) {
                    const Index i = block - blocks.first;
                    backward_patch<D, MASKED>(q_packed + i * m * S, e_packed + i * n * S, mask_packed + i * n * V,
                                              weights_packed, m, n, dq_copy + (block * padded + b) * S,
                                              de_copy + (block * candidates + k) * S,
                                              taken_copy + (block * padded + b) * V, k == e_range.first,
                                              b == q_range.first);
                }
            }
        }
    }
    // A score is minus the distance, and a distance grows with q - e.
    unpack_sum(dq_copies.get(), q_copies, queries, padded, units, P, -1.0f, dq, threads);
    unpack_sum(de_copies.get(), e_copies, candidates, candidates, units, P, 1.0f, de, threads);
    if (MASKED) {
        unpack_sum(taken_copies.get(), q_copies, queries, padded, units, 1, 1.0f, taken.get(), threads);
        positive_backward<D>(q, positive, taken.get(), queries, units, dq, dpositive);
    }
    return 0;
}

// ---------------------------------------------------------------------------- a list of candidates for each query

// What share of a unit the positive takes over: one bit a unit in 64-bit words, or floats from 0 to 1. Strides are
// counted in words, or floats; where all queries share the mask, the queries' stride is 0.
struct Mask {
    const void* data;
    Index query_stride, candidate_stride;
    bool packed;

    Index row(Index query, Index candidate) const { return query * query_stride + candidate * candidate_stride; }

    Vec take(Index row, Index block, Index lanes) const {
        return packed ? ones(bits(row, block)) : share(row, block, lanes);
    }

    Vec keep(Index row, Index block, Index lanes) const {
        return packed ? ones(~bits(row, block)) : 1.0f - share(row, block, lanes);
    }

    std::uint64_t bits(Index row, Index block) const {
        return static_cast<const std::uint64_t*>(data)[row + block * V / 64] >> block * V % 64;
    }

    Vec share(Index row, Index block, Index lanes) const {
        return load_part(static_cast<const float*>(data) + row + block * V, lanes);
    }
};

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
        if (MASKED) positive_terms<D>(q + b * columns, positive + b * columns, 1, units, terms);
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
                const Vec x = load(query + block * S) - load_part(e, lanes);
                const Vec y = D == MODULUS ? load(query + block * S + V) - load_part(e + units, lanes) : Vec{};
                const Vec phi = component<D>(x, y);
                all = plus(all, phi);
                if (MASKED) {
                    mixed = madd(mask.keep(mask_row, block, lanes), phi, mixed);
                    mixed = madd(mask.take(mask_row, block, lanes), load_part(terms + block * V, lanes), mixed);
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
            const Index full = smaller(group, units / V - start);
            const Index tail = full < group ? units % V : 0;
            Vec sum[group] = {};
            for (Index k = 0; k < candidates; ++k) {
                const Index row = mask.row(b, k);
                const Vec weight = splat(mutated.at(b * candidates + k));
                for (Index i = 0; i < full; ++i) sum[i] = madd(mask.take(row, start + i, V), weight, sum[i]);
                if (tail) sum[full] = madd(mask.take(row, start + full, tail), weight, sum[full]);
            }
            float* to = weights + b * units + start * V;
            for (Index i = 0; i < full; ++i) store(to + i * V, sum[i]);
            if (tail) store_part(to + full * V, sum[full], tail);
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
    std::int32_t candidate;
};

template <int D, bool MASKED>
Index gathered_backward(const float* q, const float* table, const Index* index, const float* positive, Mask mask,
                        Weights plain, Weights mutated, Index queries, Index candidates, Index rows, Index units,
                        float* dq, float* dtable, float* dpositive, Index threads) {
    constexpr int P = parts<D>, S = P * V;
    constexpr Index shares = 4;  // of the table's rows, each with its own copy of the queries' gradients
    const Index vectors = ceil_div(units, V), columns = units * P, uses = queries * candidates;
    const Index q_size = vectors * queries * S, words = MASKED && mask.packed ? ceil_div(units, 64) : 0;
    const Index sorters = smaller(threads, smaller(queries, 4)), span = ceil_div(queries, sorters);
    Buffer<Index> places(rows * sorters);
    Buffer<Use<MASKED>> sorted(uses);
    Buffer<std::uint64_t> sorted_mask(uses * words);
    Buffer<float> q_packed(q_size), dq_copies(q_size * shares), taken(MASKED ? queries * units : 0);
    if (places.empty() || sorted.empty() || sorted_mask.empty() || q_packed.empty() || dq_copies.empty() ||
        taken.empty())
        return 1;
    pack_rows(q, 0, queries, queries, {0, vectors}, units, P, q_packed.get());
    // Sort the uses by row, keeping their order within a row, each sorter its part of the queries. A packed mask is
    // small enough to be sorted along.
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
                    use.candidate = static_cast<std::int32_t>(k);
                    for (Index word = 0; word < words; ++word)
                        sorted_mask.get()[place * words + word] =
                            static_cast<const std::uint64_t*>(mask.data)[mask.row(b, k) + word];
                }
            }
    const Mask sorted_by_row = {words ? sorted_mask.get() : mask.data, 0, 0, mask.packed};
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
                const float* e = table + n * columns + block * V;
                const Vec real = load_part(e, lanes), imaginary = D == MODULUS ? load_part(e + units, lanes) : Vec{};
                Vec total_x = {}, total_y = {};
                for (Index i = row_uses.first; i < row_uses.last; ++i) {
                    const Use<MASKED> use = sorted.get()[i];
                    const float* query = q_packed.get() + (block * queries + use.query) * S;
                    float* dquery = dq_copy + (block * queries + use.query) * S;
                    const Vec x = load(query) - real;
                    const Vec y = D == MODULUS ? load(query + V) - imaginary : Vec{};
                    Vec c = splat(use.weight);
                    if constexpr (MASKED) {
                        const Index mask_row = words ? i * words : mask.row(use.query, use.candidate);
                        c = madd(sorted_by_row.keep(mask_row, block, lanes), splat(use.mutated_weight), c);
                    }
                    const Vec scaled = slope<D>(x, y, c);
                    Vec sum = load(dquery);
                    add_derivative<D>(scaled, x, sum, total_x);
                    store(dquery, sum);
                    if (D == MODULUS) {
                        sum = load(dquery + V);
                        add_derivative<D>(scaled, y, sum, total_y);
                        store(dquery + V, sum);
                    }
                }
                store_part(dtable + n * columns + block * V, total_x, lanes);
                if (D == MODULUS) store_part(dtable + n * columns + units + block * V, total_y, lanes);
            }
        }
    }
    unpack_sum(dq_copies.get(), shares, queries, queries, units, P, -1.0f, dq, threads);
    if (MASKED) {
        taken_weights(mask, mutated, queries, candidates, units, taken.get(), threads);
        positive_backward<D>(q, positive, taken.get(), queries, units, dq, dpositive);
    }
    return 0;
}

}  // namespace

// The instance of a template for a distance, with or without a mask.
#define INSTANCE(function, distance, masked)                                                             \
    (distance == L1   ? (masked ? function<L1, true> : function<L1, false>)                              \
     : distance == L2 ? (masked ? function<L2, true> : function<L2, false>)                              \
                      : (masked ? function<MODULUS, true> : function<MODULUS, false>))

extern "C" {

// Lanes of a vector: a library that answers at all has been loaded whole.
Index emugraph_lanes() { return V; }

// scores (queries, candidates) = -distance between all queries (queries, width) and all candidates (candidates,
// width). With a mask (candidates, units) also the scores of mutated candidates, whose masked units are those of the
// query's positive (queries, width).
Index emugraph_pairwise(Index distance, const float* q, const float* e, const float* positive, const float* mask,
                        Index queries, Index candidates, Index units, float* scores, float* mutated, Index threads) {
    return INSTANCE(pairwise, distance, mask)(q, e, positive, mask, queries, candidates, units, scores, mutated,
                                              threads);
}

// Gradients for q, e and positive, given those by the scores and by the mutated scores; either may be null. The scores
// themselves are needed for "l2" only.
Index emugraph_pairwise_backward(Index distance, const float* q, const float* e, const float* positive,
                                 const float* mask, const float* gradient, const float* mutated_gradient,
                                 const float* scores, const float* mutated, Index queries, Index candidates,
                                 Index units, float* dq, float* de, float* dpositive, Index threads) {
    const float factor = distance == MODULUS ? half_minus<MODULUS> : 1.0f;
    const Weights plain_weights = {gradient, scores, factor}, mutated_weights = {mutated_gradient, mutated, factor};
    return INSTANCE(pairwise_backward, distance, mask)(q, e, positive, mask, plain_weights, mutated_weights, queries,
                                                       candidates, units, dq, de, dpositive, threads);
}

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

// The same as emugraph_pairwise for candidates that `index` (queries, candidates) names for each query among the rows
// of a table (rows, width). The mask is packed as above, or floats. Returns 2 when an index is outside the table.
Index emugraph_gathered(Index distance, const float* q, const float* table, const Index* index, const float* positive,
                        const void* mask, Index mask_query_stride, Index mask_candidate_stride, Index mask_packed,
                        Index queries, Index candidates, Index rows, Index units, float* scores, float* mutated,
                        Index threads) {
    const Mask shares = {mask, mask_query_stride, mask_candidate_stride, mask_packed != 0};
    return INSTANCE(gathered, distance, mask)(q, table, index, positive, shares, queries, candidates, rows, units,
                                              scores, mutated, threads);
}

// Gradients for q, table and positive; the index has been checked.
Index emugraph_gathered_backward(Index distance, const float* q, const float* table, const Index* index,
                                 const float* positive, const void* mask, Index mask_query_stride,
                                 Index mask_candidate_stride, Index mask_packed, const float* gradient,
                                 const float* mutated_gradient, const float* scores, const float* mutated,
                                 Index queries, Index candidates, Index rows, Index units, float* dq, float* dtable,
                                 float* dpositive, Index threads) {
    const Mask shares = {mask, mask_query_stride, mask_candidate_stride, mask_packed != 0};
    const float factor = distance == MODULUS ? half_minus<MODULUS> : 1.0f;
    const Weights plain_weights = {gradient, scores, factor}, mutated_weights = {mutated_gradient, mutated, factor};
    return INSTANCE(gathered_backward, distance, mask)(q, table, index, positive, shares, plain_weights,
                                                       mutated_weights, queries, candidates, rows, units, dq, dtable,
                                                       dpositive, threads);
}

}  // extern "C"
