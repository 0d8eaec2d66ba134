// Vectors of float32 that GCC's and Clang's extensions provide, buffers, and rows packed by vectors.

#ifndef EMUGRAPH_VECTORS_H
#define EMUGRAPH_VECTORS_H

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

// The first `lanes` lanes, V at most, the others zero; touches no memory beyond them.
inline Vec load_part(const float* p, Index lanes) {
#if defined(__AVX512F__)
    return (Vec)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), p);
#else
    if (lanes == V) return load(p);
    Vec x = {};
    std::memcpy(&x, p, lanes * sizeof(float));
    return x;
#endif
}

inline void store_part(float* p, Vec x, Index lanes) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << lanes) - 1), (__m512)x);
#else
    if (lanes == V)
        store(p, x);
    else
        std::memcpy(p, &x, lanes * sizeof(float));
#endif
}

// Lanes of x, then of y, in the order of their numbers.
inline Vec shuffle(Vec x, Vec y, Bits order) {
#if defined(__clang__)
    Vec chosen;
    for (int lane = 0; lane < V; ++lane) chosen[lane] = order[lane] < V ? x[order[lane]] : y[order[lane] - V];
    return chosen;
#else
    return __builtin_shuffle(x, y, order);
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
#elif defined(__FP_FAST_FMAF)
    Vec sum = {};
    for (int lane = 0; lane < V; ++lane) sum[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
    return sum;
#else
    return a * b + c;
#endif
}

// Turn V rows of V lanes into V columns, in place: lanes change places with rows, halves, then quarters, and so on.
inline void transpose(Vec* rows) {
#pragma GCC unroll 4
    for (int half = V / 2; half; half /= 2) {
        Bits low, high;
        for (int lane = 0; lane < V; ++lane) {
            low[lane] = lane & half ? lane - half + V : lane;
            high[lane] = lane & half ? lane + V : lane + half;
        }
#pragma GCC unroll 16
        for (int row = 0; row < V; ++row) {
            if (row & half) continue;
            const Vec above = rows[row], below = rows[row + half];
            rows[row] = shuffle(above, below, low);
            rows[row + half] = shuffle(above, below, high);
        }
    }
}

// Lanes that a mask chooses.
#if defined(__AVX512F__)
using Lanes = __mmask16;
inline Lanes lanes_of(std::uint64_t bits) { return (__mmask16)bits; }
inline Vec select(Lanes chosen, Vec x, Vec otherwise) {
    return (Vec)_mm512_mask_mov_ps((__m512)otherwise, chosen, (__m512)x);
}
inline Vec add_where(Lanes chosen, Vec sum, Vec x) {
    return (Vec)_mm512_mask_add_ps((__m512)sum, chosen, (__m512)sum, (__m512)x);
}
#else
using Lanes = Bits;
inline Lanes lanes_of(std::uint64_t bits) {  // the lanes whose number's bit is set
    Bits lane_bit;
    for (int lane = 0; lane < V; ++lane) lane_bit[lane] = 1 << lane;
    const Bits all = static_cast<std::int32_t>(bits & 0xffff) - Bits{};
    return (all & lane_bit) != 0;
}
inline Vec select(Lanes chosen, Vec x, Vec otherwise) {
    return (Vec)(((Bits)x & chosen) | ((Bits)otherwise & ~chosen));
}
inline Vec add_where(Lanes chosen, Vec sum, Vec x) { return sum + (Vec)((Bits)x & chosen); }
#endif

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
    Vec y = {};
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

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
inline Index smaller(Index a, Index b) { return a < b ? a : b; }
inline Index larger(Index a, Index b) { return a > b ? a : b; }

inline int thread_number() {
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
inline void pack_rows(const float* rows, Index first, Index count, Index padded, Range blocks, Index units, int row_parts,
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
inline void unpack_sum(const float* packed, Index copies, Index count, Index padded, Index units, int row_parts, float factor,
                float* rows, Index threads) {
    const Index vectors = ceil_div(units, V), size = vectors * padded * row_parts * V;
    // What one thread does in some microseconds is not worth waking the others.
#pragma omp parallel for schedule(static) num_threads(threads) if (size * copies > 1 << 16)
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

}  // namespace

#endif
