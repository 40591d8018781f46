// Panels of rows, the three matrix products on them, and PyTorch's threads.
//
// Rows come in panels of PANEL rows, features x rows, so that the lanes of a vector are rows and no width has to be
// padded. All sums over rows run in an order that depends on the number of rows alone: results are the same bits for any
// number of threads, and for a replicate alone or beside others.

#pragma once

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, TILE = 10, TILE_OUT = 6;
#elif defined(__AVX__)
constexpr int LANES = 8, TILE = 6, TILE_OUT = 2;
#else
constexpr int LANES = 4, TILE = 6, TILE_OUT = 2;
#endif
constexpr int TILE_IN = 4;           // columns of a tile of a weight's gradient, which are summed over lanes together
constexpr int PANEL = 2 * LANES;     // rows of a panel
constexpr int64_t BLOCK_PANELS = 256 / PANEL;  // with 128 to 512 rows a step takes as long, to a twentieth
constexpr int64_t PART_PANELS = 512 / PANEL;   // of the population, whose gradients are one sum
constexpr int64_t GROUP_BYTES = 16384;          // half of the cache that is nearest

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef float Four __attribute__((vector_size(16)));

inline Vec load(const float* from) { return *reinterpret_cast<const Vec*>(from); }
inline void store(float* to, Vec value) { *reinterpret_cast<Vec*>(to) = value; }
inline Vec all(float value) { return value - Vec{}; }

// Hold a value in a register: GCC loads it again for each product otherwise, and loads are what a tile is short of.
inline void keep(Vec& value) {
#if defined(__x86_64__)
    asm("" : "+v"(value));
#endif
}

struct Freed { void operator()(float* memory) const { std::free(memory); } };
using Memory = std::unique_ptr<float[], Freed>;

// Return a thread's own buffer: a few hundred kilobytes, or the logits. Whatever grows with replicates is the caller's.
Memory allocate(int64_t floats) {
    void* memory = std::aligned_alloc(64, (4 * floats + 127) / 64 * 64);
    if (!memory) std::abort();
    return Memory(static_cast<float*>(memory));
}

// ---- Threads: those of PyTorch, whose OpenMP function the caller hands over ----

using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);

struct Threads {
    Parallel parallel;
    int64_t count;
};

template <class Work>
struct Job {
    const Work& work;
    int64_t items;
    std::fenv_t modes;  // of the caller: whether numbers too small for float32 are flushed to zero
    std::atomic<int64_t> next{0};

    static void run(void* data) {
        auto& job = *static_cast<Job*>(data);
        std::fenv_t own;
        std::fegetenv(&own);
        std::fesetenv(&job.modes);
        auto worker = job.work();
        for (int64_t item = job.next++; item < job.items; item = job.next++) worker(item);
        std::fesetenv(&own);
    }
};

// Call work() once per thread, and what it returns with each of 0, ..., items - 1.
template <class Work>
void in_parallel(const Threads& threads, int64_t items, const Work& work) {
    Job<Work> job{work, items, {}, {}};
    std::fegetenv(&job.modes);
    const int64_t count = std::min(threads.count, items);
    if (threads.parallel && count > 1) threads.parallel(&Job<Work>::run, &job, static_cast<unsigned>(count), 0);
    else if (items > 0) Job<Work>::run(&job);
}

// ---- The three products, on panels ----

enum class After { nothing, relu, relu_gradient };

template <int M, After AFTER>
void tile(const float* w, int64_t row, int64_t step, int64_t depth, const float* bias, const float* in,
          const float* activation, float* out) {
    Vec sums[M][2];
    for (int m = 0; m < M; ++m) sums[m][0] = sums[m][1] = all(bias ? bias[m] : 0.0f);
    for (int64_t k = 0; k < depth; ++k) {
        const Vec low = load(in + k * PANEL), high = load(in + k * PANEL + LANES);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
            const float factor = w[m * row + k * step];
            sums[m][0] += factor * low;
            sums[m][1] += factor * high;
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m)
        for (int half = 0; half < 2; ++half) {
            Vec sum = sums[m][half];
            const int64_t place = m * PANEL + half * LANES;
            if (AFTER == After::relu) sum = 0.0f > sum ? Vec{} : sum;  // keeps NaN
            if (AFTER == After::relu_gradient) sum = load(activation + place) <= 0.0f ? Vec{} : sum;
            store(out + place, sum);
        }
}

using Tile = void (*)(const float*, int64_t, int64_t, int64_t, const float*, const float*, const float*, float*);

template <After AFTER, int... M>
Tile tile_of(int outputs, std::integer_sequence<int, M...>) {
    static constexpr Tile tiles[] = {tile<M + 1, AFTER>...};
    return tiles[outputs - 1];
}

// out[o, rows] = bias[o] + sum over k of w[o * row + k * step] in[k, rows], for each panel.
template <After AFTER>
void product(const float* w, int64_t row, int64_t step, int64_t outputs, int64_t depth, const float* bias,
             const float* in, const float* activation, float* out, int64_t panels) {
    const int64_t tiles = (outputs + TILE - 1) / TILE;
    for (int64_t panel = 0; panel < panels; ++panel)
        for (int64_t t = 0, first = 0; t < tiles; ++t) {
            const int64_t size = outputs / tiles + (t < outputs % tiles), place = (panel * outputs + first) * PANEL;
            tile_of<AFTER>(static_cast<int>(size), std::make_integer_sequence<int, TILE>())(
                w + first * row, row, step, depth, bias ? bias + first : nullptr, in + panel * depth * PANEL,
                activation ? activation + place : nullptr, out + place);
            first += size;
        }
}

template <int A, int B, int C, int D>
inline Vec pick(Vec a, Vec b) {
    Ints mask{};
    const int in_four[4] = {A, B, C, D};  // 4 to 7: of b
    for (int lane = 0; lane < LANES; ++lane) {
        const int place = in_four[lane % 4];
        mask[lane] = lane / 4 * 4 + place % 4 + (place >= 4 ? LANES : 0);
    }
#if defined(__clang__)
    Vec result{};
    for (int lane = 0; lane < LANES; ++lane) result[lane] = mask[lane] < LANES ? a[mask[lane]] : b[mask[lane] - LANES];
    return result;
#else
    return __builtin_shuffle(a, b, mask);
#endif
}

// The sums over lanes of four vectors.
inline Four lane_sums(Vec a, Vec b, Vec c, Vec d) {
    const Vec ab = pick<0, 2, 4, 6>(a, b) + pick<1, 3, 5, 7>(a, b);
    const Vec cd = pick<0, 2, 4, 6>(c, d) + pick<1, 3, 5, 7>(c, d);
    const Vec four = pick<0, 2, 4, 6>(ab, cd) + pick<1, 3, 5, 7>(ab, cd);
    Four parts[LANES / 4];
    std::memcpy(parts, &four, sizeof four);
    Four sum = parts[0];
    for (int part = 1; part < LANES / 4; ++part) sum += parts[part];
    return sum;
}

inline void add(float* to, Four values, int count) {
    if (count == 4) {
        Four old;
        std::memcpy(&old, to, sizeof old);
        old += values;
        std::memcpy(to, &old, sizeof old);
        return;
    }
    for (int i = 0; i < count; ++i) to[i] += values[i];
}

template <int M, int N>
void gradient_tile(const float* out, int64_t outputs, const float* in, int64_t inputs, int64_t panels, float* gradient) {
    Vec sums[M][TILE_IN] = {};
    for (int64_t panel = 0; panel < panels; ++panel, out += outputs * PANEL, in += inputs * PANEL)
#pragma GCC unroll 2
        for (int half = 0; half < PANEL; half += LANES) {
            Vec factors[M];
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) keep(factors[m] = load(out + m * PANEL + half));
#pragma GCC unroll 8
            for (int n = 0; n < N; ++n) {
                Vec factor = load(in + n * PANEL + half);
                keep(factor);
#pragma GCC unroll 8
                for (int m = 0; m < M; ++m) sums[m][n] += factors[m] * factor;
            }
        }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) add(gradient + m * inputs, lane_sums(sums[m][0], sums[m][1], sums[m][2], sums[m][3]), N);
}

using GradientTile = void (*)(const float*, int64_t, const float*, int64_t, int64_t, float*);

template <int... MN>
GradientTile gradient_tile_of(int outputs, int inputs, std::integer_sequence<int, MN...>) {
    static constexpr GradientTile tiles[] = {gradient_tile<MN / TILE_IN + 1, MN % TILE_IN + 1>...};
    return tiles[(outputs - 1) * TILE_IN + inputs - 1];
}

// gradient[o, i] += sum over rows of out[o, rows] in[i, rows]. Columns go in groups that stay in the nearest cache.
void add_products(const float* out, int64_t outputs, const float* in, int64_t inputs, int64_t panels, float* gradient) {
    const int64_t tiles = (outputs + TILE_OUT - 1) / TILE_OUT;
    const int64_t group = std::max<int64_t>(1, GROUP_BYTES / (4 * TILE_IN * PANEL * panels)) * TILE_IN;
    for (int64_t first = 0; first < inputs; first += group)
        for (int64_t t = 0, o = 0; t < tiles; ++t) {
            const int64_t size = outputs / tiles + (t < outputs % tiles);
            for (int64_t i = first; i < std::min(inputs, first + group); i += TILE_IN)
                gradient_tile_of(static_cast<int>(size), static_cast<int>(std::min<int64_t>(TILE_IN, inputs - i)),
                                 std::make_integer_sequence<int, TILE_OUT * TILE_IN>())(
                    out + o * PANEL, outputs, in + i * PANEL, inputs, panels, gradient + o * inputs + i);
            o += size;
        }
}

// sums[o] += sum over rows of out[o, rows].
void add_row_sums(const float* out, int64_t outputs, int64_t panels, float* sums) {
    for (int64_t o = 0; o < outputs; o += 4) {
        const int count = static_cast<int>(std::min<int64_t>(4, outputs - o));
        Vec totals[4] = {};
        for (int64_t panel = 0; panel < panels; ++panel)
            for (int m = 0; m < count; ++m) {
                const float* place = out + (panel * outputs + o + m) * PANEL;
                totals[m] += load(place) + load(place + LANES);
            }
        add(sums + o, lane_sums(totals[0], totals[1], totals[2], totals[3]), count);
    }
}

// Rows of which each has `width` numbers beside another, to panels; surplus rows of the last panel are zero.
void pack(const float* rows, int64_t stride, int64_t count, int64_t width, float* panels) {
    for (int64_t first = 0; first < count; first += PANEL, panels += width * PANEL) {
        const int64_t present = std::min<int64_t>(PANEL, count - first);
        if (present < PANEL) std::memset(panels, 0, 4 * width * PANEL);
        for (int64_t row = 0; row < present; ++row)
            for (int64_t i = 0; i < width; ++i) panels[i * PANEL + row] = rows[(first + row) * stride + i];
    }
}

void unpack(const float* panels, int64_t count, int64_t width, float factor, float* rows) {
    for (int64_t first = 0; first < count; first += PANEL, panels += width * PANEL)
        for (int64_t row = 0; row < std::min<int64_t>(PANEL, count - first); ++row)
            for (int64_t i = 0; i < width; ++i) rows[(first + row) * width + i] = factor * panels[i * PANEL + row];
}

// Share `total` panels out evenly.
struct Share {
    int64_t first, count;
    Share(int64_t total, int64_t shares, int64_t index)
        : first(total / shares * index + std::min(index, total % shares)),
          count(total / shares + (index < total % shares)) {}
};

int64_t panels_of(int64_t rows) { return (rows + PANEL - 1) / PANEL; }
int64_t shares_of(int64_t panels, int64_t most) { return (panels + most - 1) / most; }

}  // namespace
