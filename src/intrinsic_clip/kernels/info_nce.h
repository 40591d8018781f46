// Symmetric InfoNCE and its gradients, one replicate's logits at a time.

#pragma once

#include "panels.h"

namespace {

Vec exponential(Vec x) {
    const Vec least = all(-87.0f), bounded = x < least ? least : x;
    const Vec shift = all(12582912.0f), rounded = (bounded * 1.44269504f + shift) - shift;
    Vec rest = bounded - rounded * 0.693359375f;
    rest = rest + rounded * 2.12194440e-4f;
    Vec sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    const Ints power = (__builtin_convertvector(rounded, Ints) + 127) << 23;
    Vec scale;
    std::memcpy(&scale, &power, sizeof scale);
    return x < least ? Vec{} : sum * scale;
}

float largest(const float* values, int count) {
    float result = values[0];
    for (int i = 1; i < count; ++i) result = result < values[i] ? values[i] : result;
    return result;
}

class InfoNCE {
    const int64_t n, panels = panels_of(n);
    const Memory scaled_, packed_, packed_gradient;
    const Memory logits_ = allocate(panels * PANEL * n), other_ = allocate(panels * PANEL * n);
    const Memory across_ = allocate(n * LANES + 2 * n), down_ = allocate(2 * panels * PANEL);

public:
    InfoNCE(int64_t n, int64_t most)  // columns
        : n(n), scaled_(allocate(n * most)), packed_(allocate(panels * PANEL * most)),
          packed_gradient(allocate(panels * PANEL * most)) {}

    // Write loss and gradients of paired rows x and y, (n, d) each.
    void operator()(const float* x, const float* y, int64_t d, float tau, float* loss, float* x_gradient, float* y_gradient,
                    float* tau_gradient) const {
        const float inverse = 1.0f / tau;
        float *scaled = scaled_.get(), *packed = packed_.get(), *logits = logits_.get(), *other = other_.get();
        float *across = across_.get(), *row_top = across + n * LANES, *row_sum = row_top + n;
        float *column_top = down_.get(), *column_sum = column_top + panels * PANEL;
        for (int64_t i = 0; i < n * d; ++i) scaled[i] = x[i] * inverse;
        pack(y, d, n, d, packed);
        product<After::nothing>(scaled, d, 1, n, d, nullptr, packed, nullptr, logits, panels);
        for (int64_t j = n; j < panels * PANEL; ++j)  // columns that there are not
            for (int64_t i = 0; i < n; ++i) logits[(j / PANEL * n + i) * PANEL + j % PANEL] = -1e30f;

        for (int64_t i = 0; i < n; ++i) store(across + i * LANES, all(-INFINITY));
        for (int64_t panel = 0; panel < panels; ++panel)
            for (int half = 0; half < PANEL; half += LANES) {
                Vec top = all(-INFINITY);
                for (int64_t i = 0; i < n; ++i) {
                    const Vec value = load(logits + (panel * n + i) * PANEL + half), old = load(across + i * LANES);
                    top = top < value ? value : top;
                    store(across + i * LANES, old < value ? value : old);
                }
                store(column_top + panel * PANEL + half, top);
            }
        for (int64_t i = 0; i < n; ++i) row_top[i] = largest(across + i * LANES, LANES);

        double total = 0;
        for (int64_t i = 0; i < n; ++i) {
            const float own = logits[(i / PANEL * n + i) * PANEL + i % PANEL];
            total += static_cast<double>(own - row_top[i]) + (own - column_top[i]);
        }
        for (int64_t i = 0; i < n; ++i) store(across + i * LANES, Vec{});
        for (int64_t panel = 0; panel < panels; ++panel)
            for (int half = 0; half < PANEL; half += LANES) {
                const Vec top = load(column_top + panel * PANEL + half);
                Vec sum{};
                for (int64_t i = 0; i < n; ++i) {
                    const int64_t place = (panel * n + i) * PANEL + half;
                    const Vec value = load(logits + place);
                    const Vec by_row = exponential(value - row_top[i]), by_column = exponential(value - top);
                    store(logits + place, by_row);
                    store(other + place, by_column);
                    store(across + i * LANES, load(across + i * LANES) + by_row);
                    sum += by_column;
                }
                store(column_sum + panel * PANEL + half, sum);
            }
        for (int64_t i = 0; i < n; ++i) {
            float sum = 0;
            for (int lane = 0; lane < LANES; ++lane) sum += across[i * LANES + lane];
            total -= static_cast<double>(std::log(sum)) + std::log(column_sum[i]);
            row_sum[i] = 0.5f / (n * sum);
        }
        *loss = static_cast<float>(-total / (2 * n));
        for (int64_t j = 0; j < panels * PANEL; ++j) column_sum[j] = j < n ? 0.5f / (n * column_sum[j]) : 0.0f;

        for (int64_t panel = 0; panel < panels; ++panel)
            for (int half = 0; half < PANEL; half += LANES) {
                const Vec factor = load(column_sum + panel * PANEL + half);
                for (int64_t i = 0; i < n; ++i) {
                    const int64_t place = (panel * n + i) * PANEL + half;
                    store(logits + place, load(logits + place) * row_sum[i] + load(other + place) * factor);
                }
            }
        for (int64_t i = 0; i < n; ++i) logits[(i / PANEL * n + i) * PANEL + i % PANEL] -= 1.0f / n;

        std::memset(x_gradient, 0, 4 * n * d);
        add_products(logits, n, packed, d, panels, x_gradient);
        double products = 0;
        for (int64_t i = 0; i < n * d; ++i) products += static_cast<double>(x_gradient[i]) * scaled[i];
        *tau_gradient = static_cast<float>(-products * inverse);
        for (int64_t i = 0; i < n * d; ++i) x_gradient[i] *= inverse;
        product<After::nothing>(scaled, 1, d, d, n, nullptr, logits, nullptr, packed_gradient.get(), panels);
        unpack(packed_gradient.get(), n, d, 1.0f, y_gradient);
    }
};

}  // namespace
